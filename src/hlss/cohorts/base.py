"""Cohort: patients → slides → images → tiles, as tables; pixels only on request."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32, Int64, UInt8
from numpy import ndarray
from pydantic import Field

from hlss.config import Part
from hlss.errors import UserError
from hlss.slides.tiles import Tiles


class Source(ABC):
    """Where the contents of tiles come from. It numbers its own images, and must survive pickling, for workers."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Short hash of what it holds; the same on every machine that holds the same data."""

    @property
    def freshness(self) -> str:
        """As the fingerprint, but also changed by rewriting a file in place: the key of caches made from pixels."""
        return self.fingerprint

    @property
    def contents(self) -> tuple[str, ...] | None:
        """A digest of what each image's files hold; None where they would have to be read for it."""
        return None

    @abstractmethod
    def image_name(self, image: int) -> str:
        """What to call an image in a message: its path, mostly."""


class TileSource(Source):
    """Where pixels come from."""

    @abstractmethod
    def read(
        self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float | None
    ) -> UInt8[ndarray, "tile_px tile_px 3"]:
        """RGB pixels of the square tile whose top-left corner lies at `xy_px0` (level-0 px of the image), resampled
        to `mpp` µm/px (None: as stored). A fresh array. Raises Unreadable.
        """


class FeatureSource(Source):
    """Where stored features come from: one row a tile, in one or several stored views of the same tiles.

    dim: length of a feature; views: how many are stored of each tile, the first being the tile as it is.
    """

    dim: int
    views: int

    @abstractmethod
    def features(self, rows: Int64[ndarray, " n"], views: Int64[ndarray, " n"]) -> Float32[ndarray, "n d"]:
        """Features of these stored rows, each in the view asked for. A fresh array."""


