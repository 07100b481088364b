"""Logistic regression against scikit-learn run by hand, and its C against a plain loop over held-out patients."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hlss.evaluate.linear import LOG_GRID, dealt, fit, fit_chosen


@pytest.fixture
def data():
    """40 patients of three classes, 3 rows each; a common shift and a rotation that must not matter."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(40) % 3, 3)
    corners = np.eye(12)[labels] * 2 + np.repeat(rng.standard_normal((40, 12)), 3, axis=0)
    return (corners + 0.3 * rng.standard_normal(corners.shape) + 5).astype(np.float32), labels, patients_of(40, 3)


def patients_of(patients: int, rows: int):
    return np.repeat([f"p{i:02d}" for i in range(patients)], rows)


def by_hand(features, labels, queries, c):
    """Centre, one scale for all dimensions, scikit-learn in float64 to a tight tolerance."""
    mean, scale = features.mean(axis=0), np.sqrt(features.var(axis=0).mean())
    model = LogisticRegression(C=c, tol=1e-9, max_iter=10_000).fit((features - mean) / scale, labels)
    return model.predict_proba((queries - mean) / scale)


@pytest.mark.parametrize("c", [None, 1e-3, 1.0])
def test_equals_scikit_learn(data, c):
    features, labels, _ = data
    found = fit(features, labels, c).probabilities(features[:7], 3)
    wanted = by_hand(features.astype(float), labels, features[:7].astype(float), 1 / 12 if c is None else c)
    assert np.allclose(found, wanted, atol=3e-3)


def test_two_classes_and_classes_the_bank_lacks(data):
    features, labels, _ = data
    two = labels != 1
    found = fit(features[two], labels[two]).probabilities(features, 5)
    assert found.shape == (120, 5)
    assert np.array_equal(found[:, [1, 3, 4]], np.zeros((120, 3)))
    assert np.allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == labels)[two].mean() > 0.9


def test_rotation_shift_and_scale_of_features_do_not_matter(data):
    features, labels, _ = data
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0]
    moved = ((features @ rotation) * 100 - 7).astype(np.float32)
    assert np.allclose(fit(features, labels).probabilities(features, 3), fit(moved, labels).probabilities(moved, 3),
                       atol=5e-3)  # fmt: skip


def test_constant_features_are_no_division_by_zero():
    probe = fit(np.ones((4, 3), dtype=np.float32), np.array([0, 0, 1, 1]))
    assert np.allclose(probe.probabilities(np.ones((1, 3), dtype=np.float32), 2), 0.5)


