"""Slide files whose pixels are known: written in the layouts of the world, and the truth to compare with."""

from collections.abc import Callable, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import simplejpeg
import tifffile

from hlss.cohorts.write.pyramid import write_pyramid
from hlss.slides.jpeg_tiles import SAMPLINGS

JPEG_TABLES, PHOTOMETRIC, OFFSETS, COUNTS, SUBFILE = 347, 262, 324, 325, 254  # TIFF tags
APERIO = "Aperio Image Library v12.0\n{w}x{h} [0,0 {w}x{h}] (256x256) JPEG/RGB Q=90|AppMag = 20|MPP = 0.4990"


def scene(width: int, height: int) -> np.ndarray:
    """Red tells x, green y, blue a wave of both: smooth, so that JPEG errs little, and no two places alike."""
    y, x = np.mgrid[:height, :width]
    red, green = 40 + 180 * x / width, 220 - 190 * y / height
    return np.stack([red, green, 128 + 30 * np.sin(x / 61 + y / 143)], axis=-1).round().astype(np.uint8)


def tissue(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Rough and coloured, so that JPEG's samplings and colours matter."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(60, 250, (-(-height // 4), -(-width // 4), 3))
    fine = coarse.repeat(4, axis=0).repeat(4, axis=1)[:height, :width] + draw.integers(-9, 10, (height, width, 3))
    return fine.clip(0, 255).astype(np.uint8)


def area_means(pixels: np.ndarray, xy: tuple[float, float], size_px: tuple[int, int], scale: float) -> np.ndarray:
    """Mean of what each of size (width, height) output px covers, from real-valued borders: by sums, not resampling.

    Beyond the border of the array its outermost pixels go on.
    """

    def along(axis: int, first: float, n: int, values: np.ndarray) -> np.ndarray:
        values = np.moveaxis(values, axis, 0)
        sums = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
        borders = np.clip(first + scale * np.arange(n + 1), 0, len(values))
        low = np.minimum(borders.astype(int), len(values) - 1)
        share = (borders - low).reshape(-1, *[1] * (values.ndim - 1))
        at = sums[low] + share * values[low]
        covered = np.maximum(np.diff(borders), 1e-9).reshape(share[1:].shape)
        return np.moveaxis(np.diff(at, axis=0) / covered, 0, axis)

    x0, y0 = (int(max(0, value)) for value in xy)  # sums of what is covered, not of the whole array
    x1, y1 = (int(value + scale * side) + 2 for value, side in zip(xy, size_px, strict=True))
    part = pixels[y0:y1, x0:x1].astype(float)
    return along(0, xy[1] - y0, size_px[1], along(1, xy[0] - x0, size_px[0], part))


def pyramid(path: Path, pixels: np.ndarray, mpp0: float, *, quality: int = 95, chroma: str = "444") -> Path:
    """The array as the project itself writes slides; each level the area means of level 0."""

    def read(xy_px0: tuple[int, int], size_px: int, mpp: float) -> np.ndarray:
        return area_means(pixels, xy_px0, (size_px, size_px), mpp / mpp0).round().astype(np.uint8)

    write_pyramid(path, read, (pixels.shape[1], pixels.shape[0]), mpp0, quality=quality, chroma=chroma)
    return path


def jpeg_tiff(
    path: Path,
    levels: Sequence[np.ndarray],
    *,
    tile_px: int = 256,
    chroma: str = "444",
    rgb: bool = False,
    tables: bool = False,
    aperio: bool = False,
    missing: Callable[[int, int], bool] = lambda level, tile: False,
) -> Path:
    """A tiled JPEG TIFF as scanners write them.

    rgb:     the JPEGs hold red, green, blue, and say nothing of it; tables: stored once, in the TIFF's tag;
    aperio:  described as an SVS; missing: (level, tile) that have no bytes.
    """
    height, width = levels[0].shape[:2]
    text = APERIO.format(w=width, h=height) if aperio else None
    with tifffile.TiffWriter(path) as tiff:
        for number, pixels in enumerate(levels):
            jpegs = [_encoded(tile, chroma, rgb) for tile in _tiles(pixels, tile_px)]
            shared = _split(jpegs[0])[0]
            tiff.write(
                iter([_split(jpeg)[1] for jpeg in jpegs] if tables else jpegs),
                shape=pixels.shape,
                dtype=np.uint8,
                tile=(tile_px, tile_px),
                photometric="ycbcr",
                compression="jpeg",
                subsampling=SAMPLINGS[chroma],
                subfiletype=int(number > 0),
                description=text,
                metadata=None,
                extratags=[(JPEG_TABLES, 7, len(shared), shared, True)] if tables else [],
            )
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for number, page in enumerate(tiff.pages):
            if rgb:
                page.tags[PHOTOMETRIC].overwrite(2)
            gone = [missing(number, tile) for tile in range(len(page.dataoffsets))]
            if any(gone):
                for tag in (OFFSETS, COUNTS):
                    stored = page.tags[tag].value
                    page.tags[tag].overwrite([0 if out else value for out, value in zip(gone, stored, strict=True)])
    return path


def _tiles(pixels: np.ndarray, tile_px: int) -> list[np.ndarray]:
    height, width = pixels.shape[:2]
    full = np.pad(pixels, ((0, -height % tile_px), (0, -width % tile_px), (0, 0)), mode="edge")
    rows, columns = range(0, height, tile_px), range(0, width, tile_px)
    return [np.ascontiguousarray(full[y : y + tile_px, x : x + tile_px]) for y in rows for x in columns]


def _encoded(tile: np.ndarray, chroma: str, rgb: bool) -> bytes:
    if rgb:
        jpeg = bytes(imagecodecs.jpeg8_encode(tile, 90, colorspace="RGB", outcolorspace="RGB"))
        at = jpeg.index(b"\xff\xee")  # Adobe's marker, which SVS files lack
        return jpeg[:at] + jpeg[at + 16 :]
    return bytes(simplejpeg.encode_jpeg(tile, 90, "RGB", colorsubsampling=chroma))


def _split(jpeg: bytes) -> tuple[bytes, bytes]:
    """A JPEG's tables as a stream of their own, and the rest of it."""
    tables, rest, at = b"\xff\xd8", b"\xff\xd8", 2
    while jpeg[at + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] in (0xDB, 0xC4):
            tables += jpeg[at : at + length]
        elif jpeg[at + 1] != 0xE0:
            rest += jpeg[at : at + length]
        at += length
    return tables + b"\xff\xd9", rest + jpeg[at:]