class CohortSpec(Part):
    """Settings of a cohort source; `open` reads its tables.

    tile_px: side of a tile, pixels; mpp: resolution of a tile, µm/px (None: as stored, whatever that is).
    """

    tile_px: int = Field(default=224, ge=1)
    mpp: float | None = Field(default=None, gt=0)

    def open(self) -> "Cohort":
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Cohort:
    """Who and where, never contents. Everything listed has at least one tile. Numbers are positions in the tuples.

    name, source:     what it is called, and where its pixels, or its stored features, come from.
    tile_px, mpp:     side (px) and resolution (µm/px; None: as stored) of every tile.
    patients, slides: ids, strings, unique (a slide is called `patient/slide` where its own id would clash).
    classes, sites, splits: names; a sub-cohort keeps them all, so that class 2 stays class 2.
    slide_patient:    patient number of each slide.
    patient_split:    split number each patient was given by the data, −1: none.
    image_*:          of each image: slide, label (−1: none), site (−1: none), and its number in the source.
    tiles:            which tiles there are, in the order of their images; images of a slide follow each other.
    tile_stored:      of each tile: its row in a FeatureSource; None where the source gives pixels.
    notices:          what a user should know (images left out for their size, say).
    problems:         images that cannot be read: (path, reason).
    """

    name: str
    source: Source
    tile_px: int
    mpp: float | None
    patients: tuple[str, ...]
    slides: tuple[str, ...]
    classes: tuple[str, ...]
    sites: tuple[str, ...]
    splits: tuple[str, ...]
    slide_patient: Int64[ndarray, " n_slides"]
    patient_split: Int64[ndarray, " n_patients"]
    image_slide: Int64[ndarray, " n_images"]
    image_label: Int64[ndarray, " n_images"]
    image_site: Int64[ndarray, " n_images"]
    image_number: Int64[ndarray, " n_images"]
    tiles: Tiles
    tile_stored: Int64[ndarray, " n_tiles"] | None = None
    notices: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, ndarray):
                frozen = value.view()
                frozen.flags.writeable = False
                object.__setattr__(self, field.name, frozen)

    def __str__(self) -> str:
        counts = f"{len(self.patients)} patients, {len(self.slides)} slides, {self.n_images} images"
        if isinstance(self.source, FeatureSource):
            times = "" if self.source.views == 1 else f" in {self.source.views} views"
            return f"{self.name}: {counts}, {self.n_tiles} tiles as {self.source.dim} features each{times}"
        resolution = "stored resolution" if self.mpp is None else f"{self.mpp:g} µm/px"
        return f"{self.name}: {counts}, {self.n_tiles} tiles of {self.tile_px} px at {resolution}"

    @property
    def holds_features(self) -> bool:
        """Whether it has stored features instead of pixels."""
        return isinstance(self.source, FeatureSource)

    @property
    def n_images(self) -> int:
        return len(self.image_slide)

    @property
    def n_tiles(self) -> int:
        return len(self.tiles)

    def tile_image(self, rows: Int[ndarray, " n"]) -> Int64[ndarray, " n"]:
        """Image number of each tile."""
        return self.tiles.image(rows)

    def tile_xy_px0(self, rows: Int[ndarray, " n"]) -> Int32[ndarray, "n 2"]:
        """Top-left corner of each tile, level-0 px of its image."""
        return self.tiles.xy_px0(rows)

    def tile_slide(self, rows: Int[ndarray, " n"]) -> Int64[ndarray, " n"]:
        """Slide number of each tile."""
        return np.asarray(self.image_slide[self.tile_image(rows)])

    def tile_patient(self, rows: Int[ndarray, " n"]) -> Int64[ndarray, " n"]:
        """Patient number of each tile."""
        return np.asarray(self.slide_patient[self.tile_slide(rows)])

    def tile_label(self, rows: Int[ndarray, " n"]) -> Int64[ndarray, " n"]:
        """Class number of each tile (that of its image), −1: none."""
        return np.asarray(self.image_label[self.tile_image(rows)])

    def tile_site(self, rows: Int[ndarray, " n"]) -> Int64[ndarray, " n"]:
        """Site number of each tile, −1: none."""
        return np.asarray(self.image_site[self.tile_image(rows)])

    def slide_tiles(self, slide: int) -> Int64[ndarray, " n"]:
        """Rows of a slide's tiles, ascending."""
        images = self._images_by_slide.members(slide)
        return np.arange(self.tiles.starts[images[0]], self.tiles.starts[images[-1] + 1])

    def patient_slides(self, patient: int) -> Int64[ndarray, " n"]:
        """Numbers of a patient's slides, ascending."""
        return self._slides_by_patient.members(patient)

    @cached_property
    def slide_label(self) -> Int64[ndarray, " n_slides"]:
        """The one class of each slide's images; −1 where they have none or several."""
        return _only_label(self.image_slide, self.image_label, len(self.slides))

    @cached_property
    def patient_label(self) -> Int64[ndarray, " n_patients"]:
        """The one class of each patient's images; −1 where they have none or several."""
        return _only_label(self.slide_patient[self.image_slide], self.image_label, len(self.patients))

    @cached_property
    def patient_site(self) -> Int64[ndarray, " n_patients"]:
        """The one site of each patient's images; −1 where they have none or several."""
        return _only_label(self.slide_patient[self.image_slide], self.image_site, len(self.patients))

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of the tables and of what the pixels are made from; independent of name and place."""
        names = [self.tile_px, self.mpp, self.patients, self.slides, self.classes, self.sites, self.splits]
        hasher = hashlib.sha256(json.dumps([*names, self.source.fingerprint], ensure_ascii=False).encode())
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, ndarray):
                hasher.update(np.ascontiguousarray(value).tobytes())
            elif isinstance(value, Tiles):
                for part in value.said():
                    hasher.update(part)
        return hasher.hexdigest()[:12]

    def read_tile(self, row: int) -> UInt8[ndarray, "tile_px tile_px 3"]:
        """RGB pixels of a tile, a fresh array. Raises Unreadable, naming file and reason."""
        if not isinstance(self.source, TileSource):
            raise UserError("this cohort has features, not pixels", where=self.name, fix="Set encoder: adapter.")
        if not 0 <= row < self.n_tiles:
            raise IndexError(f"tile {row} of a cohort of {self.n_tiles}")
        x_px0, y_px0 = self.tile_xy_px0(np.array([row]))[0].tolist()
        return self.source.read(self.source_image(row), (x_px0, y_px0), self.tile_px, self.mpp)

    def source_image(self, row: int) -> int:
        """Number, in the source, of the image of a tile."""
        return int(self.image_number[self.tile_image(np.array([row]))[0]])

    def features(self, rows: Int[ndarray, " n"], views: Int64[ndarray, " n"] | int = 0) -> Float32[ndarray, "n d"]:
        """Stored features of tiles, each in the stored view asked for (0: the tile as it is), a fresh array."""
        if self.tile_stored is None or not isinstance(self.source, FeatureSource):
            raise UserError("this cohort has pixels, not features", where=self.name, fix="Choose an image encoder.")
        return self.source.features(self.tile_stored[rows], np.broadcast_to(np.int64(views), len(rows)))

    def keep_patients(self, numbers: Collection[int] | Int[ndarray, " n"]) -> "Cohort":
        """The cohort of these patients alone, in the old order. Patients, slides, images and tiles are renumbered."""
        wanted = np.zeros(len(self.patients), dtype=bool)
        wanted[np.asarray(list(numbers), dtype=np.int64)] = True
        images = np.flatnonzero(wanted[self.slide_patient[self.image_slide]])
        stored = self.tile_stored
        if stored is not None:
            stored = stored[np.repeat(wanted[self.slide_patient[self.image_slide]], np.diff(self.tiles.starts))]
        return self._of_images(images, self.tiles.of_images(images), stored)

    def keep_tiles(self, keep: Bool[ndarray, " n_tiles"]) -> "Cohort":
        """The cohort of these tiles alone; images, slides and patients left without a tile go too."""
        kept = self.tiles.kept(keep)
        images = np.flatnonzero(np.diff(kept.starts))
        return self._of_images(
            images, kept.of_images(images), None if self.tile_stored is None else self.tile_stored[keep]
        )

    def _of_images(
        self, images: Int64[ndarray, " k"], tiles: Tiles, stored: Int64[ndarray, " n_tiles"] | None
    ) -> "Cohort":
        """The cohort of these images, ascending, and of these tiles of theirs."""
        slides = np.unique(self.image_slide[images])
        patients = np.unique(self.slide_patient[slides])
        return replace(
            self,
            patients=tuple(self.patients[p] for p in patients),
            slides=tuple(self.slides[s] for s in slides),
            slide_patient=np.searchsorted(patients, self.slide_patient[slides]),
            patient_split=self.patient_split[patients],
            image_slide=np.searchsorted(slides, self.image_slide[images]),
            image_label=self.image_label[images],
            image_site=self.image_site[images],
            image_number=self.image_number[images],
            tiles=tiles,
            tile_stored=stored,
        )

    @cached_property
    def _images_by_slide(self) -> "_Groups":
        return _Groups(self.image_slide, len(self.slides))

    @cached_property
    def _slides_by_patient(self) -> "_Groups":
        return _Groups(self.slide_patient, len(self.patients))


class _Groups:
    """Members of each group, by one sort: O(n) memory, O(1) a look-up."""

    def __init__(self, group: Int[ndarray, " n"], n_groups: int) -> None:
        self._order = np.argsort(group, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=n_groups))])

    def members(self, number: int) -> Int64[ndarray, " k"]:
        if not 0 <= number < len(self._starts) - 1:
            raise IndexError(f"number {number} of {len(self._starts) - 1}")
        return self._order[self._starts[number] : self._starts[number + 1]].copy()


def _only_label(group: Int[ndarray, " n"], label: Int[ndarray, " n"], n_groups: int) -> Int64[ndarray, " n_groups"]:
    labelled = np.flatnonzero(label >= 0)
    pairs = np.unique(np.stack([group[labelled], label[labelled]], axis=1), axis=0)
    single = np.bincount(pairs[:, 0], minlength=n_groups)[pairs[:, 0]] == 1
    result = np.full(n_groups, -1, dtype=np.int64)
    result[pairs[single, 0]] = pairs[single, 1]
    return result
