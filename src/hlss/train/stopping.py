"""Leaving in good order: a signal asks, the loop saves and goes."""

import signal
from types import FrameType, TracebackType

EXIT_STOPPED = 75  # EX_TEMPFAIL: the same command goes on from here

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Stopped(Exception):  # noqa: N818  (a request, not an error)
    """The run was asked to stop and has saved."""


class StopRequest:
    """Within `with`, SIGTERM, SIGINT and SIGUSR1 (SLURM's notice) set `asked` instead of ending the process."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopRequest":
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
