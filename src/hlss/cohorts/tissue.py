"""Drawing tissue: a tile is a pure function of its slide's keys and place, seamless with its neighbours."""

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy import ndarray

from hlss.cohorts.factors import FACTORS, Nuisance, place_deviation

CELL_UM = 9.0  # side of the cells of world space that hold at most one nucleus each
_FIELD_UM = 160.0  # scale on which factors change over a slide
_MARGIN_UM = 14.0  # nothing drawn reaches further than this
_SHIFT = 4  # fractional bits of OpenCV's coordinates
_MAX_NUCLEAR_MPP = 4.0  # coarser reads show nuclei as their mean density only
_F = {name: number for number, name in enumerate(FACTORS)}


def draw_tile(
    key: int, factors: Float64[ndarray, " f"], look: Nuisance, xy_um: tuple[float, float], tile_px: int, mpp: float
) -> UInt8[ndarray, "p p 3"]:
    """RGB of the square whose top-left corner lies at `xy_um` on the slide of this key and these factors."""
    margin = int(np.ceil(_MARGIN_UM / mpp))
    side = tile_px + 2 * margin
    x0, y0 = xy_um[0] - margin * mpp, xy_um[1] - margin * mpp
    xs, ys = x0 + (np.arange(side) + 0.5) * mpp, y0 + (np.arange(side) + 0.5) * mpp
    local = [np.clip(f + place_deviation(_smooth(key, 10 + i, xs, ys, _FIELD_UM)), 0, 1) for i, f in enumerate(factors)]
    local = [field.astype(np.float32) for field in local]
    dead = _step(local[_F["necrosis"]], 0.62)
    eosin = _eosin(key, local, dead, xs, ys)
    if mpp <= _MAX_NUCLEAR_MPP:
        haematoxylin = _nuclei(key, local, dead, (x0, y0), side, mpp)
    else:
        haematoxylin = 0.25 * local[_F["density"]] * (1 - 0.7 * dead)
    density = haematoxylin[..., None] * look.od[0].astype(np.float32) + eosin[..., None] * look.od[1].astype(np.float32)
    rgb = 255 * look.light * cv2.exp(-density)
    if look.blur > 0.05 * mpp:
        rgb = cv2.GaussianBlur(rgb, (0, 0), look.blur / mpp)
    rgb = rgb[margin : margin + tile_px, margin : margin + tile_px]
    return np.rint(np.clip(rgb, 0, 255)).astype(np.uint8)


def factor_map(
    key: int, factors: Float64[ndarray, " f"], x_um: Float64[ndarray, " n"], y_um: Float64[ndarray, " m"]
) -> dict[str, Float64[ndarray, "m n"]]:
    """The truth: each factor's value at these places of a slide."""
    return {
        name: np.clip(factors[i] + place_deviation(_smooth(key, 10 + i, x_um, y_um, _FIELD_UM)), 0, 1)
        for name, i in _F.items()
    }


def _eosin(key: int, local: list[ndarray], dead: ndarray, xs: ndarray, ys: ndarray) -> Float32[ndarray, "h w"]:
    """Cytoplasm, wavy collagen where there is stroma, and the even pink of dead tissue."""
    fine = _smooth(key, 1, xs, ys, 6.0).astype(np.float32)
    warp = _smooth(key, 2, xs, ys, 45.0).astype(np.float32)
    waves = np.sin((xs[None, :] * 0.35 + ys[:, None] * 0.75).astype(np.float32) * 0.6 + 5 * warp)
    stroma = _step(local[_F["stroma"]], 0.5)
    cytoplasm = 0.38 + 0.10 * fine
    collagen = 0.55 + 0.22 * waves + 0.05 * fine
    alive = cytoplasm * (1 - stroma) + collagen * stroma
    lumen = _step(_smooth(key, 3, xs, ys, 55.0).astype(np.float32), 0.45) * (1 - stroma)
    result: Float32[ndarray, "h w"] = (alive * (1 - dead) + (0.6 + 0.08 * fine) * dead) * (1 - 0.85 * lumen)
    return result


