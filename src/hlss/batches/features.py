"""The stream of ViewBatch where features are stored: gathered and disturbed here, with no workers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy import ndarray
from pydantic import Field

from hlss.batches.identity import identities, shape_of
from hlss.batches.keyed import generator
from hlss.batches.sampler import BatchPlan, Sampler
from hlss.cohorts.base import Cohort
from hlss.config import Part
from hlss.types import ViewBatch

_FEATURE_VIEWS = 13  # what a generator is for: the first key after the seed
_SCALE_TILES = 20_000  # training tiles that tell how far features spread
_BLOCK = 2048


class FeatureViews(Part):
    """How a stored feature is seen: one of its stored views, then disturbed.

    noise: σ of Gaussian noise, in units of each dimension's own standard deviation over the training tiles.
    dropout: share of the dimensions that show the mean of the training tiles instead.
    """

    preset: Literal["features"]
    noise: float = Field(default=0.3, ge=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)


@dataclass
class FeatureStream:
    """Batches of the steps start..stop−1 for one rank: pure in (seed, step, rank), whatever the number of ranks."""

    cohort: Cohort
    sampler: Sampler
    views: FeatureViews
    seed: int
    start: int
    stop: int
    rank: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[ViewBatch]:
        for step in range(self.start, self.stop):
            plan = self.sampler.plan(step, self.rank)
            count = self.sampler.spec.views
            ids, labels = identities(self.cohort, plan, count)
            seen = torch.from_numpy(self._seen(step, plan, count))
            yield ViewBatch(seen.view(*shape_of(plan, count), -1), ids, labels)

    def _seen(self, step: int, plan: BatchPlan, count: int) -> Float32[ndarray, "n d"]:
        rows = plan.tiles.reshape(-1).repeat(count)
        first = plan.first * plan.tiles[0].size  # the place in the global batch: views do not hang on the ranks
        draws = [generator(self.seed, _FEATURE_VIEWS, step, first + place) for place in range(plan.tiles.size)]
        seen = self.cohort.features(rows, self._stored_views(draws, count))
        mean, spread = self._scale
        if self.views.noise > 0:
            normal = np.concatenate([rng.standard_normal((count, seen.shape[1]), dtype=np.float32) for rng in draws])
            seen += normal * (self.views.noise * spread)
        if self.views.dropout > 0:
            uniform = np.concatenate([rng.random((count, seen.shape[1]), dtype=np.float32) for rng in draws])
            seen = np.where(uniform < self.views.dropout, mean, seen)
        return seen

    def _stored_views(self, draws: list[np.random.Generator], count: int) -> Int64[ndarray, " n"]:
        """Of each view, which stored one it starts from: all different where so many are stored."""
        stored = self.cohort.source.views  # type: ignore[attr-defined]
        if stored == 1:
            return np.zeros(len(draws) * count, dtype=np.int64)
        return np.concatenate([np.resize(rng.permutation(stored), count) for rng in draws])

    @cached_property
    def _scale(self) -> tuple[Float32[ndarray, " d"], Float32[ndarray, " d"]]:
        """Mean and standard deviation of each dimension over training tiles, summed in float64."""
        most = min(_SCALE_TILES, self.cohort.n_tiles)
        rows = np.unique(np.linspace(0, self.cohort.n_tiles - 1, most).astype(np.int64))
        sums: Any = 0.0
        squares: Any = 0.0
        centre = self.cohort.features(rows[:1]).astype(np.float64)
        for start in range(0, len(rows), _BLOCK):
            block = self.cohort.features(rows[start : start + _BLOCK]) - centre
            sums, squares = sums + block.sum(axis=0), squares + np.square(block).sum(axis=0)
        mean = sums / len(rows)
        spread = np.sqrt(np.maximum(squares / len(rows) - mean**2, 0))
        return (centre[0] + mean).astype(np.float32), spread.astype(np.float32)
