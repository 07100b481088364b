"""Pictures of what an encoder sees: tiles of classes, classes against markers, and what marks classes."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.explain.alignment_matrix import Alignment, Null
from hlss.explain.profile import Profile
from hlss.files import replacing
from hlss.types import LEVELS, Level

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

INK, QUIET, PAPER = "#1b1b1f", "#6b6b76", "#ffffff"
_BAR, _FAINT = "#3b6ea8", "#c3cfdd"
_DPI = 130
_MATRIX_TITLE = "Images of a class (rows) against the markers of each class (columns)"
_MATRIX_NOTE = (
    "cosine × 100, less each column's mean; framed: the own class. effect: own less other classes, in σ, with its 95 %"
    " interval;\nbelow it where 95 % of effects lie when classes are dealt anew to the patients, and when the markers'"
    " words are shuffled"
)
_PROFILE_NOTE = (
    "mean in the class less mean in all others, in σ; line: 95 % interval, patients resampled; dashed: what the largest"
    " of all stays below by chance (pale: not above it)"
)
_DISTRACTOR_NOTE = "; ∅: a distractor, which names nothing that was drawn"


def show_sheet(rows: Sequence[Sequence[UInt8[ndarray, "h w 3"]]], names: Sequence[str], path: Path) -> None:
    """Tiles of one class a row, its name beside them."""
    across, px = len(rows[0]), rows[0][0].shape[0]
    figure = blank(1.5 + 1.15 * across, 1.15 * len(rows))
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
    save(figure, path)


def show_matrices(rows: Sequence[tuple[str, Sequence[str], Mapping[Level, Alignment]]], path: Path) -> None:
    """Class × marker alignment, a row a table (name, classes, levels), a column a level."""
    widest = max(len(classes) for _, classes, _ in rows)
    side = max(2.1, 0.42 * widest)
    pitch = side + 1.1
    width, height = 3 * (side + 0.35) + 1.9, len(rows) * pitch + 1.3
    figure = blank(width, height)
    figure.text(0.1 / width, 1 - 0.28 / height, _MATRIX_TITLE, color=INK, fontsize=12, fontweight="bold", va="center")
    figure.text(0.1 / width, 1 - 0.6 / height, _MATRIX_NOTE, color=QUIET, fontsize=8, va="center", linespacing=1.4)
    bound = max(float(np.nanmax(np.abs(one.centred))) for _, _, levels in rows for one in levels.values()) * 100
    for v, (name, classes, levels) in enumerate(rows):
        top = height - 0.95 - v * pitch
        figure.text(0.1 / width, (top - 0.08) / height, name, color=INK, fontsize=10, fontweight="bold", va="center")
        for h, level in enumerate(LEVELS):
            left, bottom = 1.25 + h * (side + 0.35), top - 0.8 - side
            axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
            shown = axes.imshow(100 * levels[level].centred, cmap="RdBu_r", vmin=-bound, vmax=bound)
            _heading(axes, level, levels[level])
            _cells(axes, levels[level], classes, bound, first=h == 0, last=v == len(rows) - 1)
        bar = figure.add_axes(((left + side + 0.12) / width, bottom / height, 0.1 / width, side / height))
        scale = figure.colorbar(shown, cax=bar)
        scale.set_label("cosine × 100, centred", size=7.5, color=QUIET)
        bar.tick_params(labelsize=7)
    save(figure, path)


def _heading(axes: "Axes", level: Level, one: Alignment) -> None:
    """Units, effect and its nulls over a matrix."""
    axes.set_title(f"{level} ({one.n}): effect {_effect(one)}\n\n", fontsize=8.5, color=INK, loc="left")
    lines = "\n".join((f"classes dealt anew {_null(one.permuted)}", f"words shuffled {_null(one.random_text)}"))
    axes.text(0, 1.02, lines, transform=axes.transAxes, fontsize=7.5, color=QUIET, va="bottom", linespacing=1.25)


def _null(null: Null | None) -> str:
    """Where 95 % of draws lie, and p."""
    if null is None:
        return "–"
    p = "" if null.p is None else f", p {null.p:.3f}"
    return f"[{null.quantiles[0]:+.2f}, {null.quantiles[-1]:+.2f}]{p}"


def _effect(one: Alignment) -> str:
    if one.effect is None:
        return "–"
    span = one.effect_interval
    return f"{one.effect:+.2f}" + ("" if span is None else f" [{span.low:+.2f}, {span.high:+.2f}]")


def _cells(axes: "Axes", one: Alignment, classes: Sequence[str], bound: float, first: bool, last: bool) -> None:
    names = [name.replace("_", " ") for name in classes]
    numbers = range(len(names))
    axes.set_yticks(numbers, names if first else [""] * len(names), fontsize=8, color=INK)
    axes.set_xticks(numbers, names if last else [""] * len(names), fontsize=8, color=INK, rotation=40, ha="right")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for k in numbers:
        axes.add_patch(_box(k))
        for c in numbers:
            value = 100 * one.centred[k, c]
            if np.isfinite(value):
                ink = PAPER if abs(value) > 0.6 * bound else INK
                axes.text(c, k, f"{round(value, 1) + 0.0:+.1f}", ha="center", va="center", fontsize=6.5, color=ink)


def _box(k: int) -> "Rectangle":
    from matplotlib.patches import Rectangle

    return Rectangle((k - 0.5, k - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.1)


def show_profile(
    name: str,
    classes: Sequence[str],
    levels: Mapping[Level, Profile],
    top: int,
    distractors: Collection[str],
    path: Path,
) -> None:
    """What marks each class at each level: bars with 95 % intervals, and what chance stays below.

    distractors: characteristics that name nothing that is there.
    """
    row, column = 0.2 * top + 0.32, 4.6
    width, height = 1.2 + column * len(LEVELS), row * len(classes) + 1.3
    figure = blank(width, height)
    title = f"{name}: what marks a class against all others"
    figure.text(0.1 / width, 1 - 0.25 / height, title, color=INK, fontsize=12, fontweight="bold", va="center")
    note = _PROFILE_NOTE + (_DISTRACTOR_NOTE if distractors else "")
    figure.text(0.1 / width, 1 - 0.5 / height, note, color=QUIET, fontsize=8.5, va="center")
    for h, level in enumerate(LEVELS):
        left = 1.2 + h * column
        figure.text(left / width, 1 - 0.78 / height, level, color=INK, fontsize=10, fontweight="bold", va="center")
        reach = _reach(levels[level], top)
        for v, label in enumerate(classes):
            bottom = height - 0.95 - row * (v + 1)
            axes = figure.add_axes(
                ((left + 2.35) / width, (bottom + 0.18) / height, 2.0 / width, (row - 0.22) / height)
            )
            _bars(axes, levels[level], v, top, distractors, reach, last=v == len(classes) - 1)
            if h == 0:
                middle = (bottom + row / 2 + 0.07) / height
                figure.text(0.1 / width, middle, label.replace("_", " "), color=INK, fontsize=9.5, va="center")
    save(figure, path)


def _reach(one: Profile, top: int) -> tuple[float, float]:
    """From where to where the axis goes: past every bar and interval shown, and past chance."""
    shown = [(c, k) for c in range(len(one.marks)) for k in one.marking(c, top)]
    ends = [end for c, k in shown for end in (float(one.marks[c, k]), *(one.interval(c, k) or ()))]
    return 1.05 * min([0.0, *ends]), 1.05 * max([0.1, one.chance or 0, *ends])


def _bars(
    axes: "Axes",
    one: Profile,
    label: int,
    top: int,
    distractors: Collection[str],
    reach: tuple[float, float],
    last: bool,
) -> None:
    best = one.marking(label, top)
    for y, k in enumerate(best):
        mark, span = float(one.marks[label, k]), one.interval(label, k)
        sure = one.chance is not None and mark > one.chance
        axes.barh(y, mark, height=0.62, color=_BAR if sure else _FAINT)
        if span is not None:
            axes.plot(span, (y, y), color=INK, linewidth=1)
    names = [one.names[k] + (" ∅" if one.names[k] in distractors else "") for k in best]
    axes.set_yticks(range(len(best)), names, fontsize=7.5, color=INK)
    axes.set_ylim(top - 0.5, -0.5)
    axes.set_xlim(*reach)
    axes.axvline(0, color=INK, linewidth=0.8)
    if one.chance is not None:
        axes.axvline(one.chance, color=QUIET, linewidth=0.8, linestyle=(0, (3, 2)))
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7, labelbottom=last, length=2 if last else 0)
    axes.set_xlabel("σ" if last else "", fontsize=7.5, color=QUIET, loc="right", labelpad=1)
    axes.spines[:].set_visible(False)


def blank(width: float, height: float) -> "Figure":
    """An empty figure, in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)  # no window, no global state
    return figure


def save(figure: "Figure", path: Path) -> None:
    """In the format that the name ends with, whole or not at all. Raises UserError where it cannot be written."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:])
