"""A map beside its slide, with all that must be read with it: scale, colours, faithfulness, notices."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.explain.faithfulness import Faithfulness
from hlss.explain.pictures import INK, QUIET, blank, save
from hlss.explain.score_map import COLOURS, SHOWN_SIGMA, WEAK_COLOURS, ScoreMap, coloured
from hlss.jobs.map_drawn import TrueMap
from hlss.jobs.map_ground import Ground

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WARNING = "#a8201a"
_PANEL, _GAP, _LEFT, _BAR = 4.6, 0.3, 0.35, 0.85  # inches
_HEAD, _LINE = 0.8, 0.21


def show_slide_map(
    ground: Ground,
    name: str,
    score_map: ScoreMap,
    faithfulness: Faithfulness,
    true: TrueMap | None,
    overview: UInt8[ndarray, "h w 3"] | None,
    notices: Sequence[str],
    path: Path,
) -> None:
    """Slide, map and, where it is known, the true map, in one frame. Grey, with the verdict in red, where the map is
    not above chance.
    """
    weak, panels = not faithfulness.above_chance, 2 if true is None else 3
    tall = _PANEL * min(max(ground.size_px0[1] / ground.size_px0[0], 0.25), 1.6)
    said = _said(faithfulness, true)
    width = _LEFT + _PANEL + _GAP + (panels - 1) * (_PANEL + _BAR)
    letters = round(width * 14.5)
    lines = [part for notice in notices for part in wrap(f"– {notice}", letters)]
    foot = 0.4 + _LINE * (len(said) + 0.8 * len(lines) + 0.6)
    height = _HEAD + tall + foot
    figure = blank(width, height)

    def write(x: float, y: float, text: str, **style: Any) -> None:
        """Inches from the left and from the top."""
        figure.text(x / width, 1 - y / height, text, **{"va": "center", "color": QUIET, **style})

    def box(x: float, wide: float) -> "Axes":
        return figure.add_axes((x / width, foot / height, wide / width, tall / height))

    write(_LEFT, 0.22, _short(name, 90), color=INK, fontsize=13, fontweight="bold")
    sizes = f"{len(ground.rows)} tiles of {ground.lattice.side_px0} px, {ground.lattice.step_px0} px apart"
    write(_LEFT, 0.5, f"slide {ground.name}: {sizes}", fontsize=9)
    _slide(box(_LEFT, _PANEL), ground, overview)
    left = _LEFT + _PANEL + _GAP
    _cells(box(left, _PANEL), ground, score_map, coloured(score_map.values, weak=weak))
    if true is not None:
        drawn = ScoreMap.of(ground.lattice, true.values)
        shown = coloured((drawn.values * 2 - 1) * np.float32(SHOWN_SIGMA), weak=False)
        _cells(box(left + _PANEL + _BAR, _PANEL), ground, drawn, shown)
        write(left + _PANEL + _BAR, _HEAD - 0.1, true.title, fontsize=8.5)
        _colour_bar(box(left + 2 * _PANEL + _BAR + 0.12, 0.13), COLOURS, (0, 1), "drawn")
    scale = (-SHOWN_SIGMA, SHOWN_SIGMA)
    _colour_bar(
        box(left + _PANEL + 0.12, 0.13), WEAK_COLOURS if weak else COLOURS, scale, "σ over all patches of the table"
    )
    for number, (line, colour, heavy) in enumerate(said):
        write(_LEFT, _HEAD + tall + 0.25 + number * _LINE, line, color=colour, fontsize=9.5, fontweight=heavy)
    low = _HEAD + tall + 0.25 + (len(said) - 0.4) * _LINE
    write(_LEFT, low, "\n".join(lines), fontsize=8, va="top", linespacing=1.3)
    save(figure, path)


def _said(faithfulness: Faithfulness, true: TrueMap | None) -> list[tuple[str, str, str]]:
    """Lines below the map, each with its colour and weight."""
    doubtful = not faithfulness.above_chance or faithfulness.above_random_text is False
    verdict = faithfulness.verdict[0].upper() + faithfulness.verdict[1:]
    found = [
        (f"Faithfulness {faithfulness.figures}; chance is 0.50", INK, "normal"),
        (verdict, WARNING if doubtful else INK, "bold"),
    ]
    if faithfulness.auroc is None:
        found = [(f"Faithfulness {faithfulness.verdict}", WARNING, "bold")]
    return found if true is None else [*found, (f"Against the true map: {true.figures}", INK, "normal")]


def _cells(axes: "Axes", ground: Ground, score_map: ScoreMap, colours: UInt8[ndarray, "h w 3"]) -> None:
    (left, top), (right, bottom) = score_map.origin_px0, score_map.end_px0
    axes.imshow(colours, extent=(left, right, bottom, top), interpolation="nearest")
    _framed(axes, ground)


def _framed(axes: "Axes", ground: Ground) -> None:
    axes.set_xlim(0, ground.size_px0[0])
    axes.set_ylim(ground.size_px0[1], 0)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#d5d5dc")


def _colour_bar(axes: "Axes", cmap: str, ends: tuple[float, float], label: str) -> None:
    scale = np.linspace(ends[1], ends[0], 256)[:, None]
    axes.imshow(scale, cmap=cmap, extent=(0, 1, *ends), aspect="auto")
    axes.yaxis.tick_right()
    axes.set_xticks([])
    axes.tick_params(labelsize=7.5, length=2, color=QUIET, labelcolor=QUIET)
    axes.set_ylabel(label, fontsize=7.5, color=QUIET)
    axes.yaxis.set_label_position("right")
    axes.spines[:].set_visible(False)


def _slide(axes: "Axes", ground: Ground, overview: UInt8[ndarray, "h w 3"] | None) -> None:
    width_px0, height_px0 = ground.size_px0
    if overview is None:
        axes.text(width_px0 / 2, height_px0 / 2, "no picture of the slide", color=QUIET, fontsize=9, ha="center")
    else:
        axes.imshow(overview, extent=(0, width_px0, height_px0, 0))
    _framed(axes, ground)
    if ground.mpp0 is None:
        return
    length_um = _round_length(0.25 * width_px0 * ground.mpp0)
    length, left, low = length_um / ground.mpp0, 0.04 * width_px0, 0.96 * height_px0
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}
    axes.text(left, low - 0.02 * height_px0, label, color=INK, fontsize=8, va="bottom", bbox=box)
    axes.plot((left, left + length), (low, low), color="white", linewidth=5, solid_capstyle="butt")
    axes.plot((left, left + length), (low, low), color=INK, linewidth=2.5, solid_capstyle="butt")


def _round_length(most: float) -> float:
    """The largest 1, 2 or 5 × 10ⁿ that is no longer."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
