"""Drawing tissue: a tile is a pure function of its slide and place, seamless with its neighbours, at any resolution."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from hlss.cohorts.phantom.crowd import NUCLEAR, Crowd, crowd_of, mean_crowd
from hlss.cohorts.phantom.factors import SlideTruth
from hlss.cohorts.phantom.noise import Grid, step, uniforms
from hlss.cohorts.phantom.nuclei import FULL, REACH_UM, REFERENCE_MPP, Nuclei, draw_nuclei, nuclei_of
from hlss.cohorts.phantom.nuisance import Look
from hlss.cohorts.phantom.scene import STRUCTURAL, Scene, local, rings_about, scene

SHARP_MPP, POINT_MPP = 1.5, 4.0  # up to here nuclei are drawn; up to here each covers pixels; beyond, all on average
RING_MPP = 20.0  # up to here glands and rosettes are laid out one by one; beyond, they are a share of the tissue
_COARSE_UM = 2.0  # pitch of the grid on which structures are laid out
_RED_UM = 5.2  # side of the cells of world space that hold one red cell each
_FINE_UM, _GRAIN_UM = 6.0, 1.7  # scales of the grain of eosin and of chromatin
_BORDER_EOSIN = 0.3  # of a cell's border of full strength
_EVEN_RED, _EVEN_WAVES = 0.65, -0.06  # what lets as much light through as red cells, as collagen's waves
_FINE, _WARP, _GRAIN = 200, 201, 202  # channels of noise


def draw_tile(
    truth: SlideTruth, look: Look, xy_um: tuple[float, float], tile_px: int, mpp: float
) -> UInt8[ndarray, "p p 3"]:
    """RGB of the square whose top-left corner lies at `xy_um` on this slide."""
    border = math.ceil(3 * look.blur_um / mpp) + 1
    side = tile_px + 2 * border
    first = [round(axis / mpp, 6) - border for axis in xy_um]  # the same pixel has the same number in every region
    places = _grid(first, side, mpp)
    around = _around((first[0] * mpp, first[1] * mpp), side, mpp)
    coarse, enlarged = _coarse(first, side, mpp)
    table = rings_about(truth, around.low_um, around.high_um) if mpp <= POINT_MPP else None
    f = local(truth, coarse, (*STRUCTURAL, "cytoplasm", *(NUCLEAR if mpp > POINT_MPP else ("chromatin",))))
    at = scene(truth, coarse, f, table if mpp <= RING_MPP else "mean")
    eosin = enlarged(_eosin(truth.key, at, f["cytoplasm"], coarse, mpp))
    blood = at.lake + np.float32(0.75) * at.lumen
    red = _red(truth.key, enlarged(blood), places, mpp) if blood.any() else np.zeros_like(eosin)
    if mpp <= SHARP_MPP:
        haematoxylin, borders = _drawn(nuclei_of(truth, around.low_um, around.high_um, table), around, side, mpp)
        if 2 * mpp < _GRAIN_UM:
            haematoxylin *= _grain(truth.key, enlarged(f["chromatin"]), places)
        if borders is not None:
            eosin = cv2.scaleAdd(borders, _BORDER_EOSIN / 255 * REFERENCE_MPP / mpp, eosin)
        return look.develop(cv2.merge([haematoxylin, eosin, red]), places, mpp, border)
    if mpp <= POINT_MPP:
        nuclei = nuclei_of(truth, around.low_um, around.high_um, table)
        crowd = crowd_of(nuclei, around.low_um, side + 2 * around.margin_px, mpp).within(around.margin_px)
    else:
        crowd = Crowd(*map(enlarged, mean_crowd(at, f)))
    eosin += np.float32(_BORDER_EOSIN) * crowd.border
    return look.develop(cv2.merge([crowd.dark, eosin, red]), places, mpp, border, crowd.share)


def _drawn(
    nuclei: Nuclei, around: "_Around", side: int, mpp: float
) -> tuple[Float32[ndarray, "s s"], Float32[ndarray, "s s"] | None]:
    """Haematoxylin, and cells' borders 0..255 if there are any, of a square of so many pixels."""
    drawn, borders = draw_nuclei(nuclei, around.low_um, side + 2 * around.margin_px, mpp, around.margin_px)
    haematoxylin: Float32[ndarray, "s s"] = cv2.GaussianBlur(drawn, (3, 3), 0.55).astype(np.float32)
    haematoxylin *= np.float32(1 / FULL)
    return haematoxylin, None if borders is None else borders.astype(np.float32)


def _grid(first: Sequence[float], side: int, mpp: float) -> Grid:
    """Centres of a square of pixels of this size; `first`: number of its first column and row."""
    xs, ys = ((start + np.arange(side) + 0.5) * mpp for start in first)
    return Grid(xs, ys)


