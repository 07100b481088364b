"""A table as a picture: a dot and its interval by level, the paper's figures as hollow marks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hlss.explain.pictures import INK, PAPER, QUIET
from hlss.files import replacing
from hlss.jobs.table_scores import Scores
from hlss.jobs.table_show import labels, paper_of, protocols
from hlss.jobs.table_spec import TableSpec
from hlss.types import LEVELS, Level

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#975a16", "#b83280")  # of protocols
_GRID = "#e4e4ea"
_DPI = 130
_LEFT, _PANEL, _ABOVE, _BELOW, _LINE = 2.1, 3.4, 0.95, 0.55, 0.42  # inches


def show_table(spec: TableSpec, scores: Scores, path: Path) -> None:
    """One panel a level, one line a row of the table, one colour a protocol."""
    names, paper = labels(scores), paper_of(spec)
    levels = [level for level in LEVELS if any(r.metrics[level]["n"] for r in scores.evaluation.results)]
    figure, panels = _panels(len(levels), names)
    figure.suptitle(spec.title, x=0.01, y=0.985, ha="left", va="top", color=INK, fontsize=12, fontweight="bold")
    for panel, level in zip(panels, levels, strict=True):
        panel.set_title(level, color=INK, fontsize=10, loc="left")
        _dots(panel, scores, level)
        if paper is not None:
            theirs = {row.label: paper.accuracy.get(row.name, {}).get(level) for row in scores.rows}
            found = [(value, names.index(label)) for label, value in theirs.items() if value is not None]
            style = {"markerfacecolor": "none", "markeredgecolor": QUIET, "markersize": 5}
            panel.plot(*zip(*found, strict=True), "D", **style, label=f"paper: {paper.source}")
    handles, titles = panels[0].get_legend_handles_labels()
    style = {"frameon": False, "fontsize": 8, "labelcolor": INK, "ncols": len(titles)}
    figure.legend(handles, titles, loc="upper right", bbox_to_anchor=(0.99, 1 - 0.28 / figure.get_figheight()), **style)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:])


def _dots(panel: Any, scores: Scores, level: Level) -> None:
    """Accuracies of a level with their intervals; protocols of a row stand above each other."""
    shown = protocols(scores)
    for number, protocol in enumerate(shown):
        shift = 0.6 * ((number + 0.5) / len(shown) - 0.5)
        colour = _COLOURS[number % len(_COLOURS)]
        title: str | None = f"protocol {protocol}"
        for place, label in enumerate(labels(scores)):
            result = scores.result(label, protocol)
            value = None if result is None else result.metrics[level]["accuracy"]
            if result is None or value is None:
                continue
            interval = result.intervals.get(level, {}).get("accuracy")
            if interval is not None:
                panel.plot([100 * interval.low, 100 * interval.high], [place + shift] * 2, color=colour, linewidth=1.4)
            panel.plot([100 * value], [place + shift], "o", color=colour, markersize=4.5, label=title)
            title = None


def _panels(count: int, names: Sequence[str]) -> "tuple[Figure, Sequence[Any]]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = _LEFT + 0.1 + _PANEL * count, _ABOVE + _BELOW + _LINE * len(names)
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)  # no window, no global state
    around = {"left": _LEFT / width, "right": 1 - 0.1 / width, "top": 1 - _ABOVE / height, "bottom": _BELOW / height}
    panels = figure.subplots(1, count, sharey=True, squeeze=False, gridspec_kw={**around, "wspace": 0.06})[0]
    for panel in panels:
        panel.set_xlabel("accuracy %", color=QUIET, fontsize=8)
        panel.grid(axis="x", color=_GRID, linewidth=0.7)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=8, colors=INK, length=0)
        for side in ("top", "right", "left"):
            panel.spines[side].set_visible(False)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    return figure, panels
