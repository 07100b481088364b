"""Nuclei: at most one in each cell of world space, and those of glands and rosettes; drawn as polygons."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8, UInt64
from numpy import ndarray

from hlss.cohorts.phantom.factors import SlideTruth
from hlss.cohorts.phantom.noise import Points, cells_of, numbers, seeds
from hlss.cohorts.phantom.scene import RING_UM, STRUCTURAL, Rings, local, scene

CELL_UM = 8.6  # side of the cells of world space that hold at most one nucleus each
REACH_UM = 14.0  # no cell's border reaches further from its centre than this
FULL = 140.0  # value on the canvas of haematoxylin at density 1
REFERENCE_MPP = 1.0  # reads at other resolutions are drawn so that they agree with reads at this one
_VERTICES = 14
BORDER, WIDEST_UM = 1.75, 12.0  # a cell's border lies this many times further out than its nucleus, at most so far
# What OpenCV fills is larger than its contour by so many pixels, as light sees it after smoothing: for a faint body,
# more for each unit of density, and more by this for each unit of ratio (a long contour has more edge)
GROWTH_PX, GROWTH_BY_DENSITY, GROWTH_BY_RATIO = 0.67, 0.15, 0.11
_LINE_PX = 0.5  # σ of the lines that OpenCV draws
_SHIFT = 4  # fractional bits of OpenCV's coordinates
_SHAPING = ("nuclear_size", "size_variation", "elongation", "chromatin", "mitoses", "inclusions", "membrane")
_PLACE, _PRESENCE, _SHAPE = range(2), range(2, 5), range(5, 20)  # a stand's uniform numbers, and what they decide
_RING_KEY, _WAVES = 0x4E75636C, np.array([2.0, 3.0, 5.0])


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

    def reaching(self, low_um: ndarray, high_um: ndarray) -> "Nuclei":
        """Those that may reach into a rectangle with their contour or the border of their cell."""
        most = np.maximum(self.radius_um, np.minimum(BORDER * self.radius_um, WIDEST_UM)) * np.sqrt(self.ratio)
        most *= 1 + np.abs(self.lobes[:3]).sum(axis=0)
        near = (self.x_um + most > low_um[0]) & (self.x_um - most < high_um[0])
        near &= (self.y_um + most > low_um[1]) & (self.y_um - most < high_um[1])
        return self.at(near)

    def at(self, which: ndarray) -> "Nuclei":
        return Nuclei(*(values[..., which] for values in vars(self).values()))

    def growth_px(self) -> Float64[ndarray, "n 3"]:
        """By how many pixels the body, its inside and the spot within come out larger than they are."""
        edge = (1 + GROWTH_BY_RATIO * (self.ratio - 1))[:, None]
        return edge * (GROWTH_PX + GROWTH_BY_DENSITY * self.dark[:, None] * np.array([1.0, 0.0, 0.0]))

    def border_part(self) -> Float64[ndarray, " n"]:
        """How many times further out than the nucleus its cell's border lies."""
        return np.minimum(BORDER, WIDEST_UM / self.radius_um)

    def contours(self) -> Float64[ndarray, "n v 2"]:
        """Vertices of the contours about their centres, µm."""
        t = np.linspace(0, 2 * np.pi, _VERTICES, endpoint=False)
        waves = self.lobes[:3, :, None] * np.cos(_WAVES[:, None, None] * t + self.lobes[3:, :, None])
        r = self.radius_um[:, None] * (1 + waves.sum(axis=0))
        long, wide = np.sqrt(self.ratio)[:, None], 1 / np.sqrt(self.ratio)[:, None]
        u, v = r * long * np.cos(t), r * wide * np.sin(t)
        cos, sin = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        return np.stack([u * cos - v * sin, u * sin + v * cos], axis=-1)


