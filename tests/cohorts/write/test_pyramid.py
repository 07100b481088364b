"""OpenSlide and tifffile read what was written; the truth is the array it was written from."""

import csv
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from hlss.cohorts.base import Cohort
from hlss.cohorts.manifest import ManifestSpec
from hlss.cohorts.phantom import PhantomSpec
from hlss.cohorts.write import pyramid
from hlss.cohorts.write.pyramid import level_sizes, write_pyramid, write_pyramids
from hlss.errors import UserError

openslide = pytest.importorskip("openslide", reason="needs openslide-python and openslide-bin")

MPP0 = 0.2527


def scene(width: int, height: int) -> np.ndarray:
    """Smooth, so that JPEG errs little; no two axes, halves or channels alike."""
    y, x = np.mgrid[:height, :width]
    red, green = 40 + 180 * x / width, 220 - 190 * y / height
    return np.stack([red, green, 128 + 90 * np.sin(x / 37 + y / 90)], axis=-1).astype(np.uint8)


def reduced(pixels: np.ndarray, scale: int) -> np.ndarray:
    height, width = pixels.shape[0] // scale, pixels.shape[1] // scale
    return pixels[: height * scale, : width * scale].reshape(height, scale, width, scale, 3).mean(axis=(1, 3))


def reading(pixels: np.ndarray) -> pyramid.Read:
    """Area means of an array; anything outside it is refused."""

    def read(xy_px0: tuple[int, int], size_px: int, mpp: float) -> np.ndarray:
        scale = round(mpp / MPP0)
        assert mpp == pytest.approx(scale * MPP0)
        (x, y), side = xy_px0, size_px * scale
        assert 0 <= x <= x + side <= pixels.shape[1]
        assert 0 <= y <= y + side <= pixels.shape[0]
        return np.round(reduced(pixels[y : y + side, x : x + side], scale)).astype(np.uint8)

    return read


def error(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    difference = np.abs(found[..., :3].astype(float) - truth)
    return float(difference.mean()), float(difference.max())


@pytest.mark.parametrize("size", [(700, 531), (256, 256), (512, 257), (100, 900), (1025, 30), (31, 17)])
def test_openslide_and_tifffile_find_every_level_of_the_source(tmp_path: Path, size: tuple[int, int]) -> None:
    pixels, path = scene(*size), tmp_path / "slide.tiff"
    write_pyramid(path, reading(pixels), size, MPP0)
    levels = level_sizes(size)
    with openslide.OpenSlide(path) as slide, tifffile.TiffFile(path) as tiff:
        assert slide.level_dimensions == tuple(levels)
        assert [page.shape[1::-1] for page in tiff.pages] == levels
        for level, (width, height) in enumerate(levels):
            truth = reduced(pixels, 2**level)[:height, :width]
            mean, largest = error(np.asarray(slide.read_region((0, 0), level, (width, height))), truth)
            assert mean < 2
            assert largest < 12
            assert error(tiff.pages[level].asarray(), truth)[1] < 12


def test_openslide_is_told_the_resolution(tmp_path: Path) -> None:
    path = tmp_path / "slide.tiff"
    write_pyramid(path, reading(scene(600, 300)), (600, 300), MPP0)
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.vendor"] == "generic-tiff"
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(MPP0, rel=1e-6)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(MPP0, rel=1e-6)
        assert slide.level_downsamples == pytest.approx((1, 2, 4), rel=0.01)
    with tifffile.TiffFile(path) as tiff:
        assert [(page.tilewidth, page.tilelength, page.subfiletype) for page in tiff.pages] == [
            (256, 256, 0),
            (256, 256, 1),
            (256, 256, 1),
        ]
        assert tiff.pages[1].get_resolution("micrometer")[0] == pytest.approx(1 / (2 * MPP0), rel=1e-6)


def test_a_region_in_the_middle_is_where_it_belongs(tmp_path: Path) -> None:
    pixels, path = scene(900, 800), tmp_path / "slide.tiff"
    write_pyramid(path, reading(pixels), (900, 800), MPP0)
    with openslide.OpenSlide(path) as slide:
        found = np.asarray(slide.read_region((333, 201), 0, (300, 250)))
        assert error(found, pixels[201:451, 333:633])[1] < 12
        assert error(found, pixels[202:452, 341:641])[0] > 1.5  # 8 px off would show


def test_levels_halve_until_one_tile_is_enough() -> None:
    assert level_sizes((256, 256)) == [(256, 256)]
    assert level_sizes((1001, 300)) == [(1001, 300), (500, 150), (250, 75)]
    assert level_sizes((3000, 3)) == [(3000, 3), (1500, 1)]
    assert len(level_sizes((20_000, 15_000))) == 8


def test_chroma_and_quality_make_smaller_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (512, 512, 3)).astype(np.uint8)
    sizes = []
    for name, settings in {"a": {}, "b": {"chroma": "420"}, "c": {"chroma": "420", "quality": 60}}.items():
        write_pyramid(tmp_path / name, reading(pixels), (512, 512), MPP0, **settings)
        sizes.append((tmp_path / name).stat().st_size)
        assert openslide.OpenSlide(tmp_path / name).level_count == 2
    assert sizes[0] > sizes[1] > sizes[2]


