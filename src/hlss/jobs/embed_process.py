"""A process that embeds slides for another: it opens the run's cohort and tower once, however many slides come."""

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from hlss.batches.loader import DrawnView
from hlss.batches.recipe import ViewSpec
from hlss.errors import UserError
from hlss.evaluate.by_slide import SlideWork, tower_hash
from hlss.evaluate.lanes import Lanes
from hlss.experiment import Experiment
from hlss.jobs.embed_folder import SlideFolder
from hlss.jobs.embed_work import Opened, SlideEnd, embedded
from hlss.jobs.hands import Busy
from hlss.jobs.setup import open_data
from hlss.jobs.spread import worker_number
from hlss.jobs.tower import Norms, tower_of
from hlss.train.problems import Problems

EMBEDDING = "embedding"


@dataclass(frozen=True)
class Recipe:
    """What is embedded with what: all that another process needs to open the same.

    checkpoint: of the run, by a name that stands for the same weights as long as they are there; tower, cohort: hashes
    of what the asking process opened.
    """

    experiment: Experiment = field(compare=False)  # tower, cohort and view say what of it counts
    run: Path
    checkpoint: str
    norms: Norms | None
    view: int | None
    tower: str
    cohort: str

    @property
    def drawn(self) -> DrawnView | None:
        """The augmented view; None for the tiles as they are. Raises UserError."""
        return None if self.view is None else drawn_view(self.experiment, self.view)

    @property
    def view_facts(self) -> list[Any] | None:
        """What the view hangs on, for the keys of files; None for the tiles as they are."""
        drawn = self.drawn
        return None if drawn is None else [drawn.number, drawn.seed, drawn.views.model_dump(mode="json")]


@dataclass(frozen=True)
class SlideEmbedder:
    """Embeds the slides that it is called with. lanes: batches at once on a CPU; began: as for `Opened`; at: folder
    that relative paths start from.
    """

    recipe: Recipe
    folder: SlideFolder
    began: float
    lanes: int
    at: Path = field(default_factory=Path.cwd)

    def __call__(self, work: SlideWork) -> SlideEnd | Busy:
        ((_, end),) = embedded(_opened(self), [work])
        return end


@lru_cache(maxsize=1)  # Ray unpickles the work anew for each item
def _opened(asked: SlideEmbedder) -> Opened:
    """Raises UserError where this is not what the asking process has."""
    recipe = asked.recipe
    _go(asked.at)
    data = open_data(recipe.experiment, _silent)
    encoder, _ = tower_of(
        recipe.experiment, recipe.run, recipe.checkpoint, data, recipe.norms, _silent, asked.folder.path
    )
    if (tower_hash(encoder), data.cohort.fingerprint) != (recipe.tower, recipe.cohort):
        what = "a worker found other weights or another cohort than the process that asked it"
        fix = "Give all machines the same files, and wait until the training has ended."
        raise UserError(what, where=recipe.run, fix=fix)
    device = device_of(worker_number())
    return Opened(
        lanes=Lanes(encoder.to(device), device, asked.lanes if device.type == "cpu" else 1),
        sides=data.sides,
        folder=asked.folder,
        began=asked.began,
        drawn=recipe.drawn,
        loaders=0,  # what Ray and `spread` start has no processes of its own
        note=Problems(recipe.run, EMBEDDING).tiles,
        begun=asked.folder.begun(),
    )


def _go(folder: Path) -> None:
    try:
        os.chdir(folder)  # processes of Ray start elsewhere
    except OSError as error:
        fix = "Start the command from a folder that all machines share."
        raise UserError(f"a worker cannot enter it: {error.strerror}", where=folder, fix=fix) from error


def device_of(number: int) -> torch.device:
    """Of the process with this number: GPUs are taken in turn."""
    n = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return torch.device("cuda", number % n) if n else torch.device("cpu")


def drawn_view(experiment: Experiment, number: int) -> DrawnView:
    """The augmented view with this number. Raises UserError."""
    if not isinstance(experiment.views, ViewSpec):
        raise UserError("stored features have no further views", where="--view", fix="Embed the run of pixels again.")
    return DrawnView(experiment.views, experiment.seed, number)


def _silent(_: str) -> None:
    """The asking process has said it."""
