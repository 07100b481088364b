"""`hlss cohort inspect`: what an experiment's cohort holds, and what would stop or spoil a training on it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from hlss.batches.sampler import Sampler
from hlss.cohorts.base import Cohort
from hlss.cohorts.integrity import cohort_files, damaged, duplicates
from hlss.cohorts.splits import split
from hlss.config import read_settings
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.files import write_json
from hlss.jobs.inspect_counts import counts, oddities, resolutions, sides_of, sites_on_both_sides
from hlss.jobs.inspect_pixels import Look, contact_sheet, look
from hlss.jobs.inspect_show import show
from hlss.jobs.inspect_sites import sites_and_classes
from hlss.jobs.setup import Say, evenly, now_and_then
from hlss.jobs.train import say_once

Found = dict[str, Any]
_T = TypeVar("_T")
MOST_FILES = 20_000  # that are looked into for damage, evenly spread


def inspect_cohort(
    config: Path,
    overrides: Sequence[str],
    check: int = 64,
    json_file: Path | None = None,
    picture: Path | None = None,
    say: Say = say_once,
) -> list[str]:
    """Open the cohort of an experiment, look at it, print what was found, and write it as JSON where asked.

    check: tiles that are read; picture: where to draw some. Returns what would stop or spoil training, a line each.
    Raises UserError where the cohort cannot be opened at all.
    """
    experiment = read_settings(config, Experiment, overrides)
    cohort: Cohort = experiment.cohort.open()
    found = inspected(experiment, cohort, check, say)
    show(found, Console())
    if json_file is not None:
        write_json(json_file, found)
    if picture is not None:
        contact_sheet(cohort, picture)
    return list(found["problems"])


def inspected(experiment: Experiment, cohort: Cohort, check: int, say: Say) -> Found:
    """Everything that is found, as JSON has it."""
    problems: list[str] = []
    sides = _tried(lambda: split(cohort, experiment.split), problems) or {}
    if sides and "train" not in sides:
        problems.append("no patients to train on")
    if "train" in sides:
        _tried(lambda: Sampler(sides["train"], experiment.batches, experiment.seed, 1), problems)
    comparing = now_and_then(say, "comparing files of one size", units="files")
    twins = _tried(lambda: duplicates(cohort, comparing), problems) or []
    problems += twins
    files = sorted(cohort_files(cohort))
    files = [files[i] for i in evenly(len(files), MOST_FILES)]
    broken = [*cohort.problems, *damaged(files, now_and_then(say, "looking into files", units="files"))]
    pack = None if cohort.holds_features else experiment.loader.pack
    seen = look(cohort, check, pack)
    problems += _too_broken(experiment, cohort, broken, seen)
    notices = [*cohort.notices, *oddities(cohort, sides), *_said(seen)]
    return {
        **counts(cohort),
        "fingerprint": cohort.fingerprint,
        "image_mpp": resolutions(cohort, check),
        "sides": sides_of(sides),
        "sites_on_both_sides": sites_on_both_sides(sides),
        "sites_and_classes": asdict(sites_and_classes(cohort)),
        "duplicates": twins,
        "unreadable": [{"path": path, "reason": reason} for path, reason in _unique(broken, seen)],
        "checked": {
            "files": len(files),
            "tiles": seen.tiles,
            "unreadable": seen.failed,
            "blank": seen.blank,
            "constant": seen.constant,
        },
        "pack_bytes": seen.pack_bytes,
        "notices": notices,
        "problems": problems,
    }


def _tried(work: Callable[[], _T], problems: list[str]) -> _T | None:
    """What `work` gives; a user's mistake becomes a problem and nothing is given."""
    try:
        return work()
    except UserError as error:
        problems.append(str(error))
        return None


def _too_broken(experiment: Experiment, cohort: Cohort, broken: Sequence[tuple[str, str]], seen: Look) -> list[str]:
    """Whether so much cannot be read that training would stop."""
    allowed = experiment.train.max_unreadable
    found = []
    files = len({path for path, _ in broken})
    total = cohort.n_images + len(cohort.problems)
    if files > allowed * total:
        path, reason = broken[0]
        found.append(f"{files} of {total} images cannot be read, as {path}: {reason}")
    if seen.failed > allowed * seen.tiles:
        path, reason = next(iter(seen.unreadable.items()))
        found.append(f"{seen.failed} of {seen.tiles} tiles looked at cannot be read, as of {path}: {reason}")
    if seen.tiles and seen.constant == seen.tiles - seen.failed:
        found.append("every tile looked at is of one colour: is the resolution right, and the mask?")
    return found


def _said(seen: Look) -> list[str]:
    found = []
    for what, times in (("blank", seen.blank), ("of one colour", seen.constant), ("unreadable", seen.failed)):
        if times:
            found.append(f"{times} of {seen.tiles} tiles looked at are {what}")
    return found


def _unique(broken: Sequence[tuple[str, str]], seen: Look) -> list[tuple[str, str]]:
    return sorted({**seen.unreadable, **dict(broken)}.items())
