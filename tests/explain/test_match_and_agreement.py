"""Matches are cosines; agreement with a known truth is an area that can be counted by hand."""

import numpy as np
import pytest

from hlss.explain.agreement import agreement, by_factor, distractors, interval_of_mean
from hlss.explain.match import match, standing


def test_match_is_the_cosine() -> None:
    features = np.array([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]], dtype=np.float32)
    texts = np.array([[1.0, 0.0], [0.6, 0.8]], dtype=np.float32)
    np.testing.assert_allclose(match(features, texts), [[0.6, 1.0], [0.0, 0.8], [0, 0]], atol=1e-6)
    with pytest.raises(ValueError, match="2 dimensions, texts 3"):
        match(features, np.eye(3, dtype=np.float32))


def test_standing_takes_away_what_is_high_everywhere() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.2], [0.9, 0.3]])
    np.testing.assert_allclose(standing(scores), [[0, -np.sqrt(1.5)], [0, 0], [0, np.sqrt(1.5)]], atol=1e-9)


def test_agreement_counts_ordered_pairs() -> None:
    truth = np.repeat([0.9, 0.5, 0.1, np.nan], 20)
    scores = np.concatenate([np.arange(20) + 10.0, np.full(20, -50.0), np.arange(20.0), np.full(20, 99.0)])
    found = agreement("crowded nuclei", "density", "high", scores, truth)
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[:20] for b in scores[40:60]]
    assert found.auroc == pytest.approx(np.mean(pairs))
    assert (found.having, found.lacking) == (20, 20)
    assert agreement("sparse nuclei", "density", "low", scores, truth).auroc == pytest.approx(1 - found.auroc)


def test_too_few_patches_say_nothing() -> None:
    truth = np.repeat([0.9, 0.1], [19, 50])
    assert agreement("c", "f", "high", np.arange(69.0), truth).auroc is None
    assert by_factor([agreement("c", "f", "high", np.arange(69.0), truth)]) == {}


def test_distractors_lie_at_chance_and_factors_above() -> None:
    rng = np.random.default_rng(0)
    truths = {name: rng.uniform(size=2000) for name in "ab"}
    assert distractors({"cilia": rng.normal(size=2000)}, truths)["cilia"] == pytest.approx(0.5, abs=0.05)
    scores = truths["a"] + rng.normal(size=2000)
    found = agreement("x", "a", "high", scores, truths["a"])
    low, high = interval_of_mean([(scores, truths["a"], "high")], np.arange(2000) // 50, 50, 0) or (0, 0)
    assert 0.5 < low < found.auroc < high < 1
