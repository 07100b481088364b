"""From scored folds to results: methods side by side, folds pooled, seeds averaged, differences paired."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console

from hlss.errors import UserError
from hlss.evaluate.intervals import Difference, Interval, differences, intervals, mean_of
from hlss.evaluate.predict import Predicted, ScoredFold, pooled_folds
from hlss.evaluate.scorer import ByLevel, Row
from hlss.evaluate.scores import MEASURES, Scoring, confusion, metrics
from hlss.evaluate.settings import EvaluateSpec
from hlss.evaluate.show import show
from hlss.types import LEVELS, Level

Run = tuple[object, ...]  # seed, and fold where it is averaged like seeds
Scored = Mapping[str, Mapping[Run, Sequence[ScoredFold]]]  # by method and run, the folds
Runs = Mapping[str, Sequence[Predicted]]  # by method


@dataclass(frozen=True)
class Result:
    """Of one method under one protocol, by level: metrics (mean over seeds), intervals, confusions (summed over seeds).

    way, k, scoring: see `Row`. draws: of each seed, averaged like seeds; seeds counts the tables' seeds, or the
    encoders where each is asked about everyone (by site, another cohort). fitted: what was chosen on each bank.
    by_seed: accuracy of each seed, folds pooled. differences: by level and measure, to the method it is compared with;
    empty where there is none.
    """

    method: str
    protocol: str
    way: str
    k: int | None
    scoring: Scoring | None
    seeds: int
    draws: int
    folds: int
    metrics: Mapping[Level, Mapping[str, float | int | None]]
    by_seed: Mapping[Level, tuple[float | None, ...]]
    intervals: Mapping[Level, Mapping[str, Interval]]
    confusions: Mapping[Level, list[list[int]]]
    differences: Mapping[Level, Mapping[str, Difference]]
    fitted: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Evaluation:
    """Results of every method and protocol, where they come from, and what a reader should know.

    queries: the side that is asked, `sites` (each in turn) or `external` (another cohort).
    """

    classes: tuple[str, ...]
    queries: str
    against: str | None
    spec: EvaluateSpec
    results: tuple[Result, ...]
    notices: tuple[str, ...]
    tables: tuple[Mapping[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; `tables` holds the provenance of every table."""
        return {
            "classes": list(self.classes),
            "queries": self.queries,
            "against": self.against,
            "settings": self.spec.model_dump(mode="json"),
            "results": [_plain(asdict(result)) for result in self.results],
            "notices": list(self.notices),
            "tables": [_plain(dict(table)) for table in self.tables],
        }

    def show(self, console: Console) -> None:
        """Print tables of results, differences and confusion matrices."""
        show(self, console)


def evaluation_of(
    scored: Scored,
    spec: EvaluateSpec,
    against: str | None,
    queries: str = "test",
    *,
    notices: Sequence[str] = (),
    tables: Sequence[Mapping[str, Any]] = (),
) -> Evaluation:
    """Results of folds that are scored, of the rows that all of them have; they share their classes.

    notices, tables: what is known beside; else as `evaluate`. Raises UserError as `pooled_folds`, and where `against`
    names no method.
    """
    references = {method: reference_of(against, method, list(scored)) for method in scored}
    found = {method: [pooled_folds(folds) for folds in runs.values()] for method, runs in scored.items()}
    every = [run for runs in found.values() for run in runs]
    results = []
    for row in (row for row in every[0] if all(row in run for run in every)):
        by_method = {method: [run[row] for run in runs] for method, runs in found.items()}
        results += [_result(method, row, scored, by_method, references[method], spec) for method in scored]
    said = [notice for runs in scored.values() for folds in runs.values() for fold in folds for notice in fold.notices]
    said += [notice for run in every for predicted in run.values() for notice in predicted.notices]
    said += _unmatched(scored, references)
    said += _unreviewed(tables)
    if spec.by_site:
        said.append("by site: patches of every side are asked; an encoder trained on some of them has seen them")
    return Evaluation(
        classes=next(fold.classes for runs in scored.values() for folds in runs.values() for fold in folds),
        queries=queries,
        against=against,
        spec=spec,
        results=tuple(results),
        notices=tuple(dict.fromkeys([*notices, *said])),
        tables=tuple(dict(table) for table in tables),
    )


