"""Stored features looked through at once, against what explanation and evaluation compute one by one."""

import numpy as np
import pytest

from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.knn import PAPER, SMALL, Protocol, knn_probabilities
from hlss.explain.match import match, standing
from hlss.jobs import view_features
from hlss.jobs.view_features import PatchFeatures, first_of

N, DIM, CLASSES = 300, 12, ("adeno", "glioma", "normal")


def table(rows: int = N, train: int = 200, labelled: int = 180) -> EmbeddingTable:
    """Lengths say nothing; the last rows of the train side have no label."""
    rng = np.random.default_rng(3)
    number = np.arange(rows)
    z = (rng.standard_normal((rows, DIM)) + 2) * rng.uniform(0.1, 10, (rows, 1))
    label = np.array([CLASSES[n % 3] if n < labelled or n >= train else "" for n in number], dtype=object)
    slide = np.array([f"s{n // 10}" for n in number], dtype=object)
    side = np.array(["train" if n < train else "test" for n in number], dtype=object)
    columns = {"patient": slide, "slide": slide, "site": slide, "image": slide, "label": label, "side": side}
    return EmbeddingTable(z.astype(np.float32), {**columns, "x_px0": number, "y_px0": number}, {})


@pytest.fixture
def texts() -> np.ndarray:
    rows = np.random.default_rng(4).standard_normal((5, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_sigma_is_the_standing_among_all_patches(texts: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_features, "_BLOCK", 64)
    features = PatchFeatures(table())
    expected = standing(match(table().features, texts))
    for number, text in enumerate(texts):
        np.testing.assert_allclose(features.sigma(text), expected[:, number], atol=2e-4)
    moments = features.moments(texts)
    for row in (0, 131, N - 1):
        np.testing.assert_allclose(features.sigma_of(row, texts, moments), expected[row], atol=2e-4)


def test_of_patches_that_are_all_alike_none_stands_out(texts: np.ndarray) -> None:
    one = table()
    alike = EmbeddingTable(np.ones((N, DIM), np.float32), one.columns, {})
    features = PatchFeatures(alike)
    np.testing.assert_allclose(features.sigma(texts[0]), 0, atol=1e-5)
    np.testing.assert_allclose(features.sigma_of(0, texts, features.moments(texts)), 0, atol=1e-5)


@pytest.mark.parametrize("protocol", [SMALL, Protocol("paper", k=50)])
def test_votes_are_those_of_the_evaluation(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_features, "_protocol", lambda labelled: protocol)
    stored = table()
    features, bank = PatchFeatures(stored), np.arange(180)
    numbers = np.searchsorted(CLASSES, stored["label"][bank].astype(str))
    for row in (200, 250, N - 1):
        (expected,) = knn_probabilities(
            stored.features[bank], numbers, stored.features[row : row + 1], len(CLASSES), protocol
        )
        votes = {vote.label: vote.share for vote in features.votes(row, features.nearness(row))}
        assert votes == pytest.approx(
            {name: share for name, share in zip(CLASSES, expected, strict=True) if share}, abs=2e-3
        )
        assert list(votes.values()) == sorted(votes.values(), reverse=True)


def test_a_patch_does_not_vote_for_itself() -> None:
    features = PatchFeatures(table(rows=20, train=2, labelled=2))
    nearness = features.nearness(0)
    assert nearness[0] == -np.inf
    assert [vote.label for vote in features.votes(0, nearness)] == [CLASSES[1]]


def test_the_protocol_follows_the_size_of_the_train_side() -> None:
    assert PatchFeatures(table()).protocol is SMALL
    assert PatchFeatures(table(rows=5100, train=5050, labelled=5000)).protocol is PAPER


def test_without_labels_nobody_votes() -> None:
    features = PatchFeatures(table(labelled=0))
    assert features.votes(1, features.nearness(1)) == []


def test_the_first_are_the_highest_with_few_of_one_owner() -> None:
    scores = np.random.default_rng(0).permutation(5000).astype(np.float32)
    owner = np.array([f"s{n % 7}" for n in range(5000)], dtype=object)
    assert [scores[row] for row in first_of(scores, owner, 5, 5000)] == [4999, 4998, 4997, 4996, 4995]
    order = np.argsort(-scores)
    expected = sorted((row for one in set(owner) for row in order[owner[order] == one][:2]), key=lambda r: -scores[r])
    assert first_of(scores, owner, 10, 2) == expected[:10]
    assert first_of(scores, owner, 99, 2) == expected
    assert first_of(np.full(3, -np.inf, np.float32), owner[:3], 2, 2) == []
