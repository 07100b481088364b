"""Embedding tables in, scores out: every method, seed and fold is scored alike, and results made of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.clock import Clock
from hlss.evaluate.fold import ClassPrompts, Fold, across, by_side, by_site, classes_of, counterpart
from hlss.evaluate.predict import scored_fold
from hlss.evaluate.results import Evaluation as Evaluation  # named here too, beside `evaluate`
from hlss.evaluate.results import Result as Result
from hlss.evaluate.results import Run, evaluation_of, reference_of
from hlss.evaluate.settings import EvaluateSpec as EvaluateSpec

Side = Literal["test", "val"]
Methods = Mapping[str, Mapping[Run, Sequence[Fold]]]  # by method and run, the folds


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
    for method in methods:
        reference_of(against, method, list(methods))
    clock = Clock(len(folds) * len(scorers), say, "scoring", "protocols and folds")
    scored = {
        method: {
            run: [scored_fold(fold, classes, scorers, spec.scorings, clock.passed) for fold in of_run]
            for run, of_run in runs.items()
        }
        for method, runs in methods.items()
    }
    asked = "external" if queries_from else "sites" if spec.by_site else queries
    made_by = [table.provenance for table in (*tables, *queries_from)]
    return evaluation_of(scored, spec, against, asked, notices=notices, tables=made_by)


def _methods(
    tables: Sequence[EmbeddingTable],
    spec: EvaluateSpec,
    queries: Side,
    prompts: Sequence[ClassPrompts] | None,
    queries_from: Sequence[EmbeddingTable],
) -> Methods:
    if spec.by_site and queries_from:
        raise UserError("--by-site and --queries-from do not go together", fix="Leave out one of them.")
    methods: dict[str, dict[Run, list[Fold]]] = {}
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
