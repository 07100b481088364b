"""Embedding tables in, scores out: methods side by side, folds pooled, seeds averaged, differences paired."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from rich.console import Console

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.clock import Clock
from hlss.evaluate.fold import ClassPrompts, Fold, across, by_side, by_site, classes_of, counterpart
from hlss.evaluate.intervals import Difference, Interval, differences, intervals, mean_of
from hlss.evaluate.predict import Predicted, predicted_folds
from hlss.evaluate.scorer import ByLevel, Row
from hlss.evaluate.scores import MEASURES, Scoring, confusion, metrics
from hlss.evaluate.settings import EvaluateSpec as EvaluateSpec  # named here too, beside `evaluate`
from hlss.evaluate.show import show
from hlss.types import LEVELS, Level

Side = Literal["test", "val"]
Methods = Mapping[str, Mapping[tuple[object, ...], Sequence[Fold]]]  # by method and run (seed), the folds
Runs = Mapping[str, Sequence[Predicted]]  # by method


@dataclass(frozen=True)
class Result:
    """Of one method under one protocol, by level: metrics (mean over seeds), intervals, confusions (summed over seeds).

    way, k, scoring: see `Row`. draws: of each seed, averaged like seeds; seeds counts the tables' seeds, or the
    encoders where each is asked about everyone (by site, another cohort). fitted: what was chosen on each bank.
    differences: by level and measure, to the method it is compared with; empty where there is none.
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


def evaluate(
    tables: Sequence[EmbeddingTable],
    spec: EvaluateSpec,
    against: str | None = None,
    queries: Side = "test",
    *,
    prompts: Sequence[ClassPrompts] | None = None,
    queries_from: Sequence[EmbeddingTable] = (),
    say: Callable[[str], None] | None = None,
) -> Evaluation:
    """Score features with each table's train side as bank and its `queries` side as queries.

    Tables are grouped by `method` and seed of their provenance; the folds of a group are pooled before any metric.
    against: a method's name, or its part after " · " (as `start`): the others are compared with it, by patient.
    prompts: of each table, for zero-shot. queries_from: tables of another cohort, one for each table (same method,
    seed and fold), all of whose labelled patches are asked instead. There and by site every encoder is asked about
    everyone, so that tables of several folds are averaged like seeds.
    Raises UserError for tables without labels, with one class only, with a patient on two sides or tested twice, where
    k is larger than the bank, where `against` names no method, and as scorers and folds do.
    """
    classes = classes_of(tables)
    methods = _methods(tables, spec, queries, prompts, queries_from)
    folds = [fold for runs in methods.values() for of_run in runs.values() for fold in of_run]
    for fold in folds:  # before anything takes long
        if fold.prompts is not None:
            fold.prompts.matrix(classes, fold.queries.features.shape[1], fold.name)
    scorers, notices = spec.scorers(folds, prompts is not None)
    references = {method: _reference(against, method, list(methods)) for method in methods}
    clock = Clock(len(folds) * len(scorers), say, "scoring", "protocols and folds")
    scored = {
        method: [predicted_folds(of_run, classes, scorers, spec.scorings, clock.passed) for of_run in runs.values()]
        for method, runs in methods.items()
    }
    results = []
    for row in dict.fromkeys(row for runs in scored.values() for run in runs for row in run):
        by_method = {method: [run[row] for run in runs] for method, runs in scored.items()}
        results += [_result(method, row, methods, by_method, references[method], spec) for method in methods]
    notices += [notice for fold in folds for notice in fold.notices]
    notices += [
        notice for runs in scored.values() for run in runs for found in run.values() for notice in found.notices
    ]
    notices += _unmatched(methods, references)
    if spec.by_site:
        notices.append("by site: patches of every side are asked; an encoder trained on some of them has seen them")
    return Evaluation(
        classes=classes,
        queries="external" if queries_from else "sites" if spec.by_site else queries,
        against=against,
        spec=spec,
        results=tuple(results),
        notices=tuple(dict.fromkeys(notices)),
        tables=tuple(dict(table.provenance) for table in (*tables, *queries_from)),
    )


def _methods(
    tables: Sequence[EmbeddingTable],
    spec: EvaluateSpec,
    queries: Side,
    prompts: Sequence[ClassPrompts] | None,
    queries_from: Sequence[EmbeddingTable],
) -> Methods:
    if spec.by_site and queries_from:
        raise UserError("--by-site and --queries-from do not go together", fix="Leave out one of them.")
    methods: dict[str, dict[tuple[object, ...], list[Fold]]] = {}
    for number, table in enumerate(tables):
        if queries_from:
            folds = [across(table, counterpart(table, queries_from), spec.class_names)]
        else:
            folds = by_site(table) if spec.by_site else [by_side(table, queries)]
        if prompts is not None:
            folds = [replace(fold, prompts=prompts[number]) for fold in folds]
        facts = table.provenance
        everyone = spec.by_site or bool(queries_from)
        run = (int(facts.get("seed", 0)), facts.get("fold") if everyone else None)
        methods.setdefault(str(facts.get("method", "features")), {}).setdefault(run, []).extend(folds)
    return methods


def _result(method: str, row: Row, methods: Methods, found: Runs, reference: str | None, spec: EvaluateSpec) -> Result:
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


def _mean_metrics(rows: Sequence[Mapping[str, float | int | None]]) -> dict[str, float | int | None]:
    """Measures as means over seeds; counts are those of the first."""
    return {**rows[0], **{name: mean_of([row[name] for row in rows]) for name in MEASURES}}


def _reference(against: str | None, method: str, methods: list[str]) -> str | None:
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


def _unmatched(methods: Methods, references: Mapping[str, str | None]) -> list[str]:
    """Of compared methods that were not tested on the same patients."""
    patients = {
        method: {str(patient) for folds in runs.values() for fold in folds for patient in fold.patients_asked}
        for method, runs in methods.items()
    }
    return [
        f"{method} and {reference} were tested on different patients: compared on the "
        f"{len(patients[method] & patients[reference])} of both"
        for method, reference in references.items()
        if reference is not None and patients[method] != patients[reference]
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
