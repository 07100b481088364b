"""Runs of a table side by side: one process on each GPU, or several that share the cores."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hlss.config import Part, write_settings
from hlss.errors import UserError
from hlss.jobs.setup import Say
from hlss.jobs.table_spec import Planned
from hlss.train.stopping import Stopped, StopRequest

RUNNER = "hlss.jobs.table_runs"  # the module that makes one run from a file of settings
_LOOK_EVERY_S, _TELL_EVERY_S = 0.2, 15.0
_TAIL_BYTES = 4096  # of a run's output, where its last line is looked for

Failures = dict[Path, str]  # by run folder, in one line, why there is no result


@dataclass(frozen=True)
class Place:
    """Where a run goes: what to call it, and the environment its process is given."""

    name: str
    environment: Mapping[str, str]


def places(workers: int | None = None) -> list[Place]:
    """A place on each GPU that this process may use, at most `workers`; without GPUs, `workers` that share the cores.

    Raises UserError for fewer than one.
    """
    if workers is not None and workers < 1:
        raise UserError(f"{workers} runs at a time", where="--workers", fix="Give 1 or more.")
    gpus = devices()[:workers]
    if gpus:
        return [Place(f"on GPU {gpu}", {"CUDA_VISIBLE_DEVICES": gpu}) for gpu in gpus]
    import torch

    count = workers or 1
    threads = max(1, torch.get_num_threads() // count)
    return [Place(f"with {threads} threads", {"OMP_NUM_THREADS": str(threads)})] * count


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


def side_by_side(
    todo: Sequence[Planned], orders: Sequence[Part], free: Sequence[Place], clock: Clock, say: Say
) -> Failures:
    """Make every run, one in each place at a time. Raises Stopped where a stop was asked for; all is saved then.

    orders: of each run, the settings that its process reads.
    """
    waiting = [(number, *asked) for number, asked in enumerate(zip(todo, orders, strict=True), start=1)]
    open_places, failures = list(free), Failures()
    running: list[_Child] = []
    told = time.monotonic()
    with StopRequest() as stop:
        while running or (waiting and not stop.asked):
            while waiting and open_places and not stop.asked:
                (number, run, order), place = waiting.pop(0), open_places.pop(0)
                say(f"run {number} of {len(todo)}, {place.name}: {run}; {clock}")
                running.append(_Child(run, order, place))
            time.sleep(_LOOK_EVERY_S)
            for child in [child for child in running if child.process.poll() is not None]:
                running.remove(child)
                open_places.append(child.place)
                clock.passed(time.monotonic() - child.began)
                why = child.left()
                if why is not None and not stop.asked:
                    failures[child.run.folder] = why
                    say(f"failed: {child.run}: {failures[child.run.folder]}")
            if time.monotonic() - told > _TELL_EVERY_S:
                told = time.monotonic()
                for child in running:
                    say(f"  {child.run}: {child.last_line()}")
            if stop.asked:
                for child in running:
                    child.process.terminate()
    if stop.asked:
        raise Stopped("stopped; run the same command to go on")
    return failures


class _Child:
    """A run in a process of its own, in a place of its own; what it says is in `output.txt` of the run's folder."""

    def __init__(self, run: Planned, order: Part, place: Place) -> None:
        self.run, self.place, self.began = run, place, time.monotonic()
        self.output = run.folder / "output.txt"
        run.folder.mkdir(parents=True, exist_ok=True)
        asked = run.folder / "asked.yaml"
        write_settings(order, asked)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", RUNNER, str(asked)],
                env={**os.environ, **place.environment},
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
        said = self.last_line()
        return f"{said.removeprefix('hlss: ') if said else f'exit code {code}'}; see {self.output}"

    def last_line(self) -> str:
        """What it said last; empty where it said nothing yet."""
        with self.output.open("rb") as output:
            output.seek(max(0, self.output.stat().st_size - _TAIL_BYTES))
            lines = output.read().decode(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "")
