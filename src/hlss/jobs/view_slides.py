"""The images that a viewer shows, each as a slide of any resolution, whatever the cohort keeps it in."""

import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, singledispatch
from pathlib import Path
from threading import local

from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort, TileSource
from hlss.cohorts.images import FlatImages
from hlss.cohorts.phantom.reader import PhantomFile, PhantomSlide
from hlss.cohorts.phantom.spec import DRAWING, MPP0, DrawnSlides
from hlss.cohorts.slide_tiles import SlideTiles
from hlss.cohorts.stored_patches import StoredPatches
from hlss.cohorts.write.drawn import downsamples
from hlss.cohorts.write.frame import Frame, frame_of, pixels_of
from hlss.files import digest
from hlss.jobs.tile_slides import slides_of
from hlss.jobs.view_mosaic import mosaic
from hlss.slides.base import Slide
from hlss.slides.opening import open_slide

OPEN_SLIDES = 4  # that a thread keeps open
Open = Callable[[], Slide]


@dataclass(frozen=True)
class ViewImage:
    """An image that can be looked at, and whose it is ("" where nothing is known).

    id: names it in addresses, 12 hexadecimal digits that tell nothing; the same at every start. file: name of what it
    is read from, without its folder. open: opens it anew.
    """

    id: str
    patient: str
    slide: str
    file: str
    label: str
    site: str
    open: Open = field(repr=False)


class OpenSlides:
    """Slides that threads keep open: each has its own, the last few that it used."""

    def __init__(self, most: int = OPEN_SLIDES) -> None:
        self._most, self._own = most, local()

    def get(self, image: ViewImage) -> tuple[Slide, Frame]:
        """The slide for this thread, whose pixels measure 1 µm where nothing says how large they are, and its frame.

        Raises Unreadable.
        """
        kept: OrderedDict[str, tuple[Slide, Frame]] = self._own.__dict__.setdefault("kept", OrderedDict())
        if image.id not in kept:
            while len(kept) >= self._most:
                kept.popitem(last=False)[1][0].close()
            slide = image.open()
            frame = Frame(*slide.size_px0, slide.mpp)
            slide.mpp = slide.mpp or 1.0
            kept[image.id] = slide, frame
        kept.move_to_end(image.id)
        return kept[image.id]


def images_of(cohort: Cohort) -> list[ViewImage]:
    """Every image of a cohort, in its order. Raises UserError for a cohort of features."""
    source, found = pixels_of(cohort), list[ViewImage]()
    seen = Counter[tuple[str, str]]()
    for image, slide in enumerate(cohort.image_slide.tolist()):
        file = Path(source.image_name(int(cohort.image_number[image]))).name
        name = cohort.slides[slide]
        seen[name, file] += 1
        label, site = int(cohort.image_label[image]), int(cohort.image_site[image])
        found.append(
            ViewImage(
                id=digest([name, file, seen[name, file]]),
                patient=cohort.patients[int(cohort.slide_patient[slide])],
                slide=name,
                file=file,
                label=cohort.classes[label] if label >= 0 else "",
                site=cohort.sites[site] if site >= 0 else "",
                open=_opener(source, cohort, image),
            )
        )
    return found


def images_below(slides: Path) -> list[ViewImage]:
    """Slides of a folder, or of a manifest with their paths. Raises UserError."""
    root, listed = slides_of(slides)
    return [
        ViewImage(
            id=digest([one.name, one.path]),
            patient=one.who.get("patient_id") or one.name,
            slide=one.who.get("slide_id") or one.name,
            file=Path(one.path).name,
            label=one.who.get("label", ""),
            site=one.who.get("site", ""),
            open=partial(open_slide, root / one.path, one.mpp),
        )
        for one in listed
    ]


@singledispatch
def _opener(source: TileSource, cohort: Cohort, image: int) -> Open:
    """Of a source that has no more than its tiles."""
    kept = pickle.dumps(source)  # each thread reads by a copy of its own
    return lambda: mosaic(pickle.loads(kept), cohort, image)


@_opener.register
def _(source: SlideTiles, cohort: Cohort, image: int) -> Open:
    number = int(cohort.image_number[image])
    path, mpp = source.root / source.paths[number], source.mpps[number]
    return partial(open_slide, path, mpp, source.reader, srgb=source.srgb)


@_opener.register
def _(source: StoredPatches, cohort: Cohort, image: int) -> Open:
    slide = source.files[int(cohort.image_number[image])].slide
    if slide is None:
        kept = pickle.dumps(source)
        return lambda: mosaic(pickle.loads(kept), cohort, image)
    return partial(open_slide, slide, srgb=source.srgb)


@_opener.register
def _(source: FlatImages, cohort: Cohort, image: int) -> Open:
    return partial(_Flat, source, int(cohort.image_number[image]))


@_opener.register
def _(source: DrawnSlides, cohort: Cohort, image: int) -> Open:
    patient, slide = divmod(int(cohort.image_number[image]), source.spec.slides)
    frame = frame_of(cohort, image)
    said = PhantomFile(
        drawing=DRAWING,
        cohort=source.spec,
        patient=patient,
        slide=slide,
        width_px0=frame.width_px0,
        height_px0=frame.height_px0,
        mpp=MPP0,
        downsamples=downsamples(max(frame.width_px0, frame.height_px0)),
    )
    return partial(PhantomSlide, Path(cohort.slides[int(cohort.image_slide[image])]), said)


class _Flat(Slide):
    """A flat image, decoded once for all threads, and kept as long as its source keeps it."""

    def __init__(self, source: FlatImages, number: int) -> None:
        super().__init__(Path(source.image_name(number)), source.sizes_px0[number], source.mpps[number])
        self._source, self._number = source, number

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
        (x, y), (width, height) = xy_px, size_px
        return self._source.pixels(self._number)[y : y + height, x : x + width].copy()

    def close(self) -> None:
        """Nothing is kept open."""
