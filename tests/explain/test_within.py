"""Maps against true maps, tile against tile of one slide: against plain loops."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from hlss.explain.agreement import HIGH, LOW
from hlss.explain.within import WithinSlides, slide_numbers, variance_within

ONCE = np.ones((1, 4))


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    slide, truth = rng.integers(4, size=300), rng.random(300)
    scores = np.round(truth + rng.normal(size=300), 1) + 3 * slide  # with ties
    truth[:9] = np.nan
    return scores, truth, slide


@pytest.mark.parametrize("end", ["high", "low"])
def test_pairs_within_slides_are_counted_as_loops_count_them(end: str) -> None:
    scores, truth, slide = drawn()
    won = pairs = 0.0
    for i in range(300):
        for j in range(300):
            has, lacks = (truth[i] >= HIGH, truth[j] <= LOW) if end == "high" else (truth[i] <= LOW, truth[j] >= HIGH)
            if slide[i] == slide[j] and has and lacks:
                won, pairs = won + (scores[i] > scores[j]) + (scores[i] == scores[j]) / 2, pairs + 1
    assert WithinSlides.of(scores, truth, end, slide, 4).auroc(ONCE)[0] == pytest.approx(won / pairs)


def test_what_differs_between_slides_alone_counts_nothing() -> None:
    _, truth, slide = drawn()
    found = WithinSlides.of(3.0 * slide, truth, "high", slide, 4)
    assert found.auroc(ONCE)[0] == 0.5
    assert np.isnan(found.rank(ONCE)[0])


def test_of_one_slide_the_rank_is_spearmans_and_resamples_weigh_slides() -> None:
    scores, truth, slide = drawn()
    known = np.isfinite(truth) & (slide == 2)
    found = WithinSlides.of(scores, truth, "high", slide, 4)
    alone = np.eye(4)[2:3]
    assert found.rank(alone)[0] == pytest.approx(spearmanr(scores[known], truth[known]).statistic)
    one = WithinSlides.of(scores[slide == 2], truth[slide == 2], "high", np.zeros(int((slide == 2).sum()), int), 1)
    assert found.auroc(alone)[0] == pytest.approx(one.auroc(np.ones((1, 1)))[0])


def test_below_twenty_tiles_of_either_kind_nothing_is_said() -> None:
    scores, truth, slide = drawn()
    few = WithinSlides.of(scores[:60], truth[:60], "high", slide[:60], 4)
    assert min(few.having, few.lacking) < 20 or np.isfinite(few.auroc(ONCE)[0])
    lacking = WithinSlides.of(scores, np.where(truth > 0.5, truth, 0.5), "high", slide, 4)
    assert np.isnan(lacking.auroc(ONCE)[0])
    assert lacking.lacking == 0


def test_slides_are_numbered_by_name() -> None:
    numbers, names = slide_numbers(np.array(["b", "a", "b"], dtype=object))
    assert (numbers.tolist(), names) == ([1, 0, 1], ["a", "b"])


def test_the_share_of_variance_within_slides_is_that_of_an_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    slide = np.repeat([0, 1, 2, 3], [3, 5, 2, 1])
    features = rng.normal(size=(11, 4)) + 3 * rng.normal(size=(4, 4))[slide]
    z = features / np.linalg.norm(features, axis=1, keepdims=True)
    inner = sum(((z[slide == k] - z[slide == k].mean(axis=0)) ** 2).sum() for k in range(4)) / (11 - 4)
    whole = ((z - z.mean(axis=0)) ** 2).sum() / (11 - 1)
    assert variance_within(features, slide, 4) == pytest.approx(inner / whole, rel=1e-5)
    assert np.isnan(variance_within(features[:1], slide[:1], 1))
    assert np.isnan(variance_within(np.ones((4, 3)), np.zeros(4, dtype=int), 1))
    many = rng.normal(size=(4000, 6))
    assert variance_within(many, rng.integers(0, 400, 4000), 400) == pytest.approx(1, abs=0.03)
