"""`hlss embed --per-slide`: a file of features for each slide, by one process or many, and the table made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hlss.cohorts.base import Cohort
from hlss.config import settings_text
from hlss.encoders.base import ImageEncoder
from hlss.errors import UserError
from hlss.evaluate.by_slide import SlideWork, parts_of, plan
from hlss.evaluate.embed import embedded_facts
from hlss.evaluate.lanes import Lanes
from hlss.evaluate.slide_files import says, stored_shape, write_table
from hlss.files import digest
from hlss.jobs.claims import awaited, claimed, clock, sweep
from hlss.jobs.embed_folder import SlideFolder
from hlss.jobs.embed_process import Recipe, SlideEmbedder, device_of
from hlss.jobs.embed_work import Opened, SlideEnd, embedded
from hlss.jobs.hands import Busy, Hands, Outcome, Progress, in_shard, settled
from hlss.jobs.notes import sweep_old
from hlss.jobs.setup import Say
from hlss.jobs.spread import Failed, Outcomes
from hlss.train.problems import Problems

PASSING = {"time", "command", "hardware", "python"}  # of a table's provenance: what makes it no other table


@dataclass(frozen=True, eq=False)
class SlideJob:
    """What is embedded into which folder, and who does it. shard: `i/n`, every n-th slide from the i-th on."""

    encoder: ImageEncoder
    sides: Mapping[str, Cohort]
    recipe: Recipe
    folder: SlideFolder
    hands: Hands
    shard: str | None
    problems: Problems
    say: Say


def table_by_slide(job: SlideJob, provenance: Mapping[str, Any], out: Path) -> tuple[Path, dict[str, str]]:
    """Fill the folder with a file a slide, then write the table `out`, the one that `hlss.evaluate.embed.embed` makes.

    Files that are there and fit stay: of the same weights, tiles and view. Memory holds the features of a few slides.
    Returns the table's folder (that of the slides while some of other shards are missing), and the tiles that could
    not be read: (image at x, y) → reason. Raises UserError.
    """
    folder, settings = job.folder, job.recipe.experiment.evaluate
    most, seed = settings.max_patches_per_slide, settings.seed
    works = plan(job.sides, folder.path, job.recipe.tower, job.recipe.view_facts, most, seed)
    own = in_shard(works, job.shard)
    if job.shard is not None:
        job.say(f"{len(works)} slides, {len(own)} of them in shard {job.shard}")
    unreadable = _embed(job, own)
    sweep(folder.claims)
    sweep_old(folder.path)
    done = [work for work in works if folder.is_done(work)]
    left = set(works) - set(done)
    missing = {work for work in left if folder.problem(work) is None}
    unreadable |= _reported(job, [work for work in (own if missing else works) if work in left - missing])
    if missing:
        _refuse_foreign(missing & set(own), folder)
        job.say(f"{len(missing)} slides of other shards are not done yet; the table is written when they are")
        return folder.path, unreadable
    if not done:
        raise UserError("no patch could be embedded", where=folder.path, fix="Check the images of the cohort.")
    shapes = [stored_shape(work.path) for work in done]
    rows, chosen = sum(n for n, _ in shapes), sum(len(work.rows) for work in works)
    facts = {**provenance, **embedded_facts(most, seed, rows, chosen), "slides": digest([work.key for work in done])}
    with awaited(folder.claims / ".table"):
        if not says(out, facts, PASSING):  # of many processes that end together, one writes it
            write_table(out, parts_of(done, job.sides), rows, shapes[0][1], facts, settings_text(job.recipe.experiment))
    return out, unreadable


def _embed(job: SlideJob, own: Sequence[SlideWork]) -> dict[str, str]:
    """Embed the slides that have no file yet, the largest first; returns tiles of them that could not be read."""
    pending = sorted((work for work in own if not job.folder.is_done(work)), key=lambda work: -len(work.rows))
    if len(pending) < len(own):
        job.say(f"{len(own) - len(pending)} of {len(own)} slides were embedded before")
    progress, n_done = Progress((len(work.rows) for work in pending), job.say, "embedding"), 0
    unreadable: dict[str, str] = {}
    work = partial(_outcomes, job, clock(job.folder.claims), progress)
    for slide, end in settled(pending, work, job.folder.claim, job.say, "embed"):
        if isinstance(end, Failed):
            _note_failure(job.folder, slide, end)
        else:
            n_done += end.outcome is Outcome.DONE
            unreadable |= end.unreadable
        progress.ended(len(slide.rows))
    job.say(f"embedded {n_done} slides")
    return unreadable


def _outcomes(
    job: SlideJob, began: float, progress: Progress, works: Sequence[SlideWork]
) -> Outcomes[SlideWork, SlideEnd | Busy]:
    cores = torch.get_num_threads()
    if not job.hands.are_this_process(len(works)):
        lanes = job.hands.cores_each(cores, len(works))
        return job.hands.over(SlideEmbedder(job.recipe, job.folder, began, lanes), works)
    device = device_of(0)
    opened = Opened(
        lanes=Lanes(job.encoder.to(device), device, cores if device.type == "cpu" else 1),
        sides=job.sides,
        folder=job.folder,
        began=began,
        drawn=job.recipe.drawn,
        loaders=job.recipe.experiment.loader.workers,
        note=job.problems.tiles,
        begun=job.folder.begun(),
    )
    return embedded(opened, works, progress.begun)


def _note_failure(folder: SlideFolder, slide: SlideWork, failed: Failed) -> None:
    """Of a slide whose process died, or which befell what nobody foresaw. Raises what is wrong with all of them."""
    if failed.error is not None:
        raise failed.error
    with claimed(folder.claim(slide)):  # takes the claim of the dead away
        folder.sweep(slide)
        folder.note_problem(slide, failed.reason, {})


def _reported(job: SlideJob, slides: Sequence[SlideWork]) -> dict[str, str]:
    """Say which slides have no file, and why; returns the tiles of those of which none could be read."""
    unreadable: dict[str, str] = {}
    for slide in slides:
        said = job.folder.problem(slide) or {"reason": "", "unreadable": {}}
        job.say(f"left out: slide {slide.slide}: {said['reason']}")
        unreadable |= said["unreadable"]
        if not said["unreadable"]:
            job.problems.images([(slide.slide, said["reason"])])
    return unreadable


def _refuse_foreign(missing: set[SlideWork], folder: SlideFolder) -> None:
    if missing:
        name = min(work.path.name for work in missing)
        what = f"{len(missing)} slides were replaced by those of another embedding, {name} for one"
        raise UserError(what, where=folder.path, fix="Give each checkpoint and view a --per-slide folder of its own.")
