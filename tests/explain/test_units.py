"""What is known to be in a unit comes out, and of noise nothing does, but at the rate that is promised."""

import numpy as np
import pytest
from explained_table import moved, table_of, unit_rows, wordings
from scipy.stats import binom, false_discovery_control

from hlss.embedding_table import EmbeddingTable
from hlss.explain.gauge import Gauge
from hlss.explain.match import match, standing
from hlss.explain.nulls import LARGEST, dealt_anew, false_discoveries, own_directions, share, shuffled_words, verdict
from hlss.explain.units import Explained, explained
from hlss.types import Level

DRAWS = 200
MOST = int(binom.ppf(0.999, DRAWS, 0.05))  # of DRAWS units, where each has a chance of 5 %


def all_of(table: EmbeddingTable, level: Level, words, draws: int = 200, seed: int = 0) -> list[Explained]:
    gauge = Gauge(table)
    every = np.arange(len(table) if level is Level.PATCH else len(gauge.names(level)))
    return explained(gauge, level, every, words, top=3, draws=draws, seed=seed)


def test_a_characteristic_that_was_put_into_a_slide_comes_out() -> None:
    words = wordings(12, 32)
    table = moved(table_of(10, 2, 12, 32), "slide", "s003", 3 * words.rows[7])
    found = all_of(table, Level.SLIDE, words)
    first = found[3].matches[0]
    assert (first.k, first.verdict) == (7, "yes")
    assert first.p_images == pytest.approx(1 / 201)
    assert first.p_text == pytest.approx(1 / 241)
    assert first.q_text == pytest.approx(12 / 241)
    assert first.sigma > 3
    others = [match for one in found[:3] + found[4:] for match in one.standing_out]
    assert all(match.k != 7 for match in others)
    z = table.features / np.linalg.norm(table.features, axis=1, keepdims=True)
    means = np.stack([z[table["slide"] == name].mean(axis=0) for name in sorted(set(table["slide"]))])
    assert first.cosine == pytest.approx(means[3] @ words.rows[7], abs=1e-5)
    assert first.sigma == pytest.approx(standing((means @ words.rows.T).astype(np.float64))[3, 7], abs=1e-4)
    assert found[3].patches == int((table["slide"] == "s003").sum())


def test_a_characteristic_of_a_patient_and_of_a_patch_comes_out() -> None:
    words = wordings(12, 32)
    table = moved(table_of(12, 2, 12, 32), "patient", "p005", 3 * words.rows[2])
    best = all_of(table, Level.PATIENT, words)[5].matches[0]
    assert (best.k, best.verdict) == (2, "yes")
    features = table_of(12, 2, 12, 32).features.copy()
    features[17] += 40 * words.rows[4]
    found = all_of(EmbeddingTable(features, table.columns, {}), Level.PATCH, words)
    assert (found[17].matches[0].k, found[17].matches[0].verdict) == (4, "yes")
    sigma = standing(match(features, words.rows))
    assert found[17].matches[0].sigma == pytest.approx(sigma[17, 4], abs=1e-4)
    assert found[17].patches == 1


@pytest.mark.parametrize("level", list(Level))
def test_of_pure_noise_nothing_stands_out_but_at_the_nominal_rate(level: Level) -> None:
    surely = perhaps = images = 0
    for draw in range(DRAWS):
        table, words = table_of(5, 2, 4, 12, seed=draw), wordings(10, 12, seed=draw)
        one = explained(Gauge(table), level, np.array([3]), words, top=10, draws=100, seed=draw)[0]
        verdicts = {match.verdict for match in one.matches}
        surely += "yes" in verdicts
        perhaps += bool(verdicts & {"yes", "perhaps"})
        images += min(match.p_images for match in one.matches) <= 0.05
    assert surely <= perhaps <= images <= MOST
    assert images > 0  # not because p could not be small


def test_slides_that_differ_without_meaning_are_no_words_finding_even_where_shuffled_words_are_alike() -> None:
    surely = images = uncentred = 0
    for draw in range(DRAWS):
        table, words = table_of(5, 2, 4, 12, seed=draw), wordings(10, 12, seed=draw, alike=2.0)
        by = 4 * np.random.default_rng(10**6 + draw).standard_normal(12)
        gauge = Gauge(moved(table, "slide", "s003", by))
        one = explained(gauge, Level.SLIDE, np.array([3]), words, top=10, draws=100, seed=draw)[0]
        images += min(match.p_images for match in one.matches) <= 0.05
        surely += any(match.verdict == "yes" for match in one.matches)
        away = gauge.means(Level.SLIDE)[3] - gauge.mean
        scores, random = (rows @ away for rows in (words.rows, np.concatenate(words.random)))
        p = share(np.sort(random), scores)
        uncentred += bool(false_discoveries(p[None]).min() <= 0.05)
    assert images > 0.7 * DRAWS  # the slide is another, and no shuffling of patches makes it
    assert surely <= MOST
    assert uncentred > 2 * MOST  # why texts are centred


