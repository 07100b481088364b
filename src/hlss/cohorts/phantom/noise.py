"""Randomness of drawn tissue: numbers that hang on a key and a place alone, whatever region is asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt64
from numpy import ndarray

_BITS = 53
_ACROSS, _DOWN, _WHICH = (np.uint64(odd) for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0xD6E8FEB86659FD93))
_SHIFTS, _ODDS = (
    tuple(np.uint64(number) for number in those)
    for those in ((30, 27, 31, 64 - _BITS), (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
)
_NODES = 4  # of a lattice are made at least along a side: places near each other ask for the same ones


def rng_of(*keys: int) -> np.random.Generator:
    """A generator that hangs on these keys alone, on every platform."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(keys)))


def uniforms(key: int, cx: Int64[ndarray, "*#n"], cy: Int64[ndarray, "*#n"], count: int) -> Float64[ndarray, "c *n"]:
    """`count` numbers in 0..1 for each cell of world space: a hash of (key, x, y, which), splitmix64's finaliser."""
    return numbers(seeds(key, cx, cy), range(count))


def seeds(key: int, cx: Int64[ndarray, "*#n"], cy: Int64[ndarray, "*#n"]) -> UInt64[ndarray, "*n"]:
    """What the numbers of cells hang on."""
    across = cx.view(np.uint64) * _ACROSS + np.uint64(key % (1 << 64))
    return _mixed(across + cy.view(np.uint64) * _DOWN)


def numbers(seed: UInt64[ndarray, "*n"], which: Sequence[int]) -> Float64[ndarray, "c *n"]:
    """These of each cell's `uniforms`, counted from 0."""
    step_on = (np.array(which, dtype=np.uint64) + np.uint64(1)) * _WHICH
    mixed = _mixed(seed + step_on.reshape(-1, *(1,) * seed.ndim))
    return (mixed >> _SHIFTS[3]) * (1 / (1 << _BITS))


def _mixed(value: ndarray) -> ndarray:
    value ^= value >> _SHIFTS[0]
    value *= _ODDS[0]
    value ^= value >> _SHIFTS[1]
    value *= _ODDS[1]
    value ^= value >> _SHIFTS[2]
    return value


def cells_of(
    low_um: tuple[float, float], high_um: tuple[float, float], side_um: float
) -> tuple[Int64[ndarray, " n"], Int64[ndarray, " n"], tuple[int, int]]:
    """Column and row of each cell of this side that meets a rectangle, row by row, and how many (rows, columns)."""
    columns, rows = (
        np.arange(math.floor(low / side_um), math.floor(high / side_um) + 1)
        for low, high in zip(low_um, high_um, strict=True)
    )
    return np.tile(columns, len(rows)), np.repeat(rows, len(columns)), (len(rows), len(columns))


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


@lru_cache(maxsize=64)
def _lattice(key: int, channels: tuple[int, ...], nodes_x: range, nodes_y: range) -> Float32[ndarray, "c u v"]:
    made = _values(key, channels, *(np.arange(nodes.start, nodes.stop) for nodes in (nodes_x, nodes_y)))
    made.flags.writeable = False
    return made


def _values(
    key: int, channels: tuple[int, ...], nodes_x: Int64[ndarray, " u"], nodes_y: Int64[ndarray, " v"]
) -> Float32[ndarray, "c u v"]:
    seed = seeds(key, nodes_x[:, None], nodes_y)
    values: Float32[ndarray, "c u v"] = 2 * numbers(seed, [channel + (1 << 20) - 1 for channel in channels]) - 1
    return values.astype(np.float32)


