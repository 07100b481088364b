"""Pictures of what an encoder sees: patches with their words, a characteristic over a slide beside the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from hlss.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, QUIET, PAPER = "#1b1b1f", "#6b6b76", "#ffffff"
_DPI = 130


@dataclass(frozen=True)
class Reading:
    """A patch; what was read from it: characteristic and how far it stands out, σ; what is there: factor and value."""

    pixels: UInt8[ndarray, "h w 3"]
    title: str
    words: Sequence[tuple[str, float]]
    truth: Sequence[tuple[str, float]]


def show_readings(readings: Sequence[Reading], title: str, path: Path) -> None:
    """One card a patch: the patch, its best-matching characteristics, and its most marked true factors."""
    columns = 3
    rows = -(-len(readings) // columns)
    height = 2.35 * rows + 0.7
    figure = _figure(12.5, height)
    figure.suptitle(title, x=0.02, ha="left", color=INK, fontsize=13, fontweight="bold")
    around = {"left": 0.02, "right": 0.99, "top": 1 - 0.62 / height, "bottom": 0.01, "wspace": 0.06, "hspace": 0.12}
    grid = figure.add_gridspec(rows, 2 * columns, width_ratios=[1.0, 1.35] * columns, **around)
    for number, reading in enumerate(readings):
        row, column = divmod(number, columns)
        picture = figure.add_subplot(grid[row, 2 * column])
        picture.imshow(reading.pixels)
        picture.axis("off")
        text = figure.add_subplot(grid[row, 2 * column + 1])
        text.axis("off")
        _card(text, reading)
    _save(figure, path)


def _card(axes: object, reading: Reading) -> None:
    lines = [(reading.title, INK, "bold"), ("read", QUIET, "normal")]
    lines += [(f"{fill(name, 34)}  {score:+.1f} σ", INK, "normal") for name, score in reading.words]
    lines += [("true", QUIET, "normal"), (fill(", ".join(f"{n} {v:.2f}" for n, v in reading.truth), 38), INK, "normal")]
    y = 0.98
    for line, colour, weight in lines:
        axes.text(0, y, line, color=colour, fontsize=7.6, fontweight=weight, va="top", transform=axes.transAxes)  # type: ignore[attr-defined]
        y -= 0.105 * (1 + line.count("\n"))


def show_map(
    slide: UInt8[ndarray, "h w 3"],
    scores: Float[ndarray, "v u"],
    truth: Float[ndarray, "v u"],
    names: tuple[str, str],
    note: str,
    path: Path,
) -> None:
    """A slide, a characteristic's score over it (by tile), and the true factor; names: of characteristic and factor."""
    figure = _figure(13, 4.9)
    titles = ("the slide", f"score of “{names[0]}”", f"truth: {names[1]}")
    for number, (values, title) in enumerate(zip((slide, scores, truth), titles, strict=True)):
        axes = figure.add_axes((0.015 + 0.325 * number, 0.1, 0.285, 0.78))
        shown = axes.imshow(values, cmap=None if number == 0 else "magma", vmin=0 if number == 2 else None)
        axes.set_title(fill(title, 46), fontsize=10, color=INK, loc="left")
        axes.axis("off")
        if number:
            figure.colorbar(shown, ax=axes, fraction=0.04, pad=0.02).ax.tick_params(labelsize=7)
    figure.text(0.015, 0.03, note, color=QUIET, fontsize=9)
    _save(figure, path)


def show_sheet(rows: Sequence[Sequence[UInt8[ndarray, "h w 3"]]], names: Sequence[str], path: Path) -> None:
    """Tiles of one class a row, its name beside them."""
    across, px = len(rows[0]), rows[0][0].shape[0]
    figure = _figure(1.5 + 1.15 * across, 1.15 * len(rows))
    left = 1.5 / (1.5 + 1.15 * across)
    axes = figure.add_axes((left, 0, 1 - left, 1))
    gap = max(2, px // 32)
    sheet = np.full((len(rows) * (px + gap) - gap, across * (px + gap) - gap, 3), 255, dtype=np.uint8)
    for v, tiles in enumerate(rows):
        for h, tile in enumerate(tiles):
            sheet[v * (px + gap) : v * (px + gap) + px, h * (px + gap) : h * (px + gap) + px] = tile
    axes.imshow(sheet, aspect="auto")
    axes.axis("off")
    for v, name in enumerate(names):
        figure.text(0.1 / (1.5 + 1.15 * across), 1 - (v + 0.5) / len(rows), name, va="center", color=INK, fontsize=11)
    _save(figure, path)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)  # no window, no global state
    return figure


def _save(figure: "Figure", path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:])
