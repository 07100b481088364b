"""Every reader gives, at any resolution, the area means of what was written, or what is drawn there at that resolution:
no offset, no axis the wrong way.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from slide_files import area_means, pyramid, scene

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom import PhantomSpec
from hlss.cohorts.phantom.reader import PhantomFile
from hlss.cohorts.phantom.spec import DRAWING, truth_and_look
from hlss.cohorts.phantom.tissue import draw_tile
from hlss.cohorts.write.pyramid import write_pyramids
from hlss.registry import SLIDES
from hlss.slides.base import ReaderSpec, Slide
from hlss.slides.grid import extent_px0, grid
from hlss.slides.opening import open_slide

MPP0, SIZE = 0.2527, (1111, 903)
SCALES = [1.0, 0.7, 1 / 0.7, 2.0, 3.3, 17.0]  # level-0 px per px asked for
PLACE = (
    0.35  # px asked for by which a region may lie off: its corner is a pixel of a level, whose sides are rounded down
)
MEAN, LARGEST = (1.0, 0.2), (6.0, 0.7)  # grey values of JPEG's error, and by which the scene changes a level-0 px
EXACT = (0.0, 0.0)


def allowed(error: tuple[float, float], scale: float) -> float:
    return error[0] + error[1] * PLACE * scale


Truth = Callable[[tuple[float, float], tuple[int, int], float], np.ndarray]


@dataclass(frozen=True)
class Known:
    """A file of SIZE and what it holds: `truth(xy_px0, size_px, scale)`, from which the mean and the largest difference
    are allowed to be so much.
    """

    path: Path
    truth: Truth
    mean: tuple[float, float] = MEAN
    largest: tuple[float, float] = LARGEST
    reader: str | None = None

    def __call__(self) -> Slide:
        return open_slide(self.path, MPP0, reader=self.reader)


@cache
def pixels() -> np.ndarray:
    return scene(*SIZE)


def means_of_scene(xy: tuple[float, float], size_px: tuple[int, int], scale: float) -> np.ndarray:
    return area_means(pixels(), xy, size_px, scale)


def as_png(path: Path) -> Known:
    Image.fromarray(pixels()).save(path.with_suffix(".png"))
    return Known(path.with_suffix(".png"), means_of_scene)


def as_pyramid(path: Path) -> Known:
    shared = path.with_name("pyramid.tif")  # of all readers of this layout: written once
    return Known(shared if shared.exists() else pyramid(shared, pixels(), MPP0), means_of_scene)


def as_drawn(path: Path) -> Known:
    cohort = PhantomSpec(patients=3, slides=2)
    size = {"width_px0": SIZE[0], "height_px0": SIZE[1], "mpp": MPP0}
    file = PhantomFile(drawing=DRAWING, cohort=cohort, patient=2, slide=1, downsamples=(1, 4), **size)
    path.with_suffix(".phantom").write_text(file.text())
    slide = truth_and_look(cohort, 5)

    def drawn(xy: tuple[float, float], size_px: tuple[int, int], scale: float) -> np.ndarray:
        whole = draw_tile(*slide, (xy[0] * MPP0, xy[1] * MPP0), max(size_px), MPP0 * scale)
        return whole[: size_px[1], : size_px[0]].astype(float)

    return Known(path.with_suffix(".phantom"), drawn, EXACT, EXACT)


# one entry a reader: how to write a file that it reads
WRITE: dict[str, Callable[[Path], Known]] = {
    "flat": as_png,
    "jpeg_tiff": as_pyramid,
    "openslide": as_pyramid,
    "phantom": as_drawn,
    "tiff": as_pyramid,
}


@pytest.fixture(scope="module", params=list(SLIDES))
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Known:
    """Opens a file anew with each reader that is registered."""
    name = request.param
    assert name in WRITE, f"say in {__file__} how to write a file for the reader {name}"
    folder = tmp_path_factory.getbasetemp() / "slides"
    folder.mkdir(exist_ok=True)
    return replace(WRITE[name](folder / name), reader=name)


def corners(size_px: int, scale: float) -> list[tuple[int, int]]:
    """Top left, right, below, both, and somewhere."""
    right, below = (side - extent_px0(size_px, scale) for side in SIZE)
    return [(0, 0), (right, 0), (0, below), (right, below), (right // 3, below // 2)]


@pytest.mark.parametrize("scale", SCALES)
def test_any_resolution_is_the_mean_of_what_a_pixel_covers(opened: Known, scale: float) -> None:
    size_px = 224 if scale < 5 else 50
    with opened() as slide:
        for xy in corners(size_px, scale):
            found = slide.read(xy, size_px, MPP0 * scale)
            assert (found.shape, found.dtype) == ((size_px, size_px, 3), np.uint8)
            difference = np.abs(found - opened.truth(xy, (size_px, size_px), scale))
            assert difference.mean() <= allowed(opened.mean, scale)
            assert difference.max() <= allowed(opened.largest, scale)
        away = opened.truth((xy[0] + 12 * scale, xy[1]), (size_px, size_px), scale)
        assert np.abs(found - away).mean() > allowed(MEAN, scale)  # 12 px off would show


def test_without_mpp_level_0_comes_as_stored(opened: Known) -> None:
    with opened() as slide:
        assert (slide.size_px0, slide.mpp, slide.scales[0]) == (SIZE, MPP0, 1.0)
        assert list(slide.scales) == sorted(slide.scales)
        found = slide.read((301, 77), 200, None)
        assert np.abs(found - opened.truth((301, 77), (200, 200), 1.0)).max() <= allowed(opened.largest, 1.0)
        wide = slide.read_rectangle((10, 20), (400, 30), None)
        assert np.abs(wide - opened.truth((10, 20), (400, 30), 1.0)).max() <= allowed(opened.largest, 1.0)


def test_a_region_that_leaves_the_slide_is_a_mistake_of_the_caller(opened: Known) -> None:
    with opened() as slide:
        for xy in ((-1, 0), (0, -1), (SIZE[0] - 90, 0), (0, SIZE[1] - 90), (10**6, 10**6)):
            with pytest.raises(ValueError, match="leaves"):
                slide.read(xy, 100, MPP0)
        with pytest.raises(ValueError, match="leaves"):
            slide.read((0, 0), 700, MPP0 * 2)


def test_reading_twice_and_by_two_handles_gives_the_same_and_arrays_of_ones_own(opened: Known) -> None:
    places = [(0, 0), (256, 512), (801, 33), (300, 640), (801, 33), (0, 0)]
    with opened() as one, opened() as other:
        for xy in places:
            first = one.read(xy, 256, MPP0)
            kept = first.copy()
            assert first.flags.writeable
            first[:] = 7
            np.testing.assert_array_equal(one.read(xy, 256, MPP0), kept)
            np.testing.assert_array_equal(other.read(xy, 256, MPP0), kept)


@pytest.mark.parametrize("name", list(SLIDES))
def test_a_reader_takes_nothing_that_is_no_slide_and_raises_nothing(name: str, tmp_path: Path) -> None:
    reader = SLIDES[name](name=name)  # type: ignore[call-arg]
    assert isinstance(reader, ReaderSpec)
    for number, data in enumerate((b"", b"text", b"\0" * 99)):
        (tmp_path / str(number)).write_bytes(data)
        assert not reader.takes(tmp_path / str(number))
    assert not reader.takes(tmp_path)
    assert not reader.takes(tmp_path / "none")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cohort, Path]:
    """Two slides of drawn tissue, 512 px at 0.5 µm/px, and the folder they were written to."""
    cohort = PhantomSpec(patients=2, slides=1, side=4, tile_px=64, mpp=1.0).open()
    folder = tmp_path_factory.mktemp("phantom") / "out"
    write_pyramids(cohort, folder, lambda done, of: None, quality=95)
    return cohort, folder


@pytest.mark.parametrize("reader", ["jpeg_tiff", "openslide", "tiff"])
@pytest.mark.parametrize("mpp", [0.5, 0.7, 1.0])
def test_drawn_slides_give_their_tiles_and_pixels_again(drawn: tuple[Cohort, Path], reader: str, mpp: float) -> None:
    tile_px = 64
    written, folder = drawn
    direct = PhantomSpec(patients=2, slides=1, side=4, tile_px=tile_px, mpp=1.0).open()
    for image, path in enumerate(sorted((folder / "slides").iterdir())):
        with open_slide(path, reader=reader) as slide:
            assert slide.mpp == pytest.approx(0.5)
            assert slide.mpp is not None
            places = grid(*slide.size_px0, tile_px, mpp / slide.mpp).xy_px0
            assert len(places) == (512 // extent_px0(tile_px, mpp / 0.5)) ** 2
            if mpp == 1.0:
                np.testing.assert_array_equal(places, direct.tile_xy_px0(direct.tiles.of_image(image)))
            level0 = written.source.read(image, (0, 0), 512, 0.5)
            for x, y in places[:: max(1, len(places) // 5)].tolist():
                truth = (
                    area_means(level0, (x, y), (tile_px, tile_px), mpp / 0.5)
                    if mpp == 0.7
                    else written.source.read(image, (x, y), tile_px, mpp)
                )
                found = slide.read((x, y), tile_px, mpp)
                assert np.abs(found.astype(float) - truth).mean() < 3
