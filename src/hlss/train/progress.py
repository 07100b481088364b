"""What somebody waiting sees: every term, views a second, time left; a bar on a terminal, lines elsewhere."""

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_SECONDS = 5.0


class Reporter:
    """Shows the steps of one run on standard error; silent on other ranks than the first."""

    def __init__(self, steps: int, start: int, show: bool, title: str = "training") -> None:
        self.steps, self.start, self.show = steps, start, show
        self.console = Console(stderr=True)
        self._began = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if show and self.console.is_terminal:
            columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, TextColumn("{task.fields[note]}"), console=self.console)
            self._task = self._bar.add_task(title, total=steps, completed=start, note="")

    def __enter__(self) -> "Reporter":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, done: int, terms: Mapping[str, float], views_per_second: float) -> None:
        """`done` steps are taken; show the terms of the last."""
        if not self.show:
            return
        note = "  ".join(f"{name} {value:.3f}" for name, value in terms.items()) + f"  {views_per_second:,.0f} views/s"
        if self._bar:
            self._bar.update(self._task, completed=done, note=note)
            return
        now = time.monotonic()
        if now - self._last_line >= LINE_SECONDS or done in (self.start + 1, self.steps):
            self._last_line = now
            self.say(f"step {done}/{self.steps}  {note}  {self._left(done, now)} left")

    def say(self, text: str) -> None:
        """A line of its own, above the bar."""
        if self.show:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _left(self, done: int, now: float) -> str:
        seconds = (now - self._began) / max(1, done - self.start) * (self.steps - done)
        minutes, seconds = divmod(round(seconds), 60)
        return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
