"""Phantom: a cohort of drawn tissue whose truth is known; nothing is stored, nothing is downloaded.

(Phantom: the field's word for a test object of known truth.)
"""

from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray
from pydantic import Field

from hlss.cohorts.base import Cohort, CohortSpec, TileSource
from hlss.cohorts.build import ImageRow, cohort_from_images
from hlss.cohorts.phantom.factors import CLASSES, SlideTruth, slide_truth
from hlss.cohorts.phantom.noise import Grid, rng_of
from hlss.cohorts.phantom.nuclei import REFERENCE_MPP
from hlss.cohorts.phantom.nuisance import Look, look_of
from hlss.cohorts.phantom.tissue import draw_tile
from hlss.cohorts.phantom.truth import tile_truth, visible
from hlss.errors import UserError
from hlss.files import digest
from hlss.registry import COHORTS

MPP0 = 0.5  # of level 0
# Of the drawing: packs of another are not used. Reads at the reference scale have their own, because calibrating the
# other scales to it leaves it as it is, to the bit
_VERSION, _VERSION_OF_OTHER_SCALES = 4, 5
DRAWING = f"{_VERSION}.{_VERSION_OF_OTHER_SCALES}"  # of all of them


@COHORTS.register("phantom")
class PhantomSpec(CohortSpec):
    """Settings. patients, slides (of each), side (tiles along a slide's side), classes (of 7), seed.

    sites: laboratories, drawn apart from the class; stain: how far theirs lie apart, 1 as real ones; organ: 0 is the
    reference, any other shifts all classes' factors together.
    """

    name: Literal["phantom"] = "phantom"
    tile_px: int = Field(default=128, ge=16)
    patients: int = Field(default=21, ge=1)
    slides: int = Field(default=2, ge=1)
    side: int = Field(default=4, ge=1)
    classes: int = Field(default=7, ge=1, le=len(CLASSES))
    sites: int = Field(default=3, ge=1)
    stain: float = Field(default=1.0, ge=0)
    organ: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0)

    def open(self) -> Cohort:
        source = DrawnSlides(self)
        px0 = round(self.side * self.tile_px * (self.mpp or MPP0) / MPP0)
        images = [
            ImageRow(
                patient=f"P{patient:04d}",
                slide=f"P{patient:04d}-{slide:02d}",
                width_px0=px0,
                height_px0=px0,
                label=source.label(patient),
                site=f"site {source.site(patient)}",
                mpp=MPP0,
            )
            for patient in range(self.patients)
            for slide in range(self.slides)
        ]
        return cohort_from_images("phantom", source, images, self.tile_px, self.mpp)


class DrawnSlides(TileSource):
    """Image i is slide i % slides of patient i // slides. Positions are in pixels of level 0, at MPP0 µm/px."""

    def __init__(self, spec: PhantomSpec) -> None:
        self.spec = spec

    @property
    def fingerprint(self) -> str:
        version = _VERSION if self.spec.mpp == REFERENCE_MPP else _VERSION_OF_OTHER_SCALES
        return digest(["phantom", version, self.spec.model_dump(mode="json")])

    def label(self, patient: int) -> str:
        """Class of a patient: classes take turns."""
        return CLASSES[patient % self.spec.classes]

    def site(self, patient: int) -> int:
        """Site of a patient, drawn apart from the class."""
        return int(rng_of(self.spec.seed, 5, patient).integers(self.spec.sites))

    def image_name(self, image: int) -> str:
        patient, slide = divmod(image, self.spec.slides)
        return f"phantom:{self.spec.seed}/P{patient:04d}-{slide:02d}"

    def read(
        self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float | None
    ) -> UInt8[ndarray, "tile_px tile_px 3"]:
        truth, look = truth_and_look(self.spec, image)
        return draw_tile(truth, look, (xy_px0[0] * MPP0, xy_px0[1] * MPP0), tile_px, mpp or MPP0)

    def slide(self, image: int) -> SlideTruth:
        """The factors of a slide."""
        return truth_and_look(self.spec, image)[0]

    def truth(
        self, image: int, x_px0: Float64[ndarray, " n"], y_px0: Float64[ndarray, " m"]
    ) -> dict[str, Float64[ndarray, "m n"]]:
        """What of each factor can be seen at these columns and rows of a slide."""
        places = Grid(np.asarray(x_px0, dtype=np.float64) * MPP0, np.asarray(y_px0, dtype=np.float64) * MPP0)
        return {name: value.astype(np.float64) for name, value in visible(self.slide(image), places).items()}

    def tile_truth(self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float) -> dict[str, float]:
        """Each factor over a tile; see `truth.tile_truth`."""
        return tile_truth(self.slide(image), (xy_px0[0] * MPP0, xy_px0[1] * MPP0), tile_px * mpp)


@lru_cache(maxsize=256)
def truth_and_look(spec: PhantomSpec, image: int) -> tuple[SlideTruth, Look]:
    """What a slide is drawn from: image i is slide i % slides of patient i // slides."""
    patient, slide = divmod(image, spec.slides)
    label = CLASSES[patient % spec.classes]
    site = int(rng_of(spec.seed, 5, patient).integers(spec.sites))
    return (
        slide_truth(spec.seed, patient, slide, label, spec.organ),
        look_of(spec.seed, patient, slide, site, spec.stain),
    )


def drawn_slides(cohort: Cohort) -> DrawnSlides:
    """The source of a phantom cohort, packed or not. Raises UserError for another cohort, which has no truth."""
    source = getattr(cohort.source, "original", cohort.source)
    if not isinstance(source, DrawnSlides):
        raise UserError(
            "only drawn tissue will do, whose truth is known", where=cohort.name, fix="Use the cohort `phantom`."
        )
    return source
