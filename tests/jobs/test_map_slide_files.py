"""Maps of slide files as `hlss tile` cuts them: tissue away from the corner, tiles that overlap and are coarser than
level 0, a slide of two files; the TIFFs as tifffile and OpenSlide see them.
"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from drawn_run import noise, write_run
from overlap import by_the_formula
from qupath import objects_of
from slide_files import pyramid, tissue

from hlss.explain.score_map import coloured
from hlss.jobs.map_slide import MapSettings
from hlss.jobs.map_slides import map_slides
from hlss.jobs.tile import tile_slides

MPP0, SIDE_PX0, STRIDE_PX0, CENTIMETRE = 0.25, 64, 32, 3
SIZES = {"a": (1003, 777), "b": (830, 1210)}
TISSUE = {"a": (300, 200, 900, 700), "b": (96, 500, 700, 1100)}  # left, top, right, bottom
TEXT = "pink fibres"


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of slide S, mapped; nothing is above chance, so that colours are grey."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "slides").mkdir()
    lines = ["patient_id,slide_id,path"]
    for name, (width, height) in SIZES.items():
        left, top, right, bottom = TISSUE[name]
        pixels = np.full((height, width, 3), 245, dtype=np.uint8)
        pixels[top:bottom, left:right] = tissue(right - left, bottom - top) // (1, 2, 1)
        pyramid(folder / "slides" / f"{name}.tiff", pixels, MPP0)
        lines.append(f"P,S,slides/{name}.tiff")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    recipe = ["mpp=0.5", "tile_px=32", "overlap_px=16", "min_tissue=0.5"]
    tile_slides(folder / "manifest.csv", folder / "tiles", recipe, say=lambda text: None)
    cohort = {"name": "slides", "tiles": str(folder / "tiles")}
    settings = {"name": "files", "cohort": cohort, "encoder": "tiny", "objective": "hidisc"}
    run = write_run(folder / "run", settings, {"last": noise(128)})
    return map_slides(run, [], [TEXT], settings=MapSettings(kinds=("tiff", "csv", "geojson")))


def parts(mapped: Path) -> list[tuple[str, Path]]:
    """Which file each folder is of."""
    maps: list[dict[str, Any]] = json.loads((mapped / "maps.json").read_text())["maps"]
    assert [one["files"][0].split("/")[0] for one in maps] == ["S-000", "S-001"]
    return [(Path(one["image"]).stem, mapped / one["files"][0].split("/")[0]) for one in maps]


def tiles_of(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Corners and σ."""
    with (folder / "tiles.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["tile_px0"] for row in rows} == {str(SIDE_PX0)}
    corners = np.array([[int(row["x_px0"]), int(row["y_px0"])] for row in rows])
    return corners, np.array([float(row[f"{TEXT}: sigma"]) for row in rows])


def test_size_resolution_and_levels_are_the_slides(mapped: Path) -> None:
    assert sorted(name for name, _ in parts(mapped)) == ["a", "b"]
    for name, folder in parts(mapped):
        for path in (folder / "pink_fibres.tiff", folder / "pink_fibres.sigma.tiff"):
            with tifffile.TiffFile(path) as tiff:
                side = json.loads(tiff.pages[0].description)["downsample"]
                shapes = [page.shape[:2] for page in tiff.pages]
                tags = [page.tags for page in tiff.pages]
            assert STRIDE_PX0 % side == 0
            assert shapes[0] == tuple(-(-length // side) for length in SIZES[name][::-1])
            assert shapes[1:] == [(h // 2, w // 2) for h, w in shapes[:-1]]
            assert max(shapes[-1]) <= 256 < max(shapes[0])
            for level, own in enumerate(tags):
                assert own["ResolutionUnit"].value == CENTIMETRE
                for axis in ("XResolution", "YResolution"):
                    value = own[axis].value
                    assert value[0] / value[1] == pytest.approx(1e4 / (MPP0 * side * 2**level), rel=1e-4)


def test_each_place_is_the_mean_of_the_tiles_that_cover_it(mapped: Path) -> None:
    for name, folder in parts(mapped):
        corners, sigma = tiles_of(folder)
        left, top, right, bottom = TISSUE[name]
        assert corners.min() > 0  # the grid's first tile with tissue is not the slide's first
        assert (corners + SIDE_PX0 > (left, top)).all()
        assert (corners < (right, bottom)).all()
        path = folder / "pink_fibres.sigma.tiff"
        with tifffile.TiffFile(path) as tiff:
            side = json.loads(tiff.pages[0].description)["downsample"]
        values, colours = tifffile.imread(path, key=0), tifffile.imread(folder / "pink_fibres.tiff", key=0)
        rng = np.random.default_rng(0)
        places = np.stack([rng.integers(0, length, 300) for length in SIZES[name]], axis=1)
        for x, y in places.tolist():
            cell = [(one // STRIDE_PX0 + 0.5) * STRIDE_PX0 for one in (x, y)]  # the grid begins at the slide's corner
            want = by_the_formula(corners, SIDE_PX0, STRIDE_PX0, sigma, *cell)
            assert values[y // side, x // side] == pytest.approx(want, abs=1e-4, nan_ok=True)
            colour = coloured(np.float32([want]), weak=True)[0]
            assert np.abs(colours[y // side, x // side].astype(int) - colour).max() <= 1


def test_openslide_shows_a_tiles_colour_at_its_place_on_the_levels_that_can(mapped: Path) -> None:
    openslide = pytest.importorskip("openslide", reason="needs openslide-python and openslide-bin")
    for name, folder in parts(mapped):
        path = folder / "pink_fibres.tiff"
        with tifffile.TiffFile(path) as tiff:
            side = json.loads(tiff.pages[0].description)["downsample"]
        whole = tifffile.imread(path, key=0)
        with openslide.OpenSlide(path) as slide:
            assert slide.dimensions == whole.shape[1::-1]
            width_um = slide.dimensions[0] * float(slide.properties["openslide.mpp-x"])
            assert width_um == pytest.approx(SIZES[name][0] * MPP0, abs=MPP0 * side)
            corners, _ = tiles_of(folder)
            for x, y in (corners[::37] // side).tolist():
                for level in range(slide.level_count):
                    cells = STRIDE_PX0 // side // 2**level
                    if cells < 4:
                        continue  # it takes levels to be w₀/w smaller, not 2ⁿ: at a tile's edge a pixel is another's
                    shown = np.asarray(slide.read_region((x, y), level, (cells, cells)))[1:-1, 1:-1, :3]
                    assert np.abs(shown.astype(int) - whole[y, x]).max() <= 1


def test_geojson_of_overlapping_tiles_lies_in_the_slide(mapped: Path) -> None:
    for name, folder in parts(mapped):
        marked, *tiles = objects_of(folder / "pink_fibres.geojson")
        corners, _ = tiles_of(folder)
        assert [tile["polygons"][0][0][0] for tile in tiles] == corners.tolist()
        outer = np.array([place for rings in marked["polygons"] for place in rings[0]])
        assert (outer <= SIZES[name]).all()
        assert (outer % STRIDE_PX0 == 0).all()
