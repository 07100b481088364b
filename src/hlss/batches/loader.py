"""The stream of ViewBatch: tiles decoded and seen in workers, batch after batch, from any step on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from numpy import ndarray
from torch import Tensor
from torch.utils.data import Dataset

from hlss.batches.draw import ViewParams, draw
from hlss.batches.identity import identities, shape_of
from hlss.batches.keyed import generator
from hlss.batches.opencv import evaluation_view, views_of
from hlss.batches.recipe import ViewSpec
from hlss.batches.sampler import BatchPlan, Sampler
from hlss.batches.torch_views import views_of_batch
from hlss.batches.workers import loaded
from hlss.cohorts.base import Cohort
from hlss.errors import Unreadable, UserError
from hlss.types import ViewBatch

Executor = Literal["opencv", "torch"]
_VIEWS, _REPLACE, _STORED = 11, 12, 14  # what a generator is for: the first key after the seed
_TRIES = 8  # tiles tried in place of an unreadable one


@dataclass
class BatchStream:
    """Batches of the steps start..stop−1 for one rank: pure in (seed, step, rank), whatever the number of workers.

    unreadable: tiles that were replaced so far and why, as (image at x, y) → reason.
    Iterating raises UserError where a patient has no readable tile to put in place of an unreadable one.
    """

    cohort: Cohort
    sampler: Sampler
    views: ViewSpec
    input_px: int
    seed: int
    start: int
    stop: int
    rank: int = 0
    workers: int = 0
    executor: Executor = "opencv"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    unreadable: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[ViewBatch]:
        work = _Batches(self.cohort, self.sampler, self.views, self.input_px, self.seed, self.rank, self.executor)
        steps = range(self.start, self.stop)
        for item in loaded(work, steps, len(steps), self.workers):
            self.unreadable |= item.unreadable
            if item.failure is not None:
                raise item.failure
            yield self._finished(item)

    def _finished(self, item: "_Item") -> ViewBatch:
        plan, n_views = item.plan, self.sampler.spec.views
        pixels = item.pixels
        if item.params is not None:
            pixels = views_of_batch(pixels.to(self.device), item.params, n_views, self.input_px)
        ids, labels = identities(self.cohort, plan, n_views)
        return ViewBatch(pixels.view(*shape_of(plan, n_views), *pixels.shape[1:]), ids, labels)


def tiles(
    cohort: Cohort,
    rows: Int64[ndarray, " n"],
    input_px: int,
    batch: int,
    workers: int = 0,
    unreadable: dict[str, str] | None = None,
    drawn: "DrawnView | None" = None,
) -> Iterator[tuple[Int64[ndarray, " b"], UInt8[Tensor, "b 3 p p"] | Float[Tensor, "b d"]]]:
    """The deterministic views of these tiles in order, by `batch` (or drawn ones); stored features as they are.
    Unreadable tiles are left out and noted.
    """
    chunks = [rows[i : i + batch] for i in range(0, len(rows), batch)]
    for seen in seen_tiles(cohort, chunks, len(chunks), input_px, workers, drawn):
        if unreadable is not None:
            unreadable |= seen.unreadable
        if len(seen.rows):
            yield seen.rows, seen.pixels


class SeenTiles(NamedTuple):
    """Tiles that were asked for together. rows: of those that could be read; pixels: theirs, or stored features;
    unreadable: the others, (image at x, y) → reason.
    """

    rows: Int64[ndarray, " b"]
    pixels: UInt8[Tensor, "b 3 p p"] | Float[Tensor, "b d"]
    unreadable: dict[str, str]


def seen_tiles(
    cohort: Cohort,
    chunks: Iterable[Int64[ndarray, " _"]],
    n_chunks: int,
    input_px: int,
    workers: int = 0,
    drawn: "DrawnView | None" = None,
) -> Iterator[SeenTiles]:
    """As `tiles`, an item for each chunk of rows. Chunks are asked for as they are needed, a few ahead; n_chunks: about
    how many will come, on which it hangs whether workers are worth their start.
    """
    if cohort.holds_features:
        yield from (SeenTiles(chunk, torch.from_numpy(cohort.features(chunk)), {}) for chunk in chunks)
    else:
        yield from loaded(_Tiles(cohort, input_px, drawn), chunks, n_chunks, workers)


@dataclass(frozen=True)
class DrawnView:
    """View `number` of any tile, drawn as for training: by (seed, number, image, place), whoever asks in what order."""

    views: ViewSpec
    seed: int
    number: int

    def of(self, cohort: Cohort, row: int, tile: UInt8[ndarray, "h h 3"], input_px: int) -> UInt8[ndarray, "3 p p"]:
        image, place = cohort.source_image(row), cohort.tile_xy_px0(np.array([row]))[0].tolist()
        keys = generator(self.seed, _STORED, self.number, image, *place)
        seen: UInt8[ndarray, "1 3 p p"] = views_of(tile, draw(self.views, [keys], 1), 0, 1, input_px)
        return seen[0]


@dataclass
class _Item:
    """One batch on its way: pixels of all views, or of the tiles with the parameters of their views."""

    plan: BatchPlan
    pixels: Tensor
    params: ViewParams | None
    unreadable: dict[str, str]
    failure: UserError | None = None


@dataclass
class _Batches(Dataset[_Item]):
    cohort: Cohort
    sampler: Sampler
    views: ViewSpec
    input_px: int
    seed: int
    rank: int
    executor: Executor

    def __getitem__(self, step: int) -> _Item:
        plan = self.sampler.plan(step, self.rank)
        unreadable: dict[str, str] = {}
        try:
            pixels = [self._read(plan.tiles, place, unreadable) for place in np.ndindex(plan.tiles.shape)]
        except UserError as error:
            return _Item(plan, torch.empty(0), None, unreadable, error)
        params = self._params(step, plan)
        if self.executor == "torch":
            stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
            return _Item(plan, stacked, params, unreadable)
        n_views = self.sampler.spec.views
        seen = [views_of(tile, params, i * n_views, n_views, self.input_px) for i, tile in enumerate(pixels)]
        return _Item(plan, torch.from_numpy(np.concatenate(seen)), None, unreadable)

    def _params(self, step: int, plan: BatchPlan) -> ViewParams:
        """Drawn by the place of a patch in the global batch, so that they do not hang on the number of ranks."""
        first = plan.first * plan.tiles[0].size
        places = range(first, first + plan.tiles.size)
        return draw(self.views, [generator(self.seed, _VIEWS, step, i) for i in places], self.sampler.spec.views)

    def _read(self, rows: ndarray, place: tuple[int, ...], unreadable: dict[str, str]) -> UInt8[ndarray, "h h 3"]:
        """The tile of this place. An unreadable one is replaced, in `rows` too: a pure function of its row."""
        row = int(rows[place])
        try:
            return self.cohort.read_tile(row)
        except Unreadable as error:
            unreadable[self._name(row)] = error.reason
        for candidate in self._candidates(row):
            try:
                pixels = self.cohort.read_tile(candidate)
            except Unreadable as error:
                unreadable[self._name(candidate)] = error.reason
                continue
            rows[place] = candidate
            return pixels
        patient = self.cohort.patients[int(self.cohort.tile_patient(np.array([row]))[0])]
        raise UserError(
            f"patient {patient!r} has no readable tile to take the place of an unreadable one",
            where=self._name(row),
            fix="Mend the image or take the patient out of the manifest.",
        )

    def _candidates(self, row: int) -> list[int]:
        """Tiles of the same slide, then of the same patient."""
        at = np.array([row])
        slide, patient = int(self.cohort.tile_slide(at)[0]), int(self.cohort.tile_patient(at)[0])
        others = [self.cohort.slide_tiles(int(other)) for other in self.cohort.patient_slides(patient)]
        rng = generator(self.seed, _REPLACE, row)
        found = [rng.permutation(pool)[:_TRIES] for pool in (self.cohort.slide_tiles(slide), np.concatenate(others))]
        return [int(candidate) for candidate in np.concatenate(found) if candidate != row]

    def _name(self, row: int) -> str:
        return tile_name(self.cohort, row)


@dataclass
class _Tiles(Dataset[SeenTiles]):
    cohort: Cohort
    input_px: int
    drawn: DrawnView | None

    def __getitem__(self, rows: ndarray) -> SeenTiles:
        kept, pixels, problems = [], [], {}
        for row in rows.tolist():
            try:
                pixels.append(self._seen(row, self.cohort.read_tile(row)))
                kept.append(row)
            except Unreadable as error:
                problems[tile_name(self.cohort, row)] = error.reason
        stacked = torch.from_numpy(np.stack(pixels)) if pixels else torch.empty(0, dtype=torch.uint8)
        return SeenTiles(np.array(kept, dtype=np.int64), stacked, problems)

    def _seen(self, row: int, tile: ndarray) -> ndarray:
        if self.drawn is None:
            return evaluation_view(tile, self.input_px)
        return self.drawn.of(self.cohort, row, tile, self.input_px)


def tile_name(cohort: Cohort, row: int) -> str:
    """What to call a tile in a message: its image and place."""
    x_px0, y_px0 = cohort.tile_xy_px0(np.array([row]))[0].tolist()
    return f"{cohort.source.image_name(cohort.source_image(row))} at {x_px0},{y_px0}"
