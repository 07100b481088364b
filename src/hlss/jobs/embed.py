"""`hlss embed`: every patch of a cohort through a checkpoint's image tower, into an embedding table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Int64, UInt8
from numpy import ndarray
from torch import Tensor

from hlss.batches.loader import DrawnView, tiles
from hlss.batches.recipe import ViewSpec
from hlss.cohorts.base import Cohort
from hlss.encoders.base import ImageEncoder
from hlss.errors import UserError
from hlss.evaluate.embed import embed
from hlss.experiment import Experiment
from hlss.jobs.embed_slides import table_by_slide
from hlss.jobs.provenance import provenance
from hlss.jobs.setup import EMBED_BATCH, Data, Say, build_encoder, experiment_of, open_data, refuse_misfit, renew_norms
from hlss.jobs.train import say_once
from hlss.train.checkpoint import MIDWAY, Checkpoints
from hlss.train.problems import Problems

Norms = Literal["own", "train"]
EMBEDDING = "embedding"


def embed_run(
    folder: Path,
    checkpoint: str,
    out: Path | None,
    overrides: Sequence[str],
    view: int | None = None,
    norms: Norms | None = None,
    say: Say = say_once,
    problems: Problems | None = None,
    per_slide: Path | None = None,
) -> Path:
    """Embed with a run's checkpoint; returns the table's folder. view: the number of an augmented view, to be stored
    beside the tiles as they are; norms: see `tower_of`; problems: where to note what cannot be read [the run's];
    per_slide: folder of a file for each slide, from which the table is made. Raises UserError.
    """
    experiment = experiment_of(folder, overrides)
    data = open_data(experiment, say)
    problems = problems or Problems(folder, EMBEDDING)
    problems.images(data.cohort.problems)
    encoder, facts = tower_of(experiment, folder, checkpoint, data, norms, say)
    name = checkpoint + ("" if norms is None else f"-norms-{norms}") + ("" if view is None else f"-view{view}")
    facts |= {"method": f"{experiment.name} · {name}"}
    out = out or folder / "embeddings" / name
    return _embedded(experiment, data, encoder, facts, out, say, view, problems, per_slide)


def tower_of(
    experiment: Experiment, folder: Path, checkpoint: str, data: Data, norms: Norms | None, say: Say
) -> tuple[ImageEncoder, dict[str, Any]]:
    """The image tower of a run's checkpoint, and what it was made of.

    norms: statistics of its batch norms, `own` or taken anew from the training tiles (`train`). Where nothing is said,
        midway of trained norms has new ones: the mean of two towers' statistics fits neither (decision 0017).
        Raises UserError.
    """
    encoder = build_encoder(experiment, say)
    refuse_misfit(experiment, data.cohort, encoder)
    facts: dict[str, Any] = {"checkpoint": Checkpoints(folder / "checkpoints").load_encoder(checkpoint, encoder)}
    between = checkpoint == MIDWAY and not experiment.train.freeze.norms
    if (norms or ("train" if between else "own")) == "own":
        return encoder, facts
    if "train" not in data.sides:
        raise UserError("no training patients to take statistics from", where="--norms", fix="Use --norms own.")
    renewed = renew_norms(encoder, experiment, data.sides["train"])
    if norms is not None and not renewed:
        say("note: this tower has no batch norms, --norms changes nothing")
    return encoder, facts | {"norms_renewed": renewed}


def _embedded(
    experiment: Experiment,
    data: Data,
    encoder: ImageEncoder,
    facts: dict[str, Any],
    out: Path,
    say: Say,
    view: int | None,
    problems: Problems,
    per_slide: Path | None,
) -> Path:
    """The table of the cohort's tiles, as they are or in an augmented view, written to `out`."""
    unreadable: dict[str, str] = {}
    drawn = None if view is None else _drawn_view(experiment, view)

    def stream(cohort: Cohort, rows: Int64[ndarray, " n"]) -> Iterator[tuple[ndarray, UInt8[Tensor, "b 3 p p"]]]:
        return tiles(cohort, rows, encoder.input_px, EMBED_BATCH, experiment.loader.workers, unreadable, drawn)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    made = provenance(
        **facts,
        seed=experiment.seed,
        fold=experiment.split.fold,
        config_hash=experiment.hash,
        data_hash=data.cohort.fingerprint,
        **_tile_facts(data.cohort),
        view=view,
    )
    most, seed = experiment.evaluate.max_patches_per_slide, experiment.evaluate.seed
    encoder = encoder.to(device)
    if per_slide is None:
        table = embed(
            encoder,
            data.sides,
            stream,
            made,
            device=device,
            max_patches_per_slide=most,
            seed=seed,
            progress=say,
        )
        table.write(out)
    else:
        seen = None if drawn is None else [view, experiment.seed, drawn.views.model_dump(mode="json")]
        table_by_slide(
            encoder,
            data.sides,
            stream,
            made,
            per_slide,
            out,
            device=device,
            view=seen,
            max_patches_per_slide=most,
            seed=seed,
            say=say,
        )
    problems.tiles(unreadable)
    if unreadable:
        say(f"{len(unreadable)} tiles could not be read and are not in the table:")
        for tile, reason in sorted(unreadable.items()):
            say(f"  {tile}: {reason}")
    return out


def _tile_facts(cohort: Cohort) -> dict[str, Any]:
    return {} if cohort.holds_features else {"tile_px": cohort.tile_px, "mpp": cohort.mpp}


def _drawn_view(experiment: Experiment, number: int) -> DrawnView:
    if not isinstance(experiment.views, ViewSpec):
        raise UserError("stored features have no further views", where="--view", fix="Embed the run of pixels again.")
    return DrawnView(experiment.views, experiment.seed, number)
