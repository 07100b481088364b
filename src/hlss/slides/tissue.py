"""Where the tissue of a slide lies, on a thumbnail: stained, neither glass nor pen nor the scanner's black border."""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray
from pydantic import Field, model_validator

from hlss.config import Part

BRIGHT = 200  # of 255: no channel of glass is darker
NEUTRAL = 0.1  # saturation: glass has no more; what is brightest on a slide without glass often has
BLANK = 254  # of 255: not scanned, as many formats show it
SCANNER_BLACK = 0.2  # of white: darker is no tissue, whatever its colour
BINS = 256
TWO_CLASSES = 0.7  # of the variance lies between them; of a normal distribution 2/π is, wherever it is halved


class TissueSpec(Part):
    """Settings.

    mpp:            of the thumbnail, µm/px.
    method:         what tells tissue from glass: `saturation` (0 to 1) or `density` (optical, base 10, mean of the
                    channels). Otsu's threshold between the two, kept within `least` and `most`: below `least` nothing
                    is tissue, so that an empty slide is empty; above `most` all is, so that a full one is full.
                    By default 0.06 to 0.15 of saturation, 0.05 to 0.12 of density.
    smooth_um:      σ of the blur before, µm.
    holes_um2:      holes up to this area are filled, µm².
    specks_um2:     pieces up to this area are dropped, µm².
    pen:            whether strokes of blue, green, black and red pens are taken out; in stains other than H&E these
                    may be colours of tissue.
    pen_um2:        pieces in a pen's colour, or black, up to this area are left, µm² (pigment, folds).
    pen_margin_um:  around strokes, µm: their edges fade into the glass.
    """

    mpp: float = Field(default=8.0, gt=0)
    method: Literal["saturation", "density"] = "saturation"
    least: float | None = Field(default=None, ge=0)
    most: float | None = Field(default=None, ge=0)
    smooth_um: float = Field(default=12.0, ge=0)
    holes_um2: float = Field(default=40_000.0, ge=0)
    specks_um2: float = Field(default=10_000.0, ge=0)
    pen: bool = True
    pen_um2: float = Field(default=20_000.0, ge=0)
    pen_margin_um: float = Field(default=40.0, ge=0)

    @property
    def bounds(self) -> tuple[float, float]:
        """Of the threshold."""
        least, most = _BOUNDS[self.method]
        return least if self.least is None else self.least, most if self.most is None else self.most

    @model_validator(mode="after")
    def _ordered(self) -> "TissueSpec":
        least, most = self.bounds
        if least > most:
            raise ValueError(f"least ({least:g}) is above most ({most:g})")
        return self


_BOUNDS = {"saturation": (0.06, 0.15), "density": (0.05, 0.12)}


def tissue_mask(thumbnail: UInt8[ndarray, "h w 3"], mpp: float, spec: TissueSpec) -> Bool[ndarray, "h w"]:
    """Which pixels of an RGB thumbnail at `mpp` µm/px are tissue."""
    sigma_px = spec.smooth_um / mpp
    smooth = _blurred(thumbnail, sigma_px)
    dark = _without_pieces(thumbnail.max(axis=2) < SCANNER_BLACK * 255, spec.pen_um2 / mpp**2)
    never = _widened(dark, round(3 * sigma_px))  # as far as the blur takes it
    if spec.pen:
        never |= pen_mask(smooth, mpp, spec)
    counted = ~never & (thumbnail.min(axis=2) < BLANK)
    signal = _SIGNALS[spec.method](smooth, _glass(smooth[counted]))
    mask = (signal > _threshold(signal[counted], *spec.bounds)) & ~never
    mask = _without_pieces(mask, spec.specks_um2 / mpp**2)
    return _filled(mask, spec.holes_um2 / mpp**2) & ~never


