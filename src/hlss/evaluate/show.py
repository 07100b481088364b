"""An evaluation as tables on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hlss.evaluate.intervals import FEWEST_PATIENTS, Difference
from hlss.types import LEVELS, Level

if TYPE_CHECKING:
    from hlss.evaluate.evaluation import Evaluation, Result

_MORE = {"balanced_accuracy": "balanced", "macro_auroc": "AUROC", "macro_f1": "F1", "top2": "top-2"}


def show(evaluation: "Evaluation", console: Console) -> None:
    """Accuracy and the other measures with intervals, paired differences, confusion matrices, notices."""
    for protocol in dict.fromkeys(result.protocol for result in evaluation.results):
        results = [result for result in evaluation.results if result.protocol == protocol]
        scoring = "" if evaluation.spec.scoring == "mean" else f", scoring {evaluation.spec.scoring}"
        title = f"protocol {protocol} (k = {results[0].k}), {evaluation.queries} side{scoring}, %"
        console.print(_accuracies(results, f"kNN accuracy, {title}"))
        console.print(_others(results, title))
        if any(result.differences for result in results):
            console.print(_differences(results, f"difference in accuracy to {evaluation.against}, {title} points"))
    for result in evaluation.results:
        if result.protocol == evaluation.results[-1].protocol:
            console.print(_confusion(result, evaluation.classes))
    for line in _notes(evaluation):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left")
    for column in columns:
        table.add_column(Text(column), justify="right" if table.columns else "left", overflow="fold")
    return table


def _accuracies(results: "Sequence[Result]", title: str) -> Table:
    table = _table(title, "method", *LEVELS)
    for result in results:
        cells = [f"{_measure(result, level, 'accuracy')}  n={result.metrics[level]['n']}" for level in LEVELS]
        _add(table, result.method, *cells)
    return table


def _others(results: "Sequence[Result]", title: str) -> Table:
    table = _table(title, "method", "level", *_MORE.values())
    for result in results:
        for level in LEVELS:
            _add(table, result.method, level, *[_measure(result, level, name) for name in _MORE])
    return table


def _differences(results: "Sequence[Result]", title: str) -> Table:
    table = _table(title, "method", *LEVELS)
    for result in results:
        if result.differences:
            found = [result.differences.get(level, {}).get("accuracy") for level in LEVELS]
            _add(table, result.method, *map(_difference, found))
    return table


def _difference(found: Difference | None) -> str:
    if found is None:
        return "–"
    cell = f"{found.mean * 100:+.1f}"
    if found.interval is not None:
        cell += f" [{found.interval.low * 100:+.1f}, {found.interval.high * 100:+.1f}]"
    return cell if found.detectable is None else f"{cell}, detectable {found.detectable * 100:.1f}"


def _confusion(result: "Result", classes: tuple[str, ...]) -> Table:
    """Of the coarsest level that has units."""
    level = next((level for level in reversed(LEVELS) if result.metrics[level]["n"]), Level.PATCH)
    title = f"{level}: true class (rows) × predicted, {result.method}, protocol {result.protocol}"
    table = _table(title, "", *classes)
    for name, row in zip(classes, result.confusions[level], strict=True):
        _add(table, name, *map(str, row))
    return table


def _notes(evaluation: "Evaluation") -> list[str]:
    notes = ["intervals: 95 %, patients resampled; other confusion matrices are in the JSON", *evaluation.notices]
    for result in evaluation.results:
        notes.append(f"{result.method}: {result.folds} folds pooled, mean of {result.seeds} seeds")
        for level in LEVELS:
            found = result.metrics[level]
            if found["left_out"]:
                several = f"{found['left_out']} {level}s have several labels and are left out of their level"
                notes.append(f"{result.method}: {several}")
            if found["absent_classes"] and found["n"]:
                absent = f"{found['absent_classes']} classes have no {level} and are left out of macro-averages"
                notes.append(f"{result.method}: {absent}")
            patients = found["patients"]
            if patients is not None and 0 < patients < FEWEST_PATIENTS:
                few = f"{patients} patients at {level} level, fewer than {FEWEST_PATIENTS}: no interval"
                notes.append(f"{result.method}: {few}")
        notes += _undetected(result)
    return list(dict.fromkeys(notes))


def _undetected(result: "Result") -> list[str]:
    """No difference is shown where the interval holds 0."""
    found = {level: of_level.get("accuracy") for level, of_level in result.differences.items()}
    return [
        f"{result.method}, protocol {result.protocol}: no difference shown at {level} level"
        for level, difference in found.items()
        if difference is not None
        and difference.interval is not None
        and difference.interval.low <= 0 <= difference.interval.high
    ]


def _measure(result: "Result", level: Level, name: str) -> str:
    value, interval = result.metrics[level][name], result.intervals.get(level, {}).get(name)
    if value is None:
        return "–"
    return f"{value * 100:.1f}" + (
        "" if interval is None else f" [{interval.low * 100:.1f}, {interval.high * 100:.1f}]"
    )


def _add(table: Table, *cells: str) -> None:
    table.add_row(*map(Text, cells))  # as they are: a name may hold what rich reads as markup
