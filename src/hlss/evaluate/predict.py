"""From embedding tables to predictions: the train side is the bank, another side asks, folds are pooled."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from hlss.errors import UserError
from hlss.evaluate.embedding_table import EmbeddingTable
from hlss.evaluate.knn import Protocol, knn_probabilities
from hlss.evaluate.scores import LEVEL_COLUMN, Predictions, Scoring, aggregated, pooled
from hlss.types import LEVELS, Level

ByLevel = Mapping[Level, Predictions]
Marks = Bool[ndarray, " n"]
_SPLIT = "Split by patient, every class on every side, and embed again."


def classes_of(tables: Sequence[EmbeddingTable]) -> tuple[str, ...]:
    """Sorted names of the classes. Raises UserError where there are fewer than two."""
    found = tuple(sorted({label for table in tables for label in _texts(table, "label").tolist()} - {""}))
    if not found:
        raise UserError("the tables have no labels", fix="Fill the column `label` of the manifest and embed again.")
    if len(found) == 1:
        raise UserError(
            f"there is one class only, {found[0]!r}: nothing can be told apart",
            where="label",
            fix="Evaluate patches of two or more classes.",
        )
    return found


def bank_and_queries(table: EmbeddingTable, queries: str) -> tuple[Marks, Marks]:
    """Marks the labelled patches of the train side, and those of the `queries` side.

    Raises UserError where one of them is empty, a patient is in both, or the bank has one class only.
    """
    labels, sides, patients = (_texts(table, column) for column in ("label", "side", "patient"))
    bank, asked = ((labels != "") & (sides == side) for side in ("train", queries))
    where = name_of(table)
    if not bank.any() or not asked.any():
        raise UserError(
            f"{bank.sum()} labelled patches on the train side and {asked.sum()} on the {queries} side",
            where=where,
            fix="Embed a cohort with labels (`label` of the manifest) and a split.",
        )
    both = np.intersect1d(patients[bank], patients[asked])
    if len(both):
        raise UserError(f"patient {both[0]!s} is on the train side and on the {queries} side", where=where, fix=_SPLIT)
    known = np.unique(labels[bank])
    if len(known) == 1:
        raise UserError(f"the train side has one class only, {known[0]!s}", where=where, fix=_SPLIT)
    return bank, asked


def predicted(
    table: EmbeddingTable, classes: tuple[str, ...], protocol: Protocol, scoring: Scoring, queries: str
) -> ByLevel:
    """Predictions by level of one table's queries. Raises UserError as `bank_and_queries` and `knn_probabilities`."""
    bank, asked = (table.where(marks) for marks in bank_and_queries(table, queries))
    labels, truth = (np.searchsorted(classes, _texts(part, "label")) for part in (bank, asked))
    probabilities = knn_probabilities(bank.features, labels, asked.features, len(classes), protocol)
    patches = Predictions(probabilities, truth, _texts(asked, "patient"), _places(asked))
    found = {level: aggregated(patches, _texts(asked, column), scoring) for level, column in LEVEL_COLUMN.items()}
    return {Level.PATCH: patches, **found}


def predicted_folds(
    folds: Sequence[EmbeddingTable], classes: tuple[str, ...], protocol: Protocol, scoring: Scoring, queries: str
) -> ByLevel:
    """Predictions by level of one method and seed, its folds pooled."""
    found = [predicted(table, classes, protocol, scoring, queries) for table in folds]
    return {level: pooled([fold[level] for fold in found]) for level in LEVELS}


def name_of(table: EmbeddingTable) -> str:
    """What to call a table in a message."""
    facts = table.provenance
    name = str(facts.get("method", "features"))
    return name if facts.get("fold") is None else f"{name}, fold {facts['fold']}"


def _places(table: EmbeddingTable) -> ndarray:
    """A name of each patch: slide, image and corner."""
    columns = [table[name].tolist() for name in ("slide", "image", "x_px0", "y_px0")]
    return np.array([f"{slide}\t{image}\t{x_px0},{y_px0}" for slide, image, x_px0, y_px0 in zip(*columns, strict=True)])


def _texts(table: EmbeddingTable, column: str) -> ndarray:
    texts: ndarray = table[column].astype(str)
    return texts
