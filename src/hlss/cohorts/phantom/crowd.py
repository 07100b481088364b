"""Nuclei smaller than pixels: what share of each pixel they cover and how dark, one by one or as many are on average.

Both are calibrated to what `draw_nuclei` draws at REFERENCE_MPP.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from hlss.cohorts.phantom.nuclei import (
    BORDER,
    CELL_UM,
    FULL,
    GROWTH_BY_DENSITY,
    GROWTH_BY_RATIO,
    GROWTH_PX,
    WIDEST_UM,
    Nuclei,
    layers,
)
from hlss.cohorts.phantom.scene import Scene

_POLYGON = 0.967  # area of a contour's polygon against its circle's
_OD = 0.78  # of haematoxylin at density 1, about as red and green light see it under a usual stain
_LINE_UM = 1.15  # width of a cell's border at REFERENCE_MPP, less where it lies over others
_RING_NUCLEUS_UM2 = 64.0  # of the rings' epithelium holds one nucleus
_PLACES_UM2 = 72.0  # a nucleus is so large or smaller: places within lie closer than pixels
_GOLDEN = np.pi * (3 - np.sqrt(5))
_OVERLAP, _CELLS = 0.028, 1.8  # how far nuclei of a pixel of 1 µm² lie over each other; of how many cells a place's are


class Crowd(NamedTuple):
    """share: of a pixel that nuclei cover, 0..1; dark: their density of haematoxylin; border: share that cells' borders
    cover, times their strength.
    """

    share: Float32[ndarray, "h w"]
    dark: Float32[ndarray, "h w"]
    border: Float32[ndarray, "h w"]

    def within(self, margin_px: int) -> "Crowd":
        """Without a margin at each side."""
        inner = slice(margin_px, -margin_px or None)
        return Crowd(*(np.ascontiguousarray(values[inner, inner]) for values in self))


def crowd_of(nuclei: Nuclei, origin_um: tuple[float, float], side_px: int, mpp: float) -> Crowd:
    """What these nuclei cover of a square of pixels whose corner lies at `origin_um`."""
    canvas = _Canvas(np.array(origin_um) / mpp, side_px, mpp)
    area_um2, dark = _as_drawn(nuclei)
    inside = _within(nuclei, np.sqrt(area_um2 / np.pi), round(np.clip(_PLACES_UM2 / mpp**2, 6, 40)))
    cover, shade = canvas.scattered(inside, area_um2, area_um2 * dark)
    shade /= np.maximum(cover, 1e-6)
    shown = nuclei.at(np.flatnonzero(nuclei.border > 0.05))
    rim = shown.border_part() * shown.radius_um
    area_um2 = 2 * np.pi * rim * (1 + GROWTH_BY_RATIO * (shown.ratio - 1)) * _LINE_UM * shown.border
    (border,) = canvas.scattered(_along(shown, rim, max(6, round(24 / mpp))), area_um2)
    return Crowd(*(values.astype(np.float32) for values in (_bounded(cover, mpp), shade, 1 - np.exp(-border))))


def _bounded(cover: ndarray, mpp: float) -> ndarray:
    """Share of pixels that is covered where nuclei add up to so much: the larger a pixel, the more lie over others."""
    width = _OVERLAP * mpp**2  # the lesser of cover and 1, smooth over twice this
    over = np.clip(cover - (1 - width), 0, 2 * width)
    share: ndarray = np.minimum(cover, 1 + width) - np.square(over) / (4 * width)
    return share


def _union(cover: ndarray) -> ndarray:
    """Share of a place that is covered on average by nuclei that add up to so much, of a few cells each by chance."""
    bare = 1 - np.minimum(cover / np.float32(_CELLS), 1)
    return np.asarray(1 - bare**_CELLS)


def _as_drawn(nuclei: Nuclei) -> tuple[Float64[ndarray, " n"], Float64[ndarray, " n"]]:
    """Area, µm², and the even density of haematoxylin that lets as much light through as body, inside and spot."""
    size, value, drawn = layers(nuclei)
    areas = np.pi * _POLYGON * (size * nuclei.radius_um[:, None] + nuclei.growth_px()) ** 2 * drawn
    body, inside, spot = areas.T
    seen = np.stack([body - np.maximum(inside, spot), np.maximum(inside - spot, 0), spot], axis=-1)
    light = (np.maximum(seen, 0) * np.exp(-_OD / FULL * value)).sum(axis=-1) / np.maximum(seen, 0).sum(axis=-1)
    return body, -np.log(light) / _OD


def _within(nuclei: Nuclei, radius_um: Float64[ndarray, " n"], count: int) -> Float64[ndarray, "2 n c"]:
    """So many places within each nucleus, each of an equal share of it, µm."""
    number = np.arange(count)
    return _about(nuclei, radius_um, np.sqrt((number + 0.5) / count), _GOLDEN * number)


def _along(nuclei: Nuclei, radius_um: Float64[ndarray, " n"], count: int) -> Float64[ndarray, "2 n c"]:
    """So many places along the border of each nucleus's cell, µm."""
    return _about(nuclei, radius_um, np.ones(count), 2 * np.pi / count * np.arange(count))


