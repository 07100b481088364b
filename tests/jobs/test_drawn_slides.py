"""Slides that are drawn when they are read, by commands: cut and trained on as the pyramids of the same cohort are."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from commands import hlss

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom import PhantomSpec
from hlss.cohorts.slides import SlidesSpec
from hlss.cohorts.write.pyramid import level_sizes
from hlss.jobs.export import export
from hlss.jobs.tile import tile_slides
from hlss.jobs.tile_slides import slides_of
from hlss.train.run_folder import read_log

MPP0, SIDE_PX0, TILE_PX = 0.5, 768, 32
ON_A_LEVEL, BETWEEN = (0.5, 1.0, 2.0), (0.7, 1.6)  # µm/px: of the pyramid's levels, and where it resamples them
JPEG = 5.0  # grey values that JPEG of quality 90 costs the rough texture of tissue on average: 1.5 to 4.1 were measured
# Off its levels a pyramid averages the finer level by area; the drawing draws what lies there at that resolution, with
# edges as sharp as its own pixels. Mean difference (grey values) and correlation of pixels: 1.6 and 0.999 were measured
# at 0.7 µm/px; 6.5 and 0.977 at 1.6, where nuclei smaller than pixels are no longer drawn but cover shares of them
RESAMPLED = {0.7: (3.0, 0.99), 1.6: (9.0, 0.96)}
# The overview that tissue is looked for on is drawn too, each pixel as of its centre, and not averaged: at the border
# of a pen a few tiles fall on the other side of `min_tissue`. 3 of 2033 were measured at 0.5 µm/px
AT_A_BORDER = 0.01


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """Four slides of 768 px, of four patients and two classes; a pen crosses the first one."""
    return PhantomSpec(patients=4, slides=1, side=12, tile_px=TILE_PX, mpp=1.0, classes=2, seed=57).open()


def quiet(text: str) -> None: ...


@pytest.fixture(scope="module")
def written(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with a manifest: the layouts `drawn` and `pyramid`, and a pyramid without loss."""
    folder = tmp_path_factory.mktemp("written")
    found = {layout: export(cohort, folder / layout, layout, quiet) for layout in ("drawn", "pyramid")}
    return {**found, "lossless": without_loss(cohort, folder / "lossless", found["pyramid"] / "manifest.csv")}


def without_loss(cohort: Cohort, folder: Path, manifest: Path) -> Path:
    (folder / "slides").mkdir(parents=True)
    (folder / "manifest.csv").write_text(manifest.read_text())
    for image, slide in enumerate(cohort.slides):
        with tifffile.TiffWriter(folder / "slides" / f"{slide}.tiff") as tiff:
            for level, (side, _) in enumerate(level_sizes((SIDE_PX0, SIDE_PX0))):
                mpp = MPP0 * 2**level
                pixels = cohort.source.read(image, (0, 0), side, mpp)  # type: ignore[attr-defined]
                how = {"tile": (256, 256), "compression": "deflate", "subfiletype": int(level > 0)}
                tiff.write(pixels, photometric="rgb", resolution=(1e4 / mpp,) * 2, resolutionunit="centimeter", **how)
    return folder


@pytest.fixture(scope="module")
def cut(written: dict[str, Path], tmp_path_factory: pytest.TempPathFactory):
    """cut(layout, mpp): the cohort of what `hlss tile` finds there, glass and pens left out."""
    folder, found = tmp_path_factory.mktemp("cut"), dict[tuple[str, float], Cohort]()

    def open_cut(layout: str, mpp: float) -> Cohort:
        if (layout, mpp) not in found:
            settings = [f"mpp={mpp}", f"tile_px={TILE_PX}"]
            out = tile_slides(written[layout] / "manifest.csv", folder / f"{layout} {mpp}", settings, say=quiet)
            found[layout, mpp] = SlidesSpec(tiles=out).open()
        return found[layout, mpp]

    return open_cut


Tile = tuple[int, int, int]  # image, corner


def rows_of(cohort: Cohort) -> dict[Tile, int]:
    """Every tile, and its row."""
    rows = np.arange(cohort.n_tiles)
    places = np.column_stack([cohort.tile_image(rows), cohort.tile_xy_px0(rows)]).tolist()
    return {(image, x, y): row for row, (image, x, y) in enumerate(places)}


