"""Maps of scores as tiles to lay over a slide: transparent where there is no patch, or none that says enough."""

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.explain.score_map import SHOWN_SIGMA, WEAK_COLOURS, ScoreMap
from hlss.jobs.view_tiles import TILE_PX

LOW, HIGH = -SHOWN_SIGMA, SHOWN_SIGMA  # σ at the ends of a colour bar
# From blue over nearly white to red, with lightness alike on both sides; the others are matplotlib's
_TWO_SIDED = ("#1d4f91", "#6ba3d6", "#f3f1ec", "#e2866a", "#9b1c31")
COLOURS, WEAK = ("two-sided", "magma", "viridis"), "weak"  # that can be chosen; of a map that cannot be believed
_STOPS = 9  # of a colour bar
_MOST = 255


def painted(
    score_map: ScoreMap, corner_px0: tuple[int, int], scale: int, threshold: float = LOW, colours: str = COLOURS[0]
) -> bytes:
    """PNG of TILE_PX a side at `scale` level-0 px per px: the map's value at the middle of each px; what is below the
    threshold (σ) is not painted, unless the threshold is LOW. Raises KeyError for colours that are not known.
    """
    table = colour_table(colours)
    middles = (np.arange(TILE_PX) + 0.5) * scale
    values = score_map.at(corner_px0[0] + middles, corner_px0[1] + middles)
    shown = np.isfinite(values) if threshold <= LOW else np.nan_to_num(values, nan=-np.inf) >= threshold
    place = np.clip((np.nan_to_num(values) - LOW) / (HIGH - LOW), 0, 1) * _MOST
    pixels = np.zeros((TILE_PX, TILE_PX, 4), dtype=np.uint8)
    pixels[shown, :3] = table[place.round().astype(np.uint8)[shown]][:, ::-1]  # OpenCV has blue first
    pixels[shown, 3] = _MOST
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    return bytes(data)


def colour_table(name: str) -> UInt8[ndarray, "256 3"]:
    """Red, green, blue from LOW to HIGH. Raises KeyError."""
    if name == COLOURS[0]:
        stops = np.array([[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in _TWO_SIDED], dtype=np.float64)
        places = np.linspace(0, _MOST, len(stops))
        found = np.stack([np.interp(np.arange(256), places, part) for part in stops.T], axis=1)
    elif name in (*COLOURS, WEAK):
        from matplotlib import colormaps

        found = colormaps[WEAK_COLOURS if name == WEAK else name](np.linspace(0, 1, 256))[:, :3] * _MOST
    else:
        raise KeyError(name)
    return found.round().astype(np.uint8)


def stops_of(name: str) -> tuple[str, ...]:
    """Colours of a bar, evenly spaced from LOW to HIGH. Raises KeyError."""
    places = np.linspace(0, _MOST, _STOPS).round().astype(int)
    return tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour in colour_table(name)[places].tolist())
