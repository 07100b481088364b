"""Whatever OpenSlide reads: SVS, NDPI, MRXS, SCN, BIF, DICOM, Zeiss, Philips, Trestle, pyramidal TIFF."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.errors import Unreadable
from hlss.registry import SLIDES
from hlss.slides.base import ReaderSpec, Slide, scale_between
from hlss.slides.tiff_pages import is_print, pages_of, says_ome

GENERIC = "generic-tiff"  # OpenSlide's name for a TIFF of no vendor's
SAME = 1.05  # pixels wider than high by more than this are not square
SCANNED = 128  # alpha from which on a pixel was scanned; between 0 and 255 it lies on the edge of what was
FACTS = {"vendor": "openslide.vendor", "magnification": "openslide.objective-power"}


@SLIDES.register("openslide")
class OpenSlideSpec(ReaderSpec):
    """OpenSlide 4, which comes with the wheel openslide-bin."""

    name: Literal["openslide"] = "openslide"
    rank: int = 20

    def takes(self, path: Path) -> bool:
        """TIFFs of no vendor's only where OpenSlide has their codec, they are 8-bit RGB, and no OME-XML says more."""
        import openslide

        vendor = openslide.OpenSlide.detect_format(str(path))
        return vendor is not None and (vendor != GENERIC or _is_plain_colour(path))

    def open(self, path: Path, mpp: float | None = None) -> Slide:
        """Raises Unreadable where OpenSlide cannot open it or its pixels are not square."""
        return OpenSlideFile(path, mpp)


class OpenSlideFile(Slide):
    """A file that OpenSlide has open. After an error OpenSlide refuses all further reads, so it is opened anew."""

    def __init__(self, path: Path, mpp: float | None) -> None:
        self._file = _opened(path)
        facts = dict(self._file.properties)
        icc = self._file.color_profile
        try:
            own = mpp or _mpp(path, facts)
        except Unreadable:
            self._file.close()
            raise
        super().__init__(
            path,
            self._file.dimensions,
            own,
            tuple(scale_between(self._file.dimensions, size) for size in self._file.level_dimensions),
            icc.tobytes() if icc is not None else None,
            {name: facts[key] for name, key in FACTS.items() if key in facts},
        )
        self._glass = _colour(facts.get("openslide.background-color"))

    def size_px(self, level: int) -> tuple[int, int]:
        width, height = self._file.level_dimensions[level]
        return width, height

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
        """What was not scanned has the colour the file gives it, white where it gives none."""
        import openslide

        own = self._file.level_downsamples[level]  # OpenSlide's own, by which it finds its way back to the level
        corner = tuple(round(value * own) for value in xy_px)
        try:
            region = self._file.read_region(corner, level, size_px)
        except openslide.OpenSlideError as error:
            self._renew()
            raise Unreadable(self.path, f"{error} (level {level}, {size_px[0]}×{size_px[1]} px at {corner})") from error
        return _over(np.asarray(region), self._glass)

    def close(self) -> None:
        self._file.close()

    def _renew(self) -> None:
        self._file.close()
        self._file = _opened(self.path)


def _opened(path: Path) -> Any:
    import openslide

    try:
        return openslide.OpenSlide(str(path))
    except openslide.OpenSlideError as error:
        raise Unreadable(path, str(error)) from error


def _is_plain_colour(path: Path) -> bool:
    try:
        with pages_of(path) as pages:
            first = pages[0]
            colour = first.dtype == np.uint8 and first.samplesperpixel in (3, 4)
            if not colour or says_ome(first):
                return False
        _opened(path).close()
    except Exception:  # damaged, or of a codec that OpenSlide lacks: the next reader says what it is
        return False
    return True


def _mpp(path: Path, facts: dict[str, str]) -> float | None:
    import openslide

    try:
        across, down = (float(facts[key]) for key in (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y))
    except (KeyError, ValueError):
        return None
    if facts.get(FACTS["vendor"]) == GENERIC and is_print(across):
        return None
    return square_mpp(path, across, down)


def square_mpp(path: Path, across: float, down: float) -> float | None:
    """µm/px of pixels of this size, None where it is none. Raises Unreadable for pixels that are not square."""
    if not (0 < across < float("inf") and 0 < down < float("inf")):
        return None
    if max(across, down) > SAME * min(across, down):
        what = f"its pixels are not square: {across:g} × {down:g} µm; where that is a mistake, give mpp="
        raise Unreadable(path, what)
    return (across + down) / 2


def _colour(hexadecimal: str | None) -> tuple[int, int, int]:
    value = int(hexadecimal, 16) if hexadecimal else 0xFFFFFF
    return value >> 16 & 255, value >> 8 & 255, value & 255


def _over(rgba: UInt8[ndarray, "h w 4"], glass: tuple[int, int, int]) -> UInt8[ndarray, "h w 3"]:
    """RGB of straight-alpha pixels, and the colour of the glass where nothing was scanned."""
    rgb, alpha = rgba[..., :3].copy(), rgba[..., 3]
    if alpha.min() < SCANNED:
        rgb[alpha < SCANNED] = glass
    return rgb
