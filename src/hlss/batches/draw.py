"""Parameters of views, drawn once by f(seed, step, index), whoever computes the pixels."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from hlss.batches.recipe import Colour, Stain, ViewSpec

_TRIES = 10  # rectangles drawn until one fits, as torchvision does
_SLOTS = 96  # uniforms a view may use

# Ruifrok and Johnston 2001: optical densities of haematoxylin, eosin, and their cross product, unit rows
_STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105]])
_STAINS = np.vstack([_STAINS, np.cross(_STAINS[0], _STAINS[1])])
_STAINS /= np.linalg.norm(_STAINS, axis=1, keepdims=True)
_GREY = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class ViewParams:
    """Of n views. Where an operation is not drawn, its parameter is the one that changes nothing.

    matrix:    view to tile, (x, y) in units of the side, corners at 0 and 1: flips, affine, crop and resize in one.
    stain:     3 × 4 matrix on optical densities; stained: whether to apply it.
    colour:    3 × 3 matrix on RGB, then contrast: factor about the tile's mean grey; coloured: whether to apply them.
    autocontrast: stretch each channel of the tile to 0..1.
    solarize:  threshold (2: none); sharpness: factor (1: none); blur, noise: σ (0: none); noise_key: its start.
    erase:     left, top, right, bottom in units of the side (all 0: none).
    """

    matrix: Float64[ndarray, "n 2 3"]
    stain: Float64[ndarray, "n 3 4"]
    stained: Bool[ndarray, " n"]
    colour: Float64[ndarray, "n 3 3"]
    contrast: Float64[ndarray, " n"]
    coloured: Bool[ndarray, " n"]
    autocontrast: Bool[ndarray, " n"]
    solarize: Float64[ndarray, " n"]
    sharpness: Float64[ndarray, " n"]
    blur: Float64[ndarray, " n"]
    noise: Float64[ndarray, " n"]
    noise_key: Int64[ndarray, " n"]
    erase: Float64[ndarray, "n 4"]

    def __len__(self) -> int:
        return len(self.matrix)

    @cached_property
    def inside(self) -> Bool[ndarray, " n"]:
        """Whether a view shows nothing beyond its tile."""
        corners = np.array([[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=np.float64)
        seen: Float64[ndarray, "n 2 4"] = self.matrix @ corners
        return np.all((seen > -1e-9) & (seen < 1 + 1e-9), axis=(1, 2))


class _Draws:
    """Uniform numbers, (n,) at a time, from each view's own row."""

    def __init__(self, uniforms: Float64[ndarray, "n slots"]) -> None:
        self.uniforms, self.used = uniforms, 0

    def take(self, low: float = 0.0, high: float = 1.0) -> Float64[ndarray, " n"]:
        self.used += 1
        column: Float64[ndarray, " n"] = self.uniforms[:, self.used - 1]
        return low + (high - low) * column

    def chance(self, p: float) -> Bool[ndarray, " n"]:
        return self.take() < p


def draw(spec: ViewSpec, generators: list[np.random.Generator], views: int) -> ViewParams:
    """Parameters of `views` views for each of the generators (one a patch), in that order."""
    uniforms = np.concatenate([rng.random((views, _SLOTS)) for rng in generators])
    draws = _Draws(uniforms)
    matrix = _geometry(spec, draws)
    stained, stain = draws.chance(spec.stain.p), _stain(spec.stain, draws)
    coloured = draws.chance(spec.colour.p)
    colour, contrast = _colour(spec.colour, draws)
    return ViewParams(
        matrix=matrix,
        stain=stain,
        stained=stained,
        colour=colour,
        contrast=contrast,
        coloured=coloured,
        autocontrast=draws.chance(spec.autocontrast.p),
        solarize=np.where(draws.chance(spec.solarize.p), spec.solarize.threshold, 2.0),
        sharpness=np.where(draws.chance(spec.sharpness.p), spec.sharpness.factor, 1.0),
        blur=np.where(draws.chance(spec.blur.p), draws.take(*spec.blur.sigma), 0.0),
        noise=np.where(draws.chance(spec.noise.p), draws.take(*spec.noise.sigma), 0.0),
        noise_key=(draws.take() * 2**53).astype(np.int64),
        erase=_erase(spec, draws),
    )


