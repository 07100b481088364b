"""Where what lies on a slide: the structures at any places, each 0..1, the same for pixels, nuclei and truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from hlss.cohorts.phantom.factors import FIELD_UM, INDEX, SlideTruth
from hlss.cohorts.phantom.noise import Places, Points, cells_of, step, uniforms

RING_CELL_UM = 78.0  # side of the cells of world space that hold at most one gland or rosette each
RING_UM = 9.5  # thickness of their epithelium
_NORMAL, _RAGGED, _VESSEL, _BEND, _SEPTUM, _LAKE_EDGE, _DEAD_EDGE = range(100, 107)  # channels of noise
_RING_KEY = 0x52696E67
GLAND, ROSETTE = 1, 2
_LUMEN_UM = {GLAND: (7.0, 9.0), ROSETTE: (4.0, 3.0)}  # the least radius, and how much more it may be


@dataclass(frozen=True)
class Rings:
    """Glands and rosettes of a rectangle of ring cells: first cell (x, y), and by cell centre and radius of the lumen,
    µm, and kind (0: none).
    """

    first: tuple[int, int]
    x_um: Float32[ndarray, "v u"]
    y_um: Float32[ndarray, "v u"]
    lumen_um: Float32[ndarray, "v u"]
    kind: Int64[ndarray, "v u"]


@dataclass(frozen=True)
class Scene:
    """Shares of a place that a structure takes, each 0..1; what lies above takes from what lies below.

    normal: tissue beyond the tumour's margin; lumen, wall: of vessels; hollow: lumen of a gland; core: of a rosette;
    ring: its or a gland's epithelium; lake: red cells that lie free.
    """

    normal: ndarray
    lumen: ndarray
    wall: ndarray
    dead: ndarray
    lake: ndarray
    hollow: ndarray
    core: ndarray
    ring: ndarray
    stroma: ndarray
    septum: ndarray

    @property
    def solid(self) -> ndarray:
        """Share of living cells that are in no structure but their own epithelium."""
        return 1 - self.lumen - self.wall - self.dead - self.lake - self.hollow - self.core - self.stroma - self.septum


def local(truth: SlideTruth, places: Places, names: tuple[str, ...]) -> dict[str, ndarray]:
    """Values of these factors at places: the slide's, and a smooth deviation."""
    numbers = tuple(INDEX[name] for name in names)
    noise = places.smooth(truth.key, numbers, FIELD_UM)
    noise *= np.float32(truth.spread)
    noise += truth.factors[list(numbers)].astype(np.float32).reshape(-1, *(1,) * (noise.ndim - 1))
    return dict(zip(names, noise.clip(0, 1, out=noise), strict=True))


STRUCTURAL = ("stroma", "necrosis", "vessels", "haemorrhage", "nesting")


def scene(
    truth: SlideTruth, places: Places, f: Mapping[str, ndarray], table: Rings | Literal["mean"] | None = None
) -> Scene:
    """What lies at these places; f: the factors there, STRUCTURAL at least; table: `rings_about` them, if known, or
    "mean" for places so far apart that what counts of glands and rosettes is how much of the tissue they take.
    """
    key = truth.key
    (far,) = places.smooth(key, (_NORMAL,), 320.0)
    near, lake_edge, dead_edge, bend = places.smooth(key, (_RAGGED, _LAKE_EDGE, _DEAD_EDGE, _BEND), 42.0)
    normal = step(far + np.float32(0.75 * truth["invasion"]) * near, 0.62, 0.08)
    lumen, wall = _vessels(key, places, f["vessels"], bend)
    free = 1 - lumen - wall
    dead = free * step(f["necrosis"] + np.float32(0.12) * dead_edge, 0.6)
    lake = (free - dead) * step(f["haemorrhage"] + np.float32(0.15) * lake_edge, 0.6)
    free = free - dead - lake
    tumour = 1 - normal
    parts = _mean_ring_parts(truth, places) if table == "mean" else _ring_parts(truth, places, table)
    hollow, core, ring = (part * free * tumour for part in parts)
    free = free - hollow - core - ring
    stroma = free * step(f["stroma"], 0.52) * (1 - 0.5 * normal)
    free = free - stroma
    septum = free * tumour * _septa(key, places, f["nesting"], near)
    return Scene(normal, lumen, wall, dead, lake, hollow, core, ring, stroma, septum)


def _septa(key: int, places: Places, nesting: ndarray, near: ndarray) -> ndarray:
    """Walls between nests, along the zeros of smooth noise."""
    half = np.float32(0.15) * np.clip((nesting - np.float32(0.3)) / np.float32(0.4), 0, 1)
    if not half.any():
        return np.zeros_like(half)
    (between,) = places.smooth(key, (_SEPTUM,), 75.0)
    off = np.abs(between + np.float32(0.25) * near)
    return step(half - off, 0.0, 0.05) * (half > 0)