def pairs(one: Cohort, other: Cohort) -> list[tuple[np.ndarray, np.ndarray]]:
    """Some tiles of all slides as both give them."""
    here, there = rows_of(one), rows_of(other)
    shared = sorted(here.keys() & there.keys())
    return [
        (one.read_tile(here[tile]).astype(float), other.read_tile(there[tile]).astype(float))
        for tile in shared[:: max(1, len(shared) // 25)]
    ]


def difference(one: Cohort, other: Cohort) -> float:
    return float(np.mean([np.abs(a - b).mean() for a, b in pairs(one, other)]))


@pytest.mark.parametrize("mpp", [*ON_A_LEVEL, *BETWEEN])
def test_the_same_tiles_as_of_pyramids(cut, mpp: float) -> None:
    drawn = cut("drawn", mpp)
    here = rows_of(drawn)
    of_first = math.floor(SIDE_PX0 * MPP0 / (TILE_PX * mpp)) ** 2
    assert 0.4 * of_first < sum(image == 0 for image, *_ in here) < 0.7 * of_first  # the pen is left out
    for layout in ("pyramid", "lossless"):
        other = cut(layout, mpp)
        apart = here.keys() ^ rows_of(other).keys()
        assert len(apart) <= AT_A_BORDER * len(here)
        assert {image for image, *_ in apart} <= {0}  # slides without a pen agree in every tile
        assert (drawn.patients, drawn.slides, drawn.classes) == (other.patients, other.slides, other.classes)


@pytest.mark.parametrize("mpp", [*ON_A_LEVEL, *BETWEEN])
def test_every_tile_is_to_the_bit_what_the_cohort_draws(cohort: Cohort, cut, mpp: float) -> None:
    drawn = cut("drawn", mpp)
    rows = rows_of(drawn)
    for image, x, y in list(rows)[:: len(rows) // 25]:
        truth = cohort.source.read(image, (x, y), TILE_PX, mpp)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(drawn.read_tile(rows[image, x, y]), truth)


@pytest.mark.parametrize("mpp", ON_A_LEVEL)
def test_pixels_of_a_pyramid_s_levels_differ_by_jpeg_alone(cut, mpp: float) -> None:
    assert difference(cut("drawn", mpp), cut("lossless", mpp)) == 0
    assert 0 < difference(cut("drawn", mpp), cut("pyramid", mpp)) < JPEG


@pytest.mark.parametrize("mpp", BETWEEN)
def test_between_levels_they_differ_by_what_resampling_allows(cut, mpp: float) -> None:
    drawn, stored = cut("drawn", mpp), cut("lossless", mpp)
    most, correlation = RESAMPLED[mpp]
    assert 0 < difference(drawn, stored) < most
    found = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs(drawn, stored)]
    assert np.median(found) > correlation


def test_drawn_slides_are_found_in_a_folder_and_told_apart(written: dict[str, Path]) -> None:
    root, found = slides_of(written["drawn"])
    assert [one.path for one in found] == [f"slides/P000{patient}-00.phantom" for patient in range(4)]
    texts = {(root / one.path).read_bytes() for one in found}
    assert len(texts) == 4
    assert max(map(len, texts)) < 1000  # nothing is stored
    with (written["drawn"] / "manifest.csv").open() as drawn, (written["pyramid"] / "manifest.csv").open() as stored:
        rows = list(csv.DictReader(drawn))
        assert rows == [{**row, "path": row["path"].replace(".tiff", ".phantom")} for row in csv.DictReader(stored)]


def test_written_cut_and_trained_on_by_commands(tmp_path: Path) -> None:
    settings = ("patients=6", "slides=1", "side=8", "tile_px=32", "classes=2")
    hlss("phantom", tmp_path / "slides", "--layout", "drawn", *settings)
    hlss("tile", tmp_path / "slides/manifest.csv", "--out", tmp_path / "tiles", "mpp=1.0", "tile_px=32")
    experiment = {
        "name": "drawn",
        "out": str(tmp_path / "run"),
        "cache": str(tmp_path / "cache"),
        "cohort": {"name": "slides", "tiles": str(tmp_path / "tiles")},
        "split": {"kind": "random", "test": 0.34},
        "batches": {"patients": 4, "slides": 1, "patches": 2, "views": 2},
        "loader": {"workers": 1, "pack": None},
        "encoder": {"name": "timm", "architecture": "resnet10t", "input_px": 32, "dim": 16},
        "objective": "simclr",
        "train": {"steps": 2, "precision": "fp32", "log_every": 1},
    }
    (tmp_path / "drawn.yaml").write_text(yaml.safe_dump(experiment))
    hlss("train", tmp_path / "drawn.yaml")
    losses = [row["loss/total"] for row in read_log(tmp_path / "run/log.jsonl") if "loss/total" in row]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
