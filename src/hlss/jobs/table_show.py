"""A table as Markdown."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hlss.evaluate.intervals import FEWEST_PATIENTS, Difference, Interval
from hlss.evaluate.paper import PAPER, PaperTable
from hlss.evaluate.results import Result
from hlss.jobs.table_scores import Scores
from hlss.jobs.table_spec import START, TableSpec
from hlss.types import LEVELS, Level

_NONE = "–"
_FEW_SHOT = re.compile(r"few-shot-(\d+)(.*)")  # protocol: patients of each class, what its scoring adds


def markdown(spec: TableSpec, scores: Scores, against: Sequence[str]) -> str:
    """The whole table, for a reader: no figure in it but the minutes depends on when or how often it was made."""
    paper = paper_of(spec)
    lines = [f"# {spec.title}", "", *([f"Each run: {spec.budget}.", ""] if spec.budget else [])]
    for first in protocols(scores):
        alike = _alike(first, protocols(scores))
        if len(alike) == 1:
            lines += _section(scores, first, paper, against)
        elif first == alike[0]:
            lines += _few_shot(scores, alike)
    return "\n".join([*lines, *_notes(scores, paper), "", _origin(scores), ""])


def _alike(protocol: str, every: Sequence[str]) -> list[str]:
    """Protocols of one section: few-shot by any number of patients; each other by itself."""
    found = _FEW_SHOT.fullmatch(protocol)
    if found is None:
        return [protocol]
    return [other for other in every if (match := _FEW_SHOT.fullmatch(other)) and match[2] == found[2]]


def _section(scores: Scores, protocol: str, paper: PaperTable | None, against: Sequence[str]) -> list[str]:
    """One protocol: a line a method, then differences."""
    some = _some(scores, protocol)
    levels, measure = _levels(some), measure_of(some)
    k = "" if some.k is None else f" (k = {some.k})"
    name = "Accuracy" if measure == "accuracy" else f"mMV@{some.k} (right majority votes, mean over classes)"
    title = f"## Protocol {protocol}{k}" + ("" if some.way == "kNN" else f": {some.way}") + _scoring(some)
    about = f"{name} %{_apart(some)} [95 % interval], mean over seeds; units: {_units(some, levels)}."
    lines = [title, "", about, ""]
    lines += _grid(_measures(scores, protocol, levels, measure, paper if some.way == "kNN" else None))
    for reference in (*against, START):
        found = _differences(scores, protocol, levels, measure, reference)
        if len(found) > 1:
            lines += [f"{name.split()[0]} less that of {reference}, points, paired by patient:", "", *_grid(found)]
    return lines


def _few_shot(scores: Scores, alike: Sequence[str]) -> list[str]:
    """A column a number of patients, a grid a level."""
    some = _some(scores, alike[0])
    title = f"## Few-shot: linear probe on some patients of each class (mean of {some.draws} draws){_scoring(some)}"
    lines = [title, "", "Differences are in table.csv.", ""]
    shots = [match[1] for protocol in alike if (match := _FEW_SHOT.fullmatch(protocol))]
    for level in _levels(some):
        lines += [f"{level} accuracy %{_apart(some)} [95 % interval] by patients of each class:", ""]
        rows: list[Sequence[str]] = [("method", *shots)]
        for label in labels(scores):
            found = [scores.result(label, protocol) for protocol in alike]
            rows.append((label, *(_NONE if one is None else _measure(one, level, "accuracy") for one in found)))
        lines += _grid(rows)
    return lines


def _some(scores: Scores, protocol: str) -> Result:
    return next(r for r in scores.evaluation.results if r.protocol == protocol)


def _levels(some: Result) -> list[Level]:
    return [level for level in LEVELS if some.metrics[level]["n"]]


def _units(some: Result, levels: Sequence[Level]) -> str:
    return ", ".join(f"{some.metrics[level]['n']} {level}" for level in levels)


def _scoring(some: Result) -> str:
    return ", scoring released" if some.scoring == "released" else ""


def _apart(some: Result) -> str:
    return " ± standard deviation over seeds" if some.seeds > 1 else ""


def measure_of(result: Result) -> str:
    """The measure that is shown: of retrieval the mean over classes (mMV), else accuracy."""
    return "balanced_accuracy" if result.way.startswith("retrieval") else "accuracy"


def deviation(result: Result, level: Level) -> float | None:
    """Standard deviation over seeds of a level's accuracy; None with fewer than two."""
    found = [value for value in result.by_seed[level] if value is not None]
    return float(np.std(found, ddof=1)) if len(found) > 1 else None


def protocols(scores: Scores) -> list[str]:
    """Those by which anything was predicted, in the order of the evaluation."""
    return list(dict.fromkeys(result.protocol for result in scores.evaluation.results if _levels(result)))


def labels(scores: Scores) -> list[str]:
    """Of all lines of the table: starts, then rows, also those without a result yet."""
    return [*dict.fromkeys(scores.starts.values()), *(row.label for row in scores.rows)]


def paper_of(spec: TableSpec) -> PaperTable | None:
    """The paper's figures that stand beside ours."""
    return None if spec.paper is None else PAPER[spec.paper]


