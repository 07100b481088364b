"""Training step and embedding: plain float32 beside bf16 autocast with channels_last, as training runs it.

The step is CLIP RN50 (random weights) on 32 views of 224 px with HLSS: forward, loss, backward, AdamW. Each way runs
in processes of its own, taken in turn, so that a slow spell of the machine meets both and peak memory is its own.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from torch import Tensor

from hlss.encoders.base import ImageEncoder
from hlss.encoders.clip import Clip
from hlss.encoders.lite0 import Lite0
from hlss.encoders.timm import Timm
from hlss.errors import UserError
from hlss.objectives.base import Gathered, Given
from hlss.objectives.hlss import Hlss
from hlss.train.device import bf16_is_native
from hlss.types import LEVELS

GOAL_STEP, GOAL_EMBED, GOAL_GB = 2.5, 2.8, 3.0
WAYS = ("fp32", "bf16")
TEXTS = 128  # characteristics a level


def noise(views: int, px: int) -> Tensor:
    """uint8 views."""
    draw = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (views, 3, px, px), generator=draw, dtype=torch.uint8)


def features(encoder: ImageEncoder, views: Tensor, way: str) -> Tensor:
    """z, float32, the plain way or the way of training."""
    pixels = encoder.normalised(views)
    if way == "bf16":
        pixels = pixels.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=way == "bf16"):
        z: Tensor = encoder(pixels)
    return z.float()


def prepared_step(way: str, views: int) -> Callable[[], None]:
    """A training step: 2 views of each patch, 2 patches a slide, 2 slides a patient."""
    encoder = Clip().build().train()
    if way == "bf16":
        encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    draw = torch.Generator().manual_seed(1)
    texts = {level: F.normalize(torch.randn(TEXTS, encoder.dim, generator=draw), dim=1) for level in LEVELS}
    objective = Hlss().build(Given(encoder, encoder.dim, texts))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *objective.parameters()], lr=1e-4)
    raw = noise(views, encoder.input_px)
    ids = {level: torch.arange(views) // size for level, size in zip(LEVELS, (2, 4, 8), strict=True)}

    def step() -> None:
        optimizer.zero_grad()
        projected = objective.project(features(encoder, raw, way))
        terms = objective.loss(Gathered(projected.shared, projected.own, ids, None, slice(0, views)))
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()

    return step


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Best of `repeats`, after one to warm up."""
    work()
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def measured_step(way: str, views: int, repeats: int) -> tuple[float, float]:
    """Seconds a step and peak memory in GB, from a process of its own."""
    command = [sys.executable, __file__, "--child", way, str(views), str(repeats)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(out[0]), float(out[1])


def child(way: str, views: int, repeats: int) -> None:
    """Print seconds and peak memory of one way."""
    best = seconds(prepared_step(way, views), repeats)
    unit = 1 if sys.platform == "darwin" else 1024
    print(best, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9)


def embedding_seconds(encoder: ImageEncoder, batch: int, rounds: int) -> dict[str, float]:
    """Seconds a batch, the ways in turn."""
    raw, best = noise(batch, encoder.input_px), dict.fromkeys(WAYS, float("inf"))
    layouts = {"fp32": torch.contiguous_format, "bf16": torch.channels_last}
    for _ in range(rounds):
        for way in WAYS:
            tower = encoder.eval().to(memory_format=layouts[way])  # type: ignore[call-overload]
            with torch.inference_mode():
                best[way] = min(best[way], seconds(partial(features, tower, raw, way), 2))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="8 views, once; says little of speed")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way, views, repeats = arguments.child
        child(way, int(views), int(repeats))
        return
    views, rounds, repeats, batch = (8, 1, 1, 4) if arguments.quick else (32, 2, 3, 16)
    native = "native" if bf16_is_native(torch.device("cpu")) else "emulated: no gain is to be expected"
    print(f"{torch.get_num_threads()} threads, bf16 is {native}")
    found = {way: [measured_step(way, views, repeats)] for way in WAYS}
    for _ in range(rounds - 1):
        for way in WAYS:
            found[way].append(measured_step(way, views, repeats))
    best = {way: min(s for s, _ in found[way]) for way in WAYS}
    print(f"training step, CLIP RN50, HLSS with {TEXTS} texts a level, {views} views of 224 px")
    for way in WAYS:
        print(
            f"  {way}: {best[way]:6.2f} s {views / best[way]:6.1f} views/s, peak {max(g for _, g in found[way]):.2f} GB"
        )
    print(f"  ratio {best['fp32'] / best['bf16']:.2f}× (goal {GOAL_STEP:g}×, peak of bf16 at most {GOAL_GB:g} GB)")
    print(f"embedding, batches of {batch} images of 224 px (goal {GOAL_EMBED:g}× on ResNet-50)")
    for name, spec in (("ResNet-50", Timm(architecture="resnet50")), ("Lite0", Lite0())):
        try:
            s = embedding_seconds(spec.build(), batch, rounds)
        except UserError as error:
            print(f"  {name}: skipped: {error}")
            continue
        print(f"  {name}: fp32 {batch / s['fp32']:.1f}/s  bf16 {batch / s['bf16']:.1f}/s  {s['fp32'] / s['bf16']:.2f}×")


if __name__ == "__main__":
    main()
