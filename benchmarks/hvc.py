"""HVC (three levels, each with its own projection) forward and backward: the kernel beside the textbook's dense SupCon.

The textbook stands as nine dense losses (the released code's way: nine, six of them times zero) and as three.
Peak memory is taken from processes of their own, above that of a tiny batch.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from torch import Tensor
from torch.utils.benchmark import Timer

from hlss.objectives.contrast import contrast
from hlss.types import LEVELS, Level

WIDTH, TAU, VIEWS = 128, 0.07, {Level.PATCH: 2, Level.SLIDE: 4, Level.PATIENT: 8}
GOALS = {256: (4.0, 1.2), 1024: (5.0, 1.5), 4096: (12.0, 3.0)}  # over nine dense losses, over three


def dense_supcon(z: Tensor, ids: Tensor, tau: float) -> Tensor:
    """Eq. 1 as usually written: similarities, positives and non-self as M × M matrices."""
    logits = z @ z.T / tau
    logits = logits - logits.max(dim=1, keepdim=True).values.detach()
    not_self = 1 - torch.eye(len(z))
    positives = (ids.unsqueeze(1) == ids.unsqueeze(0)).float() * not_self
    log_share = logits - torch.log((logits.exp() * not_self).sum(dim=1, keepdim=True))
    return -((positives * log_share).sum(dim=1) / positives.sum(dim=1)).mean()


def losses(m: int, way: str) -> Callable[[], Tensor]:
    """A function that makes HVC of m views in the given way and sends its gradient back to three projections."""
    draw = torch.Generator().manual_seed(0)
    zs = {level: F.normalize(torch.randn(m, WIDTH, generator=draw), dim=1).requires_grad_() for level in LEVELS}
    ids = {level: torch.arange(m) // VIEWS[level] for level in LEVELS}

    def kernel() -> Tensor:
        return torch.stack(list(contrast(zs, ids, TAU).values())).sum()

    def dense(weights: tuple[float, ...]) -> Tensor:
        terms = [weight * dense_supcon(zs[level], ids[level], TAU) for level in LEVELS for weight in weights]
        return torch.stack(terms).sum()

    forward = {"kernel": kernel, "three": lambda: dense((1.0,)), "nine": lambda: dense((1.0, 0.0, 0.0))}[way]

    def step() -> Tensor:
        loss = forward()
        loss.backward()
        return torch.stack([z.grad for z in zs.values()])

    def fresh() -> Tensor:
        for z in zs.values():
            z.grad = None
        return step()

    return fresh


def times_ms(m: int, rounds: int, seconds: float) -> dict[str, float]:
    """Best of the medians of each way, the ways taken in turn so that a slow spell of the machine meets all."""
    timers = {
        way: Timer("f()", globals={"f": losses(m, way)}, num_threads=torch.get_num_threads())
        for way in ("kernel", "three", "nine")
    }
    best = dict.fromkeys(timers, float("inf"))
    for _ in range(rounds):
        for way, timer in timers.items():
            best[way] = min(best[way], timer.blocked_autorange(min_run_time=seconds).median * 1e3)
    return best


def peak_mb() -> float:
    """Largest resident size of this process so far, MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def peaks_mb(way: str, sizes: list[int]) -> list[float]:
    """Peak memory at each size (ascending), MB above that of a tiny batch, from a process of its own."""
    command = [sys.executable, __file__, "--peaks", way, *map(str, sizes)]
    return [float(line) for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small size, seconds")
    parser.add_argument("--peaks", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peaks:
        way, *sizes = arguments.peaks
        losses(64, way)()
        start = peak_mb()
        for m in map(int, sizes):
            losses(m, way)()
            print(peak_mb() - start)
        return
    sizes = [256] if arguments.quick else list(GOALS)
    memory = {way: peaks_mb(way, sizes) for way in ("kernel", "three")}
    print(f"HVC forward + backward, 3 levels, {WIDTH}-d projections, {torch.get_num_threads()} threads")
    print("     m   kernel   3 dense   9 dense |  over 9 (goal)  over 3 (goal) | gradient   peak: kernel   3 dense")
    for row, m in enumerate(sizes):
        ms = times_ms(m, rounds=3 if arguments.quick else max(2, 2048 // m), seconds=0.2 if arguments.quick else 0.5)
        gap = (losses(m, "kernel")() - losses(m, "three")()).norm() / losses(m, "three")().norm()
        over_nine, over_three = ms["nine"] / ms["kernel"], ms["three"] / ms["kernel"]
        print(
            f"{m:6d} {ms['kernel']:6.1f} ms {ms['three']:6.1f} ms {ms['nine']:6.0f} ms |"
            f" {over_nine:6.1f}× ({GOALS[m][0]:g}×)   {over_three:5.1f}× ({GOALS[m][1]:g}×) |"
            f"  {gap:.0e} {memory['kernel'][row]:9.0f} MB {memory['three'][row]:9.0f} MB"
        )


if __name__ == "__main__":
    main()
