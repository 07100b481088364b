"""How many units chance would find: where words mean nothing the promise holds, however units depend on each other."""

from dataclasses import replace

import numpy as np
import pytest
from explained_table import table_of, unit_rows, wordings
from scipy.stats import binom, false_discovery_control

from hlss.embedding_table import EmbeddingTable
from hlss.explain.by_chance import ByChance, by_chance, p_of
from hlss.explain.gauge import Gauge
from hlss.explain.nulls import false_units, own_directions
from hlss.explain.units import Explained, Wordings, explained, outstanding_patches
from hlss.types import Level

TEXTS, WIDTH, PERMUTATIONS = 10, 12, 30
SLIDES = np.arange(20)


def of_slides(draw: int, directions: int) -> Gauge:
    """20 slides that differ, without meaning, along so few directions: with one, all stand or fall together."""
    table, rng = table_of(20, 1, 3, WIDTH, seed=draw), np.random.default_rng(7000 + draw)
    slide = np.array([int(name[1:]) for name in table["slide"]])
    own = rng.standard_normal((20, directions)) @ rng.standard_normal((directions, WIDTH)) * 3 / np.sqrt(directions)
    return Gauge(EmbeddingTable((0.3 * table.features + own[slide]).astype(np.float32), table.columns, {}))


def asked(
    gauge: Gauge, words: Wordings, draw: int = 0, permutations: int = PERMUTATIONS
) -> tuple[list[Explained], ByChance]:
    settings = {"draws": permutations, "seed": draw}
    found = explained(gauge, Level.SLIDE, SLIDES, words, top=1, **settings)
    return found, by_chance(gauge, Level.SLIDE, [SLIDES] * len(words.random), words, **settings)


def counts(found: list[Explained]) -> tuple[int, int]:
    """Units in which something stands out, surely, and surely or perhaps."""
    surely = sum(any(match.verdict == "yes" for match in one.matches) for one in found)
    return surely, sum(bool(one.standing_out) for one in found)


@pytest.mark.parametrize("directions", [1, WIDTH])
def test_words_without_meaning_are_found_as_often_as_is_said(directions: int) -> None:
    n, own, told, p = 40, [], [], []
    for draw in range(n):
        found, chance = asked(of_slides(draw, directions), wordings(TEXTS, WIDTH, seed=draw), draw)
        surely, at_all = counts(found)
        own.append((surely, at_all))
        told.append((np.mean(chance.surely), np.mean(chance.at_all)))
        p.append((p_of(surely, chance.surely), p_of(at_all, chance.at_all)))
    away = np.subtract(own, told)
    assert (np.abs(away.mean(axis=0)) < 3.5 * away.std(axis=0) / np.sqrt(n)).all()
    assert (np.sum(np.array(p) <= 0.05, axis=0) <= binom.ppf(0.999, n, 1 / 21)).all()
    assert np.mean(own, axis=0)[1] > 0.3  # not because nothing is ever found


def test_where_units_stand_or_fall_together_the_count_of_one_draw_is_far_from_its_mean() -> None:
    """Which a mean alone, or 5 % of the units, would not tell."""
    alike, apart = (
        np.concatenate([asked(of_slides(draw, few), wordings(TEXTS, WIDTH, seed=draw))[1].at_all for draw in range(8)])
        for few in (1, WIDTH)
    )
    assert alike.std() / alike.mean() > 2 * apart.std() / apart.mean()


@pytest.mark.parametrize("directions", [1, WIDTH])
def test_corrected_over_all_units_noise_is_found_in_no_more_tables_than_is_promised(directions: int) -> None:
    n, limit = 60, 0.25
    any_of = 0
    for draw in range(n):
        words = wordings(TEXTS, WIDTH, seed=draw, draws=100)
        found = explained(of_slides(draw, directions), Level.SLIDE, SLIDES, words, top=1, draws=60, seed=draw)
        any_of += any(match.q_units <= limit for one in found for match in one.matches)
    assert any_of <= binom.ppf(0.999, n, limit)
    assert any_of > 0


def test_what_is_in_four_of_twenty_slides_is_more_than_chance_and_outlasts_the_correction() -> None:
    words = wordings(TEXTS, WIDTH, draws=200)
    table = table_of(20, 1, 8, WIDTH)
    present = np.isin(table["slide"].astype(str), [f"s{number:03d}" for number in range(4)])
    features = table.features + np.outer(present, 12 * own_directions(words.rows)[4])
    gauge = Gauge(EmbeddingTable(features.astype(np.float32), table.columns, {}))
    found, chance = asked(gauge, words, permutations=200)
    surely = counts(found)[0]
    assert surely >= 4
    assert p_of(surely, chance.surely) <= 0.05
    kept = {(one.number, match.k) for one in found for match in one.matches if match.q_units <= 0.05}
    assert kept >= {(number, 4) for number in range(4)}
    assert len(kept) <= 5  # one in twenty may be chance


def test_q_over_units_is_that_of_benjamini_and_hochberg_of_each_unit_s_least() -> None:
    p = np.random.default_rng(0).uniform(size=(12, 5)) ** 3
    q = false_units(p)
    least = p.argmin(axis=1)
    of_units = false_discovery_control(p.min(axis=1))
    np.testing.assert_allclose(q[np.arange(12), least], of_units)
    for limit in (0.05, 0.2, 0.5):
        passing = int((of_units <= limit).sum())  # in these units what reaches limit · passing / 12 passes, no more
        np.testing.assert_array_equal(q <= limit, p <= limit * passing / 12 + 1e-12)
    np.testing.assert_allclose(false_units(p, 24), np.minimum(2 * q, 1), atol=1e-12)


def test_units_that_were_chosen_count_all_that_they_were_chosen_from() -> None:
    """Of 200 patches of noise the five that stand out most: so do those of every draw, chosen as they were."""
    n, own, told, left = 40, [], [], 0
    for draw in range(n):
        gauge, words = Gauge(table_of(10, 2, 9, WIDTH, seed=draw)), wordings(TEXTS, WIDTH, seed=draw)
        chosen, *in_draws = outstanding_patches(gauge, np.arange(len(gauge)), [words.rows, *words.random], 5)
        settings = {"draws": PERMUTATIONS, "seed": draw}
        found = explained(gauge, Level.PATCH, chosen, words, top=1, among=len(gauge), **settings)
        chance = by_chance(gauge, Level.PATCH, in_draws, words, **settings)
        own.append(counts(found)[1])
        told.append(np.mean(chance.at_all))
        left += any(match.q_units <= 0.25 for one in found for match in one.matches)
    away = np.subtract(own, told)
    assert abs(away.mean()) < 3.5 * away.std() / np.sqrt(n)
    assert left <= binom.ppf(0.999, n, 0.25)


def test_no_units_are_none_by_chance_and_one_seed_one_result() -> None:
    gauge, words = of_slides(0, 2), wordings(TEXTS, WIDTH)
    none = [np.array([], dtype=np.int64)] * 20
    assert by_chance(gauge, Level.SLIDE, none, words, draws=10, seed=0) == ByChance((0,) * 20, (0,) * 20)
    assert asked(gauge, words)[1] == asked(gauge, words)[1]
    same = replace(words, random=[unit_rows(TEXTS, WIDTH, 1)] * 20, spare=unit_rows(TEXTS, WIDTH, 1))
    assert asked(gauge, same)[1].surely == (0,) * 20  # no draw is before the others
