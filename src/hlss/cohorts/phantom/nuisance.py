"""What must not be learnt: stain and scanner of a site, and of each slide light, focus, folds and pen marks."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from hlss.cohorts.phantom.noise import Grid, rng_of, step

RED_CELLS = (0.12, 0.70, 0.62)  # optical densities of haemoglobin's orange red in R, G, B
MOST_BLUR_UM = 0.7
_FOLD_EVERY_UM, _PEN_EVERY_UM = 1700.0, 2600.0
_SOFT_UM = 6.0  # over which a band's edge fades
_FOLDED, _MARKED = 0.2, 0.08  # shares of slides
_INKS = ((0.15, 0.25, 0.55), (0.10, 0.45, 0.25), (0.15, 0.15, 0.20))


@dataclass(frozen=True)
class Band:
    """Straight bands over a slide, parallel: direction (unit normal), offset, distance between and half width, µm."""

    normal: tuple[float, float]
    offset_um: float
    every_um: float
    half_um: float

    def meets(self, places: Grid) -> bool:
        """Whether a band may lie in a square of places; seen from its corners."""
        corners = np.add.outer(self.normal[0] * places.xs[[0, -1]], self.normal[1] * places.ys[[0, -1]])
        reach = self.half_um + _SOFT_UM + 1
        first, last = (corners.min() - self.offset_um - reach), (corners.max() - self.offset_um + reach)
        return bool(np.floor(last / self.every_um) >= np.ceil(first / self.every_um))

    def cover(self, places: Grid) -> Float32[ndarray, "h w"]:
        """1 within a band, 0 outside."""
        along = self.normal[0] * places.x_um + self.normal[1] * places.y_um - self.offset_um
        off = np.abs((along + self.every_um / 2) % self.every_um - self.every_um / 2)
        result: Float32[ndarray, "h w"] = step(-off, -self.half_um, _SOFT_UM).astype(np.float32)
        return result


@dataclass(frozen=True)
class Look:
    """How a slide came out. od: optical densities of haematoxylin, eosin and red cells in R, G, B, times strength;
    light: brightness of the glass in R, G, B; blur_um: σ; fold: twice the tissue; pen: ink's transmittance, and where.
    """

    od: Float64[ndarray, "3 3"]
    light: Float64[ndarray, " 3"]
    blur_um: float = 0.0
    fold: Band | None = None
    pen: tuple[tuple[float, float, float], Band] | None = None

    def develop(
        self,
        stains: Float32[ndarray, "h w 3"],
        places: Grid,
        mpp: float,
        margin_px: int,
        share: Float32[ndarray, "h w"] | None = None,
    ) -> UInt8[ndarray, "p q 3"]:
        """RGB of amounts of haematoxylin, eosin and red cells (Beer-Lambert), `margin_px` cut off at each side.

        share: the part of each pixel on which haematoxylin lies, 0..1 (all of it if not given): light adds up, amounts
        do not. The amounts are overwritten.
        """
        if self.fold is not None and self.fold.meets(places):
            stains = stains * (1 + 0.8 * self.fold.cover(places))[..., None]
        if share is None:
            rgb = self._light(stains)
        else:
            beside = self._light(stains * np.array([0, 1, 1], dtype=np.float32))
            rgb = beside + share[..., None] * (self._light(stains) - beside)
        if self.pen is not None and self.pen[1].meets(places):
            ink, band = self.pen
            rgb = rgb * (1 - band.cover(places)[..., None] * (1 - np.array(ink, dtype=np.float32)))
        developed = cv2.convertScaleAbs(rgb)
        if self.blur_um > 0.1 * mpp:
            developed = cv2.GaussianBlur(developed, (0, 0), self.blur_um / mpp)
        inner = slice(margin_px, -margin_px or None)
        return np.ascontiguousarray(developed[inner, inner])

    def _light(self, stains: Float32[ndarray, "h w 3"]) -> Float32[ndarray, "h w 3"]:
        """What light gets through, 0..255; overwrites the amounts."""
        matrix = np.column_stack([-self.od.T, np.log(255 * self.light)])
        light: Float32[ndarray, "h w 3"] = cv2.exp(cv2.transform(stains, matrix, stains), stains)
        return light


def look_of(seed: int, patient: int, slide: int, site: int, spread: float = 1.0) -> Look:
    """Look of a slide; spread: how far stains and light of sites lie apart, 1 as between real laboratories."""
    common, own = rng_of(seed, 3, site), rng_of(seed, 4, patient, slide)
    od = np.array([[0.65, 0.70, 0.29], [0.20, 0.91, 0.36]])  # eosin with the faint blue that cytoplasm has too
    od = od + spread * (common.normal(0, 0.035, (2, 3)) + own.normal(0, 0.012, (2, 3)))
    od = np.clip(od, 0.02, None) / np.linalg.norm(od, axis=1, keepdims=True)
    strength = 1.2 * np.exp(spread * (common.normal(0, 0.13, 2) + own.normal(0, 0.06, 2)))
    light = np.clip(0.95 + spread * (common.normal(0, 0.015) + common.normal(0, 0.01, 3)), 0.86, 1.0)
    blur_um = float(abs(common.normal(0, 0.12)) + abs(own.normal(0, 0.2)))
    fold = _band(own, _FOLD_EVERY_UM, 12.0) if own.random() < _FOLDED else None
    pen = (_INKS[int(own.integers(len(_INKS)))], _band(own, _PEN_EVERY_UM, 60.0)) if own.random() < _MARKED else None
    return Look(np.vstack([od * strength[:, None], RED_CELLS]), light, min(blur_um, MOST_BLUR_UM), fold, pen)


def _band(random: np.random.Generator, every_um: float, half_um: float) -> Band:
    angle = random.uniform(0, np.pi)
    return Band((float(np.cos(angle)), float(np.sin(angle))), float(random.uniform(0, every_um)), every_um, half_um)
