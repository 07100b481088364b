"""What OpenSlide reads, read as this project sees slides."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from slide_files import jpeg_tiff, pyramid, scene, tissue

from hlss.errors import Unreadable, UserError
from hlss.slides.base import Slide
from hlss.slides.opening import open_slide
from hlss.slides.openslide import OpenSlideFile

openslide = pytest.importorskip("openslide", reason="needs openslide-python and openslide-bin")


def opened(path: Path, mpp: float | None = None) -> Slide:
    slide = open_slide(path, mpp, reader="openslide")
    assert isinstance(slide, OpenSlideFile)
    return slide


def test_levels_resolution_and_facts(tmp_path: Path) -> None:
    with opened(jpeg_tiff(tmp_path / "a.svs", [tissue(600, 400), tissue(300, 200)], aperio=True)) as slide:
        assert (slide.size_px0, slide.mpp, slide.scales) == ((600, 400), 0.499, (1.0, 2.0))
        assert slide.facts == {"vendor": "aperio", "magnification": "20"}
        assert slide.size_px(1) == (300, 200)
        assert slide.icc is None


def test_a_given_mpp_counts_more_than_the_files(tmp_path: Path) -> None:
    path = pyramid(tmp_path / "a.tif", scene(300, 300), 0.5)
    assert opened(path).mpp == pytest.approx(0.5)
    assert opened(path, 0.25).mpp == 0.25


def tiled(path: Path, **options: object) -> Path:
    tifffile.imwrite(path, tissue(200, 150), photometric="rgb", tile=(64, 64), metadata=None, **options)
    return path


@pytest.mark.parametrize("dpi", [72, 96, 300])
def test_the_resolution_of_a_print_says_nothing(tmp_path: Path, dpi: int) -> None:
    with opened(tiled(tmp_path / "a.tif", resolution=(dpi, dpi), resolutionunit="inch")) as slide:
        assert slide.mpp is None
        slide.read((0, 0), 100, None)
        with pytest.raises(UserError, match=r"how many µm a pixel is.*mpp="):
            slide.read((0, 0), 100, 0.5)


def test_pixels_that_are_not_square_are_refused_unless_mpp_is_given(tmp_path: Path) -> None:
    path = tiled(tmp_path / "a.tif", resolution=(40_000, 20_000), resolutionunit="centimeter")
    with pytest.raises(Unreadable, match=r"not square: 0\.25 × 0\.5 µm.*mpp="):
        opened(path)
    assert opened(path, 0.3).mpp == 0.3


def test_the_last_line_and_column_of_a_level_are_tissue(tmp_path: Path) -> None:
    """Levels of odd sizes are no whole number of times smaller: OpenSlide's regions lie off its pixels."""
    dark = np.full((531, 703, 3), 30, np.uint8)
    with opened(pyramid(tmp_path / "a.tif", dark, 0.5)) as slide:
        for level in range(len(slide.scales)):
            width, height = slide.size_px(level)
            for x, y in ((width - 20, height - 20), (0, height - 20), (width - 20, 0), (width - 21, height - 21)):
                assert slide.read_level(level, (x, y), (20, 20)).max() < 40


def test_after_an_error_it_reads_on(tmp_path: Path) -> None:
    path = tiled(tmp_path / "a.tif", compression="deflate")
    with tifffile.TiffFile(path) as tiff:
        at, count = tiff.pages.first.dataoffsets[5], tiff.pages.first.databytecounts[5]
    data = bytearray(path.read_bytes())
    data[at : at + count] = b"\xaa" * count
    path.write_bytes(data)
    with opened(path) as slide:
        before = slide.read((0, 0), 64, None)
        with pytest.raises(Unreadable, match=r"level 0, 64×64 px at \(64, 64\)"):
            slide.read((64, 64), 64, None)
        np.testing.assert_array_equal(slide.read((0, 0), 64, None), before)


def test_a_tiff_that_says_more_or_other_than_openslide_reads_is_left_to_others(tmp_path: Path) -> None:
    ome = tmp_path / "a.ome.tif"
    tifffile.imwrite(ome, tissue(200, 150), photometric="rgb", tile=(64, 64))
    sixteen = tmp_path / "16.tif"
    tifffile.imwrite(sixteen, np.zeros((150, 200, 3), np.uint16), photometric="rgb", tile=(64, 64))
    assert openslide.OpenSlide.detect_format(sixteen) == "generic-tiff"
    with open_slide(ome) as slide:
        assert type(slide).__name__ == "TiffSlide"
    with pytest.raises(Unreadable, match="uint16"):
        open_slide(sixteen)
