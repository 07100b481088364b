"""The fast path shows what OpenSlide shows, in every layout it takes; what is damaged is named, never painted over."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from slide_files import COUNTS, OFFSETS, PHOTOMETRIC, jpeg_tiff, pyramid, scene, tissue

from hlss.errors import Unreadable
from hlss.slides.jpeg_tiff import JpegTiff, JpegTiffSpec
from hlss.slides.opening import open_slide

openslide = pytest.importorskip("openslide", reason="needs openslide-python and openslide-bin")

LAYOUTS = [
    pytest.param({"chroma": chroma, "tables": tables, "aperio": aperio}, id=f"{chroma}-{tables}-{aperio}")
    for chroma in ("444", "422", "420")
    for tables, aperio in ((False, False), (True, True))
] + [pytest.param({"rgb": True, "tables": True, "aperio": aperio}, id=f"rgb-{aperio}") for aperio in (False, True)]


@pytest.fixture(scope="module")
def levels() -> list[np.ndarray]:
    pixels = tissue(700, 530)
    return [pixels, pixels[::2, ::2].copy(), pixels[::4, ::4].copy()]


def shown(path: Path, level: int, xy: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """By OpenSlide, over white."""
    with openslide.OpenSlide(path) as slide:
        rgba = np.asarray(slide.read_region(xy, level, size)).astype(float)
    return np.round(rgba[..., :3] * (rgba[..., 3:] / 255) + 255 - rgba[..., 3:]).astype(int)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pixels_levels_and_resolution_are_openslides(tmp_path: Path, levels: list[np.ndarray], layout: dict) -> None:
    path = jpeg_tiff(tmp_path / "a.tif", levels, **layout)
    with open_slide(path) as slide, openslide.OpenSlide(path) as truth:
        assert isinstance(slide, JpegTiff)
        assert [slide.size_px(level) for level in range(3)] == list(truth.level_dimensions)
        assert slide.scales == (1, 2, 4)
        assert truth.level_downsamples == pytest.approx((1, 2, 4), rel=0.01)  # of rounded sizes
        assert slide.mpp == (0.499 if layout.get("aperio") else None)
        for level in range(3):
            size = slide.size_px(level)
            assert np.abs(slide.read_level(level, (0, 0), size) - shown(path, level, (0, 0), size)).max() <= 1
        for xy, size in (
            ((256, 256), (256, 256)),
            ((201, 77), (300, 333)),
            ((699, 529), (1, 1)),
            ((512, 512), (188, 18)),
        ):
            found = slide.read_level(0, xy, size)
            assert found.shape == (size[1], size[0], 3)
            assert np.abs(found - shown(path, 0, xy, size)).max() <= 1


def test_reading_again_in_any_order_gives_the_same_and_an_array_of_ones_own(tmp_path: Path) -> None:
    path = jpeg_tiff(tmp_path / "a.tif", [tissue(1300, 300)], tile_px=64)
    places = [(int(x), int(y)) for x, y in np.random.default_rng(0).integers(0, (1200, 200), (60, 2))]
    with open_slide(path) as one, open_slide(path) as other:
        whole = other.read_level(0, (0, 0), (1300, 300))
        for x, y in [*places, *sorted(places), (64, 64)]:
            found = one.read_level(0, (x, y), (64, 64))
            np.testing.assert_array_equal(found, whole[y : y + 64, x : x + 64])
            found[:] = 0


def test_tiles_that_are_not_there_are_white_as_openslide_shows_them(tmp_path: Path, levels: list[np.ndarray]) -> None:
    path = jpeg_tiff(tmp_path / "a.tif", levels, missing=lambda level, tile: (level, tile) in {(0, 4), (1, 1)})
    with open_slide(path) as slide:
        assert isinstance(slide, JpegTiff)
        for level in range(2):
            size = slide.size_px(level)
            assert np.abs(slide.read_level(level, (0, 0), size) - shown(path, level, (0, 0), size)).max() <= 1
        assert (slide.read_level(0, (256, 256), (256, 256)) == 255).all()


def test_missing_tiles_of_an_svs_are_left_to_openslide_which_fills_them(tmp_path: Path, levels: list) -> None:
    path = jpeg_tiff(tmp_path / "a.svs", levels, aperio=True, missing=lambda level, tile: (level, tile) == (1, 1))
    with open_slide(path) as slide:
        assert type(slide).__name__ == "OpenSlideFile"
        found = slide.read_level(1, (260, 4), (60, 200)).astype(int)
    assert np.abs(found - levels[1][4:204, 260:320]).mean() < 40  # white would be 100 off


def test_only_the_tiles_of_a_region_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = jpeg_tiff(tmp_path / "a.tif", [tissue(1024, 1024)])
    read: list[int] = []
    with open_slide(path) as slide:
        assert isinstance(slide, JpegTiff)
        decode = slide._decoded
        monkeypatch.setattr(slide, "_decoded", lambda level, cell: (read.append(cell), decode(level, cell))[1])
        slide.read((512, 256), 256, None)
        assert read == [6]
        slide.read((500, 250), 256, None)
        assert sorted(read[1:]) == [1, 2, 5, 6]
        slide.read((756, 250), 256, None)  # its neighbour shares two of them
        assert sorted(read[5:]) == [3, 7]


def damaged(path: Path, change: Callable[[bytearray, int, int], None], tile: int = 4) -> None:
    with tifffile.TiffFile(path) as tiff:
        at, count = tiff.pages[0].dataoffsets[tile], tiff.pages[0].databytecounts[tile]
    data = bytearray(path.read_bytes())
    change(data, at, count)
    path.write_bytes(data)


def zeros(data: bytearray, at: int, count: int) -> None:
    data[at : at + count] = bytes(count)


def end_of_scan(data: bytearray, at: int, count: int) -> None:
    data[at + count // 2 : at + count // 2 + 2] = b"\xff\xd9"  # the rest would come out grey


def other_size(data: bytearray, at: int, count: int) -> None:
    frame = data.index(b"\xff\xc0", at)
    data[frame + 5 : frame + 7] = (128).to_bytes(2, "big")


@pytest.mark.parametrize("change", [zeros, end_of_scan, other_size])
def test_a_damaged_tile_is_named_and_the_others_are_read(tmp_path: Path, change: Callable) -> None:
    path = jpeg_tiff(tmp_path / "a.tif", [tissue(700, 530)])
    whole = shown(path, 0, (0, 0), (700, 530))
    damaged(path, change)
    with open_slide(path) as slide:
        assert isinstance(slide, JpegTiff)
        for xy in ((256, 256), (200, 200), (500, 300)):
            with pytest.raises(Unreadable, match=r"a damaged tile at \(256, 256\) of level 0"):
                slide.read_level(0, xy, (100, 100) if xy[0] == 500 else (256, 256))
        assert np.abs(slide.read_level(0, (0, 0), (256, 256)) - whole[:256, :256]).max() <= 1


def test_bytes_after_a_whole_tile_do_no_harm(tmp_path: Path) -> None:
    path = jpeg_tiff(tmp_path / "a.tif", [tissue(700, 530)])
    truth = shown(path, 0, (256, 256), (256, 256))
    end = {}
    damaged(path, lambda data, at, count: end.update(at=at, data=bytes(data[at : at + count])))
    padded = end["data"][:-2] + b"\0\0\0\0" + b"\xff\xd9"
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tags = tiff.pages[0].tags
        size = path.stat().st_size
        for tag, value in ((OFFSETS, size), (COUNTS, len(padded))):
            stored = list(tags[tag].value)
            stored[4] = value
            tags[tag].overwrite(stored)
    with path.open("ab") as file:
        file.seek(size)
        file.write(padded)
    with open_slide(path) as slide:
        at = slide._levels[0].offsets[4]  # type: ignore[attr-defined]
        assert path.read_bytes()[at : at + len(padded)] == padded
        assert np.abs(slide.read_level(0, (256, 256), (256, 256)) - truth).max() <= 1


def test_what_it_does_not_read_exactly_it_does_not_take(tmp_path: Path) -> None:
    pixels, takes = tissue(300, 200), JpegTiffSpec().takes
    contradicted = jpeg_tiff(tmp_path / "contradicted.tif", [pixels], tables=False)
    assert takes(contradicted)
    with tifffile.TiffFile(contradicted, mode="r+b") as tiff:
        tiff.pages[0].tags[PHOTOMETRIC].overwrite(2)  # the JPEGs say JFIF, which is never RGB
    assert not takes(contradicted)
    options = {"photometric": "rgb", "tile": (64, 64)}
    tifffile.imwrite(tmp_path / "lzw.tif", pixels, compression="lzw", **options)
    tifffile.imwrite(tmp_path / "strips.tif", pixels, photometric="rgb", compression="jpeg", rowsperstrip=16)
    tifffile.imwrite(tmp_path / "grey.tif", pixels[..., 0], photometric="minisblack", tile=(64, 64), compression="jpeg")
    tifffile.imwrite(tmp_path / "ome.ome.tif", pixels, compression="jpeg", **options)
    for name in ("lzw", "strips", "grey", "ome.ome"):
        assert not takes(tmp_path / f"{name}.tif")
        with pytest.raises(Unreadable, match="not for the reader jpeg_tiff: "):
            open_slide(tmp_path / f"{name}.tif", reader="jpeg_tiff")


def test_a_closed_slide_reads_no_more_and_closes_twice(tmp_path: Path) -> None:
    slide = open_slide(pyramid(tmp_path / "a.tif", scene(300, 300), 0.5))
    slide.close()
    slide.close()
    with pytest.raises(Unreadable):
        slide.read((0, 0), 100, None)