@dataclass(frozen=True)
class _Stands:
    """Places where nuclei may stand, µm; what the numbers of each hang on; the angle of those on a ring, else NaN."""

    x_um: Float64[ndarray, " n"]
    y_um: Float64[ndarray, " n"]
    seed: UInt64[ndarray, " n"]
    turn: Float64[ndarray, " n"]

    def at(self, which: ndarray) -> "_Stands":
        return _Stands(self.x_um[which], self.y_um[which], self.seed[which], self.turn[which])

    def within(self, low_um: tuple[float, float], high_um: tuple[float, float]) -> "_Stands":
        """Those in a rectangle."""
        keep = (self.x_um >= low_um[0]) & (self.x_um < high_um[0])
        keep &= (self.y_um >= low_um[1]) & (self.y_um < high_um[1])
        return self.at(keep)


@dataclass(frozen=True)
class _Tissue:
    """Whose nuclei they are: of fibrous or normal tissue, dying cells, lymphocytes, a ring; else the tumour's."""

    fibrous: Bool[ndarray, " n"]
    normal: Bool[ndarray, " n"]
    dead: Bool[ndarray, " n"]
    lymphocyte: Bool[ndarray, " n"]
    ring: Bool[ndarray, " n"]

    def at(self, which: ndarray) -> "_Tissue":
        return _Tissue(*(kind[which] for kind in vars(self).values()))


def nuclei_of(
    truth: SlideTruth, low_um: tuple[float, float], high_um: tuple[float, float], table: Rings | None
) -> Nuclei:
    """Nuclei whose centres lie in this rectangle; table: `rings_about` it."""
    stands = _one_a_cell(truth, low_um, high_um)
    if table is not None:
        pairs = zip(vars(stands).values(), vars(_along_rings(truth, table)).values(), strict=True)
        stands = _Stands(*(np.concatenate(pair) for pair in pairs))
    stands = stands.within(low_um, high_um)
    tissue, present = _settled(truth, stands, table)
    keep = np.flatnonzero(present)
    stands, tissue = stands.at(keep), tissue.at(keep)
    return _nuclei(stands, tissue, local(truth, Points(stands.x_um, stands.y_um), _SHAPING))


def _one_a_cell(truth: SlideTruth, low_um: tuple[float, float], high_um: tuple[float, float]) -> _Stands:
    cx, cy, _ = cells_of(low_um, high_um, CELL_UM)
    seed = seeds(truth.key, cx, cy)
    across, down = numbers(seed, _PLACE)
    x_um, y_um = (cx + 0.1 + 0.8 * across) * CELL_UM, (cy + 0.1 + 0.8 * down) * CELL_UM
    return _Stands(x_um, y_um, seed, np.full(len(seed), np.nan))


def _along_rings(truth: SlideTruth, table: Rings) -> _Stands:
    """Side by side along the epithelium of glands and rosettes."""
    v, h = np.nonzero(table.kind)
    lumen = table.lumen_um[v, h].astype(np.float64)
    counts = np.floor(2 * np.pi * (lumen + 5) / 6.2).astype(np.int64)
    ring = np.repeat(np.arange(len(v)), counts)
    number = np.arange(len(ring)) - np.repeat(np.cumsum(counts) - counts, counts)
    seed = seeds(truth.key + _RING_KEY, (table.first[0] + h[ring]) * 4096 + number, table.first[1] + v[ring])
    along, out = numbers(seed, _PLACE)
    turn = 2 * np.pi * (number + 0.5 * along) / counts[ring]
    off = lumen[ring] + 0.5 * RING_UM + 1.5 * (out - 0.5)
    x_um = table.x_um[v, h][ring] + off * np.cos(turn)
    y_um = table.y_um[v, h][ring] + off * np.sin(turn)
    return _Stands(x_um, y_um, seed, turn)


