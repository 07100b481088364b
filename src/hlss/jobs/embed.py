"""`hlss embed`: every patch of a cohort through a checkpoint's image tower, into an embedding table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from numpy import ndarray
from torch import Tensor

from hlss.batches.loader import DrawnView, tiles
from hlss.batches.recipe import ViewSpec
from hlss.cohorts.base import Cohort
from hlss.config import read_settings
from hlss.encoders.base import ImageEncoder
from hlss.errors import UserError
from hlss.evaluate.embed import embed
from hlss.experiment import Experiment
from hlss.jobs.provenance import provenance
from hlss.jobs.setup import EMBED_BATCH, Say, build_encoder, open_data, refuse_misfit
from hlss.jobs.train import say_once
from hlss.train.checkpoint import Checkpoints


def embed_run(
    folder: Path,
    checkpoint: str,
    out: Path | None,
    overrides: Sequence[str],
    view: int | None = None,
    say: Say = say_once,
) -> Path:
    """Embed with a run's checkpoint; returns the table's folder. view: the number of an augmented view, to be stored
    beside the tiles as they are. Raises UserError.
    """
    config = folder / "config.yaml"
    if not config.exists():
        raise UserError("this is no run folder: it has no config.yaml", where=folder, fix="Run `hlss train` first.")
    experiment = read_settings(config, Experiment, overrides)
    checkpoints = Checkpoints(folder / "checkpoints")
    encoder = build_encoder(experiment, say)
    weights = checkpoints.load_encoder(checkpoint, encoder)
    name = checkpoint if view is None else f"{checkpoint}-view{view}"
    facts = {"method": f"{experiment.name} · {name}", "checkpoint": weights}
    return embed_with(experiment, encoder, facts, out or folder / "embeddings" / name, say, view)


def embed_with(
    experiment: Experiment, encoder: ImageEncoder, facts: dict[str, Any], out: Path, say: Say, view: int | None = None
) -> Path:
    """Embed an experiment's cohort with this tower, as it is or in an augmented view, and write the table to `out`."""
    data = open_data(experiment, say)
    refuse_misfit(experiment, data.cohort, encoder)
    unreadable: dict[str, str] = {}
    drawn = None if view is None else _drawn_view(experiment, view)

    def stream(cohort: Cohort, rows: Int64[ndarray, " n"]) -> Iterator[tuple[ndarray, UInt8[Tensor, "b 3 p p"]]]:
        return tiles(cohort, rows, encoder.input_px, EMBED_BATCH, experiment.loader.workers, unreadable, drawn)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    table = embed(
        encoder.to(device),
        data.sides,
        stream,
        provenance(
            **facts,
            seed=experiment.seed,
            fold=experiment.split.fold,
            config_hash=experiment.hash,
            data_hash=data.cohort.fingerprint,
            view=view,
        ),
        device=device,
        max_patches_per_slide=experiment.evaluate.max_patches_per_slide,
        seed=experiment.evaluate.seed,
        progress=say,
    )
    table.write(out)
    if unreadable:
        say(f"{len(unreadable)} tiles could not be read and are not in the table:")
        for tile, reason in sorted(unreadable.items()):
            say(f"  {tile}: {reason}")
    return out


def _drawn_view(experiment: Experiment, number: int) -> DrawnView:
    if not isinstance(experiment.views, ViewSpec):
        raise UserError("stored features have no further views", where="--view", fix="Embed the run of pixels again.")
    return DrawnView(experiment.views, experiment.seed, number)
