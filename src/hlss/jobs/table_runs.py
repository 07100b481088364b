"""Running what a table lacks: here one after the other, or one process a GPU. A run that fails costs itself only."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hlss.config import read_settings, write_settings
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.files import replacing, write_json
from hlss.jobs.embed import embed_run
from hlss.jobs.setup import Say
from hlss.jobs.table_spec import Planned
from hlss.jobs.train import say_once, train_experiment
from hlss.train.checkpoint import Checkpoints
from hlss.train.stopping import EXIT_STOPPED, Stopped, StopRequest

LAST = "last"
_DONE, _FAILED = "done.json", "failed.txt"
_LOOK_EVERY_S = 0.2

Failures = dict[Path, str]  # by run folder, in one line, why there is no result


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


def devices() -> list[str]:
    """GPUs that this process may use, by the names it may give on; empty without any."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return [str(number) for number in range(count)] if visible is None else visible.split(",")[:count]


@dataclass
class Clock:
    """How long what is left will take, by the mean of the runs finished."""

    total: int
    workers: int
    finished: int = 0
    seconds: float = 0.0

    def passed(self, seconds: float) -> None:
        self.finished, self.seconds = self.finished + 1, self.seconds + seconds

    def __str__(self) -> str:
        if not self.finished:
            return "time left unknown until a run is finished"
        left = self.seconds / self.finished * (self.total - self.finished) / self.workers
        return f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left"


def make_runs(todo: Sequence[Planned], say: Say = say_once, gpus: Sequence[str] | None = None) -> Failures:
    """Make every run, going on past those that fail. Raises Stopped where a stop was asked for; all is saved then.

    gpus: one process on each at a time; with fewer than two, one run after the other in this process.
    """
    names = devices() if gpus is None else gpus
    clock = Clock(len(todo), max(1, len(names)))
    if len(names) > 1:
        return _side_by_side(todo, names, clock, say)
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


def _side_by_side(todo: Sequence[Planned], gpus: Sequence[str], clock: Clock, say: Say) -> Failures:
    waiting, free, failures = list(enumerate(todo, start=1)), list(gpus), Failures()
    running: list[_Child] = []
    with StopRequest() as stop:
        while running or (waiting and not stop.asked):
            while waiting and free and not stop.asked:
                (number, run), gpu = waiting.pop(0), free.pop(0)
                say(f"run {number} of {len(todo)}, on GPU {gpu}: {run}; {clock}")
                running.append(_Child(run, gpu))
            time.sleep(_LOOK_EVERY_S)
            for child in [child for child in running if child.process.poll() is not None]:
                running.remove(child)
                free.append(child.gpu)
                clock.passed(time.monotonic() - child.began)
                why = child.left()
                if why is not None and not stop.asked:
                    failures[child.run.folder] = why
                    say(f"failed: {child.run}: {failures[child.run.folder]}")
            if stop.asked:
                for child in running:
                    child.process.terminate()
    if stop.asked:
        raise Stopped("stopped; run the same command to go on")
    return failures


class _Child:
    """A run in a process of its own, which sees one GPU; what it says is in `output.txt` of the run's folder."""

    def __init__(self, run: Planned, gpu: str) -> None:
        self.run, self.gpu, self.began = run, gpu, time.monotonic()
        self.output = run.folder / "output.txt"
        run.folder.mkdir(parents=True, exist_ok=True)
        asked = run.folder / "asked.yaml"
        write_settings(run.experiment, asked)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hlss.jobs.table_runs", str(asked)],
                env={**os.environ, "CUDA_VISIBLE_DEVICES": gpu},
                stdin=subprocess.PIPE,  # closed when this process dies: the child then stops too
                stdout=output,
                stderr=output,
            )

    def left(self) -> str | None:
        """Of a process that has ended, why it failed, in one line; None where it did not."""
        self.process.communicate()
        code = self.process.returncode
        if code == 0:
            return None
        if code < 0:
            return f"killed by {signal.Signals(-code).name}; see {self.output}"
        said = [line for line in self.output.read_text(errors="replace").splitlines() if line.strip()]
        return f"{said[-1].removeprefix('hlss: ') if said else f'exit code {code}'}; see {self.output}"


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