def _about(
    nuclei: Nuclei, radius_um: Float64[ndarray, " n"], off: Float64[ndarray, " c"], turn: Float64[ndarray, " c"]
) -> Float64[ndarray, "2 n c"]:
    """Places about each nucleus, µm; off: from its centre, 1 at the contour; turn: radians from its long axis."""
    u = (radius_um * np.sqrt(nuclei.ratio))[:, None] * (off * np.cos(turn))
    v = (radius_um / np.sqrt(nuclei.ratio))[:, None] * (off * np.sin(turn))
    cos, sin = np.cos(nuclei.angle)[:, None], np.sin(nuclei.angle)[:, None]
    return np.array([nuclei.x_um[:, None] + u * cos - v * sin, nuclei.y_um[:, None] + u * sin + v * cos])


@dataclass(frozen=True)
class _Canvas:
    """A square of pixels. corner_px: of its top-left corner, in pixels of world space."""

    corner_px: Float64[ndarray, " 2"]
    side_px: int
    mpp: float

    def scattered(
        self, places_um: Float64[ndarray, "2 n c"], *areas_um2: Float64[ndarray, " n"]
    ) -> list[Float64[ndarray, "side side"]]:
        """Areas parted evenly among their places, each among the four pixels next to it; in areas of a pixel."""
        corner = np.round(self.corner_px, 6)
        whole = np.floor(corner)
        at = places_um / self.mpp - (corner - whole + 0.5)[:, None, None]  # the same in every region
        low = np.floor(at)
        (tx, ty), (column, row) = (at - low).astype(np.float32), (low - whole[:, None, None]).astype(np.int64)
        each = [(area / (self.mpp**2 * places_um.shape[2])).astype(np.float32)[:, None] for area in areas_um2]
        # A frame of two pixels takes up what lies beyond
        width = self.side_px + 4
        row.clip(-2, self.side_px, out=row)
        flat = row * width + column.clip(-2, self.side_px, out=column) + 2 * width + 2
        totals = np.zeros((len(each), width * width))
        for step, part in ((0, (1 - tx) * (1 - ty)), (1, tx * (1 - ty)), (width, (1 - tx) * ty), (width + 1, tx * ty)):
            where = (flat + step).ravel()
            for total, area in zip(totals, each, strict=True):
                total += np.bincount(where, (part * area).ravel(), minlength=width * width)
        return [total.reshape(width, width)[2:-2, 2:-2] for total in totals]


@dataclass(frozen=True)
class _Kind:
    """Nuclei of one tissue. count: how many a cell of world space; radius_um: the middle one; spread: of its logarithm;
    ratio, dark, open: as of `Nuclei`; hole: share with an inclusion; border: strength of cells' borders.
    """

    count: ndarray
    radius_um: ndarray | float
    spread: ndarray | float
    ratio: ndarray | float
    dark: ndarray | float
    open: ndarray | float = 0.0
    hole: ndarray | float = 0.0
    border: ndarray | float = 0.0

    def area_um2(self) -> ndarray:
        """Mean area as drawn, µm²; radii scatter evenly by their logarithm."""
        x, growth = 1.1 * self.spread, self._growth_um
        mean, square = self.radius_um * (1 + x**2 / 24), self.radius_um**2 * (1 + x**2 / 6)
        return np.asarray(np.pi * _POLYGON * (square + growth * (2 * mean + growth)), dtype=np.float32)

    def even(self) -> ndarray:
        """The density that lets as much light through as body, inside, spot and inclusion."""
        body, inside = np.exp(-_OD * self.dark), np.exp(-_OD * self.dark * (1 - 0.42 * self.open))
        within = np.where(np.greater(self.open, 0.45), np.exp(-_OD * (self.dark + 0.25)), inside)
        light = body + (inside - body) * self._part(0.68) + (within - inside) * self._part(0.2)
        light += self.hole * self._part(0.42) * (np.exp(-_OD * 12 / FULL) - inside)
        return np.asarray(-np.log(light) / _OD, dtype=np.float32)

    def rim_um2(self) -> ndarray:
        """Area of a cell's border times its strength, µm²."""
        rim = np.minimum(BORDER * self.radius_um, WIDEST_UM)
        area = 2 * np.pi * _LINE_UM * rim * (1 + GROWTH_BY_RATIO * (self.ratio - 1)) * self.border
        return np.asarray(area, dtype=np.float32)

    @property
    def _growth_um(self) -> ndarray | float:
        return (1 + GROWTH_BY_RATIO * (self.ratio - 1)) * (GROWTH_PX + GROWTH_BY_DENSITY * self.dark)

    def _part(self, size: float) -> ndarray:
        """Share of the area that a layer of this size takes."""
        part = (size * self.radius_um + GROWTH_PX) / (self.radius_um + self._growth_um)
        return np.asarray(part * part, dtype=np.float32)


