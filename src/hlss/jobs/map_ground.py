"""Slides of an embedding table as frames to map on: their tiles' places and size, the slide's own size and pixels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.build import scale_of
from hlss.cohorts.phantom.factors import SlideTruth
from hlss.cohorts.phantom.reader import ENDING, PhantomSlide
from hlss.cohorts.phantom.spec import MPP0, drawn_slides
from hlss.cohorts.write.frame import Frame, known_frame
from hlss.cohorts.write.pyramid import reader
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.explain.lattice import Lattice
from hlss.explain.score_map import ScoreMap
from hlss.jobs.explain_sources import Source
from hlss.slides.grid import extent_px0
from hlss.slides.opening import open_slide
from hlss.slides.resample import resized

OVERVIEW_PX = 900  # of the longer side of a pictured slide
_PIECE_PX = 256  # side of what is read of it at once
_PLAIN_PX = 4096  # side up to which a slide whose resolution nobody knows is read whole


@dataclass(frozen=True, eq=False)
class Ground:
    """One image of a slide. rows: of the table; mpp0: µm/px of level 0, None: not known; size_px0: (width, height) of
    level 0, or of what its tiles cover where nothing tells. name: the slide's, numbered where it has several images.
    """

    name: str
    slide: str
    image: str
    rows: Int64[ndarray, " n"]
    lattice: Lattice
    mpp0: float | None
    size_px0: tuple[int, int]
    notices: tuple[str, ...]


class Pixels:
    """The cohort of a run, where it can be opened, for the sizes and pixels of its slides. why: what is in the way."""

    def __init__(self, cohort: Cohort | None, why: str | None = None) -> None:
        features = cohort is not None and cohort.holds_features
        self._cohort = None if features else cohort
        self.why = (
            "the run's cohort has features, not pixels: sizes and pictures of slides are not known" if features else why
        )

    @classmethod
    def of(cls, source: Source) -> "Pixels":
        """Of the cohort of a source, opened now."""
        try:
            return cls(source.experiment.cohort.open())
        except UserError as error:
            return cls(None, f"the slides' pixels are not at hand: {error}")

    @property
    def tile(self) -> tuple[int, float | None] | None:
        """(side, px; µm/px) of the cohort's tiles; None where it has none."""
        return None if self._cohort is None else (self._cohort.tile_px, self._cohort.mpp)

    def drawn(self, ground: "Ground") -> tuple[SlideTruth, float] | None:
        """Of drawn tissue, in a cohort or as slide files: what it is drawn from, and µm/px of level 0; None of any
        other.
        """
        number = self._number(ground.slide, ground.image)
        if number is None or self._cohort is None:
            return None
        image = int(self._cohort.image_number[number])
        try:
            return drawn_slides(self._cohort).slide(image), MPP0
        except UserError:
            path = Path(self._cohort.source.image_name(image))
        if path.suffix.lower() != ENDING:
            return None
        with open_slide(path) as slide:
            return slide.truth if isinstance(slide, PhantomSlide) else None

    def frame(self, slide: str, image: str) -> Frame | None:
        """Level 0 of an image; None where it is not known."""
        number = self._number(slide, image)
        try:
            return None if number is None or self._cohort is None else known_frame(self._cohort, number)
        except UserError:
            return None

    def overview(self, ground: Ground) -> UInt8[ndarray, "h w 3"]:
        """The whole image, OVERVIEW_PX or less on its longer side. Raises UserError where its pixels cannot be had."""
        number = self._number(ground.slide, ground.image)
        frame = self.frame(ground.slide, ground.image)
        if number is None or frame is None or self._cohort is None:
            raise UserError(self.why or "the run's cohort does not tell this slide's size", where=ground.name)
        size, mpp0 = (frame.width_px0, frame.height_px0), frame.mpp0
        scale = max(1.0, max(size) / OVERVIEW_PX) if mpp0 is not None else 1.0
        if mpp0 is None and max(size) > _PLAIN_PX:
            raise UserError("a slide of unknown resolution is too large to be read whole", where=ground.name)
        width, height = (max(1, int(side / scale)) for side in size)
        mpp: Any = None if mpp0 is None else mpp0 * scale  # sources take None as: as stored
        read, short = reader(self._cohort, number), min(width, height, _PIECE_PX)
        found = np.empty((height, width, 3), dtype=np.uint8)
        for top in [*range(0, height - short, short), height - short]:
            for left in [*range(0, width - short, short), width - short]:
                corner = (int(left * scale), int(top * scale))
                found[top : top + short, left : left + short] = read(corner, short, mpp)
        shrink = max(1.0, max(width, height) / OVERVIEW_PX)
        return found if shrink == 1 else resized(found, (round(width / shrink), round(height / shrink)))

    def _number(self, slide: str, image: str) -> int | None:
        cohort = self._cohort
        if cohort is None or slide not in cohort.slides:
            return None
        images = np.flatnonzero(cohort.image_slide == cohort.slides.index(slide)).tolist()
        names = [Path(cohort.source.image_name(int(cohort.image_number[one]))).name for one in images]
        named = [one for one, name in zip(images, names, strict=True) if name == Path(image).name]
        return named[0] if len(named) == 1 else images[0] if len(images) == 1 else None


