"""Running what a table lacks: one after the other, or side by side. A run that fails costs itself only."""

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hlss.config import read_settings
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.files import digest, replacing, write_json
from hlss.jobs.embed import embed_run
from hlss.jobs.setup import Say, open_data
from hlss.jobs.table_side_by_side import Clock, Failures, Place, side_by_side
from hlss.jobs.table_spec import Planned
from hlss.jobs.train import say_once, train_experiment
from hlss.train.checkpoint import Checkpoints
from hlss.train.stopping import EXIT_STOPPED, Stopped

LAST = "last"
_DONE, _FAILED = "done.json", "failed.txt"


def refuse_others(plan: Sequence[Planned]) -> None:
    """Raise UserError, naming them, where folders hold runs of other settings than the table's."""
    others = [run.folder for run in plan if _known(run.folder / "provenance.json", run.experiment) is False]
    if others:
        raise UserError(
            f"{len(others)} run folders hold other settings than this table's",
            where=others[0],
            fix=f"Remove them, or set another --out: {' '.join(map(str, others))}",
        )


def facts_of(experiment: Experiment) -> dict[str, Any] | None:
    """What was noted when this very run was finished and embedded; None where it is not."""
    path = experiment.folder / _DONE
    if not _known(path, experiment) or not (experiment.folder / "embeddings" / LAST).is_dir():
        return None
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts if facts["embedded"] == _patches(experiment) else None


def make_run(experiment: Experiment, say: Say = say_once) -> None:
    """Train from wherever the run stands, embed its last weights, and note that it is done. Raises UserError."""
    began = time.monotonic()
    went_on = bool(Checkpoints(experiment.folder / "checkpoints").steps())
    train_experiment(experiment, say)
    embed_run(experiment.folder, LAST, None, _patches(experiment), say=say)
    facts = {
        "config_hash": experiment.hash,
        "embedded": _patches(experiment),
        "seconds": round(time.monotonic() - began, 1),
        "went_on": went_on,
    }
    write_json(experiment.folder / _DONE, facts)
    (experiment.folder / _FAILED).unlink(missing_ok=True)


def embed_start(run: Experiment, out: Path, say: Say) -> None:
    """Embed with the weights that a run started from."""
    embed_run(run.folder, "start", out, _patches(run), say=say)


def make_runs(todo: Sequence[Planned], say: Say = say_once, places: Sequence[Place] = ()) -> Failures:
    """Make every run, going on past those that fail. Raises Stopped where a stop was asked for; all is saved then.

    places: one process in each at a time; with fewer than two, one run after the other in this process.
    """
    clock = Clock(len(todo), max(1, len(places)))
    if len(places) > 1:
        _fill_caches(todo, say)
        return side_by_side(todo, places, clock, say)
    failures: Failures = {}
    for number, run in enumerate(todo, start=1):
        say(f"run {number} of {len(todo)}: {run}; {clock}")
        began = time.monotonic()
        why = _reason(partial(make_run, run.experiment, say), run.folder)
        clock.passed(time.monotonic() - began)
        if why is not None:
            failures[run.folder] = why
            say(f"failed: {run}: {why}")
    return failures


def _fill_caches(todo: Sequence[Planned], say: Say) -> None:
    """Pack each cohort once, before several processes would do it at the same time. What fails, fails in its run."""
    seen: set[str] = set()
    for run in todo:
        key = digest(run.experiment.model_dump(mode="json", include={"cohort", "loader", "cache"}))
        if key not in seen:
            seen.add(key)
            with suppress(UserError):
                open_data(run.experiment, say)


def _reason(work: Callable[[], None], folder: Path) -> str | None:
    """Why `work` failed, in one line, with the whole story in the run's folder; None where it did not."""
    try:
        work()
    except UserError as error:
        return str(error)
    except Exception as error:  # whatever befalls one run must not cost the others
        with replacing(folder / _FAILED) as temporary:
            temporary.write_text(traceback.format_exc())
        return " ".join(f"{type(error).__name__}: {error!s:.200}; see {folder / _FAILED}".split())
    return None


def _patches(experiment: Experiment) -> list[str]:
    """Overrides that say which patches are embedded: they may have changed since the run began."""
    most = experiment.evaluate.max_patches_per_slide
    return [
        f"evaluate.max_patches_per_slide={'null' if most is None else most}",
        f"evaluate.seed={experiment.evaluate.seed}",
    ]


def _known(path: Path, experiment: Experiment) -> bool | None:
    """Whether a file of a run folder is of this very experiment; None where there is none."""
    try:
        return bool(json.loads(path.read_text()).get("config_hash") == experiment.hash)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read: {error}", where=path, fix=f"Remove {path.parent}.") from error


def _stop_with_parent() -> None:
    """Ask for a stop when standard input ends, which is when the table's process is gone."""

    def wait() -> None:
        while os.read(0, 1):  # past Python's buffer, whose lock would hold up a process that ends meanwhile
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def main(asked: Path) -> int:
    """A process of one run; returns its exit code."""
    _stop_with_parent()
    try:
        make_run(read_settings(asked, Experiment))
    except UserError as error:
        print(f"hlss: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        print(f"hlss: {stopped}", file=sys.stderr)
        return EXIT_STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
