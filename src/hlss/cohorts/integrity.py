"""Are the files of a cohort whole, each once, and no larger than they should be? Asked without decoding a pixel."""

import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hlss.cohorts.base import Cohort
from hlss.errors import Unreadable, UserError
from hlss.files import sampled_digest
from hlss.slides.decode import TIFF_MAGIC

WHOLE_PX = 2 * 89_478_485  # of an image that is decoded whole: what Pillow allows
SEGMENT_PX = 1 << 26  # of one tile or strip of a TIFF, which is decoded whole
_HEAD = 64 << 10  # bytes by which files of one size are told apart first
_TAIL = 4096  # bytes at whose end a file must say that it ends: some programs pad behind
_PAGES = 64  # of a TIFF that are looked at
_ENDS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND"}

Progress = Callable[[int, int], None]


def cohort_files(cohort: Cohort, least_tiles: int = 1) -> dict[Path, int]:
    """Files that images of a cohort lie in → the first image of each. Images that are no files (drawn ones), or of
    fewer tiles than that, are left out.
    """
    found: dict[Path, int] = {}
    for image in np.flatnonzero(np.diff(cohort.tiles.starts) >= least_tiles).tolist():
        found.setdefault(Path(cohort.source.image_name(int(cohort.image_number[image]))), image)
    return {path: image for path, image in found.items() if path.is_file()}


def same_content(paths: Sequence[Path], progress: Progress | None = None) -> list[tuple[Path, ...]]:
    """Groups of files that hold the same, in the order given, by `sampled_digest`. Most files are told apart by their
    size alone and not opened. Files that cannot be read are left out: reading their tiles will say why.
    """
    alike = _grouped(paths, lambda path: path.stat().st_size or None)  # empty files are damaged, not alike
    total, done = sum(map(len, alike)), 0

    def head(path: Path) -> bytes:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)
        return _head(path)

    heads = [finer for group in alike for finer in _grouped(group, head)]
    return [same for group in heads for same in _grouped(group, sampled_digest)]


def duplicates(cohort: Cohort, progress: Progress | None = None) -> list[str]:
    """One line for each group of images of a cohort that hold the same: what, whose, and why it matters. Two patients
    would share a slide over all splits; two names of one patient's would be positives of each other.
    """
    return [_told(cohort, group) for group in _alike(cohort, 1, progress)]


def refuse_duplicates(cohort: Cohort, progress: Progress | None = None) -> None:
    """Raises UserError that names the first slides or regions that hold the same, and counts further ones.

    For whatever opens a cohort to work on it: slides cut by `hlss tile` are compared by the hashes it kept, other files
    by `same_content`. Files of one tile, patches, are left to `duplicates`: blank ones may well be alike, and where a
    million files are of one size each would be opened.
    """
    groups = _alike(cohort, 2, progress)
    if groups:
        more = f" (and {len(groups) - 1} more such groups)" if len(groups) > 1 else ""
        raise UserError(_told(cohort, groups[0]) + more, where=cohort.name, fix="Keep one of them.")


def _alike(cohort: Cohort, least_tiles: int, progress: Progress | None) -> list[list[int]]:
    """Groups of images that hold the same: by what their source knows of all, or else by their files."""
    known = cohort.source.contents
    if known is not None:
        groups: dict[str, list[int]] = {}
        for image, number in enumerate(cohort.image_number.tolist()):
            groups.setdefault(known[number], []).append(image)
        return [group for group in groups.values() if len(group) > 1]
    files = cohort_files(cohort, least_tiles)
    return [[files[path] for path in group] for group in same_content(list(files), progress)]


def _told(cohort: Cohort, images: Sequence[int]) -> str:
    paths = [cohort.source.image_name(int(cohort.image_number[image])) for image in images]
    patients = list(dict.fromkeys(cohort.patients[cohort.slide_patient[cohort.image_slide[image]]] for image in images))
    names = " and ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    if len(patients) > 1:
        whose = "patients " + " and ".join(map(repr, patients[:3]))
    else:
        whose = f"patient {patients[0]!r}, and would be each other's positives"
    return f"{names} hold the same, of {whose}"


def damaged(paths: Sequence[Path], progress: Progress | None = None) -> list[tuple[str, str]]:
    """(path, reason) of files that are cut short, or declare more pixels than may be decoded at once."""
    found = []
    for done, path in enumerate(paths, start=1):
        if progress is not None:
            progress(done, len(paths))
        try:
            refuse_damaged(path)
        except Unreadable as error:
            found.append((error.path, error.reason))
    return found


def refuse_damaged(path: Path, whole_px: int = WHOLE_PX, segment_px: int = SEGMENT_PX) -> None:
    """Raises Unreadable for an empty file; a JPEG, PNG or TIFF that ends before it says it does; a JPEG or PNG of more
    than `whole_px` pixels; a TIFF with a tile or strip of more than `segment_px`. Other formats are not looked into.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
    except OSError as error:
        raise Unreadable(path, error.strerror or "it cannot be opened") from error
    if size == 0:
        raise Unreadable(path, "the file is empty")
    if magic in TIFF_MAGIC:
        _refuse_tiff(path, size, segment_px)
    for start, end in _ENDS.items():
        if magic.startswith(start):
            _refuse_bomb(path, whole_px)
            if end not in tail:
                raise Unreadable(path, f"it is cut short: {size} bytes, and no end of the image in them")


def _refuse_bomb(path: Path, most_px: int) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise Unreadable(path, f"it declares more than {WHOLE_PX} pixels") from error
    except Exception as error:  # damaged bytes make decoders raise nearly anything
        raise Unreadable(path, str(error).rstrip(" .") or type(error).__name__) from error
    if width * height > most_px:
        raise Unreadable(path, f"it declares {width}×{height} pixels, more than {most_px} are not decoded at once")


def _refuse_tiff(path: Path, size: int, most_px: int) -> None:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [tiff.pages[number] for number in range(min(len(tiff.pages), _PAGES))]
            if not pages:
                raise Unreadable(path, "a TIFF without an image")
            for number, page in enumerate(pages):
                _refuse_page(path, size, number, page, None if tiff.is_ndpi else most_px)
    except Unreadable:
        raise
    except Exception as error:  # as above
        raise Unreadable(path, f"a damaged TIFF: {error}".rstrip(" .")) from error


def _refuse_page(path: Path, size: int, number: int, page: Any, most_px: int | None) -> None:
    """most_px: None for NDPI, whose levels are one JPEG each that readers take in pieces."""
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if ends and max(ends) > size:
        raise Unreadable(path, f"it is cut short: page {number} goes on to byte {max(ends)} of {size}")
    if page.is_tiled:
        width, height = page.tilewidth, page.tilelength
    else:
        width, height = page.imagewidth, min(page.rowsperstrip, page.imagelength)
    if most_px is not None and height * width > most_px:
        what = f"page {number} declares pieces of {width}×{height} pixels"
        raise Unreadable(path, f"{what}, more than {most_px} are not decoded at once")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(_HEAD)).digest()


def _grouped(paths: Sequence[Path], key: Callable[[Path], Any]) -> list[tuple[Path, ...]]:
    """Files of one key, where there are at least two; without those whose key is None, or that cannot be read."""
    groups: dict[Any, list[Path]] = {}
    for path in paths:
        try:
            found = key(path)
        except OSError:
            continue
        if found is not None:
            groups.setdefault(found, []).append(path)
    return [tuple(group) for group in groups.values() if len(group) > 1]
