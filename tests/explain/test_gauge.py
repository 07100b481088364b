"""Moments, sums and evidence of a table against plain formulas on all of its rows at once."""

import tracemalloc

import numpy as np
import pytest
from explained_table import table_of, unit_rows, wordings

from hlss.embedding_table import EmbeddingTable
from hlss.explain import gauge as module
from hlss.explain.evidence import best_rows
from hlss.explain.gauge import Gauge, spread_of
from hlss.explain.match import match, standing
from hlss.explain.units import explained, outstanding_patches
from hlss.types import Level


def unit(features: np.ndarray) -> np.ndarray:
    return features.astype(np.float64) / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.mark.parametrize("block", [1, 7, 8192])
def test_moments_are_those_of_all_rows_whatever_the_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    table = table_of(4, 3, 5, 6)
    gauge, z, texts = Gauge(table), unit(table.features + 0), unit_rows(9, 6, 3)
    np.testing.assert_allclose(gauge.mean, z.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(gauge.covariance, np.cov(z.T, bias=True), atol=1e-6)
    np.testing.assert_allclose(gauge.spread(texts), match(table.features, texts).std(axis=0), atol=1e-5)
    np.testing.assert_allclose(gauge.scores(np.array([5, 2]), texts.T), (z @ texts.T)[[5, 2]], atol=1e-6)
    for level, column in ((Level.SLIDE, "slide"), (Level.PATIENT, "patient")):
        assert gauge.names(level).tolist() == sorted(set(table[column]))
        for number, name in enumerate(gauge.names(level)):
            rows = table[column] == name
            np.testing.assert_allclose(gauge.means(level)[number], z[rows].mean(axis=0), atol=1e-6)
            assert gauge.patches(level)[number] == rows.sum()
            assert gauge.rows(level, number).tolist() == np.flatnonzero(rows).tolist()


def test_slides_of_one_name_and_two_patients_stay_apart() -> None:
    table = table_of(2, 1, 4, 3)
    same = EmbeddingTable(table.features, {**table.columns, "slide": np.full(len(table), "one", dtype=object)}, {})
    gauge = Gauge(same)
    assert gauge.names(Level.SLIDE).tolist() == ["one", "one"]
    assert gauge.sizes.tolist() == [4, 5]


def test_sums_leave_out_rows_of_no_group() -> None:
    table = table_of(2, 1, 4, 3)
    member = np.where(table["patient"] == "p001", 1, -1)
    sums = Gauge(table).sums(member, 3)
    np.testing.assert_allclose(sums[1], unit(table.features)[member == 1].sum(axis=0), atol=1e-6)
    assert not sums[[0, 2]].any()


def test_what_is_alike_everywhere_has_spread_one() -> None:
    assert spread_of(np.eye(3), np.zeros((3, 3))).tolist() == [1, 1, 1]


def test_evidence_is_the_best_of_each_slide_before_the_second_of_any() -> None:
    table, text = table_of(1, 3, 6, 8, seed=4), unit_rows(1, 8, 1)[0]
    gauge = Gauge(table)
    sigma = standing(match(table.features, text[None]))[:, 0]
    found = best_rows(gauge, np.arange(len(table)), gauge.slide, text, 3)
    best = [max(np.flatnonzero(gauge.slide == s), key=lambda row: sigma[row]) for s in range(3)]
    assert [row for row, _ in found] == sorted(best, key=lambda row: -sigma[row])
    np.testing.assert_allclose([value for _, value in found], sigma[[row for row, _ in found]], atol=1e-4)
    of_one = gauge.rows(Level.SLIDE, 1)
    alone = best_rows(gauge, of_one, gauge.slide[of_one], text, 3)
    assert [row for row, _ in alone] == sorted(of_one.tolist(), key=lambda row: -sigma[row])[:3]
    assert best_rows(gauge, of_one[:0], of_one[:0], text, 3) == []


def test_patches_that_stand_out_most_come_from_different_slides() -> None:
    table, words = table_of(3, 2, 5, 8), wordings(6, 8)
    gauge = Gauge(table)
    best = standing(match(table.features, words.rows)).max(axis=1)
    (found,) = outstanding_patches(gauge, np.arange(len(table)), [words.rows], 4)
    assert len(set(gauge.slide[found])) == 4
    assert found[0] == best.argmax()
    for row in found:
        assert best[row] == pytest.approx(best[gauge.slide == gauge.slide[row]].max())
    of_random, every = outstanding_patches(gauge, np.arange(len(table)), [words.random[0], words.rows], 7)
    assert every.tolist() == np.argsort(-best)[:7].tolist()
    assert of_random.tolist() == np.argsort(-standing(match(table.features, words.random[0])).max(axis=1))[:7].tolist()


def test_ten_times_the_tiles_take_no_more_memory_beside_their_features() -> None:
    def peak(patches: int) -> int:
        table, words = table_of(2, 1, patches, 16), wordings(64, 16, draws=4)
        tracemalloc.start()
        gauge = Gauge(table)
        explained(gauge, Level.SLIDE, np.array([0, 1]), words, top=3, draws=20, seed=0)
        explained(
            gauge,
            Level.PATCH,
            outstanding_patches(gauge, np.arange(len(table)), [words.rows], 5)[0],
            words,
            top=3,
            draws=20,
            seed=0,
        )
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    small, large = peak(2_000), peak(20_000)
    every_score = 2 * 20_000 * 64 * 4
    assert large - small < every_score / 2
