"""What TIFF files say of their pages: which are levels, and how large a pixel is."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BIG_TIFF = 43
REDUCED = 1  # bit of the tag NewSubfileType
UM_PER_UNIT = {2: 25_400.0, 3: 10_000.0}  # of the tag ResolutionUnit: inch, cm; 1 is none
PRINT_UM = 40.0  # coarser than any scan of tissue: the 72, 96 or 300 dpi of a program that did not know
UM_PER = {"m": 1e6, "cm": 1e4, "mm": 1e3, "µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3}  # two letters for µ


def is_tiff(path: Path) -> bool:
    """Whether a file begins as TIFF and BigTIFF do; raises nothing."""
    try:
        with Path(path).open("rb") as file:
            return file.read(4) in MAGIC
    except OSError:
        return False


@contextmanager
def pages_of(path: Path) -> Iterator[list[Any]]:
    """The pages, by tifffile, while the file is open. Raises whatever a damaged file brings."""
    with opened(path) as tiff:
        yield list(tiff.pages)


def opened(path: Path) -> Any:
    """The file as tifffile sees it. Raises whatever a damaged file brings; what tifffile logs of it goes nowhere."""
    import tifffile

    log = logging.getLogger("tifffile")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    return tifffile.TiffFile(path)


def check_chain(path: Path) -> None:
    """Raises ValueError for a TIFF whose chain of pages leads out of it: it is cut short, though some can be read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
        big = int.from_bytes(head[2:4], order) == BIG_TIFF
        width, entry, counted = (8, 20, 8) if big else (4, 12, 2)  # bytes of an offset, an entry, the number of these
        at, seen = int.from_bytes(head[8:16] if big else head[4:8], order), set[int]()
        while at:
            file.seek(at)
            end = at + counted + entry * int.from_bytes(file.read(counted), order) + width
            if end > size:
                raise ValueError(f"it is cut short: {size:,} bytes, of at least {end:,}")
            if at in seen:
                raise ValueError("its chain of pages is a circle")
            seen.add(at)
            file.seek(end - width)
            at = int.from_bytes(file.read(width), order)


def says_ome(page: Any) -> bool:
    """Whether the first page carries OME-XML: then levels and resolution are told there, which OpenSlide ignores."""
    return "<OME" in str(page.description)[:4000]


def reduced(page: Any, vendor: str) -> bool:
    """Whether OpenSlide takes a tiled page after the first for a level."""
    return vendor == "aperio" or bool(page.subfiletype & REDUCED)


def mpp_of(page: Any) -> tuple[float, float] | None:
    """µm/px of a page across and down: from OME-XML, Aperio's `MPP = `, or its resolution; None where none says it."""
    if says_ome(page):
        return _of_ome(str(page.description))
    said = re.search(r"\|\s*MPP\s*=\s*([0-9.eE+-]+)", str(page.description))
    if said:
        return _sound(said[1], said[1])
    return _of_tags(page)


def is_print(um: float) -> bool:
    """Whether a resolution that TIFF's tags give is one for printing, which says nothing of the tissue."""
    return um >= PRINT_UM


def _of_ome(xml: str) -> tuple[float, float] | None:
    try:
        pixels = next(one for one in ElementTree.fromstring(xml).iter() if one.tag.rpartition("}")[2] == "Pixels")
        per_unit = [UM_PER[pixels.get(f"PhysicalSize{axis}Unit", "µm")] for axis in "XY"]
        across, down = (float(pixels.attrib[f"PhysicalSize{axis}"]) for axis in "XY")
    except (ElementTree.ParseError, StopIteration, KeyError, ValueError):
        return None
    return _sound(across * per_unit[0], down * per_unit[1])


def _of_tags(page: Any) -> tuple[float, float] | None:
    unit = UM_PER_UNIT.get(int(page.tags.valueof("ResolutionUnit", 2)))
    found = [page.tags.valueof(f"{axis}Resolution") for axis in "XY"]
    if unit is None or any(one is None or not one[0] or not one[1] for one in found):
        return None
    across, down = (unit * below / above for above, below in found)
    return None if is_print(across) else _sound(across, down)


def _sound(across: float | str, down: float | str) -> tuple[float, float] | None:
    try:
        um = float(across), float(down)
    except ValueError:
        return None
    return um if all(0 < one < float("inf") for one in um) else None
