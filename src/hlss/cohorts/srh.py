"""Pixels of stimulated Raman histology: TIFF patches of two uint16 channels, CH2 (lipid) and CH3 (protein and DNA).

The picture's arithmetic is that of HiDisc: x/65536; red CH3 − CH2 + 5000/65536, green CH2, blue CH3; clipped to 0..1.
It is exact here, and rounded once, at its end, to the 8 bits that views are drawn from (docs/paper-map.md).
"""

import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16
from numpy import ndarray

from hlss.cohorts.base import TileSource
from hlss.errors import Unreadable
from hlss.files import digest

OFFSET = 5000  # counts, added to CH3 − CH2
FULL = 65536  # counts that are 1
MOST_BYTES = 2**24  # of a patch's file: 360 kB as OpenSRH stores it

Tags = dict[int, tuple[int, ...]]
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _OFFSETS, _SAMPLES, _PLANAR, _FORMAT = 256, 257, 258, 259, 273, 277, 284, 339
_COUNTS = 279
_WANTED = {_WIDTH, _LENGTH, _BITS, _COMPRESSION, _OFFSETS, _SAMPLES, _PLANAR, _FORMAT, _COUNTS}
_SIZES = {3: "H", 4: "I"}  # types of whole numbers in a TIFF


class SrhPatches(TileSource):
    """Patch files below one folder, each one tile. paths: relative to `root`; patch_px: the side they all have."""

    def __init__(self, root: Path, paths: Sequence[str], patch_px: int) -> None:
        self.root, self.paths, self.patch_px = Path(root), tuple(paths), patch_px

    @cached_property
    def fingerprint(self) -> str:
        """Of paths and sizes in bytes; not of the root, so that a copy elsewhere is the same."""
        return digest(["srh", self.patch_px, self.paths, [size for size, _ in self._stats]])

    @cached_property
    def freshness(self) -> str:
        """The fingerprint with the times of last change."""
        return digest([self.fingerprint, [time for _, time in self._stats]])

    def image_name(self, image: int) -> str:
        return str(self.root / self.paths[image])

    def read(
        self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float | None
    ) -> UInt8[ndarray, "tile_px tile_px 3"]:
        """The whole patch. Raises ValueError for any other part or size of it."""
        if xy_px0 != (0, 0) or tile_px != self.patch_px or mpp is not None:
            raise ValueError(f"patches are read whole, {self.patch_px} px as stored")
        return to_rgb(read_channels(self.root / self.paths[image], self.patch_px))

    @cached_property
    def _stats(self) -> list[tuple[int, int]]:
        found = []
        for path in self.paths:
            try:
                stat = (self.root / path).stat()
            except OSError as error:
                raise Unreadable(self.root / path, error.strerror or "the file is missing") from error
            found.append((stat.st_size, stat.st_mtime_ns))
        return found


def to_rgb(channels: UInt16[ndarray, "2 h w"]) -> UInt8[ndarray, "h w 3"]:
    """The picture of CH2 and CH3, each pixel rounded to the nearest of 256 steps (halves to the even one)."""
    counts = np.empty((3, *channels.shape[1:]), dtype=np.uint16)
    counts[1:] = channels
    # Exact, as differences of counts are whole numbers; what is over 65535 is 1, and so is 65535 once it is rounded.
    cv2.addWeighted(counts[2], 1, counts[1], -1, OFFSET, dst=counts[0], dtype=cv2.CV_16U)
    planes = cv2.convertScaleAbs(counts.reshape(-1, counts.shape[2]), alpha=255 / FULL).reshape(counts.shape)
    return np.asarray(cv2.merge(list(planes)))