def test_p_of_images_is_that_of_dealing_patches_by_hand() -> None:
    table, words = table_of(6, 1, 7, 8, seed=2), wordings(5, 8)
    gauge, scores = Gauge(table), match(table.features, words.rows)
    sizes = gauge.patches(Level.SLIDE)
    null = dealt_anew(gauge, words.rows, sizes, 4000, 0)
    p = null.p(gauge.means(Level.SLIDE) @ words.rows.T, sizes)
    rng, n = np.random.default_rng(1), len(table)
    for number, size in enumerate(sizes):
        error = scores.std(axis=0) * np.sqrt((n - size) / (n - 1) / size)
        dealt = np.stack([scores[rng.permutation(n)[:size]].mean(axis=0) for _ in range(4000)])
        largest = ((dealt - scores.mean(axis=0)) / error).max(axis=1)
        own = (scores[gauge.rows(Level.SLIDE, number)].mean(axis=0) - scores.mean(axis=0)) / error
        np.testing.assert_allclose(p[number], (largest[:, None] >= own).mean(axis=0), atol=0.04)


def test_units_of_more_patches_than_are_dealt_use_the_largest_dealt() -> None:
    table, words = table_of(3, 1, LARGEST + 40, 6), wordings(4, 6)
    gauge = Gauge(table)
    null = dealt_anew(gauge, words.rows, gauge.patches(Level.SLIDE), 100, 0)
    assert null.sizes.tolist() == [LARGEST]
    few = dealt_anew(gauge, words.rows, np.array([3, LARGEST + 1, 3, 9]), 100, 0)
    assert few.sizes.tolist() == [3, 9, LARGEST]
    np.testing.assert_allclose(few.largest[-1], null.largest[-1])
    assert all(one.matches[0].p_images > 0.01 for one in all_of(table, Level.SLIDE, words))


def test_one_slide_alone_stands_out_from_nothing() -> None:
    (one,) = all_of(table_of(1, 1, 20, 8), Level.SLIDE, wordings(5, 8))
    assert not one.standing_out
    assert {match.p_images for match in one.matches} == {1.0}


def test_no_unit_is_no_explanation_and_one_seed_one_result() -> None:
    table, words = table_of(3, 2, 5, 8), wordings(5, 8)
    assert explained(Gauge(table), Level.SLIDE, np.array([], dtype=np.int64), words, top=3, draws=10, seed=0) == []
    assert all_of(table, Level.SLIDE, words) == all_of(table, Level.SLIDE, words)


def test_q_is_that_of_benjamini_and_hochberg() -> None:
    p = np.random.default_rng(0).uniform(size=(4, 9)) ** 2
    np.testing.assert_allclose(false_discoveries(p), np.stack([false_discovery_control(row) for row in p]))


def test_shuffled_words_count_random_texts_that_match_as_well() -> None:
    texts, random = np.eye(3)[[0, 1, 2]], [np.eye(3)[[0, 1, 2]], np.eye(3)[[2, 0, 1]]]
    p, q = shuffled_words(np.array([[2.0, 1.0, 0.0]]), texts, random)
    np.testing.assert_allclose(p, [[3 / 7, 5 / 7, 1]])
    np.testing.assert_allclose(q, [[1, 1, 1]])
    both = shuffled_words(np.array([[-2.0, 0.0, 0.0]]), texts, random, both_ends=True)
    assert both.p[0, 0] == pytest.approx(3 / 7)


def test_of_a_text_only_what_the_others_do_not_say_counts() -> None:
    rows = own_directions(unit_rows(5, 4, 0, around=3))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1)
    assert not own_directions(np.ones((3, 4))).any()
    assert shuffled_words(np.ones((1, 4)), np.ones((1, 4)), [np.ones((1, 4))]).p.tolist() == [[1]]


def test_in_features_of_one_direction_only_the_text_that_lies_in_it_stands_out() -> None:
    words = wordings(10, 12)
    table = table_of(10, 2, 6, 12)
    present = np.isin(table["slide"].astype(str), ["s001", "s004", "s008", "s010", "s017"])
    features = 0.1 * table.features + np.outer(present, own_directions(words.rows)[4])
    found = all_of(EmbeddingTable(features.astype(np.float32), table.columns, {}), Level.SLIDE, words)
    named = [match.k for one in found for match in one.matches if match.verdict == "yes"]
    assert named.count(4) == 5
    assert len(named) <= 6  # one may be chance


@pytest.mark.parametrize(
    ("chances", "said"),
    [((0.05, 0.05), "yes"), ((0.25, 0.05), "perhaps"), ((0.26, 0.01), "no"), ((0.01, 0.06), "no")],
)
def test_both_chances_decide(chances: tuple[float, float], said: str) -> None:
    assert verdict(*chances) == said


def test_texts_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mismatch|dimension|size"):
        all_of(table_of(3, 1, 4, 8), Level.SLIDE, wordings(4, 6))