def test_large_slides_get_64_bit_offsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "BIG_PX", 300 * 300)
    for width in (299, 300):
        write_pyramid(tmp_path / "slide.tiff", reading(scene(width, 300)), (width, 300), MPP0)
        with tifffile.TiffFile(tmp_path / "slide.tiff") as tiff:
            assert tiff.is_bigtiff == (width == 300)
        assert openslide.OpenSlide(tmp_path / "slide.tiff").dimensions == (width, 300)


def test_memory_does_not_grow_with_the_slide(tmp_path: Path) -> None:
    tile = scene(256, 256)
    peaks = []
    write_pyramid(tmp_path / "warm.tiff", lambda xy, size, mpp: tile[:size, :size], (300, 300), MPP0)
    for side in (1024, 4096):  # 3 and 50 MB of pixels
        tracemalloc.start()
        write_pyramid(tmp_path / "slide.tiff", lambda xy, size, mpp: tile[:size, :size], (side, side), MPP0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 4e6
    assert peaks[1] < peaks[0] + 5e5


def test_progress_counts_every_tile_of_every_level(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    progress = lambda done, of: seen.append((done, of))  # noqa: E731
    write_pyramid(tmp_path / "s.tiff", reading(scene(700, 531)), (700, 531), MPP0, progress=progress)
    assert seen == [(i, 9 + 4 + 1) for i in range(1, 15)]


def test_a_failing_source_leaves_what_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "slide.tiff"
    path.write_text("old")

    def read(xy_px0: tuple[int, int], size_px: int, mpp: float) -> np.ndarray:
        if xy_px0[1] > 0:
            raise UserError("cannot be read")
        return np.zeros((size_px, size_px, 3), np.uint8)

    with pytest.raises(UserError, match="cannot be read"):
        write_pyramid(path, read, (600, 600), MPP0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["slide.tiff"]
    assert path.read_text() == "old"


def test_a_cohort_of_drawn_slides_at_the_resolution_of_its_source(tmp_path: Path, drawn: Cohort) -> None:
    seen: list[tuple[int, int]] = []
    write_pyramids(drawn, tmp_path / "out", lambda done, of: seen.append((done, of)))
    assert seen == [(i, 6) for i in range(1, 7)]
    with (tmp_path / "out" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["slide_id"] for row in rows] == list(drawn.slides)
    with openslide.OpenSlide(tmp_path / "out" / rows[4]["path"]) as slide:
        assert slide.dimensions == (128, 128)
        assert float(slide.properties["openslide.mpp-x"]) == 0.5
        truth = drawn.source.read(4, (0, 0), 128, 0.5)
        assert error(np.asarray(slide.read_region((0, 0), 0, (128, 128))), truth)[0] < 3
    again = ManifestSpec(path=tmp_path / "out" / "manifest.csv", tile_px=32, mpp=1.0).open()
    assert (again.patients, again.slides, again.classes, again.sites) == (
        drawn.patients,
        drawn.slides,
        drawn.classes,
        drawn.sites,
    )
    every = np.arange(drawn.n_tiles)
    np.testing.assert_array_equal(again.tile_xy_px0(every), drawn.tile_xy_px0(every))


@pytest.mark.parametrize("image", [0, 4])
def test_every_coarse_level_of_a_large_drawn_slide_can_be_read(image: int) -> None:
    read = pyramid.reader(PhantomSpec(patients=7, slides=1, side=1, tile_px=40_000).open(), image)
    sizes, means = level_sizes((40_000, 40_000)), []
    for level in range(6, len(sizes)):
        corners = range(0, sizes[level][0], pyramid.TILE_PX)
        tiles = [[pyramid._tile(read, sizes[level], (x, y), 2**level, 0.5) for x in corners] for y in corners]
        whole = np.concatenate([np.concatenate(row, axis=1) for row in tiles])[: sizes[level][1], : sizes[level][0]]
        means.append(whole.mean(axis=(0, 1)))
    assert sizes[-1] == (156, 156)
    np.testing.assert_allclose(means[:-1], means[1:], atol=2.5)


def test_a_cohort_of_files_smaller_than_a_tile(tmp_path: Path, stored: Cohort, coded: Callable) -> None:
    write_pyramids(stored, tmp_path / "out", lambda done, of: None, quality=98)
    names = sorted(path.name for path in (tmp_path / "out" / "slides").iterdir())
    assert names == ["a-000.tiff", "a-001.tiff", "b.tiff", "c.tiff", "d.tiff"]
    with openslide.OpenSlide(tmp_path / "out" / "slides" / "b.tiff") as slide:
        assert slide.dimensions == (70, 50)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.4)
        truth = coded(70, 50) + np.uint8(2)
        assert error(np.asarray(slide.read_region((0, 0), 0, (70, 50))), truth)[0] < 2


def test_without_mpp_there_is_no_pyramid(tmp_path: Path, without_mpp: Cohort, opaque: Cohort) -> None:
    with pytest.raises(UserError, match=r"x\.png: mpp is missing"):
        write_pyramids(without_mpp, tmp_path / "out", lambda done, of: None)
    with pytest.raises(UserError, match="size of its images is not known"):
        write_pyramids(opaque, tmp_path / "out", lambda done, of: None)
    assert not (tmp_path / "out").exists()