def _nodes(first: float, last: float) -> range:
    """Nodes about all places from the first to the last, and some more."""
    return range(math.floor(first) // _NODES * _NODES, ((math.floor(last) + 1) // _NODES + 1) * _NODES)


@dataclass(frozen=True)
class Grid:
    """Centres of pixels: columns at `xs`, rows at `ys`, µm."""

    xs: Float64[ndarray, " w"]
    ys: Float64[ndarray, " h"]
    _known: dict[float, tuple[Any, ...]] = field(default_factory=dict)

    @cached_property
    def x_um(self) -> Float32[ndarray, "1 w"]:
        return self.xs.astype(np.float32)[None, :]

    @cached_property
    def y_um(self) -> Float32[ndarray, "h 1"]:
        return self.ys.astype(np.float32)[:, None]

    def smooth(self, key: int, channels: tuple[int, ...], scale_um: float) -> Float32[ndarray, "c h w"]:
        if scale_um not in self._known:
            self._known[scale_um] = self._between(scale_um)
        nodes_x, nodes_y, left, above, tx, ty = self._known[scale_um]
        # Added up element by element and not as matrices: no library's threads or order of sums has a say
        made = _lattice if isinstance(nodes_x, range) else _values
        lattice = made(key, channels, nodes_x, nodes_y)
        columns = (lattice[:, 1:] - lattice[:, :-1]).take(left, axis=1)
        columns *= tx
        columns += lattice.take(left, axis=1)
        rows = np.ascontiguousarray(columns.swapaxes(1, 2))
        result: Float32[ndarray, "c h w"] = (rows[:, 1:] - rows[:, :-1]).take(above, axis=1)
        result *= ty
        result += rows.take(above, axis=1)
        return result

    def _between(self, scale_um: float) -> tuple[Any, ...]:
        """Nodes about the grid; of each column and row, which node lies before it, and how far it is on to the next."""
        low, t = _parted(np.concatenate([self.xs, self.ys]) / scale_um)
        columns, rows, w = low[: len(self.xs)], low[len(self.xs) :], len(self.xs)
        nodes_x, nodes_y = (_nodes(axis[0] / scale_um, axis[-1] / scale_um) for axis in (self.xs, self.ys))
        if max(len(nodes_x), len(nodes_y)) <= 2 * max(len(columns), len(rows)) + 2 * _NODES:
            return nodes_x, nodes_y, columns - nodes_x[0], rows - nodes_y[0], t[:w, None], t[w:, None]
        # Pixels lie further apart than nodes: only those next to a pixel are made, so that cost hangs on pixels alone
        next_x, next_y = (np.union1d(low, low + 1) for low in (columns, rows))
        return next_x, next_y, *map(np.searchsorted, (next_x, next_y), (columns, rows)), t[:w, None], t[w:, None]


@dataclass(frozen=True)
class Points:
    """Single points, µm, that lie near each other: the lattice between them is held as a table."""

    x_um: Float64[ndarray, " n"]
    y_um: Float64[ndarray, " n"]

    @cached_property
    def _both(self) -> Float64[ndarray, "2 n"]:
        return np.array([self.x_um, self.y_um])

    @cached_property
    def _ends(self) -> list[tuple[float, float]]:
        return [(float(axis.min()), float(axis.max())) for axis in self._both]

    def smooth(self, key: int, channels: tuple[int, ...], scale_um: float) -> Float32[ndarray, "c n"]:
        if not self.x_um.size:
            return np.zeros((len(channels), 0), dtype=np.float32)
        low, t = _parted(self._both / scale_um)
        nodes_x, nodes_y = (_nodes(first / scale_um, last / scale_um) for first, last in self._ends)
        at = (low[0] - nodes_x[0]) * len(nodes_y) + (low[1] - nodes_y[0])
        corners = np.array([[at, at + len(nodes_y)], [at + 1, at + len(nodes_y) + 1]])
        across, down = np.array([1 - t, t]).swapaxes(0, 1)
        found = _lattice(key, channels, nodes_x, nodes_y).reshape(len(channels), -1).take(corners, axis=1)
        found *= across
        rows = found[:, :, 0] + found[:, :, 1]
        rows *= down
        result: Float32[ndarray, "c n"] = rows[:, 0] + rows[:, 1]
        return result


def _parted(places: Float64[ndarray, "*n"]) -> tuple[Int64[ndarray, "*n"], Float32[ndarray, "*n"]]:
    """The node below each place, and how far it is on to the next, eased."""
    low = np.floor(places)
    t = places - low
    return low.astype(np.int64), (t * t * (3 - 2 * t)).astype(np.float32)


def step(values: ndarray, threshold: float, width: float = 0.1) -> ndarray:
    """0 below the threshold, 1 above, smooth over `width`."""
    t = values * np.float32(1 / width)
    t += np.float32(0.5 - threshold / width)
    t.clip(0, 1, out=t)
    eased: ndarray = t * t
    t *= -2
    t += 3
    eased *= t
    return eased
