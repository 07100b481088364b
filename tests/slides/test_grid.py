import itertools

import numpy as np
import pytest

from hlss.slides.grid import extent_px0, grid


def naive(width: int, height: int, tile: int, scale: float, overlap: int) -> list[list[int]]:
    extent, step = max(1, round(tile * scale)), max(1, round((tile - overlap) * scale))
    corners, y = [], 0
    while y + extent <= height:
        x = 0
        while x + extent <= width:
            corners.append([x, y])
            x += step
        y += step
    return corners


def test_equals_a_walk_over_every_small_image() -> None:
    for width, height, tile in itertools.product(range(1, 13), range(1, 13), range(1, 6)):
        for scale, overlap in itertools.product((1.0, 0.5, 1.99, 2.0, 3.3), range(tile)):
            corners = grid(width, height, tile, scale, overlap).xy_px0
            assert corners.tolist() == naive(width, height, tile, scale, overlap)


@pytest.mark.parametrize(("size", "count"), [((224, 224), 1), ((223, 1000), 0), ((448, 447), 2), ((1000, 1000), 16)])
def test_counts_known_by_hand(size: tuple[int, int], count: int) -> None:
    assert grid(*size, 224).n == len(grid(*size, 224).xy_px0) == count


def test_shape_and_type_hold_without_a_tile() -> None:
    corners = grid(3, 3, 4).xy_px0
    assert corners.shape == (0, 2)
    assert corners.dtype == np.int32


def test_x_comes_first() -> None:
    assert grid(20, 10, 10).xy_px0.tolist() == [[0, 0], [10, 0]]


def test_extent_follows_the_ratio_of_resolutions() -> None:
    assert extent_px0(224, 0.5 / 0.25) == 448
    assert extent_px0(224, 0.5 / 0.2485) == 451


@pytest.mark.parametrize("overlap", [-1, 4, 5])
def test_overlap_of_a_whole_tile_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap_px"):
        grid(10, 10, 4, overlap_px=overlap)
