"""A table as Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hlss.evaluate.evaluation import Result
from hlss.evaluate.intervals import FEWEST_PATIENTS, Difference, Interval
from hlss.evaluate.paper import PAPER, PaperTable
from hlss.jobs.provenance import provenance
from hlss.jobs.table_runs import facts_of
from hlss.jobs.table_scores import Row, Scores
from hlss.jobs.table_spec import START, TableSpec
from hlss.types import LEVELS, Level

_NONE = "–"
_COLUMNS = (
    *("table", "protocol", "k", "method", "experiment", "level", "measure", "value", "low", "high", "n", "patients"),
    *("seeds", "folds", "paper_percent", "rank", "spread"),
)
_OF_DIFFERENCE = ("mean", "low", "high", "detectable")


def markdown(spec: TableSpec, scores: Scores, against: Sequence[str]) -> str:
    """The whole table, for a reader: no figure in it depends on when or how often it was made."""
    paper = paper_of(spec)
    lines = [f"# {spec.title}", "", *([f"Each run: {spec.budget}.", ""] if spec.budget else [])]
    for protocol in protocols(scores):
        some = next(r for r in scores.evaluation.results if r.protocol == protocol)
        levels = [level for level in LEVELS if some.metrics[level]["n"]]
        k = "" if some.k is None else f" (k = {some.k})"
        units = ", ".join(f"{some.metrics[level]['n']} {level}" for level in levels)
        lines += [f"## Protocol {protocol}{k}", "", f"Accuracy % [95 % interval], mean over seeds; units: {units}.", ""]
        lines += _grid(_accuracies(scores, protocol, levels, paper))
        for reference in (*against, START):
            found = _differences(scores, protocol, levels, reference)
            if len(found) > 1:
                lines += [f"Accuracy less that of {reference}, points, paired by patient:", "", *_grid(found)]
    return "\n".join([*lines, *_notes(scores, paper), "", _origin(scores), ""])


def protocols(scores: Scores) -> list[str]:
    """In the order of the evaluation."""
    return list(dict.fromkeys(result.protocol for result in scores.evaluation.results))


def labels(scores: Scores) -> list[str]:
    """Of all lines of the table: starts, then rows, also those without a result yet."""
    return [*dict.fromkeys(scores.starts.values()), *(row.label for row in scores.rows)]


def paper_of(spec: TableSpec) -> PaperTable | None:
    """The paper's figures that stand beside ours."""
    return None if spec.paper is None else PAPER[spec.paper]


def _accuracies(
    scores: Scores, protocol: str, levels: Sequence[Level], paper: PaperTable | None
) -> Iterator[Sequence[str]]:
    yield ("method", *levels, *(("paper",) if paper else ()), "rank", "spread", "seeds × folds")
    names = {row.label: row.name for row in scores.rows}
    for label in labels(scores):
        result = scores.result(label, protocol)
        theirs = [_NONE if paper is None else _paper_cell(paper, names.get(label))] if paper else []
        if result is None:
            yield (label, *[_NONE] * len(levels), *theirs, _NONE, _NONE, "not complete")
            continue
        health = scores.health[label]
        cells = [_accuracy(result, level) for level in levels]
        sound = (f"{health.rank:.1f} of {health.dim}", f"{health.spread:.2f}")
        yield (label, *cells, *theirs, *sound, f"{result.seeds} × {result.folds}")


def _accuracy(result: Result, level: Level) -> str:
    value = result.metrics[level]["accuracy"]
    interval = result.intervals.get(level, {}).get("accuracy")
    return _NONE if value is None else f"{100 * value:.1f}" + (f" {_span(interval)}" if interval else "")


def _span(interval: Interval, sign: str = "") -> str:
    return f"[{100 * interval.low:{sign}.1f}, {100 * interval.high:{sign}.1f}]"


def _paper_cell(paper: PaperTable, name: str | None) -> str:
    found = paper.accuracy.get(name or "", {})
    return " / ".join(f"{found[level]:.1f}" for level in LEVELS) if found else _NONE


