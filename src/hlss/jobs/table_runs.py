"""Running what a table lacks: one after the other, or side by side. A run that fails costs itself only."""

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

import torch

from hlss.config import Part, read_settings
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.files import digest, replacing
from hlss.jobs.chosen_table import LAST
from hlss.jobs.embed import embed_run
from hlss.jobs.setup import Say, open_data
from hlss.jobs.table_folder import begin_session, note_done, patches
from hlss.jobs.table_results import Results
from hlss.jobs.table_side_by_side import Clock, Failures, Place, side_by_side
from hlss.jobs.table_spec import Planned
from hlss.jobs.train import say_once, train_experiment
from hlss.train.stopping import EXIT_STOPPED, Stopped

_FAILED = "failed.txt"


class Order(Part):
    """What a process of its own is asked to do: a run, and where its result is kept."""

    experiment: Experiment
    results: Results


def make_run(experiment: Experiment, results: Results, say: Say = say_once) -> None:
    """Train from wherever the run stands, embed its last weights, note that it is done, score it, and keep the result.

    Raises UserError.
    """
    begin_session(experiment.folder)
    train_experiment(experiment, say)
    embed_run(experiment.folder, LAST, None, patches(experiment), say=say)
    note_done(experiment, torch.get_num_threads())
    results.keep(experiment, say)
    (experiment.folder / _FAILED).unlink(missing_ok=True)


def make_runs(todo: Sequence[Planned], results: Results, say: Say = say_once, places: Sequence[Place] = ()) -> Failures:
    """Make every run, going on past those that fail. Raises Stopped where a stop was asked for; all is saved then.

    places: one process in each at a time; with fewer than two, one run after the other in this process.
    """
    clock = Clock(len(todo), max(1, len(places)))
    if len(places) > 1:
        _fill_caches(todo, say)
        orders = [Order(experiment=run.experiment, results=results) for run in todo]
        return side_by_side(todo, orders, places, clock, say)
    failures: Failures = {}
    for number, run in enumerate(todo, start=1):
        say(f"run {number} of {len(todo)}: {run}; {clock}")
        began = time.monotonic()
        why = _reason(partial(make_run, run.experiment, results, say), run.folder)
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
        order = read_settings(asked, Order)
        make_run(order.experiment, order.results)
    except UserError as error:
        print(f"hlss: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        print(f"hlss: {stopped}", file=sys.stderr)
        return EXIT_STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
