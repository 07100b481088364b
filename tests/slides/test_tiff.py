"""TIFFs that OpenSlide does not take: the truth is the array that was written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from slide_files import COUNTS, OFFSETS, tissue

from hlss.errors import Unreadable
from hlss.slides.opening import open_slide
from hlss.slides.tiff import TiffSlide

CODECS = [None, "lzw", "deflate", "zstd", "jpeg2000", "packbits"]
SHAPES = [{"tile": (64, 96)}, {"rowsperstrip": 10}, {}, {"tile": (64, 64), "planarconfig": "separate"}]
CM = {"resolutionunit": "centimeter"}


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return tissue(300, 170)


def written(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    planar = options.get("planarconfig") == "separate"
    data = np.ascontiguousarray(np.moveaxis(pixels, -1, 0)) if planar else pixels
    tifffile.imwrite(path, data, photometric="rgb", **{"metadata": None, **options})
    return path


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("shape", SHAPES, ids=["tiles", "strips", "one strip", "planes"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_lossless_codecs_come_back_exactly(
    tmp_path: Path, pixels: np.ndarray, codec: str | None, shape: dict[str, Any], byteorder: str
) -> None:
    if codec in ("lzw", "deflate", "zstd"):
        shape = {**shape, "predictor": True}
    path = written(tmp_path / "a.tif", pixels, compression=codec, byteorder=byteorder, **shape)
    with open_slide(path, reader="tiff") as slide:
        assert slide.size_px0 == (300, 170)
        for x, y, width, height in ((0, 0, 300, 170), (31, 63, 100, 80), (299, 169, 1, 1), (96, 64, 96, 64)):
            found = slide.read_level(0, (x, y), (width, height))
            np.testing.assert_array_equal(found, pixels[y : y + height, x : x + width])


@pytest.mark.parametrize("shape", [{"tile": (64, 64)}, {"rowsperstrip": 16}])
@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_jpeg_is_what_tifffile_decodes(
    tmp_path: Path, pixels: np.ndarray, shape: dict[str, Any], subsampling: tuple[int, int]
) -> None:
    path = written(tmp_path / "a.tif", pixels, compression="jpeg", subsampling=subsampling, **shape)
    with open_slide(path, reader="tiff") as slide:
        found = slide.read_level(0, (0, 0), (300, 170)).astype(int)
    assert np.abs(found - tifffile.imread(path)).max() <= 1


def test_strips_go_to_this_reader_and_tiles_to_openslide(tmp_path: Path, pixels: np.ndarray) -> None:
    with open_slide(written(tmp_path / "strips.tif", pixels)) as slide:
        assert isinstance(slide, TiffSlide)
    with open_slide(written(tmp_path / "tiles.tif", pixels, tile=(64, 64))) as slide:
        assert type(slide).__name__ == "OpenSlideFile"
    with open_slide(written(tmp_path / "codec.tif", pixels, tile=(64, 64), compression="jpeg2000")) as slide:
        assert isinstance(slide, TiffSlide)  # no codec of libtiff's


def ome(path: Path, levels: list[np.ndarray], **metadata: Any) -> Path:
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options = {"photometric": "rgb", "tile": (64, 64), "compression": "jpeg"}
        tiff.write(levels[0], subifds=len(levels) - 1, metadata={"axes": "YXS", **metadata}, **options)
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, metadata=None, **options)
    return path


def test_an_ome_tiff_has_its_pyramid_and_its_resolution(tmp_path: Path, pixels: np.ndarray) -> None:
    levels = [pixels, pixels[::2, ::2], pixels[::4, ::4]]
    size = {"PhysicalSizeX": 251.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.251, "PhysicalSizeYUnit": "µm"}
    path = ome(tmp_path / "a.ome.tif", levels, **size)
    with open_slide(path) as slide:
        assert isinstance(slide, TiffSlide)
        assert slide.mpp == pytest.approx(0.251)
        assert slide.scales == pytest.approx((1, 2, 4), rel=0.03)
        for level in range(3):
            truth = tifffile.imread(path, level=level).astype(int)
            assert np.abs(slide.read_level(level, (0, 0), slide.size_px(level)) - truth).max() <= 1
    with open_slide(ome(tmp_path / "silent.ome.tif", levels)) as slide:
        assert slide.mpp is None


@pytest.mark.parametrize(
    ("options", "mpp"),
    [
        ({"resolution": (40_000, 40_000), **CM}, 0.25),
        ({"resolution": (50_800, 50_800), "resolutionunit": "inch"}, 0.5),
        ({"resolution": (40_000, 40_000), "resolutionunit": "none"}, None),
        ({"resolution": (72, 72), "resolutionunit": "inch"}, None),
        ({"resolution": (96, 96), "resolutionunit": "inch"}, None),
        ({"resolution": (28.35, 28.35), **CM}, None),  # 72 dpi in cm
        ({}, None),
        ({"description": "Aperio Image\n9x9 |AppMag = 40|MPP = 0.2520|Left = 1"}, 0.252),
        ({"description": "Aperio Image\n9x9 |AppMag = 40|MPP = |Left = 1", "resolution": (72, 72)}, None),
    ],
)
def test_resolution_is_read_where_it_is_meant(
    tmp_path: Path, pixels: np.ndarray, options: dict[str, Any], mpp: float | None
) -> None:
    path = written(tmp_path / "a.tif", pixels, **options)
    with open_slide(path, reader="tiff") as slide:
        assert slide.mpp == (None if mpp is None else pytest.approx(mpp))
    with open_slide(path, mpp=0.7, reader="tiff") as slide:
        assert slide.mpp == 0.7


def test_pixels_that_are_not_square_are_refused_unless_mpp_is_given(tmp_path: Path, pixels: np.ndarray) -> None:
    path = written(tmp_path / "a.tif", pixels, resolution=(40_000, 20_000), **CM)
    with pytest.raises(Unreadable, match=r"not square: 0\.25 × 0\.5 µm.*mpp="):
        open_slide(path)
    with open_slide(path, mpp=0.25) as slide:
        assert slide.mpp == 0.25


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (np.zeros((90, 80), np.uint8), {"photometric": "minisblack"}, "only 8-bit RGB"),
        (np.zeros((90, 80, 3), np.uint16), {"photometric": "rgb"}, "uint16; only 8-bit RGB"),
        (np.zeros((5, 90, 80), np.uint8), {"photometric": "minisblack"}, "only 8-bit RGB"),
        (np.zeros((4, 90, 80, 3), np.uint8), {"photometric": "rgb"}, "only 8-bit RGB"),
        (np.zeros((90, 80), np.float32), {"photometric": "minisblack", "tile": (32, 32)}, "only 8-bit RGB"),
    ],
)
def test_other_kinds_of_pixels_are_refused_with_the_reason(
    tmp_path: Path, data: np.ndarray, options: dict[str, Any], reason: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", data, **options)
    with pytest.raises(Unreadable, match=reason):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize("codec", ["lzw", "deflate", "zstd", "jpeg"])
@pytest.mark.parametrize("shape", [{"tile": (64, 64)}, {"rowsperstrip": 64}])
def test_a_damaged_piece_is_named(tmp_path: Path, pixels: np.ndarray, codec: str, shape: dict[str, Any]) -> None:
    path = written(tmp_path / "a.tif", pixels, compression=codec, **shape)
    with tifffile.TiffFile(path) as tiff:
        last = len(tiff.pages.first.dataoffsets) - 1
        counts = list(tiff.pages.first.databytecounts)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        counts[last] //= 2
        tag = tiff.pages.first.tags[COUNTS if "tile" in shape else 279]
        tag.overwrite(counts)
    with open_slide(path, reader="tiff") as slide:
        slide.read_level(0, (0, 0), (300, 60))
        with pytest.raises(Unreadable, match=r"a damaged piece at \((256|0), 128\) of level 0"):
            slide.read_level(0, (280, 150), (5, 5))


def test_tiles_that_are_not_there_are_white(tmp_path: Path, pixels: np.ndarray) -> None:
    path = written(tmp_path / "a.tif", pixels, tile=(64, 64))
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for tag in (OFFSETS, COUNTS):
            tags = tiff.pages.first.tags
            tags[tag].overwrite([0, *tags[tag].value[1:]])
    with open_slide(path, reader="tiff") as slide:
        found = slide.read_level(0, (0, 0), (300, 170))
    assert (found[:64, :64] == 255).all()
    np.testing.assert_array_equal(found[64:], pixels[64:])


def test_a_profile_is_handed_on(tmp_path: Path, pixels: np.ndarray) -> None:
    path = written(tmp_path / "a.tif", pixels, iccprofile=b"profile")
    with open_slide(path, reader="tiff") as slide:
        assert slide.icc == b"profile"


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_chain_of_pages_that_leads_out_of_the_file_or_back_is_refused(
    tmp_path: Path, pixels: np.ndarray, bigtiff: bool, byteorder: str
) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=bigtiff, byteorder=byteorder) as tiff:
        for level in (pixels, pixels[::2, ::2]):
            tiff.write(level, photometric="rgb", metadata=None, subfiletype=int(level is not pixels))
    with open_slide(path, reader="tiff") as slide:
        assert len(slide.scales) == 2
    with tifffile.TiffFile(path) as tiff:
        second, places = tiff.pages[1].offset, [tiff.pages.first.offset, 10**9]
    data = path.read_bytes()
    width, order = 8 if bigtiff else 4, "little" if byteorder == "<" else "big"
    at = data.index(second.to_bytes(width, order))
    for place, reason in zip(places, ("circle", "cut short"), strict=True):
        path.write_bytes(data[:at] + place.to_bytes(width, order) + data[at + width :])
        with pytest.raises(Unreadable, match=reason):
            open_slide(path)
