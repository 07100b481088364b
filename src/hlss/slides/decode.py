"""Image files to RGB pixels, strictly: what cannot be read whole, or is no 8-bit colour, is refused with its reason."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, UnidentifiedImageError

from hlss.errors import Unreadable

FORMATS = ("PNG", "JPEG", "TIFF")
WANTED = "only 8-bit colour PNG, JPEG and TIFF are read"
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SAMPLES_PER_PIXEL = 277  # TIFF tag


def read_size(path: Path) -> tuple[int, int]:
    """Width and height, px, from the header alone. Raises Unreadable."""
    with _reasons(path):
        if path.stat().st_size == 0:
            raise ValueError("the file is empty")
        with Image.open(path, formats=FORMATS) as image:
            _refuse_unless_colour(image)
            return image.size


def decode(path: Path) -> UInt8[ndarray, "h w 3"]:
    """All pixels as RGB: palette and CMYK are converted, transparency is laid over white, a JPEG stays as stored (EXIF
    orientation is not applied).

    Raises Unreadable for a file that is missing, empty, truncated, corrupt, grey, of more than 8 bits or of
    another number of channels.
    """
    with _reasons(path):
        data = path.read_bytes()
        if not data:
            raise ValueError("the file is empty")
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            _refuse_unless_colour(image)
            if image.format == "JPEG" and image.mode == "RGB":
                return np.asarray(simplejpeg.decode_jpeg(data, colorspace="RGB"))
            return np.asarray(_to_rgb(image)).copy()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA" or "transparency" in image.info:
        transparent = image.convert("RGBA")
        white = Image.new("RGBA", transparent.size, "white")
        return Image.alpha_composite(white, transparent).convert("RGB")
    return image.convert("RGB")


def _refuse_unless_colour(image: Image.Image) -> None:
    # Pillow opens 16-bit and many-channel files as RGB and drops the rest silently: the raw mode tells.
    raw_mode = "".join(str(tile[3]) for tile in getattr(image, "tile", ())[:1])
    samples = getattr(image, "tag_v2", {}).get(SAMPLES_PER_PIXEL, 3)
    if ";16" in raw_mode:
        raise ValueError(f"16 bits a channel; {WANTED}")
    if image.mode in ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"):
        raise ValueError(f"grey, not colour (mode {image.mode}); {WANTED}")
    if image.mode not in ("RGB", "RGBA", "P", "CMYK", "YCbCr") or samples > 4:
        raise ValueError(f"{samples} channels (mode {image.mode}); {WANTED}")


@contextmanager
def _reasons(path: Path) -> Iterator[None]:
    """Whatever a decoder says becomes the reason of an Unreadable."""
    try:
        yield
    except FileNotFoundError as error:
        raise Unreadable(path, "the file is missing") from error
    except UnidentifiedImageError as error:
        raise Unreadable(path, _why_unknown(path)) from error
    except (
        Exception
    ) as error:  # damaged bytes make decoders raise nearly anything: OSError, SyntaxError, struct.error …
        raise Unreadable(path, str(error).rstrip(" .") or type(error).__name__) from error


def _why_unknown(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(4) not in TIFF_MAGIC:
            return f"not an image that is known, or damaged; {WANTED}"
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            return f"{page.samplesperpixel} channels of {page.dtype}; {WANTED}"
    except Exception:  # as above
        return f"a damaged TIFF; {WANTED}"
