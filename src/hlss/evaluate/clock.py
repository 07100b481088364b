"""Says now and then how far a long job is and how long it will take."""

import time
from collections.abc import Callable

_SAY_EVERY_S = 5.0


class Clock:
    """Counts `what` (as `embedding`) in `units` (as `patches`); silent where `say` is None."""

    def __init__(self, total: int, say: Callable[[str], None] | None, what: str, units: str) -> None:
        self.total, self.say, self.what, self.units, self.done = total, say, what, units, 0
        self.began = self.last = time.monotonic()

    def passed(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count
        now = time.monotonic()
        if self.say is not None and now - self.last >= _SAY_EVERY_S:
            self.last = now
            left = (now - self.began) / self.done * (self.total - self.done)
            self.say(f"{self.what}: {self.done} of {self.total} {self.units}, {left:.0f} s left")
