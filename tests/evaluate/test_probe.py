"""Probes on patches: what they are fitted on, and what they give."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hlss.evaluate.fold import by_side
from hlss.evaluate.probe import FewShot, Probe, drawn
from hlss.types import Level

CLASSES = ("a", "b", "c")


@pytest.fixture
def task(cohort_table):
    return by_side(cohort_table(range(18), range(18, 30), 0.4, method="m"), "test").opened(CLASSES)


def unit_rows(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def test_probe_is_logistic_regression_on_unit_features(task):
    (scored,) = Probe(0).score(task)
    (facts,) = scored.fitted
    bank, queries = (unit_rows(part.features.astype(float)) for part in (task.bank, task.queries))
    mean, scale = bank.mean(axis=0), np.sqrt(bank.var(axis=0).mean())
    model = LogisticRegression(C=facts["C"], tol=1e-9, max_iter=10_000).fit((bank - mean) / scale, task.bank.labels)
    found = scored.by_level[Level.PATCH]
    assert np.allclose(found.probabilities, model.predict_proba((queries - mean) / scale), atol=3e-3)
    assert np.array_equal(found.truth, task.queries.labels)
    assert (scored.row.name, scored.row.k) == ("probe", None)


@pytest.mark.parametrize("shots", [1, 3])
def test_drawn_are_all_patches_of_so_many_patients_a_class(task, shots: int):
    rows = drawn(task.bank, shots, seed=0, draw=0)
    patients = task.bank.ids("patient")
    assert len(rows) == len(set(rows.tolist())) == 3 * shots * 4
    for label in range(3):
        assert len(set(patients[rows][task.bank.labels[rows] == label])) == shots


def test_more_shots_hold_fewer_and_draws_differ(task):
    few, many = (set(drawn(task.bank, shots, 0, 0).tolist()) for shots in (1, 4))
    assert few < many
    assert len({tuple(drawn(task.bank, 1, seed, draw)) for seed in (0, 1) for draw in range(5)}) > 5


def test_patient_of_several_classes_gives_each_its_patches(make_table):
    rows = [("p", "s", "a", "train"), ("p", "t", "b", "train"), ("q", "u", "a", "test")]
    task = by_side(make_table(rows, np.eye(3)), "test").opened(("a", "b"))
    assert drawn(task.bank, 1, 0, 0).tolist() == [0, 1]


def test_few_shot_fits_on_the_drawn_only(task):
    """A row a number of patients, its draws in order; every draw against scikit-learn with C = 1/d."""
    found = list(FewShot((1, 2), draws=2, seed=7).score(task))
    assert [scored.row.name for scored in found] == ["few-shot-1"] * 2 + ["few-shot-2"] * 2
    for scored, (shots, draw) in zip(found, [(1, 0), (1, 1), (2, 0), (2, 1)], strict=True):
        rows = drawn(task.bank, shots, 7, draw)
        bank, queries = unit_rows(task.bank.features[rows].astype(float)), unit_rows(task.queries.features)
        mean, scale = bank.mean(axis=0), np.sqrt(bank.var(axis=0).mean())
        model = LogisticRegression(C=1 / 6, tol=1e-9, max_iter=10_000)
        model.fit((bank - mean) / scale, task.bank.labels[rows])
        wanted = model.predict_proba((queries - mean) / scale)
        assert np.allclose(scored.by_level[Level.PATCH].probabilities, wanted, atol=3e-3)