def _settled(truth: SlideTruth, stands: _Stands, table: Rings | None) -> tuple[_Tissue, Bool[ndarray, " n"]]:
    """Whose nuclei may stand where, and where one does."""
    places = Points(stands.x_um, stands.y_um)
    f = local(truth, places, ("density", "lymphocytes", *STRUCTURAL))
    at = scene(truth, places, f, table)
    u = numbers(stands.seed, _PRESENCE)
    fibrous = (at.stroma + at.septum) > 0.5
    closed = (at.lumen + at.wall + at.hollow + at.core + at.ring + at.lake) > 0.4
    dead, normal = at.dead > 0.5, at.normal > 0.5
    lymphocyte = u[0] < 0.62 * np.clip(f["lymphocytes"] - 0.3, 0, 1) / 0.7
    chance = 0.10 + 0.85 * f["density"]
    chance = np.where(normal, 0.32, np.where(fibrous, 0.28, chance))
    present = (u[1] < np.where(lymphocyte, 0.85, chance)) & ~closed & ~(dead & (u[2] < 0.8))
    free = np.isnan(stands.turn)
    tissue = _Tissue(fibrous & free, normal & free, dead & free, lymphocyte & free, ~free)
    return tissue, np.where(free, present, at.ring > 0.4)


def _nuclei(stands: _Stands, tissue: _Tissue, factors: dict[str, ndarray]) -> Nuclei:
    """Nuclei at these places by their uniform numbers: of the factors there, as far as their tissue lets them."""
    u = numbers(stands.seed, _SHAPE)
    f = {name: values.astype(np.float64) for name, values in factors.items()}
    fibrous, normal, lymphocyte, ring = tissue.fibrous, tissue.normal, tissue.lymphocyte, tissue.ring
    plain = normal | fibrous | tissue.dead  # no figures within
    size = np.where(normal, 0.2, np.where(fibrous, 0.15, np.where(ring, 0.7, 1.0) * f["nuclear_size"]))
    elongation = np.where(ring, np.maximum(f["elongation"], 0.3), f["elongation"])
    elongation = np.where(normal, 0.1, np.where(fibrous, 0.95, elongation))
    spread = np.where(normal | fibrous, 0.1, f["size_variation"])
    radius = (2.5 + 2.9 * size) * np.exp(1.1 * spread * (u[0] - 0.5))
    ratio = 1 + 2.4 * elongation * (0.6 + 0.4 * u[1])
    angle = np.pi * ((u[2] - 0.5) * (1 - 0.85 * elongation) + 0.4)
    dark = 0.42 + 0.72 * f["chromatin"] + 0.2 * (u[3] - 0.5) * (1 + spread)
    lobes = np.concatenate([(0.03 + 0.11 * spread) * (u[4:7] - 0.5), 2 * np.pi * u[7:10]])
    dividing = (u[10] < 0.16 * np.clip(f["mitoses"] - 0.2, 0, 1)) & ~plain
    open_ = np.clip(1.05 - 1.1 * f["chromatin"], 0.1, 1) * (radius > 3.0) * ~(dividing | lymphocyte | tissue.dead)
    hole = (u[11] < 0.7 * np.clip(f["inclusions"] - 0.25, 0, 1)) & ~(plain | dividing | lymphocyte)
    border = np.clip((f["membrane"] - 0.3) / 0.6, 0, 1) * ~(plain | lymphocyte)
    dark = np.where(tissue.dead, 0.22, np.where(dividing, 1.6, dark))
    return Nuclei(
        stands.x_um,
        stands.y_um,
        np.where(lymphocyte, 2.3, np.where(dividing, 0.85 * radius, np.minimum(radius, 7.5))),
        np.where(lymphocyte, 1.05, np.where(dividing, 3.2, ratio)),
        np.where(ring, stands.turn, np.where(dividing, np.pi * u[12], angle)),
        np.where(lymphocyte, 1.25, dark),
        np.where(lymphocyte, 0.0, np.where(dividing, 2.2, 1.0) * lobes),
        open_,
        hole,
        border,
    )


