"""Outlines of marked cells: a point is inside a polygon exactly where its cell is marked."""

from itertools import pairwise

import numpy as np
import pytest

from hlss.explain.regions import Polygon, polygons


def inside(polygon: Polygon, x: float, y: float) -> bool:
    """By the even-odd rule, counting edges to the right."""
    crossed = 0
    for ring in polygon:
        for (a, b), (c, d) in pairwise(ring):
            crossed += (b > y) != (d > y) and x < a + (y - b) / (d - b) * (c - a)
    return crossed % 2 == 1


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_cells_lie_inside_where_they_are_marked(share: float) -> None:
    for seed in range(20):
        marked = np.random.default_rng(seed).random((7, 9)) < share
        found = polygons(marked)
        covered = [[sum(inside(one, x + 0.5, y + 0.5) for one in found) for x in range(9)] for y in range(7)]
        np.testing.assert_array_equal(np.array(covered), marked)
        for ring in (ring for one in found for ring in one):
            assert ring[0] == ring[-1]
            turns = zip(ring[-2:-1] + ring, ring, ring[1:], strict=False)
            assert all((a[0] == b[0]) != (b[0] == c[0]) for a, b, c in turns)  # no corner on a straight edge


def test_a_ring_has_a_hole_that_goes_round_the_other_way() -> None:
    marked = np.ones((3, 3), dtype=bool)
    marked[1, 1] = False
    assert [len(ring) for ring in polygons(marked)[0]] == [5, 5]
    outer, hole = (np.array(ring, dtype=np.float64) for ring in polygons(marked)[0])
    areas = [(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]).sum() / 2 for ring in (outer, hole)]
    assert areas == [9, -1]


def test_nothing_marked_and_corners_that_touch() -> None:
    assert polygons(np.zeros((2, 2), dtype=bool)) == []
    assert len(polygons(np.eye(2, dtype=bool))) == 2