def _vessels(key: int, places: Places, vessels: ndarray, bend: ndarray) -> tuple[ndarray, ndarray]:
    """Lumen and wall: branching channels along the zeros of smooth noise, wider where there are more of them."""
    half = np.float32(0.15) * np.clip((vessels - np.float32(0.4)) / np.float32(0.4), 0, 1)
    if not half.any():
        return np.zeros_like(half), np.zeros_like(half)
    (noise,) = places.smooth(key, (_VESSEL,), 130.0)
    off, open_ = np.abs(noise + np.float32(0.3) * bend), half > 0
    lumen = step(half - off, 0.0, 0.03) * open_
    return lumen, step(half + np.float32(0.06) - off, 0.0, 0.03) * open_ - lumen


def rings(truth: SlideTruth, low_um: tuple[float, float], high_um: tuple[float, float]) -> Rings:
    """Glands and rosettes whose cells meet this rectangle."""
    cx, cy, shape = cells_of(low_um, high_um, RING_CELL_UM)
    u = uniforms(truth.key + _RING_KEY, cx, cy, 5)
    x_um, y_um = (cx + 0.33 + 0.34 * u[0]) * RING_CELL_UM, (cy + 0.33 + 0.34 * u[1]) * RING_CELL_UM
    f = local(truth, Points(x_um, y_um), ("glands", "rosettes"))
    gland = u[2] < _ring_chance(f["glands"])
    rosette = ~gland & (u[3] < _ring_chance(f["rosettes"]))
    lumen_um = np.where(gland, *(least + more * u[4] for least, more in _LUMEN_UM.values()))
    kind = np.where(gland, GLAND, np.where(rosette, ROSETTE, 0))
    x_um, y_um, lumen_um = (values.astype(np.float32).reshape(shape) for values in (x_um, y_um, lumen_um))
    return Rings((int(cx[0]), int(cy[0])), x_um, y_um, lumen_um, kind.reshape(shape))


def _ring_chance(factor: ndarray) -> ndarray:
    """How many ring cells of a place hold a gland (a rosette), of those that may."""
    chance: ndarray = np.clip((factor - 0.35) / 0.4, 0, 1)
    return chance


def rings_about(truth: SlideTruth, low_um: tuple[float, float], high_um: tuple[float, float]) -> Rings | None:
    """Glands and rosettes that may reach into a rectangle; None where the slide has none."""
    if not (truth.reaches("glands", 0.35) or truth.reaches("rosettes", 0.35)):
        return None
    reach = RING_CELL_UM
    return rings(truth, (low_um[0] - reach, low_um[1] - reach), (high_um[0] + reach, high_um[1] + reach))


def _ring_parts(
    truth: SlideTruth, places: Places, table: Rings | None
) -> tuple[ndarray | float, ndarray | float, ndarray | float]:
    """Hollow, core and ring at places."""
    x, y = places.x_um, places.y_um
    if table is None and x.size:
        table = rings_about(truth, (float(x.min()), float(y.min())), (float(x.max()), float(y.max())))
    if table is None or not table.kind.any():
        return 0.0, 0.0, 0.0
    column, row = (np.floor(values / RING_CELL_UM).astype(np.int64) for values in (x, y))
    at = (row - table.first[1]) * table.kind.shape[1] + (column - table.first[0])
    kind, x_um, y_um, lumen_um = (of.take(at) for of in (table.kind, table.x_um, table.y_um, table.lumen_um))
    off = np.sqrt(np.square(x - x_um) + np.square(y - y_um)) - lumen_um
    inner, outer = step(-off, 0.0, 1.5), step(RING_UM - off, 0.0, 1.5)
    return inner * (kind == GLAND), inner * (kind == ROSETTE), (outer - inner) * (kind > 0)


def _mean_ring_parts(truth: SlideTruth, places: Places) -> tuple[ndarray, ndarray, ndarray]:
    """Hollow, core and ring at places, as large as they are on average where there are so many."""
    f = local(truth, places, ("glands", "rosettes"))
    gland = _ring_chance(f["glands"])
    rosette = (1 - gland) * _ring_chance(f["rosettes"])
    (hollow, of_gland), (core, of_rosette) = (_mean_shares(*_LUMEN_UM[kind]) for kind in (GLAND, ROSETTE))
    return gland * hollow, rosette * core, gland * of_gland + rosette * of_rosette


def _mean_shares(least_um: float, more_um: float) -> tuple[np.float32, np.float32]:
    """Shares of a ring cell within the lumen and within the ring about it; the lumen's radius is even over a range."""
    area_um2 = np.pi / RING_CELL_UM**2
    inner = least_um**2 + least_um * more_um + more_um**2 / 3
    ring = 2 * RING_UM * (least_um + more_um / 2) + RING_UM**2
    return np.float32(area_um2 * inner), np.float32(area_um2 * ring)
