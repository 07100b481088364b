"""Nearest neighbours against a loop that sorts Python floats."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hlss.errors import UserError
from hlss.evaluate.knn import PAPER, SMALL, Protocol, knn_probabilities, nearest, nearest_by_torch


def by_loop(bank, labels, queries, classes, k, temperature, centred):
    """SPEC §6 word by word, in float64."""
    center = np.mean(bank, axis=0) if centred else np.zeros(bank.shape[1])
    result = []
    for query in queries:
        q = (query - center) / math.sqrt(sum((query - center) ** 2))
        similarities = []
        for row, label in zip(bank, labels, strict=True):
            b = (row - center) / math.sqrt(sum((row - center) ** 2))
            similarities.append((float(sum(q * b)), label))
        scores = [0.0] * classes
        for similarity, label in sorted(similarities, reverse=True)[:k]:
            scores[label] += math.exp(similarity / temperature)
        result.append([score / sum(scores) for score in scores])
    return np.array(result)


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    bank = rng.standard_normal((60, 8)) + 3  # far from the origin, so that centring matters
    queries = rng.standard_normal((9, 8)) + 3
    return bank.astype(np.float32), rng.integers(0, 4, 60), queries.astype(np.float32)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("k", [1, 7, 60])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_equals_the_loop(features, centred: bool, k: int, temperature: float):
    bank, labels, queries = features
    protocol = Protocol("test", k, temperature, centred)
    found = knn_probabilities(bank, labels, queries, 5, protocol)
    wanted = by_loop(bank.astype(float), labels, queries.astype(float), 5, k, temperature, centred)
    assert np.allclose(found, wanted, atol=2e-5)
    assert np.array_equal(found[:, 4], np.zeros(9))  # a class the bank does not know


def test_protocols_are_those_of_the_method():
    assert (PAPER.k, PAPER.temperature, PAPER.centred) == (200, 0.07, False)
    assert (SMALL.k, SMALL.temperature, SMALL.centred) == (20, 0.07, True)


def test_small_temperature_does_not_overflow(features):
    bank, labels, queries = features
    found = knn_probabilities(bank, labels, queries, 4, Protocol("sharp", 60, 1e-3))
    assert np.isfinite(found).all()
    assert np.allclose(found.sum(axis=1), 1)


def test_scale_of_features_does_not_matter(features):
    bank, labels, queries = features
    one = knn_probabilities(bank, labels, queries, 4, replace(PAPER, k=5))
    other = knn_probabilities(bank * 1000, labels, queries / 1000, 4, replace(PAPER, k=5))
    assert np.allclose(one, other, atol=1e-4)


def test_centre_is_that_of_the_bank(features):
    bank, labels, queries = features
    alone = knn_probabilities(bank, labels, queries[:1], 4, replace(SMALL, k=5))
    together = knn_probabilities(bank, labels, queries, 4, replace(SMALL, k=5))
    assert np.allclose(alone[0], together[0], atol=1e-6)


def test_query_on_the_centre_is_finite():
    bank = np.array([[1.0, 0.0], [-1.0, 0.0]], dtype=np.float32)
    found = knn_probabilities(bank, np.array([0, 1]), np.zeros((1, 2), np.float32), 2, Protocol("t", 2, centred=True))
    assert np.allclose(found, 0.5)


@pytest.mark.parametrize("k", [0, 61])
def test_k_must_fit_the_bank(features, k: int):
    bank, labels, queries = features
    with pytest.raises(UserError, match=f"k = {k} neighbours of a bank of 60 patches"):
        knn_probabilities(bank, labels, queries, 4, Protocol("paper", k))


@pytest.mark.parametrize("which", [0, 2])
def test_features_must_be_finite(features, which: int):
    broken = [part.copy() for part in features]
    broken[which][3, 2] = np.nan
    with pytest.raises(UserError, match="not finite"):
        knn_probabilities(*broken, 4, replace(SMALL, k=5))


def test_torch_and_faiss_agree_on_blocks(monkeypatch):
    """The way of a GPU, taken here on the CPU, in blocks of 64 queries."""
    monkeypatch.setattr("hlss.evaluate.knn._PRODUCT_VALUES", 64_000)
    rng = np.random.default_rng(1)
    bank = rng.standard_normal((1000, 16)).astype(np.float32)
    queries = rng.standard_normal((700, 16)).astype(np.float32)
    wanted, rows = nearest(queries, bank, 9)
    found, torch_rows = nearest_by_torch(queries, bank, 9, torch.device("cpu"))
    assert np.array_equal(rows, torch_rows)
    assert np.allclose(wanted, found, atol=1e-5)


def test_without_faiss(features, monkeypatch):
    bank, labels, queries = features
    wanted = knn_probabilities(bank, labels, queries, 4, replace(SMALL, k=7))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert np.allclose(knn_probabilities(bank, labels, queries, 4, replace(SMALL, k=7)), wanted, atol=1e-5)
