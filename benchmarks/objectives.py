"""A training step by objective, as a ratio to HiDisc's: forward, loss, backward, AdamW, moving average.

ResNet-50 (random weights), bf16 with channels_last, heads of each paper's widths. Objectives take turns, so that a slow
spell of the machine meets all. What an objective's own tower costs (BYOL's target) is timed apart and taken off.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from torch import Tensor

from hlss.config import validate
from hlss.encoders.timm import Timm
from hlss.objectives.base import Gathered, Given
from hlss.registry import OBJECTIVES
from hlss.train.network import Network, whole_batch
from hlss.types import LEVELS

GOAL, BASE, TEXTS = 1.25, "hidisc", 128


def prepared(name: str, views: int, px: int) -> tuple[Callable[[], None], Callable[[], object]]:
    """A step of this objective, and what its own towers do in it."""
    encoder = Timm(architecture="resnet50", input_px=px).build().train()
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    draw = torch.Generator().manual_seed(1)
    texts = {level: F.normalize(torch.randn(TEXTS, encoder.dim, generator=draw), dim=1) for level in LEVELS}
    spec = validate({"name": name}, OBJECTIVES[name], where=name)
    objective = spec.build(Given(encoder, encoder.dim, texts, classes=7))  # type: ignore[attr-defined]
    network = Network(encoder, objective, bf16=True)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-4)
    raw = torch.randint(0, 256, (views, 3, px, px), generator=draw, dtype=torch.uint8)
    ids = {level: torch.arange(views) // size for level, size in zip(LEVELS, (2, 4, 8), strict=True)}
    labels = torch.arange(views) % 7

    def loss_of(_: Tensor, projected: object) -> Tensor:
        shared, own = projected.shared, projected.own  # type: ignore[attr-defined]
        terms = objective.loss(Gathered(shared, own, ids, labels, slice(0, views)))
        return torch.stack(list(terms.values())).sum()

    def step() -> None:
        optimizer.zero_grad()
        whole_batch(network, network, raw, loss_of, torch.Tensor.backward)
        optimizer.step()
        objective.after_step(encoder, 0.5)

    return step, lambda: network.targets([raw])


def seconds(work: Callable[[], object]) -> float:
    """Once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few small views, to see that it runs: no verdict")
    quick = parser.parse_args().quick
    views, px, rounds = (8, 64, 1) if quick else (32, 224, 3)
    names = [BASE, *(name for name in OBJECTIVES if name != BASE)]
    threads = torch.get_num_threads()
    print(f"training step of ResNet-50, {views} views of {px} px, {threads} threads, median of {rounds}")
    for name in names:
        step, own = prepared(name, views, px)
        reference, _ = prepared(BASE, views, px)
        step(), reference()
        times = [(seconds(step), seconds(own), seconds(reference)) for _ in range(rounds)]
        taken, towers, base = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = (taken - towers) / base
        verdict = "" if quick else f"  goal {GOAL}×: {'reached' if ratio <= GOAL else 'MISSED'}"
        parts = f"{taken:6.2f} s, {BASE} beside it {base:5.2f} s, own towers {towers:5.2f} s"
        print(f"  {name:<11}{parts}: {ratio:4.2f}×{verdict}")


if __name__ == "__main__":
    main()