def _differences(scores: Scores, protocol: str, levels: Sequence[Level], reference: str) -> list[Sequence[str]]:
    lines: list[Sequence[str]] = [("method", *levels)]
    for label in labels(scores):
        result = scores.difference(label, protocol, reference)
        if result is not None and result.differences:
            found = (result.differences.get(level, {}).get("accuracy") for level in levels)
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
    yield "- Patients are resampled for intervals; where that of a difference holds 0, no difference is shown."
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
    tables = scores.evaluation.tables
    hashes = {label: sorted({t["config_hash"] for t in tables if t["method"] == label}) for label in labels(scores)}
    of_rows = "; ".join(f"{label} {', '.join(found)}" for label, found in hashes.items() if found)
    return (
        f"Code {', '.join(sorted({t['code_version'] for t in tables}))}; data "
        f"{', '.join(sorted({t['data_hash'] for t in tables}))}; {', '.join(sorted({t['hardware'] for t in tables}))}; "
        f"config hashes (of seeds and folds): {of_rows}."
    )


def comma_separated(spec: TableSpec, scores: Scores, against: Sequence[str]) -> str:
    """One line a method, protocol, level and measure; shares, not %, but for the paper's; nothing where none is."""
    references = [*against, START]
    titles = [f"less_{name}_{part}" for name in references for part in _OF_DIFFERENCE]
    written = io.StringIO()
    file = csv.writer(written, lineterminator="\n")
    file.writerow([*_COLUMNS, *titles])
    for label in labels(scores):
        for protocol in protocols(scores):
            result = scores.result(label, protocol)
            if result is not None:
                file.writerows(_lines(spec, scores, result, references))
    return written.getvalue()


def _lines(spec: TableSpec, scores: Scores, result: Result, references: Sequence[str]) -> Iterator[list[Any]]:
    paper, label = paper_of(spec), result.method
    name = next((row.name for row in scores.rows if row.label == label), START)
    others = [scores.difference(label, result.protocol, reference) for reference in references]
    health = scores.health[label]
    for level, found in result.metrics.items():
        for measure in (key for key in found if key not in _COUNTS):
            interval = result.intervals.get(level, {}).get(measure)
            theirs = paper.accuracy.get(name, {}).get(level) if paper and measure == "accuracy" else None
            span = (None, None) if interval is None else (interval.low, interval.high)
            about = (spec.title, result.protocol, result.k, label, name, level, measure, found[measure], *span)
            sure = (found["n"], found["patients"], result.seeds, result.folds, theirs, health.rank, health.spread)
            yield [*about, *sure, *(part for one in others for part in _parts(one, level, measure))]


_COUNTS = ("n", "patients", "left_out", "absent_classes")


def _parts(result: Result | None, level: Level, measure: str) -> tuple[float | None, ...]:
    found = None if result is None else result.differences.get(level, {}).get(measure)
    if found is None:
        return (None,) * len(_OF_DIFFERENCE)
    span = (None, None) if found.interval is None else (found.interval.low, found.interval.high)
    return (found.mean, *span, found.detectable)


def as_json(spec: TableSpec, scores: Scores, against: Sequence[str]) -> dict[str, Any]:
    """Everything, with what made each number. At the top stands the evaluation, compared with the start; the same
    scores compared with others are in `compared`, what each run was made by in `rows`.
    """
    by_reference = {name: evaluation.to_json() for name, evaluation in scores.evaluations.items()}
    own = next(name for name in scores.starts.values() if name in by_reference)
    return {
        "table": spec.model_dump(mode="json"),
        **by_reference[own],
        "compared": {
            name: [{key: r[key] for key in ("method", "protocol", "differences")} for r in found["results"]]
            for name, found in by_reference.items()
            if name != own
        },
        "health": {label: asdict(found) for label, found in scores.health.items()},
        "paper": None if spec.paper is None else _plain_paper(PAPER[spec.paper]),
        "rows": [_plain_row(row, scores) for row in scores.rows],
        "provenance": provenance(compared_with=[*against, START]),
    }


def _plain_paper(paper: PaperTable) -> dict[str, Any]:
    return {"source": paper.source, "accuracy_percent": {name: dict(found) for name, found in paper.accuracy.items()}}


def _plain_row(row: Row, scores: Scores) -> dict[str, Any]:
    return {
        "label": row.label,
        "experiment": row.name,
        "start": scores.starts.get(row.label),
        "seeds": list(row.seeds),
        "missing": dict(row.missing),
        "runs": [
            {
                "seed": run.seed,
                "fold": run.fold,
                "folder": str(run.folder),
                **_made_by(run.folder / "provenance.json"),
                "made": facts_of(run.experiment),
            }
            for run in row.runs
        ],
    }


def _made_by(path: Any) -> Mapping[str, Any]:
    return {"provenance": json.loads(path.read_text()) if path.exists() else None}