def _result(method: str, row: Row, methods: Scored, found: Runs, reference: str | None, spec: EvaluateSpec) -> Result:
    runs = _draws(found[method])
    by_level = {level: [run[level] for run in runs] for level in LEVELS}
    filled = [level for level in LEVELS if all(len(run) for run in by_level[level])]
    others = [] if reference is None else _draws(found[reference])
    compared = {level: [run[level] for run in others] for level in filled}
    return Result(
        method=method,
        protocol=row.name,
        way=row.way,
        k=row.k,
        scoring=row.scoring,
        seeds=len(found[method]),
        draws=len(found[method][0].draws),
        folds=max(len(folds) for folds in methods[method].values()),
        metrics={level: _mean_metrics([metrics(run) for run in by_level[level]]) for level in LEVELS},
        by_seed={level: tuple(_accuracy(run, level) for run in found[method]) for level in LEVELS},
        intervals={level: intervals(by_level[level], spec.resamples, spec.seed) for level in filled},
        confusions={level: np.sum([confusion(run) for run in by_level[level]], axis=0).tolist() for level in LEVELS},
        differences={
            level: differences(by_level[level], compared[level], spec.resamples, spec.seed)
            for level in filled
            if compared[level] and all(len(run) for run in compared[level])
        },
        fitted=tuple(
            {"seed": run[0], **facts}
            for run, predicted in zip(methods[method], found[method], strict=True)
            for facts in predicted.fitted
        ),
    )


def _draws(runs: Sequence[Predicted]) -> list[ByLevel]:
    """What is averaged: every draw of every seed."""
    return [draw for run in runs for draw in run.draws]


def _accuracy(run: Predicted, level: Level) -> float | None:
    """Mean over the draws of a seed; None at a level that nothing is predicted at."""
    return mean_of([metrics(draw[level])["accuracy"] for draw in run.draws])


def _mean_metrics(rows: Sequence[Mapping[str, float | int | None]]) -> dict[str, float | int | None]:
    """Measures as means over seeds; counts are those of the first."""
    return {**rows[0], **{name: mean_of([row[name] for row in rows]) for name in MEASURES}}


def reference_of(against: str | None, method: str, methods: list[str]) -> str | None:
    """The method that `method` is compared with: of equal names its own run's (`hlss · last` with `hlss · start`)."""
    if against is None:
        return None
    if against in methods:
        return against if against != method else None
    same = [name for name in methods if name.split(" · ")[-1] == against]
    if not same:
        raise UserError(f"no method {against!r}", where="--against", fix=f"There are: {', '.join(methods)}.")
    own = f"{method.split(' · ')[0]} · {against}"
    found = own if own in same else same[0]
    return found if found != method else None


def _unmatched(methods: Scored, references: Mapping[str, str | None]) -> list[str]:
    """Of compared methods that were not tested on the same patients."""
    patients = {
        method: {patient for folds in runs.values() for fold in folds for patient in fold.patients}
        for method, runs in methods.items()
    }
    return [
        f"{method} and {reference} were tested on different patients: compared on the "
        f"{len(patients[method] & patients[reference])} of both"
        for method, reference in references.items()
        if reference is not None and patients[method] != patients[reference]
    ]


def _unreviewed(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of encoders that were tied to a bank which nobody stands behind."""
    found = dict.fromkeys(str(one.get("method")) for one in tables if one.get("bank_status") == "unreviewed")
    return [f"trained with an unreviewed bank, which no pathologist has verified: {', '.join(found)}"] if found else []


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
