"""Outlines of the cells of a map that are marked, as polygons whose corners lie on the cells' corners."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int, Int64
from numpy import ndarray
from scipy.ndimage import label

Ring = list[tuple[int, int]]  # corners (x, y) in cells, the first again at the end
Polygon = list[Ring]  # outline, then holes

_STEPS = np.array(((1, 0), (0, 1), (-1, 0), (0, -1)))  # (x, y) of the ways right, down, left, up
# on each way the cell lies on the right hand: the (line, column) beyond its edge, and the (x, y) where that begins
_BEYOND = ((-1, 0), (0, 1), (1, 0), (0, -1))
_BEGINS = ((0, 0), (1, 0), (1, 1), (0, 1))


def polygons(marked: Bool[ndarray, "lines columns"]) -> list[Polygon]:
    """One for each group of cells that share edges; cells that touch at a corner alone are apart. As GeoJSON has it the
    outline goes round the other way than its holes, and no ring comes to the same corner twice (so that the polygons
    are valid by the rules that QuPath's geometry goes by).
    """
    group, count = label(marked)
    found: list[Polygon] = [[] for _ in range(count)]
    for ring, owner in _rings(np.pad(group, 1)):
        outer = _area(ring) > 0
        found[owner - 1].insert(0 if outer else len(found[owner - 1]), ring)
    return found


def _rings(group: Int[ndarray, "lines columns"]) -> Iterator[tuple[Ring, int]]:
    """Edges between a cell and what is not its group, joined to rings; group: with an empty cell all round."""
    edge, owner = _edges(group)
    across, way = group.shape[1], edge % 4
    x, y = (edge // 4) % across, (edge // 4) // across
    end = (y + _STEPS[way, 1]) * across + x + _STEPS[way, 0]
    following = np.full(len(edge), -1)
    # Where two cells of a group meet at a corner alone, both other turns are there. The one taken leads on to the other
    # cell, round what lies between them: a ring that stayed with its cell would touch itself.
    for turn in (-1, 0, 1):
        wanted = end * 4 + (way + turn) % 4
        place = np.minimum(np.searchsorted(edge, wanted), len(edge) - 1)
        fits = (edge[place] == wanted) & (owner[place] == owner) & (following < 0)
        following[fits] = place[fits]
    corner = np.zeros(len(edge), dtype=bool)
    corner[following[way != way[following]]] = True
    ahead, at_corner, seen = following.data, corner.data, bytearray(len(edge))
    for first in np.flatnonzero(corner).tolist():
        ring, one = [], first
        while not seen[one]:
            seen[one] = 1
            if at_corner[one]:
                ring.append((int(x[one]), int(y[one])))
            one = ahead[one]
        if ring:
            yield [*ring, ring[0]], int(owner[first])


def _edges(group: Int[ndarray, "lines columns"]) -> tuple[Int64[ndarray, " e"], Int64[ndarray, " e"]]:
    """(place, owner) of each edge, in order. place: (y · columns + x) · 4 + way, of the corner where it begins."""
    places, owners = [], []
    for way, (beyond, begins) in enumerate(zip(_BEYOND, _BEGINS, strict=True)):
        other = np.roll(group, (-beyond[0], -beyond[1]), axis=(0, 1))
        lines, columns = np.nonzero((group > 0) & (other != group))
        places.append(((lines - 1 + begins[1]) * group.shape[1] + columns - 1 + begins[0]) * 4 + way)
        owners.append(group[lines, columns])
    edge, owner = np.concatenate(places), np.concatenate(owners).astype(np.int64)
    order = np.argsort(edge)
    return edge[order], owner[order]


def _area(ring: Ring) -> float:
    """Positive where the cells lie inside (y down, clockwise on the screen)."""
    x, y = np.array(ring, dtype=np.float64).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)
