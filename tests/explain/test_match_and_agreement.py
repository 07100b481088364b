"""Matches are cosines; agreement with a known truth is an area that can be counted by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from hlss.explain.agreement import (
    HIGH,
    LOW,
    agreement,
    by_factor,
    distractors,
    interval_of_mean,
    mean_over,
    resampled,
)
from hlss.explain.blocks import drawn
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


def test_the_interval_is_that_of_resamples_taken_one_by_one() -> None:
    """Against scikit-learn on the rows of each resample, with ties, unknown truths and a table that says nothing."""
    rng = np.random.default_rng(3)
    patients = np.repeat(np.arange(12), 25)
    truth = rng.choice([0.1, 0.5, 0.9, np.nan], size=300)
    scores = np.round(np.nan_to_num(truth, nan=0.5) + rng.normal(0, 0.5, 300), 1)
    tables = [(scores, truth, "high"), (-scores, truth, "low"), (scores, np.full(300, 0.5), "high")]
    means, own = [], np.random.default_rng(7)
    for _ in range(40):
        rows = np.concatenate([np.flatnonzero(patients == p) for p in own.integers(12, size=12)])
        found = []
        for values, known, end in tables[:2]:
            positive = known[rows] >= HIGH if end == "high" else known[rows] <= LOW
            asked = (known[rows] >= HIGH) | (known[rows] <= LOW)
            found.append(roc_auc_score(positive[asked], values[rows][asked]))
        means.append(np.mean(found))
    assert interval_of_mean(tables, patients, 40, 7) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    assert interval_of_mean(tables[2:], patients, 40, 7) is None


def test_resamples_with_too_few_of_a_kind_are_left_out() -> None:
    """Only one patient has what is asked for: resamples without it have no area."""
    truth = np.repeat([0.9, 0.1, 0.1], 30)
    found = interval_of_mean([(np.arange(90.0), truth, "high")], np.repeat(["a", "b", "c"], 30), 60, 0)
    assert found == (0.0, 0.0)


def test_rank_correlation_is_spearmans_in_every_resample() -> None:
    """Against SciPy, with ties and unknown truths; the low end is turned round."""
    rng = np.random.default_rng(11)
    patients = np.repeat(np.arange(10), 12)
    truth = rng.choice([0.0, 0.2, 0.5, 0.8, np.nan], size=120)
    scores = np.round(np.nan_to_num(truth, nan=0.5) + rng.normal(0, 0.5, 120), 1)
    known = np.isfinite(truth)
    expected = spearmanr(scores[known], truth[known]).statistic
    assert agreement("c", "f", "high", scores, truth).rank == pytest.approx(expected)
    assert agreement("c", "f", "low", scores, truth).rank == pytest.approx(-expected)
    (found,) = resampled([(scores, truth, "high")], patients, 20, 3, "rank")
    for value, counts in zip(found, drawn(10, 20, 3)[:, patients], strict=True):
        rows = np.repeat(np.arange(120), counts * known)
        assert value == pytest.approx(spearmanr(scores[rows], truth[rows]).statistic)


def test_rank_correlation_that_is_undefined_says_nothing() -> None:
    truth = np.repeat([0.9, 0.1], 20)
    constant = agreement("c", "f", "high", np.ones(40), truth)
    assert (constant.rank, constant.auroc) == (None, pytest.approx(0.5))
    assert agreement("c", "f", "high", np.arange(19.0), np.linspace(0, 1, 19)).rank is None
    assert agreement("c", "f", "high", np.arange(40.0), np.full(40, np.nan)).rank is None
    assert by_factor([constant], "rank") == {}
    one = agreement("c", "f", "high", np.arange(40.0), np.linspace(0, 1, 40))
    assert by_factor([one, constant], "rank") == {"f": pytest.approx(1)}


def test_means_are_of_what_is_defined() -> None:
    values = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    np.testing.assert_array_equal(mean_over(values), [2.0, 5.0, np.nan])
