"""Tables of tiles: grids with and without masks give what listing every corner gives."""

from pathlib import Path

import numpy as np
import pytest

from hlss.cohorts.manifest import ManifestSpec
from hlss.slides.grid import Grid, grid
from hlss.slides.tiles import GriddedTiles, ListedTiles


def listed(mask: np.ndarray, origin: tuple[int, int], step: int) -> np.ndarray:
    """Corners by a walk over the cells."""
    cells = [(x, y) for y in range(mask.shape[0]) for x in range(mask.shape[1]) if mask[y, x]]
    corners = [(origin[0] + step * x, origin[1] + step * y) for x, y in cells]
    return np.array(corners, dtype=np.int32).reshape(-1, 2)


@pytest.fixture(scope="module")
def tables() -> tuple[GriddedTiles, ListedTiles]:
    """50 images of up to 8×8 cells, full, sparse, or without any tile."""
    draw = np.random.default_rng(0)
    grids, corners = [], []
    for image in range(50):
        mask = draw.random((draw.integers(1, 9), draw.integers(1, 9))) < draw.choice([0.0, 0.3, 0.8, 1.0])
        cells = Grid((image, 2 * image), 10, mask.shape[1], mask.shape[0], mask.size)
        grids.append(cells.masked(mask))
        corners.append(listed(mask, (image, 2 * image), 10))
    return GriddedTiles.of(grids), ListedTiles.of(corners)


def the_same(found: GriddedTiles | ListedTiles, truth: ListedTiles) -> None:
    rows = np.random.default_rng(1).permutation(len(truth))
    assert len(found) == len(truth.corners)
    np.testing.assert_array_equal(found.starts, truth.starts)
    np.testing.assert_array_equal(found.image(rows), truth.image(rows))
    np.testing.assert_array_equal(found.xy_px0(rows), truth.corners[rows])


def test_a_grid_holds_the_corners_that_are_listed(tables: tuple[GriddedTiles, ListedTiles]) -> None:
    gridded, by_corner = tables
    the_same(gridded, by_corner)
    image = np.repeat(np.arange(50), np.diff(by_corner.starts))
    np.testing.assert_array_equal(gridded.image(np.arange(len(gridded))), image)
    for one in range(50):
        np.testing.assert_array_equal(gridded.of_image(one), np.flatnonzero(image == one))
        np.testing.assert_array_equal(gridded.grid(one).xy_px0, by_corner.corners[image == one])


def test_some_images_in_another_order(tables: tuple[GriddedTiles, ListedTiles]) -> None:
    gridded, by_corner = tables
    images = np.random.default_rng(2).permutation(50)[:20]
    own = [by_corner.corners[by_corner.of_image(int(one))] for one in images]
    for table in tables:
        the_same(table.of_images(images), ListedTiles.of(own))
    the_same(gridded.of_images(images[:0]), ListedTiles.of([]))
    assert by_corner.n_images == 50


def test_marked_tiles_are_kept(tables: tuple[GriddedTiles, ListedTiles]) -> None:
    gridded, by_corner = tables
    keep = np.random.default_rng(3).random(len(gridded)) < 0.5
    kept = gridded.kept(keep)
    np.testing.assert_array_equal(kept.corners, by_corner.corners[keep])
    np.testing.assert_array_equal(kept.image(np.arange(len(kept))), by_corner.image(np.flatnonzero(keep)))


def test_written_out_in_parts_is_the_whole(
    tables: tuple[GriddedTiles, ListedTiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hlss.slides.tiles.CHUNK", 7)
    parts = list(tables[0].written_out())
    assert len(parts) == -(-len(tables[1]) // 7)
    np.testing.assert_array_equal(np.concatenate([corners for _, corners in parts]), tables[1].corners)


@pytest.mark.parametrize("row", [-1, 10**6])
def test_a_row_outside_is_none(tables: tuple[GriddedTiles, ListedTiles], row: int) -> None:
    for table in tables:
        with pytest.raises(IndexError, match=str(row)):
            table.xy_px0(np.array([0, row]))


def test_a_whole_grid_costs_nothing_and_a_masked_one_a_bit_a_cell() -> None:
    whole = grid(10_000, 10_000, 100)
    masked = whole.masked(np.arange(10_000).reshape(100, 100) % 2 == 0)
    assert GriddedTiles.of([whole]).bits.nbytes == 0
    assert GriddedTiles.of([masked]).bits.nbytes == 1250
    assert GriddedTiles.of([whole] * 1000).nbytes < 50_000


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="2×3 cells"):
        grid(30, 20, 10).masked(np.ones((3, 2), dtype=bool))


def test_how_tiles_are_kept_does_not_change_a_cohort(tmp_path: Path, coded) -> None:
    from dataclasses import replace

    from PIL import Image

    Image.fromarray(coded(70, 50)).save(tmp_path / "x.png")
    (tmp_path / "m.csv").write_text("patient_id,path\n1,x.png\n")
    cohort = ManifestSpec(path=tmp_path / "m.csv", tile_px=20).open()
    by_corner = ListedTiles.of([grid(70, 50, 20).xy_px0])
    assert isinstance(cohort.tiles, GriddedTiles)
    assert replace(cohort, tiles=by_corner).fingerprint == cohort.fingerprint


def test_many_tiles_are_told_apart_by_what_they_are_kept_as(
    tables: tuple[GriddedTiles, ListedTiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    gridded, by_corner = tables
    assert b"".join(gridded.said()) == b"".join(by_corner.said())
    monkeypatch.setattr("hlss.slides.tiles.FEW", 10)
    assert len(b"".join(gridded.said())) == gridded.nbytes
    other = gridded.of_images(np.arange(49))
    assert b"".join(other.said()) != b"".join(gridded.said())
