"""A small tower free of batch statistics, a stream of drawn batches, and runs made of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from small import small
from torch import Tensor, nn

from hlss.encoders.base import ImageEncoder
from hlss.objectives.base import Given
from hlss.train.loop import Run, train
from hlss.train.run_folder import RunFolder
from hlss.train.settings import TrainSpec
from hlss.types import LEVELS, Level, ViewBatch

DIM, PX = 16, 8


class SmallTower(ImageEncoder):
    """Two layers and dropout: what is random on the model side must be resumed too."""

    def __init__(self) -> None:
        super().__init__(DIM, PX, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Tanh(), nn.GroupNorm(2, 4))
            self.body = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(36, DIM))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.body(self.stem(pixels))

    def stages(self) -> list[list[nn.Module]]:
        return [[self.stem], [self.body]]


class DrawnBatches:
    """4 patients × 2 slides × 2 patches × 2 views of noise; a pure function of (step, rank)."""

    def __init__(self, start: int, stop: int, rank: int = 0, world: int = 1) -> None:
        self.span, self.rank, self.world, self.unreadable = range(start, stop), rank, world, {}

    def __iter__(self) -> Iterator[ViewBatch]:
        for step in self.span:
            yield drawn_batch(step, self.rank, self.world)


def drawn_batch(step: int, rank: int = 0, world: int = 1) -> ViewBatch:
    shape = (4, 2, 2, 2)
    views = torch.randint(0, 256, (*shape, 3, PX, PX), generator=torch.Generator().manual_seed(step), dtype=torch.uint8)
    number = torch.arange(4 * 2 * 2).view(4, 2, 2, 1).expand(shape)
    ids = {Level.PATCH: number, Level.SLIDE: number // 2, Level.PATIENT: number // 4}
    own = slice(rank * 4 // world, (rank + 1) * 4 // world)
    return ViewBatch(views[own], {level: ids[level][own] for level in LEVELS}, ids[Level.PATIENT][own][..., 0] % 3)


def texts() -> dict[Level, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {level: nn.functional.normalize(torch.randn(6, DIM, generator=generator), dim=1) for level in LEVELS}


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """A run of `steps` steps, by default of 6; settings of training by name."""

    def make(steps: int = 6, objective_name: str = "hlss", **settings: Any) -> Run:
        encoder = SmallTower()
        objective = small(objective_name).build(Given(encoder, DIM, texts(), classes=3, seed=3))
        spec = TrainSpec(steps=steps, precision="fp32", **settings)
        return Run(
            encoder,
            objective,
            lambda step: DrawnBatches(step, steps),
            tiles=16,
            spec=spec,
            steps=steps,
            seed=5,
            bf16=False,
        )

    return make


@pytest.fixture
def go(tmp_path: Path) -> Callable[..., Any]:
    """Train a run in a folder, as a process of its own would."""

    def go(run: Run, folder: Path | None = None) -> Any:
        with RunFolder(folder or tmp_path / "run", "hash", "{}\n", {}) as opened:
            return train(run, Fabric(accelerator="cpu", devices=1), opened)

    return go


@pytest.fixture(name="drawn_batch")
def drawn_batch_fixture() -> Callable[..., ViewBatch]:
    return drawn_batch


def weights(run: Run) -> dict[str, Tensor]:
    return {**run.encoder.state_dict(), **{f"objective.{k}": v for k, v in run.objective.state_dict().items()}}


@pytest.fixture(name="weights")
def weights_fixture() -> Callable[[Run], dict[str, Tensor]]:
    return weights
