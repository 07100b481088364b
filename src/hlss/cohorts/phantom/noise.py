"""Randomness of drawn tissue: numbers that hang on a key and a place alone, whatever region is asked for."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

_BITS = 53


def rng_of(*keys: int) -> np.random.Generator:
    """A generator that hangs on these keys alone, on every platform."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(keys)))


def uniforms(key: int, cx: Int64[ndarray, " n"], cy: Int64[ndarray, " n"], count: int) -> Float64[ndarray, "c n"]:
    """`count` numbers in 0..1 for each cell of world space: a hash of (key, x, y, which), splitmix64's finaliser."""
    which = np.arange(1, count + 1, dtype=np.uint64)[:, None]
    return _hashed(np.uint64(key % (1 << 64)), cx, cy, which)


def _hashed(key: np.uint64, cx: ndarray, cy: ndarray, which: ndarray) -> Float64[ndarray, "c *n"]:
    across = cx.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
    place = across + cy.view(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed = _mixed(_mixed(place) + which * np.uint64(0xD6E8FEB86659FD93))
    return (mixed >> np.uint64(64 - _BITS)).astype(np.float64) / float(1 << _BITS)


def _mixed(value: ndarray) -> ndarray:
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(27)
    value *= np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return value


@runtime_checkable
class Places(Protocol):
    """Where something is asked for: a grid of pixels, or single points. Fields come in the shape of the places."""

    @property
    def x_um(self) -> ndarray: ...

    @property
    def y_um(self) -> ndarray: ...

    def smooth(self, key: int, channels: tuple[int, ...], scale_um: float) -> Float32[ndarray, "c *p"]:
        """Value noise in −1..1 of each channel: random numbers on a lattice of this scale, smoothly interpolated."""
        ...


def _lattice(
    key: int, channels: tuple[int, ...], nodes_x: Int64[ndarray, " u"], nodes_y: Int64[ndarray, " v"]
) -> Float32[ndarray, "c v u"]:
    which = np.array(channels, dtype=np.uint64)[:, None, None] + np.uint64(1 << 20)
    numbers = _hashed(np.uint64(key % (1 << 64)), nodes_x, nodes_y[:, None], which)
    return (2 * numbers - 1).astype(np.float32)


@dataclass(frozen=True)
class Grid:
    """Centres of pixels: columns at `xs`, rows at `ys`, µm."""

    xs: Float64[ndarray, " w"]
    ys: Float64[ndarray, " h"]
    _known: dict[float, tuple[ndarray, ...]] = field(default_factory=dict)

    @cached_property
    def x_um(self) -> Float32[ndarray, "1 w"]:
        return self.xs.astype(np.float32)[None, :]

    @cached_property
    def y_um(self) -> Float32[ndarray, "h 1"]:
        return self.ys.astype(np.float32)[:, None]

    def smooth(self, key: int, channels: tuple[int, ...], scale_um: float) -> Float32[ndarray, "c h w"]:
        if scale_um not in self._known:
            (nodes_x, *across), (nodes_y, low, t) = (_between(axis / scale_um) for axis in (self.xs, self.ys))
            self._known[scale_um] = (nodes_x, nodes_y, *across, low, t[:, None])
        nodes_x, nodes_y, left, tx, above, ty = self._known[scale_um]
        # Added up element by element and not as matrices: no library's threads or order of sums has a say
        lattice = _lattice(key, channels, nodes_x, nodes_y)
        rows = (lattice[..., 1:] - lattice[..., :-1]).take(left, axis=2)
        rows *= tx
        rows += lattice.take(left, axis=2)
        result: Float32[ndarray, "c h w"] = (rows[:, 1:] - rows[:, :-1]).take(above, axis=1)
        result *= ty
        result += rows.take(above, axis=1)
        return result


@dataclass(frozen=True)
class Points:
    """Single points, µm, that lie near each other: the lattice between them is held as a table."""

    x_um: Float64[ndarray, " n"]
    y_um: Float64[ndarray, " n"]

    def smooth(self, key: int, channels: tuple[int, ...], scale_um: float) -> Float32[ndarray, "c n"]:
        x, y = self.x_um / scale_um, self.y_um / scale_um
        low_x, low_y = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        tx, ty = _eased(x - low_x).astype(np.float32), _eased(y - low_y).astype(np.float32)
        if not len(x):
            return np.zeros((len(channels), 0), dtype=np.float32)
        nodes_x, nodes_y = (np.arange(low.min(), low.max() + 2) for low in (low_x, low_y))
        table = _lattice(key, channels, nodes_x, nodes_y).reshape(len(channels), -1)
        at = (low_y - nodes_y[0]) * len(nodes_x) + low_x - nodes_x[0]
        below = at + len(nodes_x)
        top = table[:, at] * (1 - tx) + table[:, at + 1] * tx
        bottom = table[:, below] * (1 - tx) + table[:, below + 1] * tx
        result: Float32[ndarray, "c n"] = top * (1 - ty) + bottom * ty
        return result


def _eased(t: ndarray) -> ndarray:
    return t * t * (3 - 2 * t)


def _between(
    places: Float64[ndarray, " n"],
) -> tuple[Int64[ndarray, " k"], Int64[ndarray, " n"], Float32[ndarray, " n"]]:
    """Nodes about ascending places, the number of the one below each place, and how far each is on to the next."""
    low = np.floor(places).astype(np.int64)
    return np.arange(low[0], low[-1] + 2), low - low[0], _eased(places - low).astype(np.float32)


def step(values: ndarray, threshold: float, width: float = 0.1) -> ndarray:
    """0 below the threshold, 1 above, smooth over `width`."""
    t = values * np.float32(1 / width)
    t += np.float32(0.5 - threshold / width)
    np.clip(t, 0, 1, out=t)
    eased: ndarray = t * t
    t *= -2
    t += 3
    eased *= t
    return eased
