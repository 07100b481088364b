"""Drawn tissue as a slide file: `NAME.phantom` says which slide it is, and its pixels are drawn when they are read."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from pydantic import Field, model_validator

from hlss.cohorts.phantom.factors import SlideTruth
from hlss.cohorts.phantom.spec import DRAWING, PhantomSpec, truth_and_look
from hlss.cohorts.phantom.tissue import draw_tile
from hlss.config import Part, validate
from hlss.errors import Unreadable, UserError
from hlss.registry import SLIDES
from hlss.slides.base import ReaderSpec, Slide
from hlss.slides.pieces import assembled

ENDING = ".phantom"
MOST_BYTES = 2**16  # of a file; the settings of a cohort take a few hundred
MOST_SIDE_PX0 = 2**20
FINEST_MPP, COARSEST_MPP = 0.1, 64.0  # of level 0; nuclei that reach into a region cost more the finer it is
LEAST_PIECE_PX, PIECE_PX = 128, 1024  # side of what is drawn at once: 0.15 GB at most


class PhantomFile(Part):
    """What a `.phantom` file holds, as JSON.

    drawing:                of which version of the phantom; another draws other pixels.
    cohort, patient, slide: settings of the cohort, and which of its slides, counted from 0.
    width_px0, height_px0, mpp: of level 0, px and µm/px: larger than in the cohort, if wanted, for tissue has no end.
    downsamples:            of each level, level-0 px per px of it.
    """

    drawing: str
    cohort: PhantomSpec
    patient: int = Field(ge=0)
    slide: int = Field(ge=0)
    width_px0: int = Field(ge=1, le=MOST_SIDE_PX0)
    height_px0: int = Field(ge=1, le=MOST_SIDE_PX0)
    mpp: float = Field(ge=FINEST_MPP, le=COARSEST_MPP)
    downsamples: tuple[float, ...] = Field(default=(1.0,), min_length=1, max_length=32)

    @model_validator(mode="after")
    def _fits(self) -> "PhantomFile":
        if self.drawing != DRAWING:
            raise ValueError(f"drawing: the file is of {self.drawing!r}, and {DRAWING!r} is drawn here; write it anew")
        if self.patient >= self.cohort.patients or self.slide >= self.cohort.slides:
            most = f"{self.cohort.patients} patients of {self.cohort.slides} slides"
            raise ValueError(f"patient {self.patient}, slide {self.slide} is none of {most}, counted from 0")
        if self.downsamples[0] != 1 or any(finer >= coarser for finer, coarser in pairwise(self.downsamples)):
            raise ValueError("downsamples: they begin with 1 and rise")
        return self

    @property
    def image(self) -> int:
        """Its number in the cohort's source."""
        return self.patient * self.cohort.slides + self.slide

    def text(self) -> str:
        """What to write to a file."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"


@SLIDES.register("phantom")
class PhantomReaderSpec(ReaderSpec):
    """Slides of drawn tissue of any size, of which nothing is stored."""

    name: Literal["phantom"] = "phantom"
    rank: int = 5

    def takes(self, path: Path) -> bool:
        """By its name, so that a file with a mistake in it is refused with the reason."""
        return path.suffix.lower() == ENDING and path.is_file()

    def open(self, path: Path, mpp: float | None = None) -> Slide:
        """Raises Unreadable for what is no JSON of a PhantomFile, of another version, or larger than 64 KiB."""
        try:
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                return PhantomSlide(path, validate(_tree(path), PhantomFile, where=path), mpp)
        except UserError as error:
            raise error if isinstance(error, Unreadable) else Unreadable(path, error.what) from error
        except (ArithmeticError, ValueError) as error:  # a stain, or a count of sites, beyond all bounds
            raise Unreadable(path, f"its settings cannot be drawn: {error}") from error


class PhantomSlide(Slide):
    """Whatever is asked for is drawn at its own resolution, not resampled from a level: a square of up to PIECE_PX is
    to the bit what the cohort draws there. What is finer than FINEST_MPP is enlarged from level 0.
    """

    def __init__(self, path: Path, file: PhantomFile, mpp: float | None = None) -> None:
        """mpp: µm/px of level 0 as others are to see it, over what the file says."""
        facts = {"vendor": "phantom", "seed": str(file.cohort.seed), "image": str(file.image)}
        super().__init__(path, (file.width_px0, file.height_px0), mpp or file.mpp, file.downsamples, facts=facts)
        self._mpp0 = file.mpp
        self._truth, self._look = truth_and_look(file.cohort, file.image)

    @property
    def truth(self) -> tuple[SlideTruth, float]:
        """The factors that it is drawn from, and the µm/px of level 0 that it is drawn with."""
        return self._truth, self._mpp0

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
        mpp = self._mpp0 * self.scales[level]
        return self._drawn((xy_px[0] * mpp, xy_px[1] * mpp), size_px, mpp)

    def read_rectangle(
        self, xy_px0: tuple[int, int], size_px: tuple[int, int], mpp: float | None
    ) -> UInt8[ndarray, "h w 3"]:
        """Drawn at `mpp`, its corner exactly at `xy_px0`. Raises ValueError for a rectangle that leaves the slide."""
        self.refuse_outside(xy_px0, size_px, self.scale_of(mpp))
        drawn_mpp = self._mpp0 if mpp is None or self.mpp is None else mpp * (self._mpp0 / self.mpp)
        if drawn_mpp < FINEST_MPP:
            return super().read_rectangle(xy_px0, size_px, mpp)
        return self._drawn((xy_px0[0] * self._mpp0, xy_px0[1] * self._mpp0), size_px, drawn_mpp)

    def close(self) -> None:
        """Nothing is kept open."""

    def _drawn(self, xy_um: tuple[float, float], size_px: tuple[int, int], mpp: float) -> UInt8[ndarray, "h w 3"]:
        """In squares, of which those at the right and lower edge may reach beyond and are cut off."""
        side = _piece_px(size_px)

        def piece(line: int, column: int) -> UInt8[ndarray, "side side 3"]:
            corner = (xy_um[0] + column * side * mpp, xy_um[1] + line * side * mpp)
            return draw_tile(self._truth, self._look, corner, side, mpp)

        return assembled((0, 0), size_px, (side, side), piece)


def _piece_px(size_px: tuple[int, int]) -> int:
    """Side of squares that cover a rectangle: itself, if it is a small square; many neither in number nor beyond it."""
    short = min(size_px)
    fitting = -(-short // -(-short // PIECE_PX))
    return min(max(fitting, LEAST_PIECE_PX), max(size_px))


def _tree(path: Path) -> Any:
    """The file's JSON. Raises Unreadable."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Unreadable(path, error.strerror or "it cannot be opened") from error
    if len(data) > MOST_BYTES:
        raise Unreadable(path, f"larger than {MOST_BYTES} bytes, as no such file is")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(path, f"not valid JSON: {error!s:.200}") from error