def read_channels(path: Path, patch_px: int) -> UInt16[ndarray, "2 patch_px patch_px"]:
    """CH2 and CH3 as stored, not to be written to. Uncompressed planes are taken from where they lie; the header of
    every file is checked.

    Raises Unreadable for a file that is missing, cut short, damaged, or of another shape or type.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise Unreadable(path, f"{size} bytes are no patch")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(path, error.strerror or "the file is missing") from error
    planes = _plain_planes(data, patch_px, path)
    return _by_tifffile(data, patch_px, path) if planes is None else planes


def _plain_planes(data: bytes, patch_px: int, path: Path) -> UInt16[ndarray, "2 h w"] | None:
    """Both channels where they lie uncompressed, each in one piece: a page each, or one page of planes; else None."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return None
    try:
        pages = list(_pages(data, order))
    except struct.error:
        raise Unreadable(path, "cut short, or a damaged TIFF") from None
    starts = [start for page in pages for start in _pieces(page, patch_px)]
    if len(starts) != 2 or not all(_is_plain(page, patch_px) for page in pages):
        return None
    n_bytes = 2 * patch_px**2
    if max(starts) + n_bytes > len(data):
        raise Unreadable(path, f"cut short: {len(data)} bytes of at least {max(starts) + n_bytes}")
    shape = (2, patch_px, patch_px)
    if starts[1] == starts[0] + n_bytes:
        return np.frombuffer(data, f"{order}u2", 2 * patch_px**2, starts[0]).reshape(shape)
    return np.stack([np.frombuffer(data, f"{order}u2", patch_px**2, start) for start in starts]).reshape(shape)


def _pages(data: bytes, order: str) -> Iterator[Tags]:
    """The whole numbers that are wanted from each page's header; three pages at most."""
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    for _ in range(3):
        if at == 0:
            return
        (n,) = struct.unpack_from(f"{order}H", data, at)
        tags: Tags = {}
        for place in range(at + 2, at + 2 + 12 * n, 12):
            tag, kind, count = struct.unpack_from(f"{order}HHI", data, place)
            if tag in _WANTED and kind in _SIZES:
                form = f"{order}{min(count, len(data))}{_SIZES[kind]}"
                start = place + 8
                if struct.calcsize(form) > 4:
                    (start,) = struct.unpack_from(f"{order}I", data, start)
                tags[tag] = struct.unpack_from(form, data, start)
        yield tags
        (at,) = struct.unpack_from(f"{order}I", data, at + 2 + 12 * n)


def _is_plain(page: Tags, patch_px: int) -> bool:
    samples = page.get(_SAMPLES, (1,))[0]
    return (
        (page.get(_WIDTH), page.get(_LENGTH)) == ((patch_px,), (patch_px,))
        and page.get(_BITS) == (16,) * samples
        and page.get(_COMPRESSION, (1,)) == (1,)
        and set(page.get(_FORMAT, (1,))) == {1}
        and (samples == 1 or page.get(_PLANAR) == (2,))
    )


def _pieces(page: Tags, patch_px: int) -> list[int]:
    """Where each plane of a page begins; empty where a plane is in several places."""
    offsets, counts, n_bytes = page.get(_OFFSETS, ()), page.get(_COUNTS, ()), 2 * patch_px**2
    starts = list[int]()
    filled, end = 0, -1
    for offset, count in zip(offsets, counts, strict=False):
        if filled % n_bytes == 0:
            starts.append(offset)
        elif offset != end:
            return []
        filled, end = filled + count, offset + count
    return starts if filled == len(starts) * n_bytes else []


def _by_tifffile(data: bytes, patch_px: int, path: Path) -> UInt16[ndarray, "2 h w"]:
    """The same of any other TIFF: compressed, big, or with its planes in pieces."""
    import tifffile

    try:
        with tifffile.TiffFile(BytesIO(data)) as tiff:
            series = tiff.series[0]
            shape, dtype = tuple(series.shape), np.dtype(series.dtype)
            if shape == (2, patch_px, patch_px) and dtype == np.uint16:
                return np.asarray(series.asarray())
    except Exception as error:  # damaged bytes make decoders raise nearly anything
        raise Unreadable(path, str(error).rstrip(" .") or "a damaged TIFF") from error
    said = "×".join(map(str, shape))
    raise Unreadable(path, f"{said} of {dtype}, not 2×{patch_px}×{patch_px} of uint16")
