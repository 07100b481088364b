"""A picture of a comparison: by bank, the characteristics that separate two sides most, with their intervals."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hlss.explain.comparison import Comparison
from hlss.explain.pictures import INK, QUIET, blank, save
from hlss.types import LEVELS, Level

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INKS = {"yes": "#24507f", "perhaps": "#7ba0c9", "no": "#cfd8e3"}
_NOTE = (
    "difference of means, in σ over all units; line: 95 % interval. dark: sides dealt anew (p) and shuffled words (q)"
    " explain it in 5 % at most,\nboth corrected for all characteristics of the bank; middle: of words q is up to 0.25;"
    " pale: chance may explain it"
)
_PANEL, _NAME = 2.1, 2.3  # inches


def show_comparison(
    title: str, levels: Mapping[Level, Comparison], top: int, distractors: Collection[str], path: Path
) -> None:
    """Bars to the right: more in A; a panel a bank, `top` rows each."""
    width, height = 0.2 + len(LEVELS) * (_PANEL + _NAME), 1.45 + 0.24 * top
    figure = blank(width, height)
    figure.text(0.1 / width, 1 - 0.22 / height, title, color=INK, fontsize=12, fontweight="bold", va="center")
    figure.text(0.1 / width, 1 - 0.57 / height, _NOTE, color=QUIET, fontsize=8, va="center", linespacing=1.4)
    for number, level in enumerate(LEVELS):
        left = 0.1 + number * (_PANEL + _NAME)
        found = levels.get(level)
        said = f"{level} bank" + ("" if found is None else f": {found.units[0]} against {found.units[1]}")
        figure.text(left / width, 1 - 0.93 / height, said, color=INK, fontsize=9.5, fontweight="bold", va="center")
        if found is not None:
            box = ((left + _NAME) / width, 0.3 / height, (_PANEL - 0.15) / width, (height - 1.4) / height)
            _bars(figure.add_axes(box), found, top, distractors)
    save(figure, path)


def _bars(axes: "Axes", one: Comparison, top: int, distractors: Collection[str]) -> None:
    best = one.order(top)[:top]
    reach = 0.1
    for y, k in enumerate(best):
        axes.barh(y, one.difference[k], height=0.62, color=_INKS[one.verdict(k)])
        ends = [one.difference[k]]
        if np.isfinite(one.low[k]):
            ends += [one.low[k], one.high[k]]
            axes.plot((one.low[k], one.high[k]), (y, y), color=INK, linewidth=1)
        reach = max(reach, *(1.05 * abs(float(end)) for end in ends))
    names = [one.names[k] + (" ∅" if one.names[k] in distractors else "") for k in best]
    axes.set_yticks(range(len(best)), names, fontsize=7.5, color=INK)
    axes.set_ylim(top - 0.5, -0.5)
    axes.set_xlim(-reach, reach)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7, length=2)
    axes.spines[:].set_visible(False)
