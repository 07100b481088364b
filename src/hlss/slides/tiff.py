"""TIFFs that OpenSlide does not take: OME-TIFF with its pyramid, strips, and codecs it lacks; read tile by tile."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.errors import Unreadable
from hlss.registry import SLIDES
from hlss.slides.base import ReaderSpec, Slide, scale_between
from hlss.slides.jpeg_tiles import CONTIGUOUS, JPEG, ORIENTATION, RGB, UPRIGHT, YCBCR, decoded, head_of
from hlss.slides.openslide import square_mpp
from hlss.slides.pieces import assembled
from hlss.slides.tiff_pages import check_chain, is_tiff, mpp_of, opened

FOR_FLAT = (3, 5)  # photometric: a palette, CMYK. Images as programs for pictures write them: the reader flat converts
OLD_JPEG = 6  # compression
MOST_PX = 2**28  # in one piece of compressed data, 0.8 GB of RGB
WHITE = 255  # what was not stored was not scanned


@SLIDES.register("tiff")
class TiffSpec(ReaderSpec):
    """8-bit RGB TIFFs of any layout and codec that tifffile knows."""

    name: Literal["tiff"] = "tiff"
    rank: int = 30

    def takes(self, path: Path) -> bool:
        """Every TIFF but those that `flat` converts, so that what cannot be read is refused with its reason."""
        if not is_tiff(path):
            return False
        try:
            with opened(path) as tiff:
                return tiff.pages.first.photometric not in FOR_FLAT
        except Exception:  # damaged bytes make a parser raise nearly anything; `open` says what it is
            return True

    def open(self, path: Path, mpp: float | None = None) -> Slide:
        """Raises Unreadable for what is no 8-bit RGB, of a codec that is not known, damaged, or cut short."""
        try:
            check_chain(path)
            tiff = opened(path)
        except Exception as error:  # as above
            raise Unreadable(path, f"a damaged TIFF: {error or type(error).__name__}") from error
        try:
            return TiffSlide(path, mpp, tiff)
        except Unreadable:
            tiff.close()
            raise
        except Exception as error:  # as above
            tiff.close()
            raise Unreadable(path, str(error) or type(error).__name__) from error


@dataclass(frozen=True)
class _Layout:
    """The pieces (tiles or strips) of a page: size (width, height) of the page and of a piece, columns and lines."""

    size_px: tuple[int, int]
    piece_px: tuple[int, int]
    columns: int
    lines: int
    planes: int


class TiffSlide(Slide):
    """Only the pieces that a region touches are read, one at a time."""

    def __init__(self, path: Path, mpp: float | None, tiff: Any) -> None:
        self._tiff, pages = tiff, _levels(tiff)
        self._pages = pages
        self._layouts = [_layout(page) for page in pages]
        _check_length(tiff, pages)
        um = None if mpp is not None else mpp_of(tiff.pages.first)
        first = self._layouts[0].size_px
        super().__init__(
            path,
            first,
            mpp if um is None else square_mpp(path, *um),
            tuple(scale_between(first, one.size_px) for one in self._layouts),
            _profile(pages[0]),
            {"vendor": "OME" if tiff.is_ome else "TIFF"},
        )

    def size_px(self, level: int) -> tuple[int, int]:
        return self._layouts[level].size_px

    def read_level(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> UInt8[ndarray, "h w 3"]:
        """Pieces that are not stored are white."""
        piece_px = self._layouts[level].piece_px
        return assembled(xy_px, size_px, piece_px, lambda line, column: self._piece(level, line, column))

    def close(self) -> None:
        self._tiff.close()

    def _piece(self, level: int, line: int, column: int) -> UInt8[ndarray, "h w 3"]:
        of = self._layouts[level]
        inside = tuple(min(of.piece_px[i], of.size_px[i] - at * of.piece_px[i]) for i, at in enumerate((column, line)))
        try:
            planes = [
                self._plane(level, (plane * of.lines + line) * of.columns + column, inside)
                for plane in range(of.planes)
            ]
        except Exception as error:  # damaged bytes make decoders raise nearly anything
            place = f"({column * of.piece_px[0]}, {line * of.piece_px[1]})"
            what = f"a damaged piece at {place} of level {level}: {error or type(error).__name__}"
            raise Unreadable(self.path, what) from error
        return planes[0][..., :3] if len(planes) == 1 else np.concatenate(planes[:3], axis=2)

    def _plane(self, level: int, index: int, inside: tuple[int, ...]) -> UInt8[ndarray, "h w samples"]:
        page = self._pages[level]
        count, offset = page.databytecounts[index], page.dataoffsets[index]
        width, height = inside
        if not count or not offset:
            return np.full((height, width, 3 if self._layouts[level].planes == 1 else 1), WHITE, dtype=np.uint8)
        file = self._tiff.filehandle
        file.seek(offset)
        data = file.read(count)
        if len(data) < count:
            raise ValueError("the file ends before it")
        if page.compression == JPEG and self._layouts[level].planes == 1 and not page.is_ndpi:
            piece = decoded(head_of(page), data)
        else:
            found, _, _ = page.decode(data, index, jpegtables=page.jpegtables)
            piece = np.asarray(found)[0]
        if piece.shape[0] < height or piece.shape[1] < width:
            raise ValueError(f"{piece.shape[1]}×{piece.shape[0]} px, fewer than {width}×{height}")
        return piece[:height, :width]


def _levels(tiff: Any) -> list[Any]:
    """A page a level. Raises ValueError for pixels of another kind than this reader gives."""
    levels = [level for level in tiff.series[0].levels if _shaped(level)]
    if not levels or levels[0] is not tiff.series[0].levels[0]:
        first = tiff.series[0]
        raise ValueError(f"axes {first.axes} of {first.shape} {first.dtype}; only 8-bit RGB in one plane is read")
    pages = [level.keyframe for level in levels]
    for page in pages:
        if page.photometric not in (RGB, YCBCR) or page.tags.valueof(ORIENTATION, UPRIGHT) != UPRIGHT:
            raise ValueError(f"photometric {page.photometric!s} or orientation is unusual; only upright RGB is read")
        if page.compression == OLD_JPEG or page.is_ndpi:
            raise ValueError("JPEG of the old style, or of a whole NDPI; convert it")
        page.decode(None, 0)  # raises for a codec that is not known
    return pages


def _shaped(level: Any) -> bool:
    page = level.keyframe
    return len(level.pages) == 1 and page.dtype == np.uint8 and page.samplesperpixel in (3, 4) and page.imagedepth == 1


def _layout(page: Any) -> _Layout:
    size = page.imagewidth, page.imagelength
    piece = (page.tilewidth, page.tilelength) if page.is_tiled else (size[0], min(page.rowsperstrip, size[1]))
    columns, lines = (-(-whole // part) for whole, part in zip(size, piece, strict=True))
    planes = 1 if page.planarconfig == CONTIGUOUS else page.samplesperpixel
    if len(page.dataoffsets) != len(page.databytecounts) or len(page.dataoffsets) != columns * lines * planes:
        raise ValueError("its list of tiles or strips does not fit its size")
    if piece[0] * piece[1] > MOST_PX:
        raise ValueError(f"{piece[0]}×{piece[1]} px in one piece; store it as a tiled, pyramidal TIFF")
    return _Layout(size, piece, columns, lines, planes)


def _check_length(tiff: Any, pages: list[Any]) -> None:
    end = max(sum(place) for page in pages for place in zip(page.dataoffsets, page.databytecounts, strict=True))
    if end > tiff.filehandle.size:
        raise ValueError(f"it is cut short: {tiff.filehandle.size:,} bytes, of at least {end:,}")


def _profile(page: Any) -> bytes | None:
    stored = page.tags.valueof("InterColorProfile")
    return bytes(stored) if stored else None
