"""Embedding tables in, scores out: methods side by side, folds pooled, seeds averaged, differences paired."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field
from rich.console import Console

from hlss.config import Part
from hlss.errors import UserError
from hlss.evaluate.embedding_table import EmbeddingTable
from hlss.evaluate.intervals import Difference, Interval, accuracy_difference, accuracy_interval
from hlss.evaluate.knn import PAPER, SMALL, Protocol, knn_probabilities
from hlss.evaluate.scores import (
    LEVEL_COLUMN,
    Predictions,
    Scoring,
    aggregated,
    confusion,
    metrics,
    pooled,
)
from hlss.evaluate.show import show
from hlss.types import LEVELS, Level

PROTOCOLS = {"paper": PAPER, "small": SMALL}
Side = Literal["test", "val"]
Runs = list[dict[Level, Predictions]]  # of each seed


class EvaluateSpec(Part):
    """How features are scored. max_patches_per_slide and seed also rule which patches are embedded.

    protocols: both are printed, neither is chosen by its result (SPEC §6). resamples: of patients, for intervals.
    scoring: released repeats the released code's second softmax and its grouping by label.
    """

    protocols: tuple[Literal["paper", "small"], ...] = ("paper", "small")
    scoring: Scoring = "mean"
    resamples: int = Field(default=2000, ge=100)
    seed: int = Field(default=0, ge=0)
    max_patches_per_slide: int | None = Field(default=None, ge=1)


@dataclass(frozen=True)
class Result:
    """Of one method under one protocol: by level, metrics (mean over seeds), interval of accuracy, confusion matrix.

    differences: by level, to the method it is compared with.
    """

    method: str
    protocol: str
    seeds: int
    folds: int
    metrics: Mapping[Level, Mapping[str, float | int | None]]
    intervals: Mapping[Level, Interval | None]
    confusions: Mapping[Level, list[list[int]]]
    differences: Mapping[Level, Difference]


@dataclass(frozen=True)
class Evaluation:
    """Results of every method and protocol, and where they come from."""

    classes: tuple[str, ...]
    queries: str
    against: str | None
    spec: EvaluateSpec
    results: tuple[Result, ...]
    tables: tuple[Mapping[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; `tables` holds the provenance of every table."""
        return {
            "classes": list(self.classes),
            "queries": self.queries,
            "against": self.against,
            "settings": self.spec.model_dump(mode="json"),
            "results": [_plain(asdict(result)) for result in self.results],
            "tables": [_plain(dict(table)) for table in self.tables],
        }

    def show(self, console: Console) -> None:
        """Print tables of results, differences and confusion matrices."""
        show(self, console)


def evaluate(
    tables: Sequence[EmbeddingTable], spec: EvaluateSpec, against: str | None = None, queries: Side = "test"
) -> Evaluation:
    """Weighted nearest neighbours with each table's train side as bank and its `queries` side as queries.

    Tables are grouped by `method` and seed of their provenance; the folds of a group are pooled before any metric.
    against: a method's name, or its part after " · " (as `start`): the others are compared with it, by patient.
    Raises UserError for tables without labels, with one class only, with a patient on two sides, where k is larger
    than the bank, or where `against` names no method.
    """
    classes = tuple(sorted({str(label) for table in tables for label in np.unique(table["label"].astype(str))} - {""}))
    _refuse_few(classes)
    methods: dict[str, dict[int, list[EmbeddingTable]]] = {}
    for table in tables:
        facts = table.provenance
        seeds = methods.setdefault(str(facts.get("method", "features")), {})
        seeds.setdefault(int(facts.get("seed", 0)), []).append(table)
    results = []
    for name in spec.protocols:
        runs = {
            method: [_scored(folds, classes, PROTOCOLS[name], spec.scoring, queries) for folds in seeds.values()]
            for method, seeds in methods.items()
        }
        for method in runs:
            reference = _reference(against, method, list(runs))
            folds = len(next(iter(methods[method].values())))
            compared = runs[reference] if reference is not None else None
            results.append(_result(method, name, folds, runs[method], compared, spec))
    found = tuple(dict(table.provenance) for table in tables)
    return Evaluation(classes, queries, against, spec, tuple(results), found)