NUCLEAR = (
    "density",
    "lymphocytes",
    "nuclear_size",
    "size_variation",
    "elongation",
    "chromatin",
    "inclusions",
    "membrane",
)


def mean_crowd(at: Scene, f: Mapping[str, ndarray]) -> Crowd:
    """What nuclei cover on average at places, as `nuclei_of` scatters them; f: the factors NUCLEAR there."""
    kinds = _kinds(at, f)
    areas = [kind.count / np.float32(CELL_UM**2) * kind.area_um2() for kind in kinds]
    scattered, ringed = areas[0] + areas[1], sum(areas[2:])
    shades = [area * kind.even() for area, kind in zip(areas, kinds, strict=True)]
    shade = sum(shades) / np.maximum(sum(areas), 1e-6)
    share = np.minimum(_union(scattered) + ringed, 1)  # those of rings stand side by side
    border = sum(kind.count / np.float32(CELL_UM**2) * kind.rim_um2() for kind in kinds)
    return Crowd(*(np.asarray(values, dtype=np.float32) for values in (share, shade, 1 - np.exp(-border))))


def _kinds(at: Scene, f: Mapping[str, ndarray]) -> list[_Kind]:
    """Lymphocytes, other nuclei that stand one a cell of world space, and those of rings."""
    dead, normal, fibrous = at.dead > 0.5, at.normal > 0.5, (at.stroma + at.septum) > 0.5
    free = (1 - at.hollow - at.core - at.ring) * np.where(
        at.lumen + at.wall + at.lake > 0.4, 0, 1 - np.float32(0.8) * dead
    )
    small = 0.62 / 0.7 * np.clip(f["lymphocytes"] - 0.3, 0, 1)
    chance = np.where(normal, 0.32, np.where(fibrous, 0.28, 0.10 + 0.85 * f["density"]))
    plain = normal | fibrous
    radius = 2.5 + 2.9 * np.where(normal, 0.2, np.where(fibrous, 0.15, f["nuclear_size"]))
    spread = np.where(plain, 0.1, f["size_variation"])
    ratio = 1 + 1.92 * np.where(normal, 0.1, np.where(fibrous, 0.95, f["elongation"]))
    chromatin = 0.42 + 0.72 * f["chromatin"]
    pale = np.clip(1.05 - 1.1 * f["chromatin"], 0.1, 1)
    hole = 0.7 * np.clip(f["inclusions"] - 0.25, 0, 1)
    border = np.clip((f["membrane"] - 0.3) / 0.6, 0, 1)
    large = pale * np.clip(0.5 + np.log(radius / 3) / np.maximum(1.1 * spread, 0.05), 0, 1)
    kinds = [
        _Kind(small * 0.85 * free, 2.3, 0.0, 1.05, 1.25),
        _Kind(
            (1 - small) * free * chance,
            radius,
            spread,
            ratio,
            np.where(dead, 0.22, chromatin),
            np.where(dead, 0, large),
            np.where(plain | dead, 0, hole),
            np.where(plain, 0, border),
        ),
    ]
    if at.ring.any():
        count = np.float32(CELL_UM**2 / _RING_NUCLEUS_UM2) * at.ring
        radius, ratio = 2.5 + 2.03 * f["nuclear_size"], 1 + 1.92 * np.maximum(f["elongation"], 0.3)
        kinds.append(_Kind(count, radius, f["size_variation"], ratio, chromatin, large, hole, border))
    return kinds
