"""Phantom: a cohort of drawn tissue whose truth is known; nothing is stored, nothing is downloaded.

(Phantom: the field's word for a test object of known truth.)
"""

from typing import Literal

import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray
from pydantic import Field

from hlss.cohorts.base import Cohort, CohortSpec, TileSource
from hlss.cohorts.build import ImageRow, cohort_from_images
from hlss.cohorts.factors import CLASSES, nuisance, rng_of, slide_factors
from hlss.cohorts.tissue import draw_tile, factor_map
from hlss.files import digest
from hlss.registry import COHORTS

MPP0 = 0.5  # of level 0
_VERSION = 1  # of the drawing: packs of another are not used


@COHORTS.register("phantom")
class PhantomSpec(CohortSpec):
    """Settings. patients, slides (of each), side (tiles along a slide's side), classes (of 7), sites, seed."""

    name: Literal["phantom"] = "phantom"
    tile_px: int = Field(default=128, ge=16)
    patients: int = Field(default=21, ge=1)
    slides: int = Field(default=2, ge=1)
    side: int = Field(default=4, ge=1)
    classes: int = Field(default=7, ge=1, le=len(CLASSES))
    sites: int = Field(default=3, ge=1)
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
    """Image i is slide i % slides of patient i // slides."""

    def __init__(self, spec: PhantomSpec) -> None:
        self.spec = spec

    @property
    def fingerprint(self) -> str:
        return digest(["phantom", _VERSION, self.spec.model_dump(mode="json")])

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
        key, factors = self._slide(image)
        patient, slide = divmod(image, self.spec.slides)
        look = nuisance(self.spec.seed, patient, slide, self.site(patient))
        return draw_tile(key, factors, look, (xy_px0[0] * MPP0, xy_px0[1] * MPP0), tile_px, mpp or MPP0)

    def truth(
        self, image: int, x_px0: Float64[ndarray, " n"], y_px0: Float64[ndarray, " m"]
    ) -> dict[str, Float64[ndarray, "m n"]]:
        """Each factor's true value at these places of a slide."""
        key, factors = self._slide(image)
        return factor_map(key, factors, np.asarray(x_px0) * MPP0, np.asarray(y_px0) * MPP0)

    def _slide(self, image: int) -> tuple[int, Float64[ndarray, " f"]]:
        patient, slide = divmod(image, self.spec.slides)
        key = int(rng_of(self.spec.seed, 6, patient, slide).integers(1 << 62))
        return key, slide_factors(self.spec.seed, patient, slide, self.label(patient))
