"""A training step of CLIP RN50 and a forward pass to embed: plain float32 beside bf16 autocast and channels_last.

    python benchmarks/step.py [--quick]

A step is 32 views of 224 px (4 patients × 2 slides × 2 patches × 2 views) through the tower, the objective `hlss` with
128 texts a level, backward and AdamW. Ways take turns in one process, and the best of the rounds counts; peak memory is
that of a process of its own, which has done one way only. The gain is promised where bf16 is native.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from torch import Tensor

from hlss.encoders.base import ImageEncoder
from hlss.encoders.clip import Clip
from hlss.encoders.timm import Timm
from hlss.objectives.base import Gathered, Given, Objective
from hlss.objectives.hlss import Hlss
from hlss.train.device import bf16_is_native
from hlss.train.network import Network
from hlss.types import LEVELS, Level

STEP_GOAL, EMBED_GOAL, PEAK_GOAL_GB = 2.5, 2.8, 3.0
VIEWS_OF = {Level.PATCH: 2, Level.SLIDE: 4, Level.PATIENT: 8}
WAYS = ("fp32", "bf16")


def objective_for(encoder: ImageEncoder) -> Objective:
    """`hlss` with drawn texts: what they say has no bearing on the time."""
    draw = torch.Generator().manual_seed(0)
    texts = {level: F.normalize(torch.randn(128, encoder.dim, generator=draw), dim=1) for level in LEVELS}
    return Hlss().build(Given(encoder, encoder.dim, texts))


def training_step(way: str, views: int, encoder: ImageEncoder) -> Callable[[], float]:
    """A function that trains one step and gives the loss; the same in both ways but for precision and layout."""
    network = Network(encoder.train(), objective_for(encoder), bf16=way == "bf16")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)
    shape = (views, 3, encoder.input_px, encoder.input_px)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ids = {level: torch.arange(views) // VIEWS_OF[level] for level in LEVELS}

    def z_of(pixels: Tensor) -> Tensor:
        return encoder(encoder.normalised(pixels)) if way == "fp32" else network.features(pixels)

    def step() -> float:
        projected = network.objective.project(z_of(pixels))
        gathered = Gathered(projected.shared, projected.own, ids, None, slice(0, views))
        loss = torch.stack(list(network.objective.loss(gathered).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def embedding(way: str, images: int, encoder: ImageEncoder) -> Callable[[], Tensor]:
    """A function that embeds so many images with a frozen tower."""
    pixels = encoder.eval().normalised(torch.rand(images, 3, encoder.input_px, encoder.input_px))

    def plain() -> Tensor:
        with torch.no_grad():
            return encoder(pixels)

    def fast() -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return encoder(pixels.contiguous(memory_format=torch.channels_last))

    return plain if way == "fp32" else fast


def seconds_by_way(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Best wall time of each, taken in turn after one round to warm up."""
    best = dict.fromkeys(works, float("inf"))
    for turn in range(rounds + 1):
        for way, work in works.items():
            began = time.perf_counter()
            work()
            if turn > 0:
                best[way] = min(best[way], time.perf_counter() - began)
    return best


def peak_gb(way: str, views: int) -> float:
    """Peak resident memory of a process that trains two steps in this way, GB."""
    command = [sys.executable, __file__, "--peak", way, str(views)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_own_peak(way: str, views: int) -> None:
    step = training_step(way, views, Clip().build())
    step()
    step()
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9)


def report_step(views: int, rounds: int) -> None:
    peaks = {way: peak_gb(way, views) for way in WAYS}
    seconds = seconds_by_way({way: training_step(way, views, Clip().build()) for way in WAYS}, rounds)
    print(f"training step, CLIP RN50, {views} views of 224 px")
    for way in WAYS:
        print(f"  {way}: {seconds[way]:6.2f} s  {views / seconds[way]:6.1f} views/s  peak {peaks[way]:.1f} GB")
    ratio = seconds["fp32"] / seconds["bf16"]
    print(f"  {ratio:.1f}× plain fp32 (goal {STEP_GOAL}×), peak {peaks['bf16']:.1f} GB (goal {PEAK_GOAL_GB} GB)")


def report_embedding(architecture: str, images: int, rounds: int) -> None:
    encoder = Timm(architecture=architecture).build()
    seconds = seconds_by_way({way: embedding(way, images, encoder) for way in WAYS}, rounds)
    rates = ", ".join(f"{way} {images / seconds[way]:.1f} img/s" for way in WAYS)
    ratio = seconds["fp32"] / seconds["bf16"]
    print(f"embedding, {architecture}, batch {images}: {rates}; {ratio:.1f}× (goal {EMBED_GOAL}×)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 views and one round: half a minute")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        way, views = arguments.peak
        print_own_peak(way, int(views))
        return
    views, images, rounds = (8, 4, 1) if arguments.quick else (32, 16, 3)
    native = "native" if bf16_is_native(torch.device("cpu")) else "emulated here: no gain is promised"
    print(f"bf16 is {native}; {torch.get_num_threads()} threads; ways: fp32 plain, bf16 autocast + channels_last")
    report_step(views, rounds)
    for architecture in ("resnet50", "tf_efficientnet_lite0"):
        report_embedding(architecture, images, rounds)


if __name__ == "__main__":
    main()