def _geometry(spec: ViewSpec, draws: _Draws) -> Float64[ndarray, "n 2 3"]:
    """View ← crop ← affine ← flips ← tile; what is composed here is its inverse, from the view back to the tile."""
    hflip, vflip, transpose = (draws.chance(op.p) for op in (spec.hflip, spec.vflip, spec.transpose))
    turned = draws.chance(spec.affine.p)
    angle = np.where(turned, draws.take(-1, 1) * math.radians(spec.affine.degrees), 0.0)
    shift = [np.where(turned, draws.take(-1, 1) * most, 0.0) for most in spec.affine.translate]
    cropped = draws.chance(spec.crop.p)
    found, width, height = _rectangle(draws, spec.crop.scale, spec.crop.ratio)
    width, height = (np.where(cropped & found, side, 1.0) for side in (width, height))
    left, top = draws.take() * (1 - width), draws.take() * (1 - height)
    zero = np.zeros_like(width)
    crop = _matrices(width, zero, left, zero, height, top)
    cos, sin = np.cos(angle), np.sin(angle)
    # back from the affine: undo the shift, then turn the other way about the centre
    x0, y0 = 0.5 + shift[0], 0.5 + shift[1]
    affine = _matrices(cos, sin, 0.5 - cos * x0 - sin * y0, -sin, cos, 0.5 + sin * x0 - cos * y0)
    sign_x, sign_y = np.where(hflip, -1.0, 1.0), np.where(vflip, -1.0, 1.0)
    flips = _matrices(sign_x, zero, np.where(hflip, 1.0, 0.0), zero, sign_y, np.where(vflip, 1.0, 0.0))
    one = 1.0 - transpose
    swap = _matrices(one, 1 - one, zero, 1 - one, one, zero)
    result: Float64[ndarray, "n 2 3"] = (swap @ flips @ affine @ crop)[:, :2]
    return result


def _matrices(*entries: ndarray) -> Float64[ndarray, "n 3 3"]:
    rows = np.stack(np.broadcast_arrays(*entries), axis=-1).reshape(-1, 2, 3)
    last = np.broadcast_to(np.array([[0.0, 0.0, 1.0]]), (len(rows), 1, 3))
    return np.concatenate([rows, last], axis=1)


def _rectangle(
    draws: _Draws, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[Bool[ndarray, " n"], Float64[ndarray, " n"], Float64[ndarray, " n"]]:
    """Width and height of the first of ten rectangles that fits, area and log ratio uniform; whether one did."""
    area = np.stack([draws.take(*scale) for _ in range(_TRIES)])
    aspect = np.exp(np.stack([draws.take(math.log(ratio[0]), math.log(ratio[1])) for _ in range(_TRIES)]))
    width, height = np.sqrt(area * aspect), np.sqrt(area / aspect)
    fits = (width <= 1) & (height <= 1)
    first, column = fits.argmax(axis=0), np.arange(fits.shape[1])
    return fits.any(axis=0), width[first, column], height[first, column]


def _stain(spec: Stain, draws: _Draws) -> Float64[ndarray, "n 3 4"]:
    factor = np.stack([draws.take(1 - spec.strength, 1 + spec.strength) for _ in range(2)], axis=-1)
    shift = np.stack([draws.take(-spec.shift, spec.shift) for _ in range(2)], axis=-1)
    factor = np.concatenate([factor, np.ones_like(factor[:, :1])], axis=1)
    shift = np.concatenate([shift, np.zeros_like(shift[:, :1])], axis=1)
    inverse = np.linalg.inv(_STAINS)
    matrix = np.einsum("ac,nc,cb->nba", inverse, factor, _STAINS)  # od' = od · S⁻¹ · diag(f) · S, as a column matrix
    return np.concatenate([matrix, (shift @ _STAINS)[:, :, None]], axis=2)


def _colour(spec: Colour, draws: _Draws) -> tuple[Float64[ndarray, "n 3 3"], Float64[ndarray, " n"]]:
    brightness = draws.take(1 - spec.brightness, 1 + spec.brightness)
    contrast = draws.take(1 - spec.contrast, 1 + spec.contrast)
    saturation = draws.take(1 - spec.saturation, 1 + spec.saturation)[:, None, None]
    turn = draws.take(-spec.hue, spec.hue) * 2 * math.pi
    grey = np.ones((3, 1)) * _GREY
    rotation = np.zeros((len(turn), 3, 3))
    rotation[:, 0, 0] = 1
    rotation[:, 1, 1] = rotation[:, 2, 2] = np.cos(turn)
    rotation[:, 1, 2], rotation[:, 2, 1] = -np.sin(turn), np.sin(turn)
    hue = np.linalg.inv(_YIQ) @ rotation @ _YIQ
    matrix = hue @ (saturation * np.eye(3) + (1 - saturation) * grey) * brightness[:, None, None]
    return matrix, contrast


def _erase(spec: ViewSpec, draws: _Draws) -> Float64[ndarray, "n 4"]:
    drawn = draws.chance(spec.erase.p)
    found, height, width = _rectangle(draws, spec.erase.scale, spec.erase.ratio)
    left, top = draws.take() * (1 - width), draws.take() * (1 - height)
    box = np.stack([left, top, left + width, top + height], axis=-1)
    return np.where((drawn & found)[:, None], box, 0.0)