def _measures(
    scores: Scores, protocol: str, levels: Sequence[Level], measure: str, paper: PaperTable | None
) -> Iterator[Sequence[str]]:
    yield ("method", *levels, *(("paper",) if paper else ()), "rank", "spread", "seeds × folds")
    names = {row.label: row.name for row in scores.rows}
    for label in labels(scores):
        result = scores.result(label, protocol)
        theirs = [] if paper is None else [_paper_cell(paper, names.get(label))]
        if result is None:
            yield (label, *[_NONE] * len(levels), *theirs, _NONE, _NONE, "not complete")
            continue
        health = scores.health[label]
        cells = [_measure(result, level, measure) for level in levels]
        sound = (f"{health.rank:.1f} of {health.dim}", f"{health.spread:.2f}")
        yield (label, *cells, *theirs, *sound, f"{result.seeds} × {result.folds}")


def _measure(result: Result, level: Level, measure: str) -> str:
    value = result.metrics[level][measure]
    if value is None:
        return _NONE
    apart = deviation(result, level) if measure == "accuracy" else None
    interval = result.intervals.get(level, {}).get(measure)
    cell = f"{100 * value:.1f}" + ("" if apart is None else f" ± {100 * apart:.1f}")
    return cell if interval is None else f"{cell} {_span(interval)}"


def _span(interval: Interval, sign: str = "") -> str:
    return f"[{100 * interval.low:{sign}.1f}, {100 * interval.high:{sign}.1f}]"


def _paper_cell(paper: PaperTable, name: str | None) -> str:
    found = paper.accuracy.get(name or "", {})
    return " / ".join(f"{found[level]:.1f}" for level in LEVELS) if found else _NONE


def _differences(
    scores: Scores, protocol: str, levels: Sequence[Level], measure: str, reference: str
) -> list[Sequence[str]]:
    lines: list[Sequence[str]] = [("method", *levels)]
    for label in labels(scores):
        result = scores.difference(label, protocol, reference)
        if result is not None and result.differences:
            found = (result.differences.get(level, {}).get(measure) for level in levels)
            lines.append((label, *(_NONE if one is None else difference_text(one) for one in found)))
    return lines


def difference_text(found: Difference) -> str:
    """Points, interval, and the smallest that could have been seen; one whose interval holds 0 is no difference."""
    text = f"{100 * found.mean:+.1f}"
    if found.interval is not None:
        text += f" {_span(found.interval, '+')}"
    return text if found.detectable is None else f"{text}, detectable {100 * found.detectable:.1f}"


def _grid(rows: Any) -> list[str]:
    """Markdown whose columns also stand in line as plain text."""
    cells = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    lines.insert(1, ["-" * width for width in widths])
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _notes(scores: Scores, paper: PaperTable | None) -> Iterator[str]:
    yield (
        "- Patients are resampled for intervals, which hold for these seeds; where that of a difference holds 0, no "
        "difference is shown."
    )
    if any(result.seeds > 1 for result in scores.evaluation.results):
        yield "- ±: standard deviation over seeds of their accuracies, folds pooled."
    yield "- detectable: the smallest true difference that four of five such studies would find."
    yield (
        "- rank: effective rank of the test features (RankMe), 1 is full collapse; spread: their standard deviation on "
        "the sphere times √dim, 0 is full collapse."
    )
    yield f"- {START}: the encoder before pretraining."
    if paper is not None:
        yield f"- paper: {paper.source}, patch / slide / patient; with figures on other data compare orders only."
    first = scores.evaluation.results[0]
    patients = max(int(found["patients"] or 0) for found in first.metrics.values())
    if patients < FEWEST_PATIENTS:
        yield f"- {patients} patients, fewer than {FEWEST_PATIENTS}: no interval."
    yield from (f"- {notice}" for notice in scores.evaluation.notices)
    for row in scores.rows:
        lacking = len(row.missing)
        if lacking:
            first_run, why = next(iter(row.missing.items()))
            of = f"{lacking} of {len(row.runs)} runs are missing"
            yield f"- **{row.label} is not complete**: {of}. {first_run}: {why}"


def _origin(scores: Scores) -> str:
    tables, made_by = scores.evaluation.tables, scores.made_by([row.label for row in scores.rows])
    hashes = {row.label: sorted({t["config_hash"] for t in tables if t["method"] == row.label}) for row in scores.rows}
    parts = {
        "code": sorted({t["code_version"] for t in tables}),
        "data": sorted({t["data_hash"] for t in tables}),
        "bank": made_by.banks,
        "hardware": sorted({t["hardware"] for t in tables}),
        "precision": made_by.precisions,
        "threads": made_by.threads,
        "minutes a run (median)": () if made_by.minutes is None else (f"{made_by.minutes:.1f}",),
        "config hashes (of seeds and folds)": [f"{label} {', '.join(of)}" for label, of in hashes.items() if of],
    }
    return "Made by " + "; ".join(f"{name} {', '.join(found)}" for name, found in parts.items() if found) + "."
