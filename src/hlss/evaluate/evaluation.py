"""Embedding tables in, scores out: methods side by side, folds pooled, seeds averaged, differences paired."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveInt
from rich.console import Console

from hlss.config import Part
from hlss.errors import UserError
from hlss.evaluate.embedding_table import EmbeddingTable
from hlss.evaluate.intervals import Difference, Interval, differences, intervals, mean_of
from hlss.evaluate.knn import PAPER, SMALL, Protocol
from hlss.evaluate.predict import ByLevel, bank_and_queries, classes_of, name_of, predicted_folds
from hlss.evaluate.scores import MEASURES, Scoring, confusion, metrics
from hlss.evaluate.show import show
from hlss.types import LEVELS, Level

PROTOCOLS = {"paper": PAPER, "small": SMALL}
ProtocolName = Literal["paper", "small"]
Side = Literal["test", "val"]
Methods = Mapping[str, Mapping[int, Sequence[EmbeddingTable]]]  # by method and seed, the folds


class EvaluateSpec(Part):
    """How features are scored. max_patches_per_slide and seed also rule which patches are embedded.

    protocols: None takes each that the banks are large enough for, and says which is left out; those named here must
        be possible. Neither is chosen by its result (SPEC §6). k: other numbers of neighbours, by protocol.
    scoring: released repeats the released code's second softmax and its grouping by label.
    resamples: of patients, for intervals.
    """

    protocols: tuple[ProtocolName, ...] | None = Field(default=None, min_length=1)
    k: Mapping[ProtocolName, PositiveInt] = Field(default_factory=dict)
    scoring: Scoring = "mean"
    resamples: int = Field(default=2000, ge=100)
    seed: int = Field(default=0, ge=0)
    max_patches_per_slide: int | None = Field(default=None, ge=1)

    def protocol(self, name: ProtocolName) -> Protocol:
        """The protocol of this name, with its k as set here."""
        return replace(PROTOCOLS[name], k=self.k.get(name, PROTOCOLS[name].k))


@dataclass(frozen=True)
class Result:
    """Of one method under one protocol, by level: metrics (mean over seeds), intervals, confusions (summed over seeds).

    differences: by level and measure, to the method it is compared with; empty where there is none.
    """

    method: str
    protocol: str
    k: int
    seeds: int
    folds: int
    metrics: Mapping[Level, Mapping[str, float | int | None]]
    intervals: Mapping[Level, Mapping[str, Interval]]
    confusions: Mapping[Level, list[list[int]]]
    differences: Mapping[Level, Mapping[str, Difference]]


@dataclass(frozen=True)
class Evaluation:
    """Results of every method and protocol, where they come from, and what a reader should know."""

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
    tables: Sequence[EmbeddingTable], spec: EvaluateSpec, against: str | None = None, queries: Side = "test"
) -> Evaluation:
    """Weighted nearest neighbours with each table's train side as bank and its `queries` side as queries.

    Tables are grouped by `method` and seed of their provenance; the folds of a group are pooled before any metric.
    against: a method's name, or its part after " · " (as `start`): the others are compared with it, by patient.
    Raises UserError for tables without labels, with one class only, with a patient on two sides or tested twice, where
    k is larger than the bank, or where `against` names no method.
    """
    classes = classes_of(tables)
    methods = _methods(tables)
    protocols, notices = _possible(tables, spec, queries)
    references = {method: _reference(against, method, list(methods)) for method in methods}
    results = []
    for protocol in protocols:
        runs = {
            method: [predicted_folds(folds, classes, protocol, spec.scoring, queries) for folds in seeds.values()]
            for method, seeds in methods.items()
        }
        for method, reference in references.items():
            folds = max(len(tables_of_seed) for tables_of_seed in methods[method].values())
            compared = None if reference is None else runs[reference]
            results.append(_result(method, protocol, folds, runs[method], compared, spec))
    notices += [*_unlabelled(tables, queries), *_unmatched(runs, references)]
    found = tuple(dict(table.provenance) for table in tables)
    return Evaluation(classes, queries, against, spec, tuple(results), tuple(notices), found)


def _methods(tables: Sequence[EmbeddingTable]) -> Methods:
    methods: dict[str, dict[int, list[EmbeddingTable]]] = {}
    for table in tables:
        seeds = methods.setdefault(str(table.provenance.get("method", "features")), {})
        seeds.setdefault(int(table.provenance.get("seed", 0)), []).append(table)
    return methods


def _possible(tables: Sequence[EmbeddingTable], spec: EvaluateSpec, queries: str) -> tuple[list[Protocol], list[str]]:
    """Protocols whose k no bank is too small for, and what to say of the others."""
    smallest, where = min((int(bank_and_queries(table, queries)[0].sum()), name_of(table)) for table in tables)
    asked = [spec.protocol(name) for name in spec.protocols or PROTOCOLS]  # type: ignore[arg-type]
    possible = [protocol for protocol in asked if protocol.k <= smallest]
    too_large = [protocol for protocol in asked if protocol.k > smallest]
    if too_large and (spec.protocols is not None or not possible):
        first = too_large[0]
        raise UserError(
            f"k = {first.k} of protocol {first.name} is more than the {smallest} labelled patches of the train side",
            where=where,
            fix=f"Give it fewer, as in --set k.{first.name}={smallest}, or leave this protocol out.",
        )
    notices = [
        f"protocol {protocol.name} is left out: its k = {protocol.k} is more than the {smallest} labelled patches of "
        f"the smallest bank ({where})"
        for protocol in too_large
    ]
    return possible, notices


def _result(
    method: str,
    protocol: Protocol,
    folds: int,
    runs: Sequence[ByLevel],
    reference: Sequence[ByLevel] | None,
    spec: EvaluateSpec,
) -> Result:
    by_level = {level: [run[level] for run in runs] for level in LEVELS}
    filled = [level for level in LEVELS if all(len(run) for run in by_level[level])]
    compared = {level: [run[level] for run in reference or ()] for level in filled}
    return Result(
        method=method,
        protocol=protocol.name,
        k=protocol.k,
        seeds=len(runs),
        folds=folds,
        metrics={level: _mean_metrics([metrics(run) for run in by_level[level]]) for level in LEVELS},
        intervals={level: intervals(by_level[level], spec.resamples, spec.seed) for level in filled},
        confusions={level: np.sum([confusion(run) for run in by_level[level]], axis=0).tolist() for level in LEVELS},
        differences={
            level: differences(by_level[level], compared[level], spec.resamples, spec.seed)
            for level in filled
            if compared[level] and all(len(run) for run in compared[level])
        },
    )


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


def _unlabelled(tables: Sequence[EmbeddingTable], queries: str) -> list[str]:
    """Of patches without a label, and of classes that are asked for but that the bank does not know."""
    notices = []
    for table in tables:
        labels = table["label"].astype(str)
        used = np.isin(table["side"].astype(str), ("train", queries))
        without = int((used & (labels == "")).sum())
        if without:
            notices.append(f"{name_of(table)}: {without} of {used.sum()} patches have no label and are left out")
        bank, asked = bank_and_queries(table, queries)
        unseen = sorted(set(labels[asked]) - set(labels[bank]))
        if unseen:
            notices.append(f"{name_of(table)}: the train side has no patch of {', '.join(unseen)}, which is asked for")
    return list(dict.fromkeys(notices))


def _unmatched(runs: Mapping[str, Sequence[ByLevel]], references: Mapping[str, str | None]) -> list[str]:
    """Of compared methods that were not tested on the same patients."""

    def patients(method: str) -> set[str]:
        return {patient for run in runs[method] for patient in run[Level.PATCH].patient.tolist()}

    return [
        f"{method} and {reference} were tested on different patients: compared on the "
        f"{len(patients(method) & patients(reference))} of both"
        for method, reference in references.items()
        if reference is not None and patients(method) != patients(reference)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
