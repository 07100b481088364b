"""Tiles as a raster: where they lie, and means where they overlap."""

import numpy as np
import pytest
from overlap import by_the_formula

from hlss.explain.lattice import Lattice
from hlss.explain.score_map import COLOURS, ScoreMap, coloured, standing_of_all


def test_each_cell_has_its_tiles_value_and_nothing_where_there_is_none() -> None:
    corners = np.array([[300, 200], [400, 200], [400, 400]])
    found = ScoreMap.of(Lattice.of(corners, 100), np.array([1.0, 2.0, 3.0]))
    assert (found.origin_px0, found.step_px0, found.end_px0) == ((300, 200), 100, (500, 500))
    np.testing.assert_array_equal(found.values, [[1, 2], [np.nan, np.nan], [np.nan, 3]])
    at = found.at(np.array([299.0, 300.0, 399.9, 400.0, 500.0]), np.array([250.0, 499.0]))
    np.testing.assert_array_equal(at, [[np.nan, 1, 1, 2, np.nan], [np.nan, np.nan, np.nan, 3, np.nan]])


def test_overlapping_tiles_are_averaged_and_the_raster_is_as_fine_as_the_stride() -> None:
    found = ScoreMap.of(Lattice.of(np.array([[0, 0], [50, 0]]), 100), np.array([0.0, 1.0]))
    assert found.values.shape == (2, 3)
    np.testing.assert_allclose(found.values, [[0, 0.5, 1], [0, 0.5, 1]])


def test_the_middle_of_a_tile_counts_more_than_its_edge() -> None:
    corners = np.stack([np.arange(11) * 25, np.zeros(11, dtype=np.int64)], axis=1)
    values = ScoreMap.of(Lattice.of(corners, 100), (np.arange(11) == 5) * 1.0).values[0]
    assert values.shape == (14,)
    assert values[6] == pytest.approx(values[7])  # the cells about its middle, at 175 px
    assert values[5] == pytest.approx(values[8])
    assert values[6] > values[5] > 0 == values[4]
    every = ScoreMap.of(Lattice.of(corners, 100), np.full(11, 2.5))
    np.testing.assert_allclose(every.values, 2.5)  # a mean of equal values is that value, also at the edge


@pytest.mark.parametrize("step", [100, 60, 50, 40, 25])
def test_overlapping_tiles_with_gaps_are_as_the_formula_says_at_every_place(step: int) -> None:
    rng = np.random.default_rng(step)
    y, x = np.mgrid[:9, :11]
    corners = (np.stack([x.ravel(), y.ravel()], axis=1) * step + (730, 1410))[rng.permutation(99)[:60]]
    values = rng.normal(size=60)
    found = ScoreMap.of(Lattice.of(corners, 100), values)
    assert found.step_px0 == step
    left, top = found.origin_px0
    want = [
        [
            by_the_formula(corners, 100, step, values, left + (c + 0.5) * step, top + (r + 0.5) * step)
            for c in range(found.values.shape[1])
        ]
        for r in range(found.values.shape[0])
    ]
    np.testing.assert_allclose(found.values, want, rtol=1e-5, atol=1e-6)
    assert np.isnan(want).any()


def test_smoothing_is_the_formula_over_the_cells_that_have_a_tile() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:12, :14]
    corners = (np.stack([x.ravel(), y.ravel()], axis=1) * 100)[rng.permutation(168)[:120]]
    rough = ScoreMap.of(Lattice.of(corners, 100), rng.normal(size=120))
    found = rough.smoothed(150)
    cells = np.argwhere(rough.there)
    for r, c in cells.tolist():
        away = np.abs(cells - (r, c))
        near = np.exp(-(away**2).sum(axis=1) / (2 * 1.5**2)) * (away <= 5).all(axis=1)  # to three widths
        want = float((near * rough.values[rough.there]).sum() / near.sum())
        assert found.values[r, c] == pytest.approx(want, abs=1e-5)


def test_smoothing_spreads_over_tiles_and_not_beyond() -> None:
    corners = np.array([[0, 0], [100, 0], [200, 0], [400, 0]])
    one = ScoreMap.of(Lattice.of(corners, 100), np.array([0.0, 3.0, 0.0, 5.0]))
    found = one.smoothed(100)
    assert np.isfinite(found.values[0]).tolist() == [True, True, True, False, True]
    assert 0 < found.values[0, 0] < found.values[0, 1] < 3
    np.testing.assert_allclose(one.smoothed(1e-3).values, one.values)


def test_standing_is_over_all_patches_of_the_table() -> None:
    rng = np.random.default_rng(0)
    features, texts = rng.normal(size=(9000, 5)), np.eye(5)[:2]  # more than one block
    cosine, sigma = standing_of_all(features, texts)
    true = features[:, :2] / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(cosine, true, atol=1e-6)
    np.testing.assert_allclose(sigma, (true - true.mean(axis=0)) / true.std(axis=0), atol=1e-4)
    assert not standing_of_all(np.ones((4, 5)), texts)[1].any()


def test_colours_end_at_three_sigma_and_are_grey_where_a_map_is_weak() -> None:
    from matplotlib import colormaps

    values = np.array([-9, -3, 0, 3, 9, np.nan], dtype=np.float32)
    found = coloured(values, weak=False)
    assert found.shape == (6, 3)
    assert found[0].tolist() == found[1].tolist() == [round(255 * one) for one in colormaps[COLOURS](0.0)[:3]]
    assert found[3].tolist() == found[4].tolist()
    assert found[5].tolist() == [255, 255, 255]
    grey = coloured(values, weak=True)
    assert (np.ptp(grey.astype(int), axis=1) == 0).all()