def grounds_of(table: EmbeddingTable, pixels: Pixels, slides: Sequence[str]) -> list[Ground]:
    """Those of these slides, or of all if none is named, in the table's order. Raises UserError for an unknown one."""
    groups: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(table["slide"].tolist(), table["image"].tolist(), strict=True)):
        groups.setdefault(key, []).append(row)
    known = list(dict.fromkeys(slide for slide, _ in groups))
    for slide in slides:
        if slide not in known:
            near = get_close_matches(slide, known, 5, 0.3) or known[:5]
            fix = f"Near: {', '.join(near)}." if known else None
            raise UserError(f"no slide {slide!r} in this table of {len(known)}", where="--slide", fix=fix)
    kept = [key for key in groups if not slides or key[0] in slides]
    images = Counter(slide for slide, _ in kept)
    seen: Counter[str] = Counter()
    found = []
    for slide, image in kept:
        name = f"{slide}-{seen[slide]:03d}" if images[slide] > 1 else slide
        seen[slide] += 1
        rows, frame = np.array(groups[slide, image]), pixels.frame(slide, image)
        found.append(ground_of(table, rows, name, frame, pixels.tile))
    return found


def ground_of(
    table: EmbeddingTable,
    rows: Int64[ndarray, " n"],
    name: str,
    frame: Frame | None,
    tile: tuple[int, float | None] | None,
) -> Ground:
    """Of the rows of one image. frame: of the image; tile: (side, px; µm/px) as the cohort cuts; None: not known.

    Raises UserError where tiles lie outside of the frame, and where nothing says how large they are.
    """
    corners = np.stack([table["x_px0"][rows], table["y_px0"][rows]], axis=1).astype(np.int64)
    told = str(table["mpp0"][rows[0]]) if "mpp0" in table.columns else ""
    mpp0 = float(told) if told else None if frame is None else frame.mpp0
    side, notices = _side(table, tile, corners, mpp0)
    lattice = Lattice.of(corners, side)
    end = ScoreMap.of(lattice, np.zeros(len(rows))).end_px0
    far = corners.max(axis=0) + side // 2
    if frame is not None and (far > (frame.width_px0, frame.height_px0)).any():
        what = f"it has a tile at {corners.max(axis=0).tolist()}, and {frame.width_px0} × {frame.height_px0} px"
        raise UserError(what, where=name, fix="Embed the run's own cohort, as it is now.")
    if mpp0 is None:
        notices = (*notices, "nothing says how many µm a pixel is: no scale is given")
    if frame is None:
        notices = (*notices, "the slide's size is not known: its files end where its tiles end")
    size = end if frame is None else (max(frame.width_px0, 1), max(frame.height_px0, 1))
    slide, image = (str(table[column][rows[0]]) for column in ("slide", "image"))
    return Ground(name, slide, image, rows, lattice, mpp0, size, notices)


def _side(
    table: EmbeddingTable, cut: tuple[int, float | None] | None, corners: Int64[ndarray, "n 2"], mpp0: float | None
) -> tuple[int, tuple[str, ...]]:
    """Of a tile, px of level 0: as the table was embedded with, as the cohort cuts, or else as far as its tiles lie
    apart, which is said.
    """
    facts = table.provenance
    tile = (int(facts["tile_px"]), facts.get("mpp")) if facts.get("tile_px") else cut
    if tile is not None and not (tile[1] is not None and mpp0 is None):
        return extent_px0(tile[0], scale_of(mpp0, tile[1])), ()
    gaps = np.concatenate([np.diff(np.unique(corners[:, axis])) for axis in (0, 1)])
    if not len(gaps):
        fix = "Embed the slide again with this version."
        raise UserError("nothing says how large its tiles are", where=str(table["slide"][0]), fix=fix)
    return int(gaps.min()), ("nothing says how large the tiles are: taken to be as large as they lie apart",)