def _nuclei(
    key: int, local: list[ndarray], dead: ndarray, origin_um: tuple[float, float], side: int, mpp: float
) -> Float32[ndarray, "h w"]:
    """One nucleus at most in each cell of world space; later cells lie over earlier ones, in every tile alike."""
    columns, rows = (_cells(o, side * mpp) for o in origin_um)
    cx, cy = (grid.ravel() for grid in np.meshgrid(columns, rows))
    u = _uniforms(key, cx, cy, 10)
    x_um, y_um = (cx + 0.15 + 0.7 * u[0]) * CELL_UM, (cy + 0.15 + 0.7 * u[1]) * CELL_UM
    px, py = (x_um - origin_um[0]) / mpp, (y_um - origin_um[1]) / mpp
    inside = np.flatnonzero((px >= 0) & (px < side) & (py >= 0) & (py < side))
    at = (py[inside].astype(int), px[inside].astype(int))
    f = {name: local[i][at].astype(np.float64) for name, i in _F.items()}
    gone = dead[at] > 0.5
    u = u[:, inside]
    lymphocyte = u[2] < 0.55 * np.clip(f["lymphocytes"] - 0.25, 0, 1) / 0.75
    chance = (0.12 + 0.80 * f["density"]) * (1 - 0.45 * f["stroma"])
    present = (u[3] < np.where(lymphocyte, 0.9, chance)) & ~(gone & (u[4] < 0.85))
    radius = (2.3 + 3.2 * f["nuclear_size"]) * np.exp(f["size_variation"] * 0.9 * (u[5] - 0.5))
    ratio = 1 + 2.2 * f["elongation"] * (0.6 + 0.4 * u[6])
    angle = 180 * (u[7] * (1 - 0.8 * f["elongation"]) + 0.3 * f["elongation"])
    dark = 0.45 + 0.75 * f["chromatin"] + 0.25 * (u[8] - 0.5)
    radius, ratio = np.where(lymphocyte, 2.2, radius), np.where(lymphocyte, 1.05, ratio)
    dark = np.where(lymphocyte, 1.25, np.where(gone, 0.25, dark))
    canvas = np.zeros((side, side), dtype=np.uint8)
    for i in np.flatnonzero(present):
        center = (px[inside[i]] - 0.5, py[inside[i]] - 0.5)
        axes = (radius[i] * np.sqrt(ratio[i]) / mpp, radius[i] / np.sqrt(ratio[i]) / mpp)
        _ellipse(canvas, center, axes, float(angle[i]), int(140 * dark[i]))
        if not lymphocyte[i] and radius[i] > 3.2:  # open chromatin with a nucleolus
            _ellipse(canvas, center, (0.62 * axes[0], 0.62 * axes[1]), float(angle[i]), int(105 * dark[i]))
            _ellipse(canvas, (center[0] + 0.2 * axes[1], center[1]), (0.8 / mpp,) * 2, 0.0, int(175 * dark[i]))
    soft: Float32[ndarray, "h w"] = cv2.GaussianBlur(canvas, (3, 3), 0.6).astype(np.float32) / 130
    return soft


def _ellipse(
    canvas: UInt8[ndarray, "h w"], center: tuple[float, float], axes: tuple[float, ...], angle: float, value: int
) -> None:
    scale = 1 << _SHIFT
    fixed = [tuple(max(0, round(number * scale)) for number in pair) for pair in (center, axes)]
    cv2.ellipse(canvas, fixed[0], fixed[1], angle, 0, 360, min(value, 255), -1, cv2.LINE_AA, _SHIFT)


def _cells(origin_um: float, length_um: float) -> Int64[ndarray, " n"]:
    return np.arange(np.floor(origin_um / CELL_UM) - 1, np.ceil((origin_um + length_um) / CELL_UM) + 1).astype(np.int64)


def _step(values: ndarray, threshold: float) -> Float32[ndarray, "h w"]:
    """0 below, 1 above, smooth over a tenth."""
    t = np.clip((values - threshold) / 0.1 + 0.5, 0, 1).astype(np.float32)
    return t * t * (3 - 2 * t)


def _smooth(key: int, channel: int, xs: ndarray, ys: ndarray, scale_um: float) -> Float64[ndarray, "m n"]:
    """Value noise in −1..1: random numbers on a lattice of world space, smoothly interpolated."""
    nodes_x, weights_x = _weights(xs / scale_um)
    nodes_y, weights_y = _weights(ys / scale_um)
    cx, cy = (grid.ravel() for grid in np.meshgrid(nodes_x, nodes_y))
    lattice = 2 * _uniforms(key + channel * 1_000_003, cx, cy, 1)[0].reshape(len(nodes_y), len(nodes_x)) - 1
    result: Float64[ndarray, "m n"] = weights_y @ lattice @ weights_x.T
    return result


def _weights(places: ndarray) -> tuple[Int64[ndarray, " k"], Float64[ndarray, "n k"]]:
    low = np.floor(places).astype(np.int64)
    nodes = np.arange(low.min(), low.max() + 2)
    t = places - low
    t = t * t * (3 - 2 * t)
    weights = np.zeros((len(places), len(nodes)))
    at = np.arange(len(places))
    weights[at, low - nodes[0]] = 1 - t
    weights[at, low - nodes[0] + 1] = t
    return nodes, weights


def _uniforms(key: int, cx: ndarray, cy: ndarray, count: int) -> Float64[ndarray, "c n"]:
    """`count` numbers in 0..1 for each cell: a hash of (key, x, y, which), the finaliser of splitmix64."""
    with np.errstate(over="ignore"):
        base = cx.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + cy.astype(np.uint64) * np.uint64(
            0xC2B2AE3D27D4EB4F
        )
        base = _mixed(base + np.uint64(key % (1 << 64)))
        which = (np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93))[:, None]
        return (_mixed(base[None] + which) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def _mixed(value: ndarray) -> ndarray:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
