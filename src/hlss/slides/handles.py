"""Slides that a process keeps open: the last ones used, no more than it may."""

from collections import OrderedDict
from pathlib import Path

from hlss.slides.base import Slide
from hlss.slides.opening import open_slide


class Handles:
    """At most `most` open slides; what was not used for longest is closed first. Travels between processes empty."""

    def __init__(self, most: int = 16, reader: str | None = None, srgb: bool = False) -> None:
        self._most, self._reader, self._srgb = most, reader, srgb
        self._open: OrderedDict[tuple[Path, float | None], Slide] = OrderedDict()

    def __reduce__(self) -> tuple[type["Handles"], tuple[int, str | None, bool]]:
        return Handles, (self._most, self._reader, self._srgb)

    def close(self) -> None:
        """Close all of them; they are opened anew when asked for."""
        while self._open:
            self._open.popitem()[1].close()

    def __del__(self) -> None:
        if hasattr(self, "_open"):
            self.close()

    def get(self, path: Path, mpp: float | None = None) -> Slide:
        """The open slide; mpp: µm/px of level 0, over what the file says. Raises Unreadable."""
        key = (path, mpp)
        if key not in self._open:
            while len(self._open) >= self._most:
                self._open.popitem(last=False)[1].close()
            self._open[key] = open_slide(path, mpp, self._reader, srgb=self._srgb)
        self._open.move_to_end(key)
        return self._open[key]

    def drop(self, path: Path, mpp: float | None = None) -> None:
        """Close a slide that failed, so that it is opened anew next time."""
        slide = self._open.pop((path, mpp), None)
        if slide is not None:
            slide.close()
