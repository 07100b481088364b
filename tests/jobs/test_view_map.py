"""The map that is laid over a slide is that of `hlss map`, and nothing is painted where there is none."""

import cv2
import numpy as np
import pytest

from hlss.explain.lattice import Lattice
from hlss.explain.score_map import ScoreMap, coloured
from hlss.jobs.view_map import COLOURS, WEAK, colour_table, painted, stops_of

CORNERS, SIGMA = np.array([[100, 50], [200, 50], [100, 150]]), np.array([-3.0, 0.0, 3.0])
NOTHING = (0, 0, 0, 0)


def seen(corners: np.ndarray, values: np.ndarray, extent: int, *where: object) -> np.ndarray:
    """RGBA of a tile; where: corner, scale, threshold, colours."""
    score_map = ScoreMap.of(Lattice.of(corners, extent), values)
    tile = painted(score_map, *where)  # type: ignore[arg-type]
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(tile, np.uint8), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)


@pytest.mark.parametrize("colours", [*COLOURS, WEAK])
def test_a_map_is_painted_in_squares_where_patches_are(colours: str) -> None:
    tile = seen(CORNERS, SIGMA, 100, (0, 0), 1, -3, colours)
    assert [tuple(tile[y, x]) for y, x in ((49, 150), (50, 99), (250, 50))] == [NOTHING] * 3
    table = colour_table(colours)
    for (y, x), place in {(50, 100): 0, (149, 199): 0, (50, 200): 128, (150, 100): 255, (249, 199): 255}.items():
        assert tuple(tile[y, x]) == (*table[place], 255)
    assert tile[200, 220, 3] == 0


def test_what_is_below_the_threshold_is_not_painted_and_the_lowest_threshold_leaves_nothing_out() -> None:
    def covered(*where: object, low: float = -3) -> int:
        return int((seen(CORNERS, np.array([low, 0.0, 3.0]), 100, *where)[:, :, 3] > 0).sum())

    assert covered((0, 0), 1, 0.5) == 100 * 100
    assert covered((0, 0), 2) == 3 * 50 * 50
    assert covered((0, 0), 2, -3, low=-5) == 3 * 50 * 50
    assert covered((9000, 0), 1) == 0


def test_where_patches_overlap_it_is_the_map_of_hlss_map() -> None:
    rng = np.random.default_rng(0)
    corners = np.stack(np.meshgrid(np.arange(5) * 50, np.arange(4) * 50), axis=-1).reshape(-1, 2)
    values = rng.standard_normal(len(corners)).astype(np.float32)
    score_map = ScoreMap.of(Lattice.of(corners, 100), values)
    places = np.arange(256) + 0.5
    for colours, weak in (("magma", False), (WEAK, True)):
        tile, expected = seen(corners, values, 100, (0, 0), 1, -3, colours), score_map.at(places, places)
        there = np.isfinite(expected)
        np.testing.assert_array_equal(tile[there][:, :3], coloured(expected, weak=weak)[there])
        np.testing.assert_array_equal(tile[..., 3] == 255, there)
    smooth = tile[60:140, 75, :3].astype(int)
    assert len(np.unique(smooth, axis=0)) > 1  # a cell is as wide as the stride, not as a patch


def test_a_bar_has_the_maps_colours() -> None:
    for colours in (*COLOURS, WEAK):
        stops, table = stops_of(colours), colour_table(colours)
        assert (stops[0], stops[-1]) == tuple("#" + bytes(table[place]).hex() for place in (0, 255))
    grey = colour_table(WEAK).astype(int)
    assert np.ptp(grey, axis=1).max() == 0
    with pytest.raises(KeyError):
        colour_table("rainbow")