def pen_mask(thumbnail: UInt8[ndarray, "h w 3"], mpp: float, spec: TissueSpec) -> Bool[ndarray, "h w"]:
    """Strokes of pens, with a margin, by hue (°), saturation and value (of white).

    A blue pen is bluer than haematoxylin, a red one stronger than eosin and blood; green tissue there is none.
    """
    hsv = cv2.cvtColor(thumbnail.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    blue = (hue >= 185) & (hue <= 238) & (saturation > 0.3)
    green = (hue >= 75) & (hue < 185) & (saturation > 0.15)
    red = ((hue >= 350) | (hue <= 14)) & (saturation > 0.7) & (value > 0.4)
    black = (value < 0.4) & (saturation < 0.25)
    strokes = _without_pieces(blue | green | red | black, spec.pen_um2 / mpp**2)
    return _widened(strokes, round(spec.pen_margin_um / mpp))


def _glass(pixels: UInt8[ndarray, "n 3"]) -> Float32[ndarray, " 3"]:
    """Colour of the glass: of the brightest pixels, where these look like glass; else white."""
    white = np.full(3, 255, dtype=np.float32)
    if not len(pixels):
        return white
    dimmest = pixels.min(axis=1)
    found = np.median(pixels[dimmest >= np.quantile(dimmest, 0.95)], axis=0).astype(np.float32)
    neutral = 1 - found.min() / found.max() <= NEUTRAL if found.max() > 0 else False
    return found if found.min() >= BRIGHT and neutral else white


def _saturation(thumbnail: UInt8[ndarray, "h w 3"], glass: Float32[ndarray, " 3"]) -> Float32[ndarray, "h w"]:
    """Of HSV, were the glass white."""
    balanced = np.minimum(thumbnail / glass, 1)
    most = balanced.max(axis=2)
    return (most - balanced.min(axis=2)) / np.maximum(most, 1 / 255)


def _density(thumbnail: UInt8[ndarray, "h w 3"], glass: Float32[ndarray, " 3"]) -> Float32[ndarray, "h w"]:
    """Optical density against the glass, base 10, mean of the channels."""
    return -np.log10(np.clip(thumbnail / glass, 1 / 255, 1)).mean(axis=2, dtype=np.float32)


_SIGNALS = {"saturation": _saturation, "density": _density}


def _threshold(values: Float32[ndarray, " n"], least: float, most: float) -> float:
    """Otsu's (1979, "A Threshold Selection Method from Gray-Level Histograms"), within bounds; the lower one where
    there are no two classes.
    """
    if not values.size:
        return least
    counts, edges = np.histogram(values, BINS, (0.0, 1.0))
    weight = np.cumsum(counts)
    mass = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    below, above = weight[:-1], weight[-1] - weight[:-1]
    both = (below > 0) & (above > 0)
    if not both.any():
        return least
    gap = mass[:-1][both] / below[both] - (mass[-1] - mass[:-1][both]) / above[both]
    between = np.zeros(BINS - 1)
    between[both] = below[both] * above[both] * gap**2.0
    if between.max() < TWO_CLASSES * values.var(dtype=np.float64) * float(weight[-1]) ** 2:
        return least
    return float(np.clip(edges[1 + int(between.argmax())], least, most))


def _blurred(thumbnail: UInt8[ndarray, "h w 3"], sigma_px: float) -> UInt8[ndarray, "h w 3"]:
    return thumbnail if sigma_px < 0.3 else np.asarray(cv2.GaussianBlur(thumbnail, (0, 0), sigma_px))


def _widened(mask: Bool[ndarray, "h w"], margin_px: int) -> Bool[ndarray, "h w"]:
    if margin_px < 1 or not mask.any():
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin_px + 1,) * 2)
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)


def _without_pieces(mask: Bool[ndarray, "h w"], most_px: float) -> Bool[ndarray, "h w"]:
    """The mask without its connected pieces of at most so many pixels."""
    if not mask.any():
        return mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] > most_px
    large[0] = False  # what is not in the mask
    return large[labels]


def _filled(mask: Bool[ndarray, "h w"], most_px: float) -> Bool[ndarray, "h w"]:
    """The mask with its holes of at most so many pixels; what touches the border is no hole."""
    around = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(around, connectivity=4)
    hole = stats[:, cv2.CC_STAT_AREA] <= most_px
    hole[[0, labels[0, 0]]] = False  # the mask itself, and what lies around it
    return mask | hole[labels[1:-1, 1:-1]]
