"""A table as CSV and JSON: every figure, and what made it."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hlss.evaluate.paper import PAPER, PaperTable
from hlss.evaluate.results import Result
from hlss.jobs.provenance import provenance
from hlss.jobs.table_results import RunResult
from hlss.jobs.table_scores import Row, Scores
from hlss.jobs.table_show import deviation, labels, paper_of, protocols
from hlss.jobs.table_spec import START, TableSpec
from hlss.types import Level

_COLUMNS = (
    *("table", "protocol", "k", "method", "experiment", "level", "measure", "value", "low", "high", "n", "patients"),
    *("seeds", "folds", "seed_deviation", "paper_percent", "rank", "spread"),
    *("bank", "precision", "threads", "minutes"),
)
_OF_DIFFERENCE = ("mean", "low", "high", "detectable")


def comma_separated(spec: TableSpec, scores: Scores, against: Sequence[str]) -> str:
    """One line a method, protocol, level and measure; shares, not %, but for the paper's; nothing where none is.

    seed_deviation: of accuracies; minutes: median of the row's runs.
    """
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
    health, made_by = scores.health[label], scores.made_by([label])
    runs = (" ".join(made_by.banks), " ".join(made_by.precisions), " ".join(made_by.threads), made_by.minutes)
    for level, found in result.metrics.items():
        for measure in (key for key in found if key not in _COUNTS):
            interval = result.intervals.get(level, {}).get(measure)
            theirs = paper.accuracy.get(name, {}).get(level) if paper and measure == "accuracy" else None
            span = (None, None) if interval is None else (interval.low, interval.high)
            about = (spec.title, result.protocol, result.k, label, name, level, measure, found[measure], *span)
            apart = deviation(result, level) if measure == "accuracy" else None
            sure = (
                found["n"],
                found["patients"],
                result.seeds,
                result.folds,
                apart,
                theirs,
                health.rank,
                health.spread,
            )
            yield [*about, *sure, *runs, *(part for one in others for part in _parts(one, level, measure))]


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
        "health": {label: found.model_dump() for label, found in scores.health.items()},
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
                **_made_by(scores.found.get(run.folder)),
            }
            for run in row.runs
        ],
    }


def _made_by(result: RunResult | None) -> Mapping[str, Any]:
    found = {} if result is None else result.model_dump(mode="json", include={"provenance", "made"})
    return {"provenance": found.get("provenance"), "made": found.get("made")}
