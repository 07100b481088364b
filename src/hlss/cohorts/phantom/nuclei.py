"""Nuclei: at most one in each cell of world space, and those of glands and rosettes; polygons or points of a size."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from numpy import ndarray

from hlss.cohorts.phantom.factors import SlideTruth
from hlss.cohorts.phantom.noise import Points, uniforms
from hlss.cohorts.phantom.scene import RING_UM, STRUCTURAL, Rings, Scene, local, scene

CELL_UM = 8.6  # side of the cells of world space that hold at most one nucleus each
REACH_UM = 14.0  # no cell's border reaches further from its centre than this
FULL = 140.0  # value on the canvas of haematoxylin at density 1
_VERTICES = 14
_SHIFT = 4  # fractional bits of OpenCV's coordinates
_NEEDED = ("density", "nuclear_size", "size_variation", "elongation", "chromatin", "mitoses", "inclusions", "membrane")
_RING_KEY, _SHAPE = 0x4E75636C, np.array([2.0, 3.0, 5.0])


@dataclass(frozen=True)
class Nuclei:
    """In drawing order. radius: of the circle of equal area; ratio: length over width; angle: radians; dark: density
    of haematoxylin; lobes: amplitude and phase of the contour's waves; open: how pale the inside is; kind of figure.
    """

    x_um: Float64[ndarray, " n"]
    y_um: Float64[ndarray, " n"]
    radius_um: Float64[ndarray, " n"]
    ratio: Float64[ndarray, " n"]
    angle: Float64[ndarray, " n"]
    dark: Float64[ndarray, " n"]
    lobes: Float64[ndarray, "6 n"]
    open: Float64[ndarray, " n"]
    hole: Bool[ndarray, " n"]
    border: Float64[ndarray, " n"]

    def contours(self) -> Float64[ndarray, "n v 2"]:
        """Vertices of the contours about their centres, µm."""
        t = np.linspace(0, 2 * np.pi, _VERTICES, endpoint=False)
        waves = self.lobes[:3, :, None] * np.cos(_SHAPE[:, None, None] * t + self.lobes[3:, :, None])
        r = self.radius_um[:, None] * (1 + waves.sum(axis=0))
        long, wide = np.sqrt(self.ratio)[:, None], 1 / np.sqrt(self.ratio)[:, None]
        u, v = r * long * np.cos(t), r * wide * np.sin(t)
        cos, sin = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        return np.stack([u * cos - v * sin, u * sin + v * cos], axis=-1)


@dataclass(frozen=True)
class _Stands:
    """Places where nuclei may stand, µm; the uniform numbers of each, and the angle of those on a ring."""

    x_um: Float64[ndarray, " n"]
    y_um: Float64[ndarray, " n"]
    u: Float64[ndarray, "k n"]
    turn: Float64[ndarray, " n"] | None = None

    def within(self, low_um: tuple[float, float], high_um: tuple[float, float]) -> "_Stands":
        """Those in a rectangle."""
        keep = (self.x_um >= low_um[0]) & (self.x_um < high_um[0])
        keep &= (self.y_um >= low_um[1]) & (self.y_um < high_um[1])
        return _Stands(
            self.x_um[keep], self.y_um[keep], self.u[:, keep], None if self.turn is None else self.turn[keep]
        )


def nuclei_of(
    truth: SlideTruth, low_um: tuple[float, float], high_um: tuple[float, float], table: Rings | None
) -> Nuclei:
    """Nuclei whose centres lie in this rectangle; table: `rings_about` it."""
    free = _one_a_cell(truth, low_um, high_um).within(low_um, high_um)
    stands = [free]
    if table is not None:
        stands.append(_along_rings(truth, table).within(low_um, high_um))
    places = Points(*(np.concatenate([getattr(s, axis) for s in stands]) for axis in ("x_um", "y_um")))
    f = local(truth, places, (*_NEEDED, "lymphocytes", *STRUCTURAL))
    at = scene(truth, places, f, table)
    count = len(free.x_um)
    parts = [_scattered(free, *_taken(f, at, slice(count)))]
    if len(stands) > 1:
        parts.append(_in_rings(stands[1], *_taken(f, at, slice(count, None))))
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in Nuclei.__dataclass_fields__
    }
    return Nuclei(**joined)


def _taken(f: dict[str, ndarray], at: Scene, which: slice) -> tuple[dict[str, ndarray], Scene]:
    return {name: values[which] for name, values in f.items()}, Scene(**{k: v[which] for k, v in vars(at).items()})


def _one_a_cell(truth: SlideTruth, low_um: tuple[float, float], high_um: tuple[float, float]) -> _Stands:
    columns, rows = (
        np.arange(np.floor(low / CELL_UM), np.floor(high / CELL_UM) + 1).astype(np.int64)
        for low, high in zip(low_um, high_um, strict=True)
    )
    cx, cy = (grid.ravel() for grid in np.meshgrid(columns, rows))
    u = uniforms(truth.key, cx, cy, 20)
    return _Stands((cx + 0.1 + 0.8 * u[0]) * CELL_UM, (cy + 0.1 + 0.8 * u[1]) * CELL_UM, u)


def _along_rings(truth: SlideTruth, table: Rings) -> _Stands:
    """Side by side along the epithelium of glands and rosettes."""
    v, h = np.nonzero(table.kind)
    lumen = table.lumen_um[v, h].astype(np.float64)
    counts = np.floor(2 * np.pi * (lumen + 5) / 6.2).astype(np.int64)
    ring = np.repeat(np.arange(len(v)), counts)
    number = np.arange(len(ring)) - np.repeat(np.cumsum(counts) - counts, counts)
    u = uniforms(truth.key + _RING_KEY, (table.first[0] + h[ring]) * 4096 + number, table.first[1] + v[ring], 20)
    turn = 2 * np.pi * (number + 0.5 * u[0]) / counts[ring]
    off = lumen[ring] + 0.5 * RING_UM + 1.5 * (u[1] - 0.5)
    x_um = table.x_um[v, h][ring] + off * np.cos(turn)
    y_um = table.y_um[v, h][ring] + off * np.sin(turn)
    return _Stands(x_um, y_um, u, turn)


def _scattered(stands: _Stands, f: dict[str, ndarray], at: Scene) -> Nuclei:
    """Nuclei of the tumour, of normal and fibrous tissue and of dying cells, and lymphocytes among them."""
    u = stands.u
    fibrous = (at.stroma + at.septum) > 0.5
    closed = (at.lumen + at.wall + at.hollow + at.core + at.ring + at.lake) > 0.4
    dead, normal = at.dead > 0.5, at.normal > 0.5
    lymphocyte = u[2] < 0.62 * np.clip(f["lymphocytes"] - 0.3, 0, 1) / 0.7
    chance = 0.10 + 0.85 * f["density"]
    chance = np.where(normal, 0.32, np.where(fibrous, 0.28, chance))
    present = (u[3] < np.where(lymphocyte, 0.85, chance)) & ~closed & ~(dead & (u[4] < 0.8))
    keep = np.flatnonzero(present)
    f = {name: f[name][keep].astype(np.float64) for name in _NEEDED}
    fibrous, dead, normal, lymphocyte = (mask[keep] for mask in (fibrous, dead, normal, lymphocyte))
    f["nuclear_size"] = np.where(normal, 0.2, np.where(fibrous, 0.15, f["nuclear_size"]))
    f["size_variation"] = np.where(normal | fibrous, 0.1, f["size_variation"])
    f["elongation"] = np.where(normal, 0.1, np.where(fibrous, 0.95, f["elongation"]))
    plain = normal | fibrous | dead
    made = _nuclei(stands.x_um[keep], stands.y_um[keep], f, u[5:, keep], plain, direction=0.4)
    dark = np.where(lymphocyte, 1.25, np.where(dead, 0.22, made.dark))
    return Nuclei(
        made.x_um,
        made.y_um,
        np.where(lymphocyte, 2.3, made.radius_um),
        np.where(lymphocyte, 1.05, made.ratio),
        made.angle,
        dark,
        np.where(lymphocyte, 0.0, made.lobes),
        np.where(lymphocyte | dead, 0.0, made.open),
        made.hole & ~lymphocyte,
        np.where(lymphocyte, 0.0, made.border),
    )


def _in_rings(stands: _Stands, f: dict[str, ndarray], at: Scene) -> Nuclei:
    """Nuclei of an epithelium, standing on the lumen."""
    assert stands.turn is not None
    keep = np.flatnonzero(at.ring > 0.4)
    f = {name: f[name][keep].astype(np.float64) for name in _NEEDED}
    f["nuclear_size"], f["elongation"] = 0.7 * f["nuclear_size"], np.maximum(f["elongation"], 0.3)
    plain = np.zeros(len(keep), bool)
    made = _nuclei(stands.x_um[keep], stands.y_um[keep], f, stands.u[5:, keep], plain, direction=0.0)
    return replace(made, angle=stands.turn[keep])


def _nuclei(
    x_um: ndarray, y_um: ndarray, f: dict[str, ndarray], u: Float64[ndarray, "15 n"], plain: ndarray, direction: float
) -> Nuclei:
    """Nuclei at these places, of these factors, by uniform numbers; plain: no figures within them."""
    spread = f["size_variation"]
    radius = (2.5 + 2.9 * f["nuclear_size"]) * np.exp(1.1 * spread * (u[0] - 0.5))
    ratio = 1 + 2.4 * f["elongation"] * (0.6 + 0.4 * u[1])
    angle = np.pi * ((u[2] - 0.5) * (1 - 0.85 * f["elongation"]) + direction)
    dark = 0.42 + 0.72 * f["chromatin"] + 0.2 * (u[3] - 0.5) * (1 + spread)
    lobes = np.concatenate([(0.03 + 0.11 * spread) * (u[4:7] - 0.5), 2 * np.pi * u[7:10]])
    dividing = (u[10] < 0.16 * np.clip(f["mitoses"] - 0.2, 0, 1)) & ~plain
    open_ = np.clip(1.05 - 1.1 * f["chromatin"], 0.1, 1) * (radius > 3.0) * ~dividing
    hole = (u[11] < 0.7 * np.clip(f["inclusions"] - 0.25, 0, 1)) & ~plain & ~dividing
    border = np.where(plain, 0.0, np.clip((f["membrane"] - 0.3) / 0.6, 0, 1))
    return Nuclei(
        x_um,
        y_um,
        np.where(dividing, 0.85 * radius, np.minimum(radius, 7.5)),
        np.where(dividing, 3.2, ratio),
        np.where(dividing, np.pi * u[12], angle),
        np.where(dividing, 1.6, dark),
        np.where(dividing, 2.2 * lobes, lobes),
        open_,
        hole,
        border,
    )


def draw_nuclei(
    nuclei: Nuclei, origin_um: tuple[float, float], side_px: int, mpp: float
) -> tuple[UInt8[ndarray, "s s"], UInt8[ndarray, "s s"] | None]:
    """Haematoxylin (FULL: density 1), and cell borders 0..255 if there are any, on a square of pixels whose corner
    lies at `origin_um`.
    """
    stain = np.zeros((side_px, side_px), np.uint8)
    contours, centers = nuclei.contours(), np.stack([nuclei.x_um, nuclei.y_um], axis=-1)[:, None]

    def scaled(by: ndarray | float, of: ndarray | slice = slice(None)) -> ndarray:
        return _fixed(centers[of] + contours[of] * by, origin_um, mpp)

    outer = scaled(1.0)
    value = np.minimum(FULL * nuclei.dark, 255).astype(int).tolist()
    pale = (FULL * nuclei.dark * (1 - 0.42 * nuclei.open)).astype(int).tolist()
    inner = scaled(0.68)
    spot = scaled(np.where(nuclei.hole, 0.42, 0.2)[:, None, None])
    spot_value = np.where(nuclei.hole, 12, np.minimum(FULL * (nuclei.dark + 0.25), 255)).astype(int).tolist()
    fine = mpp <= 1.2
    has_inside, has_spot = (nuclei.open > 0.15) & fine, nuclei.hole | ((nuclei.open > 0.45) & fine)
    for i in range(len(value)):
        cv2.fillConvexPoly(stain, outer[i], value[i], cv2.LINE_AA, _SHIFT)
        if has_inside[i]:
            cv2.fillConvexPoly(stain, inner[i], pale[i], cv2.LINE_AA, _SHIFT)
        if has_spot[i]:
            cv2.fillConvexPoly(stain, spot[i], spot_value[i], cv2.LINE_AA, _SHIFT)
    shown = np.flatnonzero(nuclei.border > 0.05)
    if not len(shown):
        return stain, None
    borders = np.zeros_like(stain)
    rims = scaled(np.minimum(1.75, 12 / nuclei.radius_um[shown])[:, None, None], shown)
    for rim, strength in zip(rims, (255 * nuclei.border[shown]).astype(int).tolist(), strict=True):
        cv2.polylines(borders, [rim], True, strength, 1, cv2.LINE_AA, _SHIFT)
    return stain, borders


def _fixed(contours: Float64[ndarray, "n v 2"], origin_um: tuple[float, float], mpp: float) -> ndarray:
    """OpenCV's fixed-point coordinates; rounded in world space, so that regions agree to the bit."""
    scale = 1 << _SHIFT
    world = np.rint(contours * (scale / mpp))
    origin = np.rint(np.array(origin_um) * (scale / mpp)) + scale // 2  # pixel centres lie at half integers
    return (world - origin).astype(np.int32)


def splat_nuclei(nuclei: Nuclei, origin_um: tuple[float, float], side_px: int, mpp: float) -> Float32[ndarray, "s s"]:
    """As `draw_nuclei` for pixels larger than nuclei: the density that lets as much light through as they would."""
    place = [
        np.floor((axis - low) / mpp).astype(np.int64)
        for axis, low in zip((nuclei.y_um, nuclei.x_um), origin_um[::-1], strict=True)
    ]
    flat = place[0] * side_px + place[1]
    stopped = np.pi * nuclei.radius_um**2 / mpp**2 * (1 - np.exp(-0.65 * nuclei.dark * (1 - 0.2 * nuclei.open)))
    total = np.bincount(flat, stopped, minlength=side_px * side_px).reshape(side_px, side_px).astype(np.float32)
    return density_of(cv2.GaussianBlur(total, (0, 0), 2.1 / mpp))  # about as wide as nuclei are


def density_of(stopped: ndarray) -> ndarray:
    """Haematoxylin that stops this share of the light, no more than a nucleus does."""
    return -np.log(1 - np.minimum(stopped, 0.55)) / np.float32(0.65)