def test_c_is_the_best_on_held_out_patients(data):
    """A loop over folds and C with fits of its own, none warm."""
    features, labels, patients = data
    rows = features - features.mean(axis=0)
    rows /= np.sqrt((rows**2).mean())
    held = dealt(labels, patients, 3)
    right = []
    for exponent in LOG_GRID:
        count = 0
        for part in range(5):
            train = held != part
            model = LogisticRegression(C=10.0**exponent / 12, max_iter=5000).fit(rows[train], labels[train])
            count += (model.predict(rows[~train]) == labels[~train]).sum()
        right.append(count)
    chosen = fit_chosen(features, labels, patients, 3)
    best = [exponent for exponent, count in zip(LOG_GRID, right, strict=True) if count == max(right)]
    assert 1 <= len(best) < len(LOG_GRID)
    assert chosen.c == 10.0 ** best[(len(best) - 1) // 2] / 12
    edge = chosen.c in (10.0 ** LOG_GRID[0] / 12, 10.0 ** LOG_GRID[-1] / 12)
    assert chosen.notices == (("C lies on the edge of its grid",) if edge else ())
    wanted = fit(features, labels, chosen.c).probabilities(features, 3)
    assert np.allclose(chosen.probabilities(features, 3), wanted, atol=2e-3)


def test_patients_decide_not_patches():
    """Rows of a patient are near copies, labels are noise: held-out rows, not patients, would favour a weak ridge."""
    rng = np.random.default_rng(5)
    features = np.repeat(rng.standard_normal((30, 40)), 8, axis=0) + 0.01 * rng.standard_normal((240, 40))
    labels = np.repeat(rng.integers(0, 2, 30), 8)
    chosen = fit_chosen(features.astype(np.float32), labels, patients_of(30, 8), 0)
    held_rows = np.arange(240) % 5
    rows = (features - features.mean(axis=0)) / np.sqrt(features.var(axis=0).mean())
    leaked = []
    for c in (chosen.c, 10.0 ** LOG_GRID[-1] / 40):
        found = [
            LogisticRegression(C=c, max_iter=5000).fit(rows[held_rows != p], labels[held_rows != p])
            .score(rows[held_rows == p], labels[held_rows == p])
            for p in range(5)
        ]  # fmt: skip
        leaked.append(np.mean(found))
    assert leaked[1] == 1.0  # a leak would look perfect with the weakest ridge
    assert chosen.c < 10.0 ** LOG_GRID[-1] / 40


@pytest.mark.parametrize("patients", [2, 3, 5, 17])
@pytest.mark.parametrize("seed", range(5))
def test_no_patient_on_both_sides_and_classes_in_turn(patients: int, seed: int):
    rng = np.random.default_rng(seed)
    number = rng.integers(0, patients, 200)
    names, of_patient = np.array([f"p{i}" for i in range(patients)]), rng.integers(0, 3, patients)
    held = dealt(of_patient[number], names[number], seed)
    assert set(held) == set(range(min(5, len(set(number)))))
    for patient in set(number):
        assert len(set(held[number == patient])) == 1
    for label in range(3):
        mine = np.unique(number[of_patient[number] == label])
        counts = [len(set(number[held == part]) & set(mine.tolist())) for part in range(held.max() + 1)]
        assert max(counts) - min(counts) <= 1


def test_deal_depends_on_the_seed_but_not_on_the_order_of_rows(data):
    _, labels, patients = data
    order = np.random.default_rng(0).permutation(len(labels))
    assert np.array_equal(dealt(labels[order], patients[order], 0), dealt(labels, patients, 0)[order])
    assert not np.array_equal(dealt(labels, patients, 0), dealt(labels, patients, 1))


@pytest.mark.parametrize("patients", [1, 2, 3])
def test_too_few_patients_to_choose(data, patients: int):
    features, labels, names = data
    rows = slice(0, 3 * patients)
    mixed = labels[rows].copy()
    mixed[0] = 1
    mixed[1:] = 0  # the one patient of class 1 is held out with it
    probe = fit_chosen(features[rows], mixed, names[rows], 0)
    assert probe.c == 1 / 12
    assert probe.notices == ("too few patients to choose C; it is 1 / dimensions",)


def test_edge_of_the_grid_is_said():
    """Nothing but noise, two thirds of one class: the strongest ridge, which says that class of all, is best."""
    rng = np.random.default_rng(0)
    labels = (np.arange(60) % 3 == 0).astype(int)
    noise = rng.standard_normal((60, 30)).astype(np.float32)
    chosen = fit_chosen(noise, labels, patients_of(60, 1), 0)
    assert chosen.c < 1e-2 / 30
    assert set(chosen.notices) <= {"C lies on the edge of its grid"}


def test_of_equals_the_middle_one_and_it_is_said():
    labels = np.arange(40) % 2
    apart = np.random.default_rng(0).standard_normal((40, 4)) + 1000 * (labels[:, None] * 2 - 1)
    chosen = fit_chosen(apart.astype(np.float32), labels, patients_of(40, 1), 0)
    assert chosen.c == 10.0 ** LOG_GRID[3] / 4
    assert chosen.notices == ("all C were equal on held-out patients",)


def test_a_fit_that_does_not_converge_is_said(data, monkeypatch):
    features, labels, _ = data
    monkeypatch.setattr("hlss.evaluate.linear._MOST_ITERATIONS", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit(features, labels).notices == ("the fit did not converge in 2 iterations",)
