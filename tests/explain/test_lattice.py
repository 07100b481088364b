"""Places on a lattice, and what neighbours that share no pixel say of each other: against plain loops."""

import numpy as np
import pytest

from hlss.explain.lattice import Lattice


def square(lines: int, columns: int, step: int, corner: tuple[int, int] = (0, 0)) -> np.ndarray:
    y, x = np.mgrid[:lines, :columns]
    return np.stack([x.ravel(), y.ravel()], axis=1) * step + corner


@pytest.mark.parametrize(("step", "apart"), [(100, 1), (50, 2), (25, 4), (60, 2)])
def test_the_stride_is_found_and_from_which_distance_tiles_share_no_pixel(step: int, apart: int) -> None:
    one = Lattice.of(square(3, 5, step, (700, 40)), 100)
    assert (one.step_px0, one.apart, one.shape, one.origin_px0) == (step, apart, (3, 5), (700, 40))
    np.testing.assert_array_equal(one.places, square(3, 5, 1))


def test_gaps_between_tiles_and_a_tile_alone() -> None:
    apart = Lattice.of(np.array([[0, 0], [600, 0], [0, 900]]), 100)
    assert (apart.step_px0, apart.shape) == (100, (10, 7))
    alone = Lattice.of(np.array([[30, 40]]), 224)
    assert (alone.step_px0, alone.shape, alone.places.tolist()) == (224, (1, 1), [[0, 0]])
    with pytest.raises(ValueError, match="no tiles"):
        Lattice.of(np.zeros((0, 2), dtype=np.int64), 100)


def test_one_tile_far_away_makes_the_lattice_coarser_and_not_the_memory_larger() -> None:
    one = Lattice.of(np.concatenate([square(4, 4, 10), [[3_000_000, 3_000_000]]]), 40)
    assert np.prod(one.shape) <= 2**22 * 1.01


@pytest.mark.parametrize(("step", "near"), [(100, 0.6), (50, 0.6), (50, 1.0)])
def test_neighbours_tell_as_loops_do(step: int, near: float) -> None:
    rng = np.random.default_rng(0)
    corners = square(9, 11, step)[rng.permutation(99)[:70]]
    one, values, side = Lattice.of(corners, 100, near), rng.normal(size=70), 100
    told = one.from_neighbours(values, one.half)
    for i in range(70):
        total = weight = 0.0
        for j in np.flatnonzero(one.half):
            away = np.abs(corners[i] - corners[j])
            if (away < side).all() or (away > 3 * side).any():
                continue  # shares pixels, or is too far
            own = np.exp(-(away**2).sum() / (2 * (near * side) ** 2))
            total, weight = total + own * values[j], weight + own
        if weight > 1e-3:
            assert told[i] == pytest.approx(total / weight, abs=1e-3)


def test_of_tiles_far_from_all_others_nothing_is_told() -> None:
    one = Lattice.of(np.array([[0, 0], [100, 0], [5000, 0]]), 100)
    told = one.from_neighbours(np.array([1.0, 2.0, 3.0]), np.array([True, True, False]))
    assert np.isfinite(told).tolist() == [True, True, False]


@pytest.mark.parametrize("width", [0.0, 1.5, 4.0])
def test_noise_is_as_smooth_as_asked_and_the_smoothness_of_a_map_is_measured(width: float) -> None:
    one = Lattice.of(square(60, 60, 100), 100)
    found = [one.smoothness(one.noise(width, np.random.default_rng(seed))) for seed in range(5)]
    assert np.mean(found) == pytest.approx(width, rel=0.25, abs=0.4)
    assert one.smoothness(np.ones(3600)) == 0
