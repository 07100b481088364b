"""`hlss embed`: every patch of a cohort through a checkpoint's image tower, into an embedding table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from numpy import ndarray
from torch import Tensor

from hlss.batches.loader import DrawnView, tiles
from hlss.cohorts.base import Cohort
from hlss.config import settings_text
from hlss.encoders.base import ImageEncoder
from hlss.errors import UserError
from hlss.evaluate.by_slide import tower_hash
from hlss.evaluate.embed import embed
from hlss.experiment import Experiment
from hlss.jobs.embed_folder import opened_slide_folder
from hlss.jobs.embed_process import EMBEDDING, Recipe, drawn_view
from hlss.jobs.embed_slides import SlideJob, table_by_slide
from hlss.jobs.hands import ONE_PROCESS, Hands
from hlss.jobs.provenance import provenance
from hlss.jobs.setup import EMBED_BATCH, Data, Say, experiment_of, open_data
from hlss.jobs.tower import Norms, tower_of
from hlss.jobs.train import say_once
from hlss.train.checkpoint import MIDWAY, name_of
from hlss.train.problems import Problems
from hlss.train.run_folder import RECORD, recorded


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
    hands: Hands = ONE_PROCESS,
    shard: str | None = None,
) -> Path:
    """Embed with a run's checkpoint; returns the table's folder. view: the number of an augmented view, to be stored
    beside the tiles as they are; norms: see `tower_of`; problems: where to note what cannot be read [the run's];
    per_slide: folder of a file for each slide, from which the table is made, by `hands`, or for a shard `i/n` only:
    its own path is returned as long as slides of other shards are missing. Raises UserError.
    """
    _refuse_alone(per_slide, hands, shard)
    slides = None if per_slide is None else opened_slide_folder(per_slide)
    experiment = experiment_of(folder, overrides)
    data = open_data(experiment, say)
    problems = problems or Problems(folder, EMBEDDING)
    problems.images(data.cohort.problems)
    encoder, facts = tower_of(experiment, folder, checkpoint, data, norms, say, per_slide)
    name = checkpoint + ("" if norms is None else f"-norms-{norms}") + ("" if view is None else f"-view{view}")
    facts |= {"method": f"{experiment.name} · {name}", **_bank_facts(folder, facts["checkpoint"])}
    made = _made(experiment, data.cohort, view, facts)
    out = out or folder / "embeddings" / name
    if slides is None:
        unreadable = _at_once(experiment, data, encoder, view, made, out, say)
    else:
        recipe = Recipe(
            experiment=experiment,
            run=folder,
            checkpoint=checkpoint if checkpoint == MIDWAY else facts["checkpoint"].removeprefix("step-"),
            norms=norms,
            view=view,
            tower=tower_hash(encoder),
            cohort=data.cohort.fingerprint,
        )
        job = SlideJob(encoder, data.sides, recipe, slides, hands, shard, problems, say)
        out, unreadable = table_by_slide(job, made, out)
    problems.tiles(unreadable)
    if unreadable:
        say(f"{len(unreadable)} tiles could not be read and are not in the table:")
        for tile, reason in sorted(unreadable.items()):
            say(f"  {tile}: {reason}")
    return out


def _refuse_alone(per_slide: Path | None, hands: Hands, shard: str | None) -> None:
    """Raises UserError where the work is to be shared out, and nothing says where its parts are to lie."""
    asked = {
        "--shard": shard is not None,
        "--workers": hands.workers > 1,
        "--ray": hands.ray,
        "--ray-address": hands.ray_address is not None,
    }
    if per_slide is None and any(asked.values()):
        where = ", ".join(flag for flag, given in asked.items() if given)
        raise UserError("only slides with files of their own are shared out", where=where, fix="Add --per-slide DIR.")


def _bank_facts(folder: Path, checkpoint: str) -> dict[str, Any]:
    """The bank that a checkpoint was trained with; of the start, none, and none of a run carried without its record."""
    known = {} if checkpoint == name_of(0) or not (folder / RECORD).exists() else recorded(folder)
    return {name: known[name] for name in ("bank_fingerprint", "bank_status") if known.get(name) is not None}


def _made(experiment: Experiment, cohort: Cohort, view: int | None, facts: dict[str, Any]) -> dict[str, Any]:
    of_tiles = {} if cohort.holds_features else {"tile_px": cohort.tile_px, "mpp": cohort.mpp}
    return provenance(
        **facts,
        seed=experiment.seed,
        fold=experiment.split.fold,
        config_hash=experiment.hash,
        data_hash=cohort.fingerprint,
        **of_tiles,
        view=view,
    )


def _at_once(
    experiment: Experiment,
    data: Data,
    encoder: ImageEncoder,
    view: int | None,
    made: dict[str, Any],
    out: Path,
    say: Say,
) -> dict[str, str]:
    """Write the table of all tiles, by one process; returns those that could not be read."""
    unreadable: dict[str, str] = {}
    drawn: DrawnView | None = None if view is None else drawn_view(experiment, view)

    def stream(cohort: Cohort, rows: Int64[ndarray, " n"]) -> Iterator[tuple[ndarray, UInt8[Tensor, "b 3 p p"]]]:
        return tiles(cohort, rows, encoder.input_px, EMBED_BATCH, experiment.loader.workers, unreadable, drawn)

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    table = embed(
        encoder.to(device),
        data.sides,
        stream,
        made,
        device=device,
        max_patches_per_slide=experiment.evaluate.max_patches_per_slide,
        seed=experiment.evaluate.seed,
        progress=say,
    )
    table.write(out, settings_text(experiment))
    return unreadable
