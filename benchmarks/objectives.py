"""A training step by objective, as a ratio to HiDisc's: forward, loss, backward, AdamW, moving average.

ResNet-50 (random weights), bf16 with channels_last where bf16 is native, heads of each paper's widths. Objectives take
turns, so that a slow spell of the machine meets all. What a method's own networks cost is timed apart:
  towers: what sees the views a second time (BYOL's target); taken off both ratios.
  layers: what stands between features and loss: forward, backward and AdamW, without the tower. VICReg's expander
          (8192-8192-8192) has 151 million weights, six times the tower's, and costs the same for any number of views.
The first ratio leaves the layers in; the second, `bare`, takes each method's own off, HiDisc's too. The verdict says
which of them reaches the goal.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from torch import Tensor

from hlss.config import validate
from hlss.encoders.timm import Timm
from hlss.objectives.base import Gathered, Given, ObjectiveSpec, Projected
from hlss.registry import OBJECTIVES
from hlss.train.device import bf16_is_native
from hlss.train.network import Network, whole_batch
from hlss.train.optim import optimiser
from hlss.train.settings import TrainSpec
from hlss.types import LEVELS

GOAL, BASE, TEXTS = 1.25, "hidisc", 128
NATIVE = bf16_is_native(torch.device("cpu"))  # elsewhere it is emulated, and several times as slow


@dataclass(frozen=True)
class Work:
    """A whole step, and the parts of it that are the objective's own networks."""

    step: Callable[[], object]
    towers: Callable[[], object]
    layers: Callable[[], object]


@dataclass(frozen=True)
class Seconds:
    """Of a step and of its parts."""

    step: float
    towers: float
    layers: float

    @classmethod
    def of(cls, work: Work) -> "Seconds":
        return cls(*(seconds(part) for part in (work.step, work.towers, work.layers)))

    @classmethod
    def median(cls, times: list["Seconds"]) -> "Seconds":
        columns = ([getattr(t, part) for t in times] for part in ("step", "towers", "layers"))
        return cls(*map(statistics.median, columns))

    @property
    def less_towers(self) -> float:
        return self.step - self.towers

    @property
    def less_all(self) -> float:
        return self.step - self.towers - self.layers


def prepared(name: str, views: int, px: int) -> Work:
    """What this objective does in a step."""
    encoder = Timm(architecture="resnet50", input_px=px).build().train()
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    draw = torch.Generator().manual_seed(1)
    texts = {level: F.normalize(torch.randn(TEXTS, encoder.dim, generator=draw), dim=1) for level in LEVELS}
    spec = validate({"name": name}, OBJECTIVES[name], where=name)
    assert isinstance(spec, ObjectiveSpec)
    objective = spec.build(Given(encoder, encoder.dim, texts, classes=7))
    network = Network(encoder, objective, bf16=NATIVE)
    optimizer = optimiser(encoder, objective, TrainSpec(lr=1e-4))
    raw = torch.randint(0, 256, (views, 3, px, px), generator=draw, dtype=torch.uint8)
    features = torch.randn(views, encoder.dim, generator=draw).requires_grad_()
    ids = {level: torch.arange(views) // size for level, size in zip(LEVELS, (2, 4, 8), strict=True)}
    labels = torch.arange(views) % 7

    def loss_of(_: Tensor, projected: Projected) -> Tensor:
        terms = objective.loss(Gathered(projected.shared, projected.own, ids, labels, slice(0, views)))
        return torch.stack(list(terms.values())).sum()

    def step() -> None:
        optimizer.zero_grad()
        whole_batch(network, network, raw, loss_of, torch.Tensor.backward)
        optimizer.step()
        objective.after_step(encoder, 0.5)

    def layers() -> None:
        optimizer.zero_grad()
        projected = objective.project(features)
        rows = (*projected.shared.values(), *projected.own.values())
        torch.stack([tensor.square().sum() for tensor in rows if tensor.requires_grad]).sum().backward()
        optimizer.step()  # of what has a gradient: the layers alone

    return Work(step, lambda: network.targets([raw]), layers)


def seconds(work: Callable[[], object]) -> float:
    """Once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def verdict(ratio: float, bare: float) -> str:
    """Whether the goal is reached: with the method's own layers, only without them, or not at all."""
    if ratio <= GOAL:
        return "reached"
    return "reached without its own layers alone" if bare <= GOAL else "MISSED"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few small views, to see that it runs: no verdict")
    quick = parser.parse_args().quick
    views, px, rounds = (8, 64, 1) if quick else (32, 224, 3)
    names = [BASE, *(name for name in OBJECTIVES if name != BASE)]
    threads = torch.get_num_threads()
    precision = "bf16" if NATIVE else "fp32"
    print(f"training step of ResNet-50 in {precision}, {views} views of {px} px, {threads} threads, median of {rounds}")
    for name in names:
        work, reference = prepared(name, views, px), prepared(BASE, views, px)
        Seconds.of(work), Seconds.of(reference)
        times = [(Seconds.of(work), Seconds.of(reference)) for _ in range(rounds)]
        taken, base = (Seconds.median(list(column)) for column in zip(*times, strict=True))
        ratio, bare = taken.less_towers / base.less_towers, taken.less_all / base.less_all
        parts = f"{taken.step:6.2f} s, own towers {taken.towers:5.2f} s, own layers {taken.layers:5.2f} s"
        said = "" if quick else f"  goal {GOAL}×: {verdict(ratio, bare)}"
        print(f"  {name:<11}{parts}; {BASE} beside it {base.step:5.2f} s: {ratio:4.2f}×, bare {bare:4.2f}×{said}")


if __name__ == "__main__":
    main()
