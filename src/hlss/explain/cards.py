"""A picture of patches and the words that were read from them, each beside what is truly there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from jaxtyping import UInt8
from numpy import ndarray

from hlss.explain.pictures import INK, QUIET, blank, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRUE, FALSE, BETWEEN, UNKNOWN, DISTRACTOR = "✓", "✗", "~", "?", "∅"
MARKS = {TRUE: "#2c7a4b", FALSE: "#b3362b", BETWEEN: "#96690f", UNKNOWN: QUIET, DISTRACTOR: "#b3362b"}  # and inks
_COLUMNS = 4
_SIDE, _GAP, _HEAD, _WORD = 2.75, 0.35, 1.2, 0.39  # of a patch, between cards, above them, of a word; inches
_TITLE, _BELOW = 0.28, 0.4  # of a card, inches


@dataclass(frozen=True)
class Word:
    """A characteristic read from a patch, how far it stands out (σ), a mark of MARKS, and the truth it rests on."""

    name: str
    standing: float
    mark: str
    truth: str


@dataclass(frozen=True)
class Reading:
    """A patch, its title, and the words read from it."""

    pixels: UInt8[ndarray, "h w 3"]
    title: str
    words: Sequence[Word]


def show_readings(
    readings: Sequence[Reading], heading: tuple[str, str], legend: Sequence[tuple[str, str]], path: Path
) -> None:
    """One card a patch: the patch, and below it its words with their marks; then a card that explains the marks.

    heading: title and subtitle; legend: mark and meaning (mark "": a line of its own).
    """
    rows = -(-(len(readings) + 1) // _COLUMNS)
    pitch = _TITLE + _SIDE + _BELOW + _WORD * max(len(one.words) for one in readings)
    width, height = _GAP + _COLUMNS * (_SIDE + _GAP), _HEAD + rows * pitch
    page = _Page(blank(width, height), width, height)
    page.text(_GAP, 0.38, heading[0], size=16, weight="bold")
    for number, line in enumerate(heading[1].splitlines()):
        page.text(_GAP, 0.68 + 0.2 * number, line, size=10, ink=QUIET)
    corners = [
        (_GAP + (n % _COLUMNS) * (_SIDE + _GAP), _HEAD + (n // _COLUMNS) * pitch) for n in range(len(readings) + 1)
    ]
    for reading, corner in zip(readings, corners, strict=False):
        _card(page, reading, *corner)
    _explained(page, legend, *corners[-1])
    save(page.figure, path)


@dataclass(frozen=True)
class _Page:
    """A figure on which places are inches from its upper left corner."""

    figure: "Figure"
    width: float
    height: float

    def text(
        self, x: float, y: float, text: str, size: float, ink: str = INK, weight: str = "normal", side: str = "left"
    ) -> None:
        """One line, its middle at y; on a base line, so that letters below it shift nothing."""
        place = (x / self.width, 1 - (y + 0.35 * size / 72) / self.height)
        self.figure.text(
            *place, text, fontsize=size, color=ink, fontweight=weight, ha=side, va="center", linespacing=1.4
        )

    def picture(self, x: float, y: float, side: float, pixels: UInt8[ndarray, "h w 3"]) -> None:
        box = (x / self.width, 1 - (y + side) / self.height, side / self.width, side / self.height)
        axes = self.figure.add_axes(box)
        axes.imshow(pixels, interpolation="lanczos")
        axes.axis("off")


def _card(page: _Page, reading: Reading, x: float, y: float) -> None:
    page.text(x, y + 0.1, reading.title, size=11, weight="bold")
    page.picture(x, y + _TITLE, _SIDE, reading.pixels)
    for number, word in enumerate(reading.words):
        line = y + _TITLE + _SIDE + 0.17 + _WORD * number
        page.text(x + 0.09, line, word.mark, size=12, ink=MARKS[word.mark], weight="bold", side="center")
        page.text(x + 0.25, line, word.name, size=9)
        page.text(x + _SIDE, line, f"{word.standing:+.1f} σ", size=8, ink=QUIET, side="right")
        page.text(x + 0.25, line + 0.16, word.truth, size=7.5, ink=MARKS[word.mark])


def _explained(page: _Page, legend: Sequence[tuple[str, str]], x: float, y: float) -> None:
    page.text(x, y + 0.1, "how to read this", size=11, weight="bold")
    line = y + _TITLE + 0.12
    for mark, meaning in legend:
        indent, wide = (0.25, 40) if mark else (0.0, 44)
        page.text(x + 0.09, line, mark, size=12, ink=MARKS.get(mark, INK), weight="bold", side="center")
        for part in fill(meaning, wide).splitlines():
            page.text(x + indent, line, part, size=8.5)
            line += 0.18
        line += 0.12
