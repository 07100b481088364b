"""The maps' TIFFs: levels, sizes that are no multiple of a pixel, slides larger than their tiles."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hlss.explain.lattice import Lattice
from hlss.explain.score_map import ScoreMap, coloured
from hlss.jobs.map_tiff import px_of, write_tiffs

SIZE_PX0, MPP0, STEP, CORNER = (20_030, 15_010), 0.25, 160, (340, 1000)


@pytest.fixture
def written(tmp_path: Path) -> tuple[ScoreMap, Path, Path]:
    y, x = np.mgrid[:70, :90]
    corners = np.stack([x.ravel(), y.ravel()], axis=1) * STEP + CORNER
    keep = np.random.default_rng(0).random(len(corners)) < 0.8
    values = np.sin(corners / 3000).sum(axis=1)
    score_map = ScoreMap.of(Lattice.of(corners[keep], STEP), values[keep])
    paths = tmp_path / "a.tiff", tmp_path / "a.sigma.tiff"
    write_tiffs(*paths, score_map, SIZE_PX0, MPP0, False, {"characteristic": "Σ"})
    return score_map, *paths


def facts(path: Path) -> dict[str, Any]:
    with tifffile.TiffFile(path) as tiff:
        result: dict[str, Any] = json.loads(tiff.pages[0].description)
    return result


def test_every_level_lies_over_the_slide(written: tuple[ScoreMap, Path, Path]) -> None:
    openslide = pytest.importorskip("openslide", reason="needs openslide-python and openslide-bin")
    score_map, path, _ = written
    side = facts(path)["downsample"]
    assert (side, facts(path)["characteristic"]) == (px_of(score_map, SIZE_PX0), "Σ")
    assert STEP % side == 0
    with openslide.OpenSlide(path) as slide:
        width, height = slide.dimensions
        assert (width, height) == (-(-SIZE_PX0[0] // side), -(-SIZE_PX0[1] // side))
        assert slide.level_count == len(slide.level_dimensions) >= 3
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(MPP0 * side)
        assert slide.level_downsamples[1] == pytest.approx(2, rel=0.01)
        for level in range(slide.level_count):
            scale = 2**level * side
            for column, line in ((45, 35), (10, 60), (80, 5)):  # the middle of a tile, seen on every level
                value = score_map.values[line, column]
                at = [int((c + (n + 0.5) * STEP) // side) for c, n in zip(CORNER, (column, line), strict=True)]
                if scale * 4 > STEP:  # coarser pixels show more than the tile
                    continue
                pixel = np.asarray(slide.read_region(at, level, (1, 1)))[0, 0, :3]
                assert np.abs(pixel.astype(int) - coloured(np.float32([value]), weak=False)[0]).max() <= 3


def test_sigma_is_exact_and_nothing_is_where_no_tile_is(written: tuple[ScoreMap, Path, Path]) -> None:
    score_map, colours, path = written
    side = facts(path)["downsample"]
    values, rgb = tifffile.imread(path, key=0), tifffile.imread(colours, key=0)
    assert values.shape == rgb.shape[:2]
    y, x = ((np.arange(length) + 0.5) * side for length in values.shape)
    np.testing.assert_array_equal(values, score_map.at(x, y))
    assert np.isnan(values[: CORNER[1] // side]).all()
    assert (rgb[np.isnan(values)] == 255).all()
    half = tifffile.imread(path, key=1)
    whole = values[: 2 * half.shape[0], : 2 * half.shape[1]].reshape(half.shape[0], 2, half.shape[1], 2)
    known = np.isfinite(whole).all(axis=(1, 3))
    np.testing.assert_allclose(half[known], whole.mean(axis=(1, 3))[known], rtol=1e-5)
    with tifffile.TiffFile(path) as tiff:
        per_cm = tiff.pages[0].tags["XResolution"].value
        assert per_cm[0] / per_cm[1] == pytest.approx(1e4 / (MPP0 * side), rel=1e-4)


def test_without_a_resolution_none_is_invented(tmp_path: Path, written: tuple[ScoreMap, Path, Path]) -> None:
    path = tmp_path / "b.tiff"
    write_tiffs(path, tmp_path / "b.sigma.tiff", written[0], SIZE_PX0, None, True, {})
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        assert "XResolution" not in tags or tags["ResolutionUnit"].value == 1
