"""Outlines of the cells of a map that are marked, as polygons whose corners lie on the cells' corners."""

import numpy as np
from jaxtyping import Bool
from numpy import ndarray
from scipy.ndimage import label

Ring = list[tuple[int, int]]  # corners (x, y) in cells, the first again at the end
Polygon = list[Ring]  # outline, then holes


def polygons(marked: Bool[ndarray, "lines columns"]) -> list[Polygon]:
    """One for each group of cells that share edges; cells that touch at a corner alone are apart. As GeoJSON has it the
    outline goes round the other way than its holes.
    """
    group, count = label(marked)
    found: list[Polygon] = [[] for _ in range(count)]
    for ring, owner in _rings(np.pad(group, 1)):
        outer = _area(ring) > 0
        found[owner - 1].insert(0 if outer else len(found[owner - 1]), ring)
    return found


def _rings(group: ndarray) -> list[tuple[Ring, int]]:
    """Edges between a cell and what is not its group, with the cell on the same hand, joined to rings. At a corner that
    two cells of one group share, the ring turns so that it stays with its cell.
    """
    following: dict[tuple[int, int, int], tuple[int, int]] = {}
    # going (right, down, left, up) along the cell's (top, right, bottom, left) edge; the neighbour beyond it
    for way, (beyond, start) in enumerate((((-1, 0), (0, 0)), ((0, 1), (1, 0)), ((1, 0), (1, 1)), ((0, -1), (0, 1)))):
        other = np.roll(group, (-beyond[0], -beyond[1]), axis=(0, 1))
        lines, columns = np.nonzero((group > 0) & (other != group))
        for line, column in zip(lines.tolist(), columns.tolist(), strict=True):
            following[column - 1 + start[0], line - 1 + start[1], way] = (line, column)
    steps = ((1, 0), (0, 1), (-1, 0), (0, -1))
    rings = []
    while following:
        (x, y, way), (line, column) = next(iter(following.items()))
        ring: Ring = []
        owner, last = int(group[line, column]), -1
        while following.pop((x, y, way), None) is not None:
            if way != last:
                ring.append((x, y))
            last = way
            x, y = x + steps[way][0], y + steps[way][1]
            turns = ((way + 1) % 4, way, (way - 1) % 4)  # round the own cell first
            way = next((turn for turn in turns if _owner(following, (x, y, turn), group) == owner), way)
        first = ring[0]
        if len(ring) > 2 and (ring[-1][0] == first[0] == ring[1][0] or ring[-1][1] == first[1] == ring[1][1]):
            ring = ring[1:]  # it began in the middle of an edge
        rings.append(([*ring, ring[0]], owner))
    return rings


def _owner(following: dict[tuple[int, int, int], tuple[int, int]], edge: tuple[int, int, int], group: ndarray) -> int:
    place = following.get(edge)
    return 0 if place is None else int(group[place])


def _area(ring: Ring) -> float:
    """Positive where the cells lie inside (y down, clockwise on the screen)."""
    x, y = np.array(ring, dtype=np.float64).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)
