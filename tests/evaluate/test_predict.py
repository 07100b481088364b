"""From tables to predictions: who may ask whom."""

import numpy as np
import pytest

from hlss.errors import UserError
from hlss.evaluate.embedding_table import EmbeddingTable
from hlss.evaluate.knn import Protocol, knn_probabilities
from hlss.evaluate.predict import bank_and_queries, classes_of, name_of, predicted, predicted_folds
from hlss.types import Level

ONE = Protocol("test", 1)
ROWS = [("p", "s", "a", "train"), ("q", "t", "b", "train"), ("r", "u", "a", "test"), ("v", "w", "", "test")]


def changed(rows, at: int, column: int, value: str):
    return [tuple(value if (i, j) == (at, column) else v for j, v in enumerate(row)) for i, row in enumerate(rows)]


def test_bank_and_queries_are_labelled_rows_of_their_side(make_table):
    bank, asked = bank_and_queries(make_table(ROWS, np.eye(4)), "test")
    assert bank.tolist() == [True, True, False, False]
    assert asked.tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("at", "column", "value", "message"),
    [
        (2, 0, "p", "patient p is on the train side and on the test side"),
        (2, 2, "", "2 labelled patches on the train side and 0 on the test side"),
        (1, 2, "a", "the train side has one class only, a"),
        (2, 3, "val", "2 labelled patches on the train side and 0 on the test side"),
    ],
)
def test_refused(make_table, at: int, column: int, value: str, message: str):
    table = make_table(changed(ROWS, at, column, value), np.eye(4), method="hlss · last", fold=1)
    with pytest.raises(UserError, match=f"hlss · last, fold 1: {message}"):
        bank_and_queries(table, "test")


def test_val_side_can_ask(make_table):
    table = make_table(changed(ROWS, 2, 3, "val"), np.eye(4))
    assert bank_and_queries(table, "val")[1].tolist() == [False, False, True, False]


def test_patient_of_test_and_val_is_nobodys_leak(make_table):
    rows = [*ROWS, ("r", "u", "a", "val")]
    assert bank_and_queries(make_table(rows, np.eye(5)), "test")[1].sum() == 1


def test_classes(make_table):
    other = make_table([("x", "y", "c", "train")], [[1.0]])
    assert classes_of([make_table(ROWS, np.eye(4)), other]) == ("a", "b", "c")
    with pytest.raises(UserError, match=r"no labels.*`label` of the manifest"):
        classes_of([make_table([("p", "s", "", "train")], [[1.0]])])
    with pytest.raises(UserError, match="one class only, 'a'"):
        classes_of([make_table([("p", "s", "a", "train"), ("q", "t", "", "test")], np.eye(2))])


def test_names(make_table):
    assert name_of(make_table(ROWS, np.eye(4))) == "features"
    assert name_of(make_table(ROWS, np.eye(4), method="m", fold=0)) == "m, fold 0"
    assert name_of(make_table(ROWS, np.eye(4), method="m", fold=None)) == "m"


def test_levels_of_one_table(cohort_table):
    """Slides and patients against means of the patches' probabilities taken by hand."""
    table = cohort_table(range(6), range(6, 12), noise=0.6)
    protocol = Protocol("test", 5, centred=True)
    found = predicted(table, ("a", "b", "c"), protocol, "mean", "test")
    bank, asked = (table.where(table["side"] == side) for side in ("train", "test"))
    labels = np.array(["abc".index(label) for label in bank["label"]])
    patches = knn_probabilities(bank.features, labels, asked.features, 3, protocol)
    assert np.array_equal(found[Level.PATCH].probabilities, patches)
    for level, column in ((Level.SLIDE, "slide"), (Level.PATIENT, "patient")):
        for unit, probabilities, truth in zip(
            found[level].unit, found[level].probabilities, found[level].truth, strict=True
        ):
            rows = asked[column] == unit
            assert np.allclose(probabilities, patches[rows].mean(axis=0))
            assert {"abc"[truth]} == set(asked["label"][rows])
    assert (len(found[Level.SLIDE]), len(found[Level.PATIENT])) == (12, 6)


def test_labels_of_slides_that_disagree(make_table):
    """A patient with two labelled slides of different classes: two slides, no patient."""
    rows = [*ROWS[:2], ("r", "u", "a", "test"), ("r", "w", "b", "test")]
    found = predicted(make_table(rows, np.eye(4)), ("a", "b"), ONE, "mean", "test")
    assert (len(found[Level.SLIDE]), found[Level.SLIDE].left_out) == (2, 0)
    assert (len(found[Level.PATIENT]), found[Level.PATIENT].left_out) == (0, 1)


def test_folds_are_pooled(cohort_table):
    folds = [cohort_table(range(6), range(6, 9), fold=0), cohort_table(range(6), range(9, 12), fold=1)]
    found = predicted_folds(folds, ("a", "b", "c"), ONE, "mean", "test")
    assert found[Level.PATIENT].unit.tolist() == [f"{p:03d}" for p in range(6, 12)]


def test_patient_tested_by_two_folds(cohort_table):
    folds = [cohort_table(range(6), range(6, 9)), cohort_table(range(6), range(8, 12))]
    with pytest.raises(UserError, match="'008' is tested by several tables"):
        predicted_folds(folds, ("a", "b", "c"), ONE, "mean", "test")


def test_same_patch_twice(make_table):
    table = make_table(ROWS, np.eye(4))
    rows = np.array([0, 1, 2, 2])
    columns = {name: column[rows] for name, column in table.columns.items()}
    with pytest.raises(UserError, match=r"u u\.png 448,0 stands twice"):
        predicted_folds([EmbeddingTable(table.features[rows], columns, {})], ("a", "b"), ONE, "mean", "test")
