"""From folds to predictions at every level."""

import numpy as np
import pytest

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.fold import by_side
from hlss.evaluate.knn import Protocol, knn_probabilities
from hlss.evaluate.neighbours import Neighbours
from hlss.evaluate.predict import pooled_folds, scored_fold
from hlss.evaluate.scorer import Row, Scored
from hlss.evaluate.scores import Predictions
from hlss.types import Level

ONE = Protocol("test", 1)
ROWS = [("p", "s", "a", "train"), ("q", "t", "b", "train"), ("r", "u", "a", "test"), ("v", "w", "", "test")]


def predicted(tables, classes=("a", "b", "c"), protocol: Protocol = ONE):
    scorers = [Neighbours((protocol,))]
    folds = [scored_fold(by_side(table, "test"), classes, scorers, {"": "mean"}) for table in tables]
    (found,) = pooled_folds(folds).values()
    (draw,) = found.draws
    return draw


def test_levels_of_one_table(cohort_table):
    """Slides and patients against means of the patches' probabilities taken by hand."""
    table = cohort_table(range(6), range(6, 12), noise=0.6)
    protocol = Protocol("test", 5, centred=True)
    found = predicted([table], protocol=protocol)
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
    found = predicted([make_table(rows, np.eye(4))], ("a", "b"))
    assert (len(found[Level.SLIDE]), found[Level.SLIDE].left_out) == (2, 0)
    assert (len(found[Level.PATIENT]), found[Level.PATIENT].left_out) == (0, 1)


def test_folds_are_pooled(cohort_table):
    folds = [cohort_table(range(6), range(6, 9), fold=0), cohort_table(range(6), range(9, 12), fold=1)]
    assert predicted(folds)[Level.PATIENT].unit.tolist() == [f"{p:03d}" for p in range(6, 12)]


def test_patient_tested_by_two_folds(cohort_table):
    with pytest.raises(UserError, match="'008' is tested by several tables"):
        predicted([cohort_table(range(6), range(6, 9)), cohort_table(range(6), range(8, 12))])


def test_same_patch_twice(make_table):
    table = make_table(ROWS, np.eye(4))
    rows = np.array([0, 1, 2, 2])
    columns = {name: column[rows] for name, column in table.columns.items()}
    with pytest.raises(UserError, match=r"u u\.png 448,0 stands twice"):
        predicted([EmbeddingTable(table.features[rows], columns, {})], ("a", "b"))


class Coarse:
    """Two draws of slides and patients of its own; the second fold has no patients."""

    def score(self, task):
        n = len(task.queries.labels)
        units = Predictions(np.eye(3)[np.zeros(n, int)], task.queries.labels, task.queries.ids("patient"),
                            task.queries.places())  # fmt: skip
        levels = {Level.SLIDE: units} | ({} if task.name.endswith("1") else {Level.PATIENT: units})
        for draw in range(2):
            yield Scored(Row("coarse", "made up"), levels, ({"C": float(draw)},), (f"{task.name} scored",))


def test_scorer_of_slides_and_patients_is_taken_as_it_is(cohort_table):
    tables = [cohort_table(range(6), range(6 + 3 * i, 9 + 3 * i), method="m", fold=i) for i in range(2)]
    passed = []
    scorings = {"": "mean", "-released": "released"}
    found = pooled_folds(
        [
            scored_fold(by_side(table, "test"), ("a", "b", "c"), [Coarse()], scorings, lambda: passed.append(1))
            for table in tables
        ]
    )
    ((row, coarse),) = found.items()
    assert (row.name, row.scoring) == ("coarse", None)
    assert [{level: len(p) for level, p in draw.items()} for draw in coarse.draws] == [
        {Level.PATCH: 0, Level.SLIDE: 24, Level.PATIENT: 0}
    ] * 2
    assert coarse.fitted == tuple({"fold": f"m, fold {i}", "C": c} for i in range(2) for c in (0.0, 1.0))
    assert coarse.notices == ("m, fold 0 scored", "m, fold 1 scored")
    assert len(passed) == 2
