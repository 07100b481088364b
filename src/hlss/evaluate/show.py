"""An evaluation as tables on a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hlss.evaluate.intervals import FEWEST_PATIENTS, Difference
from hlss.types import LEVELS, Level

if TYPE_CHECKING:
    from hlss.evaluate.evaluation import Evaluation, Result

_ASKED = {"sites": "each site in turn", "external": "another cohort"}
_MORE = {"balanced_accuracy": "balanced", "macro_auroc": "AUROC", "macro_f1": "F1", "top2": "top-2"}


def show(evaluation: "Evaluation", console: Console) -> None:
    """Accuracy and the other measures with intervals, paired differences, confusion matrices, notices."""
    for protocol in dict.fromkeys(result.protocol for result in evaluation.results):
        results = [result for result in evaluation.results if result.protocol == protocol]
        first = results[0]
        k = "" if first.k is None else f" (k = {first.k})"
        scoring = "" if first.scoring in ("mean", None) else f", scoring {first.scoring}"
        setting = f"protocol {protocol}{k}, {_ASKED.get(evaluation.queries, f'{evaluation.queries} side')}{scoring}"
        _print(console, f"{first.way} accuracy %, {setting}", _accuracies(results))
        _print(console, f"other measures %, {setting}", _others(results))
        if any(result.differences for result in results):
            title = f"accuracy less that of {evaluation.against}, points, paired by patient, {setting}"
            _print(console, title, _differences(results))
    for result in evaluation.results:
        if result.protocol == evaluation.results[-1].protocol:
            _print(console, *_confusion(result, evaluation.classes))
    for line in _notes(evaluation):
        _print(console, line)


def _print(console: Console, line: str, table: Table | None = None) -> None:
    console.print(line, highlight=False, soft_wrap=True, markup=False)
    if table is not None:
        console.print(table)


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(Text(column), justify="right" if table.columns else "left", overflow="fold")
    return table


def _accuracies(results: "Sequence[Result]") -> Table:
    levels = _levels(results)
    table = _table("method", *levels)
    for result in results:
        cells = [f"{_measure(result, level, 'accuracy')}  n={result.metrics[level]['n']}" for level in levels]
        _add(table, result.method, *cells)
    return table


def _others(results: "Sequence[Result]") -> Table:
    table = _table("method", "level", *_MORE.values())
    for result in results:
        for level in _levels(results):
            _add(table, result.method, level, *[_measure(result, level, name) for name in _MORE])
    return table


def _differences(results: "Sequence[Result]") -> Table:
    levels = _levels(results)
    table = _table("method", *levels)
    for result in results:
        if result.differences:
            found = [result.differences.get(level, {}).get("accuracy") for level in levels]
            _add(table, result.method, *map(_difference, found))
    return table


def _levels(results: "Sequence[Result]") -> list[Level]:
    """Those at which anything was to be predicted."""
    return [level for level in LEVELS if any(r.metrics[level]["n"] or r.metrics[level]["left_out"] for r in results)]


def _difference(found: Difference | None) -> str:
    if found is None:
        return "–"
    cell = f"{found.mean * 100:+.1f}"
    if found.interval is not None:
        cell += f" [{found.interval.low * 100:+.1f}, {found.interval.high * 100:+.1f}]"
    return cell if found.detectable is None else f"{cell}, detectable {found.detectable * 100:.1f}"


def _confusion(result: "Result", classes: tuple[str, ...]) -> tuple[str, Table]:
    """Title and matrix of the coarsest level that has units."""
    level = next((level for level in reversed(LEVELS) if result.metrics[level]["n"]), Level.PATCH)
    table = _table("true \\ predicted", *classes)
    for name, row in zip(classes, result.confusions[level], strict=True):
        _add(table, name, *map(str, row))
    return f"{level} level: confusion matrix of {result.method}, protocol {result.protocol}", table


def _notes(evaluation: "Evaluation") -> list[str]:
    notes = ["intervals: 95 %, patients resampled; other confusion matrices are in the JSON", *evaluation.notices]
    for result in evaluation.results:
        notes.append(f"{result.method}: folds pooled: {result.folds}; seeds averaged: {result.seeds}")
        for level in LEVELS:
            notes += [f"{result.method}, {level} level: {note}" for note in _counts(result.metrics[level])]
        notes += [*_undetected(result), *_fitted(result)]
        if result.way.startswith("retrieval"):
            notes.append(
                f"protocol {result.protocol}: accuracy is the share of right majority votes, MV@{result.k}; "
                f"balanced, its mean over classes, is mMV@{result.k}"
            )
    return list(dict.fromkeys(notes))


def _counts(found: Mapping[str, float | int | None]) -> list[str]:
    notes = []
    if found["left_out"]:
        notes.append(f"left out for several labels: {found['left_out']}")
    if found["n"] and found["absent_classes"]:
        notes.append(f"classes without a unit, left out of macro-averages: {found['absent_classes']}")
    if found["n"] and (found["patients"] or 0) < FEWEST_PATIENTS:
        notes.append(f"patients: {found['patients']}, fewer than {FEWEST_PATIENTS}, so no interval")
    return notes


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


def _fitted(result: "Result") -> list[str]:
    """The strengths that were chosen, by level where there are several."""
    chosen: dict[str, list[str]] = {}
    for facts in result.fitted:
        chosen.setdefault(f", {facts['level']} level" if "level" in facts else "", []).append(f"{facts['C']:.2g}")
    return [
        f"{result.method}, protocol {result.protocol}{level}: C = {', '.join(found)}" for level, found in chosen.items()
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
