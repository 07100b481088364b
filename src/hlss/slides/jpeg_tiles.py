"""Tiles of JPEG in a TIFF: where each lies in the file, and how one is decoded, strictly."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg
from jaxtyping import Int64, UInt8
from numpy import ndarray

JPEG, RGB, YCBCR, CONTIGUOUS, UPRIGHT = 7, 2, 6, 1, 1  # values of TIFF's tags
ORIENTATION = 274  # TIFF tag
SOI, EOI = b"\xff\xd8", b"\xff\xd9"
ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"  # says that the three components are red, green, blue
HARMLESS = "extraneous bytes before marker 0xd9"  # all pixels are there, then padding, then the end
SAMPLINGS = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}  # of luminance, where both chromas have (1, 1)


@dataclass(frozen=True, eq=False)
class TiledLevel:
    """One level. size_px, tile_px: (width, height); offsets, counts: bytes of each tile, line by line from the top
    left, count 0 for one that is not there; head: what is put before a tile's own bytes (without their SOI).
    """

    size_px: tuple[int, int]
    tile_px: tuple[int, int]
    offsets: Int64[ndarray, " n"]
    counts: Int64[ndarray, " n"]
    head: bytes

    @property
    def columns(self) -> int:
        """Tiles a line."""
        return -(-self.size_px[0] // self.tile_px[0])

    @property
    def end(self) -> int:
        """Bytes that the file must have for all of the tiles to be in it."""
        return int((self.offsets + self.counts).max(initial=0, where=self.counts > 0))


def level_of(page: Any) -> TiledLevel:
    """The level on a page of tifffile. Raises ValueError, with the reason, for one whose pixels this module does not
    decode exactly as the TIFF means them.
    """
    if not page.is_tiled or page.compression != JPEG or page.is_ndpi:
        raise ValueError("not in tiles of JPEG")
    if page.dtype != np.uint8 or page.samplesperpixel != 3 or page.planarconfig != CONTIGUOUS or page.ndim != 3:
        raise ValueError("not 8-bit RGB, pixel by pixel")
    if page.photometric not in (RGB, YCBCR) or int(page.tags.valueof(ORIENTATION, UPRIGHT)) != UPRIGHT:
        raise ValueError("of unusual colours or orientation")
    offsets, counts = (np.asarray(part, dtype=np.int64) for part in (page.dataoffsets, page.databytecounts))
    size, tile = (page.imagewidth, page.imagelength), (page.tilewidth, page.tilelength)
    level = TiledLevel(size, tile, offsets, np.where(offsets > 0, counts, 0), head_of(page))
    if len(offsets) != len(counts) or len(offsets) != level.columns * -(-size[1] // tile[1]):
        raise ValueError("its list of tiles does not fit its size")
    _check_colours(level, page)
    return level


def head_of(page: Any) -> bytes:
    """What the JPEGs of a page lack: their tables, and a word on their colours where libjpeg would guess wrong."""
    tables = (page.jpegtables or b"").removeprefix(SOI).removesuffix(EOI)
    return SOI + (ADOBE_RGB if page.photometric == RGB else b"") + tables


def decoded(
    head: bytes, data: bytes, buffer: UInt8[ndarray, "..."] | None = None
) -> UInt8[ndarray, "tile_px tile_px 3"]:
    """RGB of one tile, into `buffer` where one is given. Raises ValueError for one that is damaged or cut short, where
    libjpeg by itself would go on with grey.
    """
    if data[:2] != SOI:
        raise ValueError("no JPEG")
    jpeg = head + data[2:] if len(head) > len(SOI) else data
    try:
        return np.asarray(simplejpeg.decode_jpeg(jpeg, "RGB", buffer=buffer))
    except ValueError as error:
        if HARMLESS not in str(error):
            raise
        return np.asarray(simplejpeg.decode_jpeg(jpeg, "RGB", buffer=buffer, strict=False))


def _check_colours(level: TiledLevel, page: Any) -> None:
    """Refuse tiles whose JPEG headers contradict the TIFF (OpenSlide goes by the TIFF, libjpeg by the JPEG)."""
    there = np.flatnonzero(level.counts)
    if not len(there):
        return
    file = page.parent.filehandle
    file.seek(int(level.offsets[there[0]]))
    header = _header(level.head + file.read(int(level.counts[there[0]]))[2:])
    if header is None:
        return  # damaged: reading it says so
    kind, depth, components, colours = header
    if kind not in (0xC0, 0xC1, 0xC2) or depth != 8 or len(components) != 3:
        raise ValueError("JPEGs of an unusual kind")
    sampling = [sample for _, sample in components]
    if sampling[0] not in SAMPLINGS.values() or sampling[1:] != [(1, 1)] * 2:
        raise ValueError("JPEGs of unusual sampling")
    if colours != page.photometric:
        raise ValueError("JPEG and TIFF contradict each other on colours")


def _header(jpeg: bytes) -> tuple[int, int, list[tuple[int, tuple[int, int]]], int] | None:
    """Kind (marker of the frame), bits a sample, (id, sampling) of each component, and colours as libjpeg sees them;
    None where it ends before saying so.
    """
    at, by_marker = 2, None
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        part = jpeg[at + 4 : at + 2 + length]
        if marker == 0xE0 and part[:5] == b"JFIF\0":
            by_marker = YCBCR
        elif marker == 0xEE and part[:5] == b"Adobe" and len(part) >= 12 and by_marker != YCBCR:
            by_marker = YCBCR if part[11] else RGB
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(part) >= 6:
            rows = [part[i : i + 3] for i in range(6, 6 + 3 * part[5], 3)]
            components = [(row[0], (row[1] >> 4, row[1] & 15)) for row in rows if len(row) == 3]
            named = RGB if [one for one, _ in components] == [*b"RGB"] else YCBCR
            return marker, part[0], components, named if by_marker is None else by_marker
        at += 2 + length
    return None
