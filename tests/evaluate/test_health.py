"""Health measures on features whose state is known, and against loops over pairs."""

import itertools
import math

import numpy as np
import pytest

from hlss.errors import UserError
from hlss.evaluate.health import alignment, effective_rank, knn_accuracy, site_predictability, uniformity
from hlss.evaluate.knn import Protocol


@pytest.fixture
def z() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((12, 5)).astype(np.float32)


def test_knn_accuracy_of_separated_classes():
    bank, labels = np.repeat(np.eye(3), 4, axis=0), np.repeat(np.arange(3), 4)
    queries, truth = np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 1])
    assert knn_accuracy(bank, labels, queries, truth, Protocol("t", 4)) == 0.75


def test_class_that_only_queries_have():
    assert knn_accuracy(np.eye(2), np.array([0, 1]), np.eye(2), np.array([0, 5]), Protocol("t", 1)) == 0.5


def test_nothing_to_validate_with():
    with pytest.raises(UserError, match="no labelled patch"):
        knn_accuracy(np.eye(2), np.array([0, 1]), np.zeros((0, 2)), np.zeros(0, dtype=int), Protocol("t", 1))


@pytest.mark.parametrize(("rows", "rank"), [(np.eye(6), 6), (np.ones((9, 6)), 1), (np.tile(np.eye(6)[:2], (5, 1)), 2)])
def test_effective_rank_of_known_features(rows: np.ndarray, rank: float):
    assert effective_rank(rows * 7.0) == pytest.approx(rank, rel=1e-4)


@pytest.mark.parametrize("shape", [(40, 7), (7, 40)])
def test_effective_rank_equals_its_definition(shape: tuple[int, int]):
    rows = np.random.default_rng(1).standard_normal(shape)
    values = np.linalg.svd(rows, compute_uv=False)
    wanted = math.exp(-sum(v / sum(values) * math.log(v / sum(values)) for v in values))
    assert effective_rank(rows) == pytest.approx(wanted, rel=1e-6)


def test_alignment_equals_a_loop(z: np.ndarray):
    group = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 5])
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    pairs = [(i, j) for i, j in itertools.combinations(range(12), 2) if group[i] == group[j]]
    wanted = np.mean([((unit[i] - unit[j]) ** 2).sum() for i, j in pairs])
    assert alignment(z, group) == pytest.approx(wanted, rel=1e-5)


def test_alignment_at_its_ends(z: np.ndarray):
    assert alignment(np.repeat(z, 2, axis=0), np.repeat(np.arange(12), 2)) == pytest.approx(0, abs=1e-6)
    assert alignment(np.array([[1.0, 0], [-1, 0]]), np.zeros(2, dtype=int)) == pytest.approx(4)
    assert math.isnan(alignment(z, np.arange(12)))


def test_uniformity_equals_a_loop(z: np.ndarray):
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    terms = [math.exp(-2 * ((unit[i] - unit[j]) ** 2).sum()) for i, j in itertools.combinations(range(12), 2)]
    assert uniformity(z) == pytest.approx(math.log(np.mean(terms)), rel=1e-5)


def test_uniformity_at_its_ends(z: np.ndarray):
    assert uniformity(np.ones((5, 3))) == pytest.approx(0, abs=1e-9)
    assert math.isnan(uniformity(z[:1]))


def test_site_that_shows_is_found():
    """Two sites, two patients each; features say the site."""
    sites, patients = np.repeat([0, 1], 8), np.repeat(np.arange(4), 4)
    found = site_predictability(np.eye(2)[sites], sites, patients)
    assert found == {"val/site_knn": 1.0, "val/site_majority": 0.5}


def test_patients_own_patches_do_not_tell_its_site():
    """Features say the patient and nothing of the site: neighbours within the patient would be always right."""
    rng = np.random.default_rng(3)
    patients = np.repeat(np.arange(40), 5)
    sites = np.repeat(np.arange(40) % 2, 5)
    z = np.repeat(rng.standard_normal((40, 16)), 5, axis=0) + 0.01 * rng.standard_normal((200, 16))
    found = site_predictability(z, sites, patients)
    assert 0.25 < found["val/site_knn"] < 0.75


def test_large_patient_does_not_vote_for_itself():
    """One patch of one other patient at the same site, one of each of two at the other: k exceeds what is left."""
    sites = np.array([0] * 30 + [0] + [1, 1])
    patients = np.array([0] * 30 + [1] + [2, 3])
    z = np.array([[1.0, 0]] * 30 + [[0.0, 1]] + [[1.0, 0.1]] * 2)
    assert site_predictability(z, sites, patients)["val/site_knn"] == pytest.approx(1 / 33)  # patient 1's by 0's vote


def test_sites_that_cannot_be_judged_are_left_out():
    sites, patients = np.array([0, 0, 1, 1, -1, -1]), np.array([0, 1, 2, 2, 3, 4])
    assert site_predictability(np.eye(6), sites, patients) == {}
    more = np.concatenate([sites, [2, 2, 2]]), np.concatenate([patients, [5, 6, 6]])
    assert site_predictability(np.eye(9), *more)["val/site_majority"] == pytest.approx(3 / 5)