def _scored(
    folds: Sequence[EmbeddingTable], classes: tuple[str, ...], protocol: Protocol, scoring: Scoring, queries: str
) -> dict[Level, Predictions]:
    """Predictions by level of one method and seed, folds pooled."""
    by_level: dict[Level, list[Predictions]] = {level: [] for level in LEVELS}
    for table in folds:
        patches = _patches(table, classes, protocol, queries)
        by_level[Level.PATCH].append(patches[0])
        for level in LEVEL_COLUMN:
            by_level[level].append(aggregated(patches[0], patches[1][level], scoring))
    return {level: pooled(predictions) for level, predictions in by_level.items()}


def _patches(
    table: EmbeddingTable, classes: tuple[str, ...], protocol: Protocol, queries: str
) -> tuple[Predictions, dict[Level, Any]]:
    labelled = table.where(table["label"].astype(str) != "")
    bank, asked = (labelled.where(labelled["side"] == side) for side in ("train", queries))
    if len(bank) == 0 or len(asked) == 0:
        raise UserError(
            f"the table has {len(bank)} labelled patches on the train side and {len(asked)} on the {queries} side",
            where=table.provenance.get("method", "table"),
            fix="Embed a cohort with labels and a split.",
        )
    leaked = np.intersect1d(bank["patient"].astype(str), asked["patient"].astype(str))
    if len(leaked):
        raise UserError(f"patient {leaked[0]!r} is on both sides, train and {queries}", fix="Split by patient.")
    labels, truth = (np.searchsorted(classes, part["label"].astype(str)) for part in (bank, asked))
    probabilities = knn_probabilities(bank.features, labels, asked.features, len(classes), protocol)
    places = [asked["slide"], asked["image"], asked["x_px0"], asked["y_px0"]]
    units = np.array(["\0".join(map(str, place)) for place in zip(*places, strict=True)])
    groups = {level: asked[column] for level, column in LEVEL_COLUMN.items()}
    return Predictions(probabilities, truth, asked["patient"].astype(str), units), groups


def _result(method: str, protocol: str, folds: int, runs: Runs, reference: Runs | None, spec: EvaluateSpec) -> Result:
    def of(level: Level, source: Runs) -> list[Predictions]:
        return [run[level] for run in source]

    return Result(
        method=method,
        protocol=protocol,
        seeds=len(runs),
        folds=folds,
        metrics={level: _mean([metrics(run) for run in of(level, runs)]) for level in LEVELS},
        intervals={
            level: accuracy_interval(of(level, runs), spec.resamples, spec.seed) if len(runs[0][level]) else None
            for level in LEVELS
        },
        confusions={level: np.sum([confusion(run) for run in of(level, runs)], axis=0).tolist() for level in LEVELS},
        differences={
            level: accuracy_difference(of(level, runs), of(level, reference), spec.resamples, spec.seed)
            for level in LEVELS
            if reference is not None and len(runs[0][level])
        },
    )


def _mean(rows: Sequence[Mapping[str, float | int | None]]) -> dict[str, float | int | None]:
    """Mean over seeds; counts are those of the first."""
    result: dict[str, float | int | None] = dict(rows[0])
    for name, value in rows[0].items():
        if isinstance(value, float):
            result[name] = float(np.mean([row[name] for row in rows if row[name] is not None]))
    return result


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


def _refuse_few(classes: tuple[str, ...]) -> None:
    if not classes:
        raise UserError("the tables have no labels", fix="Fill the column `label` of the manifest and embed again.")
    if len(classes) == 1:
        raise UserError(f"only one class, {classes[0]!r}: nothing can be told apart", fix="Evaluate with two or more.")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
