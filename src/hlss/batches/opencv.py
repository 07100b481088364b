"""Views by OpenCV, in the workers: uint8 in, uint8 out, one resample."""

from functools import cache, cached_property

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from hlss.batches.draw import ViewParams
from hlss.batches.keyed import generator

_NOISE_BLOCK = 1 << 22  # normal numbers drawn once a process (at least); a view's noise is a stretch of them
SHARPEN = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=np.float32) / 13  # Pillow's and torchvision's smoothing


def views_of(tile: UInt8[ndarray, "h h 3"], params: ViewParams, first: int, count: int, out_px: int) -> ndarray:
    """Views `first` to `first + count` of `params`, all of this tile: (count, 3, out_px, out_px) uint8.

    Order: flips, affine, crop and resize in one resample; stain; colour; noise; autocontrast (by the tile's own range)
    and solarize; sharpness; blur; erase.
    """
    seen = TileSeen(tile)
    result = np.empty((count, 3, out_px, out_px), dtype=np.uint8)
    for place in range(count):
        cv2.split(_view(seen, params, first + place, out_px), list(result[place]))
    return result


def evaluation_view(tile: UInt8[ndarray, "h w 3"], out_px: int) -> UInt8[ndarray, "3 p p"]:
    """The deterministic view: resized, by area where that shrinks and by cubic splines where it enlarges."""
    if tile.shape[:2] != (out_px, out_px):
        shrinks = tile.shape[0] >= out_px and tile.shape[1] >= out_px
        tile = cv2.resize(tile, (out_px, out_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.ascontiguousarray(tile.transpose(2, 0, 1))


class TileSeen:
    """A tile with what several views of it share: halved copies, range of each channel, mean grey."""

    def __init__(self, tile: UInt8[ndarray, "h h 3"]) -> None:
        self.halved = [np.ascontiguousarray(tile)]

    def at(self, level: int) -> UInt8[ndarray, "h h 3"]:
        """The tile halved `level` times; an odd side is first made even by repeating its last row and column."""
        while len(self.halved) <= level:
            last = self.halved[-1]
            odd, half = last.shape[0] % 2, (last.shape[0] + 1) // 2
            even = cv2.copyMakeBorder(last, 0, odd, 0, odd, cv2.BORDER_REPLICATE)
            self.halved.append(cv2.resize(even, (half, half), interpolation=cv2.INTER_AREA))
        return self.halved[level]

    @cached_property
    def channel_range(self) -> tuple[ndarray, ndarray]:
        bounds = np.array([cv2.minMaxLoc(channel)[:2] for channel in cv2.split(self.halved[0])])
        return bounds[:, 0], bounds[:, 1]

    @cached_property
    def mean_grey(self) -> float:
        red, green, blue, _ = cv2.mean(self.halved[0])
        return 0.299 * red + 0.587 * green + 0.114 * blue


def halvings(params: ViewParams, view: int, tile_px: int, out_px: int) -> int:
    """How often a tile is halved (by area) before the one resample, so that shrinking does not alias."""
    step = np.sqrt(abs(np.linalg.det(params.matrix[view, :, :2]))) * tile_px / out_px
    level = 0
    while step >= 1.5:
        level, step = level + 1, step / 2
    return level


def _view(seen: TileSeen, params: ViewParams, i: int, out_px: int) -> UInt8[ndarray, "p p 3"]:
    view = _resampled(seen, params, i, out_px)
    if params.stained[i]:
        view = _stained(view, params.stain[i])
    if params.coloured[i]:
        contrast, colour = params.contrast[i], params.colour[i]
        grey = seen.mean_grey * colour.sum(axis=1, keepdims=True)
        view = cv2.transform(view, np.hstack([contrast * colour, (1 - contrast) * grey]))
    if params.noise[i] > 0:
        view = _noisy(view, float(params.noise[i]), int(params.noise_key[i]))
    if params.autocontrast[i] or params.solarize[i] <= 1:
        view = cv2.LUT(view, tone_table(seen.channel_range, bool(params.autocontrast[i]), float(params.solarize[i])))
    if params.sharpness[i] != 1:
        smooth = cv2.filter2D(view, -1, SHARPEN)
        factor = float(params.sharpness[i])
        view = cv2.addWeighted(view, factor, smooth, 1 - factor, 0)
    if params.blur[i] > 0:
        view = cv2.GaussianBlur(view, (5, 5), float(params.blur[i]))
    left, top, right, bottom = np.rint(params.erase[i] * out_px).astype(int)
    view[top:bottom, left:right] = 0
    return view


def _resampled(seen: TileSeen, params: ViewParams, i: int, out_px: int) -> UInt8[ndarray, "p p 3"]:
    tile_px = seen.halved[0].shape[0]
    level = halvings(params, i, tile_px, out_px)
    matrix = params.matrix[i] * (tile_px / 2**level)
    matrix[:, :2] /= out_px
    matrix[:, 2] += matrix[:, :2].sum(axis=1) * 0.5 - 0.5  # pixel centres lie at half integers
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REPLICATE if params.inside[i] else cv2.BORDER_CONSTANT  # black where there is no tissue
    return cv2.warpAffine(seen.at(level), matrix, (out_px, out_px), flags=flags, borderMode=border, borderValue=0)


@cache
def _densities() -> Float32[ndarray, " 256"]:
    return (-np.log((np.arange(256) + 1) / 256)).astype(np.float32)


def _stained(view: UInt8[ndarray, "p p 3"], stain: ndarray) -> UInt8[ndarray, "p p 3"]:
    """The view with its optical densities taken through a 3 × 4 matrix."""
    densities = cv2.transform(cv2.LUT(view, _densities()), -stain)
    return np.rint(np.clip(cv2.exp(densities) * 256 - 1, 0, 255)).astype(np.uint8)


@cache
def _noise(length: int) -> Float32[ndarray, " n"]:
    return generator(0x4E6F6973).standard_normal(length, dtype=np.float32)


def _noisy(view: UInt8[ndarray, "p p 3"], sigma: float, key: int) -> UInt8[ndarray, "p p 3"]:
    length = max(_NOISE_BLOCK, 4 * view.size)
    start = key % (length - view.size)
    noise = _noise(length)[start : start + view.size].reshape(view.shape)
    return cv2.addWeighted(view, 1.0, noise, sigma * 255, 0, dtype=cv2.CV_8U)


def tone_table(channel_range: tuple[ndarray, ndarray], stretch: bool, threshold: float) -> UInt8[ndarray, "256 1 3"]:
    """Values 0..255 of each channel after autocontrast (if `stretch`) and solarize (threshold > 1: none)."""
    values = np.repeat(np.arange(256, dtype=np.float64)[:, None], 3, axis=1)
    if stretch:
        low, high = channel_range
        spread = np.where(high > low, high - low, 255)
        low = np.where(high > low, low, 0)
        values = np.rint(np.clip((values - low) * 255 / spread, 0, 255))
    if threshold <= 1:
        values = np.where(values >= threshold * 255, 255 - values, values)
    return values.astype(np.uint8).reshape(256, 1, 3)
