"""An evaluation as tables on a terminal."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from hlss.types import LEVELS, Level

if TYPE_CHECKING:
    from hlss.evaluate.evaluation import Evaluation, Result

_MORE = {"balanced_accuracy": "balanced", "macro_auroc": "AUROC", "macro_f1": "F1", "top2": "top-2"}


def show(evaluation: "Evaluation", console: Console) -> None:
    """Accuracy with intervals, the other metrics, paired differences, confusion matrices."""
    for protocol in dict.fromkeys(result.protocol for result in evaluation.results):
        results = [result for result in evaluation.results if result.protocol == protocol]
        console.print(_accuracies(results, f"kNN accuracy %, protocol {protocol}, {evaluation.queries} side"))
        console.print(_others(results))
        if any(result.differences for result in results):
            console.print(_differences(results, evaluation.against))
    for result in evaluation.results[-1:]:
        console.print(_confusion(result, evaluation.classes))
    for line in _notes(evaluation):
        console.print(line, highlight=False, soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("method", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _accuracies(results: "list[Result]", title: str) -> Table:
    table = _table(title, *LEVELS)
    for result in results:
        cells = []
        for level in LEVELS:
            found, interval = result.metrics[level], result.intervals[level]
            cell = "–" if not found["n"] else _percent(found["accuracy"])
            if interval is not None:
                cell += f" [{_percent(interval.low)}, {_percent(interval.high)}]"
            cells.append(f"{cell}  n={found['n']}")
        table.add_row(result.method, *cells)
    return table


def _others(results: "list[Result]") -> Table:
    table = _table("patch / slide / patient", *_MORE.values())
    for result in results:
        cells = [" / ".join(_percent(result.metrics[level].get(name)) for level in LEVELS) for name in _MORE]
        table.add_row(result.method, *cells)
    return table


def _differences(results: "list[Result]", against: str | None) -> Table:
    table = _table(f"difference in accuracy to {against}, paired by patient, points", *LEVELS)
    for result in results:
        if not result.differences:
            continue
        cells = []
        for level in LEVELS:
            difference = result.differences.get(level)
            cell = "–" if difference is None else f"{difference.mean * 100:+.1f}"
            if difference is not None and difference.interval is not None and difference.detectable is not None:
                interval = difference.interval
                cell += f" [{interval.low * 100:+.1f}, {interval.high * 100:+.1f}], detectable {difference.detectable * 100:.1f}"
            cells.append(cell)
        table.add_row(result.method, *cells)
    return table


def _confusion(result: "Result", classes: tuple[str, ...]) -> Table:
    table = Table(
        title=f"patients: true class (rows) × predicted, {result.method}, {result.protocol}", title_justify="left"
    )
    table.add_column("")
    for name in classes:
        table.add_column(name, justify="right")
    for name, row in zip(classes, result.confusions[Level.PATIENT], strict=True):
        table.add_row(name, *map(str, row))
    return table


def _notes(evaluation: "Evaluation") -> list[str]:
    first = evaluation.results[0]
    notes = [f"folds pooled: {first.folds}; seeds: {first.seeds}; intervals: 95 %, patients resampled"]
    left_out = {level: first.metrics[level].get("left_out", 0) for level in (Level.SLIDE, Level.PATIENT)}
    notes += [
        f"{count} {level}s have several labels and are left out of their level"
        for level, count in left_out.items()
        if count
    ]
    if first.intervals[Level.PATIENT] is None:
        notes.append("fewer than 10 patients: no interval")
    notes += [
        f"{result.method}: the difference of {level} is smaller than could be detected"
        for result in evaluation.results
        for level, d in result.differences.items()
        if d.detectable is not None and abs(d.mean) < d.detectable and level == Level.PATIENT
    ]
    return list(dict.fromkeys(notes))


def _percent(value: float | int | None) -> str:
    return "–" if value is None else f"{value * 100:.1f}"
