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


def faults(polygon: Polygon) -> list[str]:
    """What the rules of simple features (those of JTS, QuPath's geometry) forbid, on a grid: a ring that comes to a
    corner twice or goes over an edge that another goes over, a hole outside its outline, an interior in two parts.
    """
    outline, *holes = polygon
    found = []
    corners = [[corner for edge in unit_edges(ring) for corner in edge[:1]] for ring in polygon]
    found += ["comes twice to a corner" for own in corners if len(set(own)) < len(own)]
    edges = [frozenset(edge) for ring in polygon for edge in unit_edges(ring)]
    found += ["goes twice over an edge"] if len(set(edges)) < len(edges) else []
    x, y = np.array(outline, dtype=np.float64).T
    cells = [(a, b) for a in range(int(x.min()), int(x.max())) for b in range(int(y.min()), int(y.max()))]
    within = {cell for cell in cells if inside([outline], cell[0] + 0.5, cell[1] + 0.5)}
    taken = [{cell for cell in cells if inside([hole], cell[0] + 0.5, cell[1] + 0.5)} for hole in holes]
    found += ["a hole outside the outline" for hole in taken if not hole <= within]
    found += ["holes overlap"] if sum(map(len, taken)) > len(set().union(*taken)) else []
    interior = within.difference(*taken)
    todo = [next(iter(interior))]
    while todo:
        a, b = todo.pop()
        if (a, b) in interior:
            interior.remove((a, b))
            todo += [(a - 1, b), (a + 1, b), (a, b - 1), (a, b + 1)]
    return [*found, *(["the interior is in two parts"] if interior else [])]


def unit_edges(ring: list[tuple[int, int]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The ring cut at every corner of a cell that it passes."""
    points = [ring[0]]
    for (a, b), (c, d) in pairwise(ring):
        long = max(abs(c - a), abs(d - b))
        points += [(a + (c - a) * k // long, b + (d - b) * k // long) for k in range(1, long + 1)]
    return list(pairwise(points))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_every_polygon_is_valid_for_those_that_check(share: float) -> None:
    for seed in range(15):
        marked = np.random.default_rng([seed, 5]).random((9, 11)) < share
        assert [fault for one in polygons(marked) for fault in faults(one)] == []


def test_the_check_knows_a_ring_that_touches_itself() -> None:
    eight = [(1, 0), (1, 1), (0, 1), (0, 2), (1, 2), (1, 1), (2, 1), (2, 0), (1, 0)]
    assert "comes twice to a corner" in faults([eight])
    assert faults([[(0, 0), (2, 0), (2, 2), (0, 2), (0, 0)]]) == []


def test_holes_that_touch_at_a_corner_are_two_and_an_outline_that_closes_at_one_has_a_hole() -> None:
    marked = np.ones((4, 4), dtype=bool)
    marked[1, 1] = marked[2, 2] = False
    assert [[len(ring) for ring in one] for one in polygons(marked)] == [[5, 5, 5]]
    closed = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=bool)  # the hole meets the outside at a corner
    (one,) = polygons(closed)
    assert [len(ring) for ring in one] == [7, 5]
    assert faults(one) == []


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