def draw_nuclei(
    nuclei: Nuclei, origin_um: tuple[float, float], side_px: int, mpp: float, margin_px: int
) -> tuple[UInt8[ndarray, "s s"], UInt8[ndarray, "s s"] | None]:
    """Haematoxylin (FULL: density 1), and cell borders 0..255 if there are any, on the inner square of pixels, without
    the margin, of one whose corner lies at `origin_um`. Borders are as wide as at REFERENCE_MPP, or a pixel if wider;
    they stop as much light as there if their strength is divided by mpp.
    """
    inner = slice(margin_px, side_px - margin_px)
    edge = 2 if mpp >= REFERENCE_MPP else 2 + math.ceil(2 * (REFERENCE_MPP - mpp) / mpp)  # smoothed over, grown beyond
    low_um = np.array(origin_um) + (margin_px - edge) * mpp
    nuclei = nuclei.reaching(low_um, low_um + (side_px - 2 * margin_px + 2 * edge) * mpp)
    stain = np.zeros((side_px, side_px), np.uint8)
    contours, centers = nuclei.contours(), np.stack([nuclei.x_um, nuclei.y_um], axis=-1)[:, None]

    def scaled(of: ndarray, by: ndarray) -> ndarray:
        return _fixed(centers[of] + contours[of] * by[:, None, None], origin_um, mpp)

    size, value, drawn = layers(nuclei)
    size += (REFERENCE_MPP - mpp) * nuclei.growth_px() / nuclei.radius_um[:, None]
    which, layer = np.nonzero(drawn & (size > 0))
    for shape, shade in zip(scaled(which, size[which, layer]), value[which, layer].tolist(), strict=True):
        cv2.fillConvexPoly(stain, shape, shade, cv2.LINE_AA, _SHIFT)
    shown = np.flatnonzero(nuclei.border > 0.05)
    if not len(shown):
        return stain[inner, inner], None
    borders = np.zeros_like(stain)
    rims = scaled(shown, nuclei.border_part()[shown])
    for rim, strength in zip(rims, (255 * nuclei.border[shown]).astype(int).tolist(), strict=True):
        cv2.polylines(borders, [rim], True, strength, 1, cv2.LINE_AA, _SHIFT)
    if mpp < REFERENCE_MPP:  # lines are a pixel wide whatever its size
        cv2.GaussianBlur(borders, (0, 0), _LINE_PX * math.sqrt((REFERENCE_MPP / mpp) ** 2 - 1), borders)
    return stain[inner, inner], borders[inner, inner]


def layers(nuclei: Nuclei) -> tuple[Float64[ndarray, "n 3"], Int64[ndarray, "n 3"], Bool[ndarray, "n 3"]]:
    """The body of each nucleus, its paler inside and the spot within: part of the size, value on the canvas, whether
    it is drawn.
    """
    dark, hole = nuclei.dark, nuclei.hole
    size = np.stack([np.ones(len(dark)), np.full(len(dark), 0.68), np.where(hole, 0.42, 0.2)], axis=-1)
    spot = np.where(hole, 12, np.minimum(FULL * (dark + 0.25), 255))
    value = np.stack([np.minimum(FULL * dark, 255), FULL * dark * (1 - 0.42 * nuclei.open), spot], axis=-1)
    inside, within = nuclei.open > 0.15, hole | (nuclei.open > 0.45)
    return size, value.astype(np.int64), np.stack([np.ones(len(dark), bool), inside, within], axis=-1)


def _fixed(contours: Float64[ndarray, "n v 2"], origin_um: tuple[float, float], mpp: float) -> ndarray:
    """OpenCV's fixed-point coordinates; rounded in world space, so that regions agree to the bit."""
    scale = 1 << _SHIFT
    world = np.rint(contours * (scale / mpp))
    origin = np.rint(np.array(origin_um) * (scale / mpp)) + scale // 2  # pixel centres lie at half integers
    return (world - origin).astype(np.int32)
