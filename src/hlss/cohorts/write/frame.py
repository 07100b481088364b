"""What a file of an image must say that a cohort's tables do not: its size, its resolution, a name safe on disk."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

from hlss.cohorts.base import Cohort, TileSource
from hlss.cohorts.build import scale_of
from hlss.cohorts.images import FlatImages
from hlss.cohorts.paths import file_names
from hlss.cohorts.phantom.spec import MPP0, DrawnSlides
from hlss.cohorts.slide_tiles import SlideTiles
from hlss.errors import UserError
from hlss.slides.grid import extent_px0

Progress = Callable[[int, int], None]  # called with (tiles done, tiles in all)
COLUMNS = ("patient_id", "slide_id", "path", "label", "site", "split", "mpp", "width", "height")


@dataclass(frozen=True)
class Frame:
    """Level 0 of an image: its size, px, and its resolution, µm/px (None where nothing says it)."""

    width_px0: int
    height_px0: int
    mpp0: float | None

    def extent_px0(self, cohort: Cohort) -> int:
        """Side, level-0 px, of what one of the cohort's tiles covers."""
        return extent_px0(cohort.tile_px, scale_of(self.mpp0, cohort.mpp))


def known_frame(cohort: Cohort, image: int) -> Frame | None:
    """The frame of an image of the cohort; None where its source does not tell it (a pack of tiles, say)."""
    return _frame(pixels_of(cohort), int(cohort.image_number[image]))


def frame_of(cohort: Cohort, image: int) -> Frame:
    """The frame of an image of the cohort. Raises UserError where its source does not tell it."""
    frame = known_frame(cohort, image)
    if frame is None:
        what = "the size of its images is not known, and this layout needs it"
        raise UserError(what, where=cohort.name, fix="Open the cohort without a pack, or choose the layout `tiles`.")
    return frame


def mpp0_of(cohort: Cohort, image: int, frame: Frame) -> float:
    """The image's µm/px. Raises UserError, naming the image, where it is missing."""
    if frame.mpp0 is None:
        where = cohort.source.image_name(int(cohort.image_number[image]))
        fix = "Fill the column `mpp` of the manifest, or set cohort.image_mpp=."
        raise UserError("mpp is missing, and this layout stores it", where=where, fix=fix)
    return frame.mpp0


def pixels_of(cohort: Cohort) -> TileSource:
    """The source that reads any region: behind a pack, the one it was made from. Raises UserError for features."""
    source = getattr(cohort.source, "original", cohort.source)
    if not isinstance(source, TileSource):
        fix = "Name the cohort that they were extracted from."
        raise UserError("this cohort has features, not pixels", where=cohort.name, fix=fix)
    return source


@singledispatch
def _frame(source: TileSource, number: int) -> Frame | None:
    return None


@_frame.register
def _(source: FlatImages, number: int) -> Frame:
    return Frame(*source.sizes_px0[number], source.mpps[number])


@_frame.register
def _(source: SlideTiles, number: int) -> Frame:
    width_px0, height_px0, mpp0 = source.frame(number)
    return Frame(width_px0, height_px0, mpp0)


@_frame.register
def _(source: DrawnSlides, number: int) -> Frame:
    side_px0 = extent_px0(source.spec.side * source.spec.tile_px, scale_of(MPP0, source.spec.mpp))
    return Frame(side_px0, side_px0, MPP0)


def image_names(cohort: Cohort) -> tuple[str, ...]:
    """A file name for each image: its slide's, numbered where the slide has several images."""
    slides = cohort.image_slide.tolist()
    of_slide, seen = Counter(slides), Counter[int]()
    names = []
    for slide in slides:
        name = cohort.slides[slide]
        names.append(name if of_slide[slide] == 1 else f"{name}-{seen[slide]:03d}")
        seen[slide] += 1
    return file_names(names)


def identity(cohort: Cohort, image: int) -> dict[str, Any]:
    """Who an image is, by the manifest's columns; "" where nothing is known."""
    slide = int(cohort.image_slide[image])
    patient = int(cohort.slide_patient[slide])
    return {
        "patient_id": cohort.patients[patient],
        "slide_id": cohort.slides[slide],
        "label": _named(cohort.classes, int(cohort.image_label[image])),
        "site": _named(cohort.sites, int(cohort.image_site[image])),
        "split": _named(cohort.splits, int(cohort.patient_split[patient])),
    }


def slide_rows(
    cohort: Cohort, frames: Sequence[Frame], mpps: Sequence[float], paths: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """A row of the manifest for each image that was written whole: its frame, µm/px, and path in the folder."""
    for image, (frame, mpp, path) in enumerate(zip(frames, mpps, paths, strict=True)):
        size = {"width": frame.width_px0, "height": frame.height_px0}
        yield identity(cohort, image) | size | {"path": path, "mpp": mpp}


def write_manifest(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """A CSV that the cohort source `manifest` opens: one row an image, written as the rows come."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def part_of(progress: Progress, before: int, total: int) -> Progress:
    """Progress of a part of the work: `before` tiles of `total` were done when it began."""
    return lambda done, _: progress(before + done, total)


def _named(names: Sequence[str], number: int) -> str:
    return names[number] if number >= 0 else ""
