"""`hlss view`: what can be looked at, put together from a run, its cohort and its words."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.chosen_table import experiment_of, table_of
from hlss.jobs.explain_sources import refuse_other_width, sources_of
from hlss.jobs.table_pixels import pixel_notices
from hlss.jobs.view_features import Moments, PatchFeatures
from hlss.jobs.view_map import Raster
from hlss.jobs.view_slides import ViewImage, images_below, images_of
from hlss.jobs.view_words import Words
from hlss.language.bank import read_bank

_KEPT = 16  # sayings whose scores are kept
NO_WORDS = "this run has no text tower: there are neighbours and classes, but no maps and no search by words"


@dataclass(frozen=True, eq=False)
class Viewed:
    """title: of the page; images: in order; patches: what is known of tiles, None of slides without a run; notices:
    what must be said beside it.
    """

    title: str
    images: tuple[ViewImage, ...]
    patches: "Patches | None" = None
    notices: tuple[str, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, int]:
        """Place of each image."""
        return {image.id: place for place, image in enumerate(self.images)}


class Patches:
    """The patches of a table, by image. words: None where the run has no text tower.

    image, xy_px0: of each row: its image's place (−1: the cohort does not have it) and its corner. tile: (px, µm/px;
    None: as stored) of a patch. Threads may ask at the same time.
    """

    def __init__(
        self, table: EmbeddingTable, images: Sequence[ViewImage], tile: tuple[int, float | None], words: Words | None
    ) -> None:
        self.features, self.words = PatchFeatures(table), words
        self._tile_px, self._mpp = tile
        places = {(image.slide, image.file): place for place, image in enumerate(images)}
        pairs = zip(table["slide"].tolist(), table["image"].tolist(), strict=True)
        known: dict[tuple[str, str], int] = {}
        found = np.empty(len(table), dtype=np.int64)
        for row, pair in enumerate(pairs):
            if pair not in known:
                known[pair] = places.get((pair[0], Path(pair[1]).name), -1)
            found[row] = known[pair]
        self.image: Int64[ndarray, " n"] = found
        self.xy_px0: Int64[ndarray, "n 2"] = np.stack([table["x_px0"], table["y_px0"]], axis=1).astype(np.int64)
        self._order = np.argsort(found, kind="stable")
        self._starts = np.searchsorted(found[self._order], np.arange(len(images) + 1))
        self._sigma: OrderedDict[str, Float32[ndarray, " n"]] = OrderedDict()
        self._rasters: dict[int, Raster] = {}
        self._lock = Lock()

    def rows(self, image: int) -> Int64[ndarray, " k"]:
        """Of an image."""
        return self._order[self._starts[image] : self._starts[image + 1]]

    def extent_px0(self, mpp0: float | None) -> int:
        """Side, level-0 px, of a patch of an image of this resolution."""
        scale = 1.0 if self._mpp is None or mpp0 is None else self._mpp / mpp0
        return max(1, round(self._tile_px * scale))

    def at(self, image: int, x_px0: float, y_px0: float, mpp0: float | None) -> int | None:
        """The row of the patch that covers a place, of those that overlap the one whose middle is nearest; or None."""
        rows, extent = self.rows(image), self.extent_px0(mpp0)
        away = np.array([x_px0, y_px0]) - self.xy_px0[rows]
        covering = np.flatnonzero(((away >= 0) & (away < extent)).all(axis=1))
        if not len(covering):
            return None
        return int(rows[covering[((away[covering] - extent / 2) ** 2).sum(axis=1).argmin()]])

    def sigma(self, key: str) -> Float32[ndarray, " n"]:
        """Of every row, for a saying; the last few are kept. Raises KeyError."""
        if self.words is None:
            raise KeyError(key)
        _, text = self.words.get(key)
        with self._lock:
            if key not in self._sigma:
                self._sigma[key] = self.features.sigma(text)
            self._sigma.move_to_end(key)
            while len(self._sigma) > _KEPT:
                self._sigma.popitem(last=False)
            return self._sigma[key]

    @cached_property
    def moments(self) -> Moments:
        """Of the characteristics, in the order of `words`; of a million patches it takes seconds."""
        if self.words is None:
            raise ValueError("there are no words")
        return self.features.moments(self.words.rows)

    def raster(self, image: int, mpp0: float | None) -> Raster | None:
        """The grid of an image's patches; None where it has none."""
        rows = self.rows(image)
        if image not in self._rasters and len(rows):
            self._rasters[image] = Raster.of(rows, self.xy_px0[rows], self.extent_px0(mpp0))
        return self._rasters.get(image)


def chosen_view(run: Path | None, table: str | None, bank: str | None, slides: Path | None) -> Viewed:
    """Of a run, or of slides. Raises UserError where both are named, or none."""
    if (run is None) == (slides is None):
        raise UserError("give either a run or --slides", fix="As in: hlss view RUN; hlss view --slides FOLDER.")
    if slides is not None and (table or bank):
        raise UserError("slides alone have no embeddings", where="--slides", fix="Leave --table and --bank out.")
    return view_of_slides(slides) if slides is not None else view_of_run(Path(str(run)), table, bank)


def view_of_run(run: Path, table: str | None = None, bank: str | None = None) -> Viewed:
    """run: its folder, or that of a table in it; table: its name [last, or the only one]; bank: of the
    characteristics [that of the training]. Raises UserError.
    """
    folder = table_of(run, table)
    experiment = experiment_of(folder)
    cohort = experiment.cohort.open()
    images = tuple(images_of(cohort))
    words, stored, notices = _words(folder, experiment, bank)
    patches = Patches(stored, images, (cohort.tile_px, cohort.mpp), words)
    lost = int((patches.image < 0).sum())
    if lost == len(stored):
        fix = "Run `hlss embed` again."
        raise UserError("the run's cohort has none of the images that this table is of", where=folder, fix=fix)
    if lost:
        notices += (f"{lost} of {len(stored)} patches are of images that the cohort does not have: they are not shown",)
    title = str(stored.provenance.get("method") or experiment.name)
    return Viewed(title, images, patches, (*cohort.notices, *notices))


def view_of_slides(slides: Path) -> Viewed:
    """Of slides in a folder or a manifest, without a run. Raises UserError."""
    return Viewed(slides.resolve().name, tuple(images_below(slides)))


def _words(
    folder: Path, experiment: Experiment, bank: str | None
) -> tuple[Words | None, EmbeddingTable, tuple[str, ...]]:
    language = experiment.language
    if experiment.encoder.text() is None and (language is None or language.text is None):
        table = EmbeddingTable.read(folder)
        if not np.isfinite(table.features).all():
            raise UserError("features are not finite", where=folder, fix="Embed again with a sound checkpoint.")
        return None, table, (NO_WORDS,)
    (source,) = sources_of([folder], "all")
    name = bank or (None if language is None else language.bank)
    if name is None:
        fix = "Name one, as --bank he_general."
        raise UserError(
            "this run was trained with no bank: there are no characteristics to show", where=folder, fix=fix
        )
    tower = source.text.build()
    refuse_other_width(source, tower.dim)
    read = read_bank(name)
    unreviewed = () if read.status == "approved" else (f"bank {read.title!r} is unreviewed by a pathologist",)
    return Words(read, tower), source.table, (*pixel_notices(source), *unreviewed)