def _coarse(first: list[float], side: int, mpp: float) -> tuple[Grid, Callable[[ndarray], ndarray]]:
    """A grid of a multiple of the pitch, laid in world space, and how to bring what is found on it to the pixels."""
    times = max(2, 1 << max(0, round(math.log2(_COARSE_UM / mpp)))) if mpp <= POINT_MPP else 1
    starts = [int(np.floor((start + 0.5) / times - 0.5)) for start in first]
    shift = [(start + 0.5) / times - 0.5 - low for start, low in zip(first, starts, strict=True)]
    grid = _grid(starts, side // times + 3, times * mpp)
    matrix = np.array([[1 / times, 0, shift[0]], [0, 1 / times, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

    def enlarged(values: ndarray) -> ndarray:
        found: ndarray = cv2.warpAffine(values, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return found

    return grid, enlarged


class _Around(NamedTuple):
    """Margin in which nuclei that reach into a square may stand, and the corners with it."""

    margin_px: int
    low_um: tuple[float, float]
    high_um: tuple[float, float]


def _around(low_um: tuple[float, float], side: int, mpp: float) -> _Around:
    margin = int(np.ceil(REACH_UM / mpp))
    low = (low_um[0] - margin * mpp, low_um[1] - margin * mpp)
    length = (side + 2 * margin) * mpp
    return _Around(margin, low, (low[0] + length, low[1] + length))


def _grain(key: int, chromatin: Float32[ndarray, "h w"], places: Grid) -> Float32[ndarray, "h w"]:
    """How much more or less stain nuclei take up here and there."""
    (grain,) = places.smooth(key, (_GRAIN,), _GRAIN_UM)
    grain *= chromatin
    grain *= np.float32(0.75)
    grain += 1
    return grain


def _eosin(key: int, at: Scene, cytoplasm: ndarray, places: Grid, mpp: float) -> Float32[ndarray, "h w"]:
    """Cytoplasm, wavy collagen, and the even pink of dead tissue; next to nothing where there is a lumen."""
    alive = np.float32(0.10) + np.float32(0.5) * cytoplasm
    alive += at.normal * (np.float32(0.3) - alive)
    pink = at.solid * alive + np.float32(0.6) * (at.dead + at.wall + at.septum)
    pink += np.float32(0.42) * at.core + np.float32(0.12) * at.lake
    if at.stroma.any():
        pink += at.stroma * (np.float32(0.58) + np.float32(0.22) * _waves(key, places, mpp))
    if 4 * mpp <= _FINE_UM:
        (fine,) = places.smooth(key, (_FINE,), _FINE_UM)
        pink *= 1 + np.float32(0.22) * fine
    pink += np.float32(0.02)
    result: Float32[ndarray, "h w"] = pink
    return result


def _waves(key: int, places: Grid, mpp: float) -> ndarray | float:
    if mpp > 2:
        return _EVEN_WAVES
    (warp,) = places.smooth(key, (_WARP,), 48.0)
    return np.sin(np.float32(0.21) * places.x_um + np.float32(0.45) * places.y_um + np.float32(5) * warp)


def _red(key: int, cover: ndarray, places: Grid, mpp: float) -> Float32[ndarray, "h w"]:
    """Red cells, side by side, in vessels and where blood lies free."""
    covered = [np.flatnonzero(cover.any(axis=axis)) for axis in (1, 0)]
    if 2 * mpp > _RED_UM or not len(covered[0]):
        return np.float32(_EVEN_RED) * cover
    within = tuple(slice(lines[0], lines[-1] + 1) for lines in covered)  # the rest stays empty
    red = np.zeros_like(cover)
    red[within] = _red_cells(key, Grid(places.xs[within[1]], places.ys[within[0]]))
    red *= cover
    return red


def _red_cells(key: int, places: Grid) -> Float32[ndarray, "h w"]:
    columns, rows = (np.floor(axis / _RED_UM).astype(np.int64) for axis in (places.xs, places.ys))
    first = int(columns[0]), int(rows[0])
    cx, cy = (np.arange(axis[0], axis[-1] + 1) for axis in (columns, rows))
    u = uniforms(key + 77, cx, cy[:, None], 2).astype(np.float32)
    centers = np.float32(_RED_UM) * (np.float32(0.3) + np.float32(0.4) * u)
    x, y = ((axis - _RED_UM * cells).astype(np.float32) for axis, cells in ((places.xs, columns), (places.ys, rows)))
    columns, rows = columns - first[0], rows - first[1]
    dx = x - centers[0].take(columns, axis=1)  # differs along x only, but for the cell: (ny, w)
    dy = y[:, None] - centers[1].take(rows, axis=0)  # (h, nx)
    off = (dx * dx).take(rows, axis=0)
    off += (dy * dy).take(columns, axis=1)
    found = step(off, 4.4, -3.0)
    found *= 1.1
    found += 0.2
    return found
