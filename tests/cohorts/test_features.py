"""Stored features as a cohort: every tile has the row it was stored in, whatever file and order it came from."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from stored_features import hdf5_cohort, hdf5_slide, table

from hlss.cohorts.embeddings import EmbeddingsSpec
from hlss.cohorts.features_hdf5 import FeaturesHdf5Spec
from hlss.cohorts.splits import SplitSpec, split
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError


def written(folder: Path, *tables: EmbeddingTable) -> EmbeddingsSpec:
    paths = [folder / f"table{i}" for i in range(len(tables))]
    for path, one in zip(paths, tables, strict=True):
        one.write(path)
    return EmbeddingsSpec(path=paths)


def reordered(one: EmbeddingTable, order: np.ndarray) -> EmbeddingTable:
    return EmbeddingTable(one.features[order], {name: column[order] for name, column in one.columns.items()}, {})


def key(one: EmbeddingTable, row: int) -> tuple[object, ...]:
    return tuple(one[name][row] for name in ("slide", "x_px0", "y_px0"))


def test_every_tile_has_its_own_features_in_a_sub_cohort_too(tmp_path: Path) -> None:
    stored = reordered(table(), np.random.default_rng(1).permutation(96))
    cohort = written(tmp_path, stored).open()
    expected = {key(stored, row): stored.features[row] for row in range(96)}
    for part in (cohort, cohort.keep_patients([3, 7])):
        rows = np.arange(part.n_tiles)
        found = part.features(rows)
        for row in rows:
            slide = part.slides[int(part.tile_slide(rows[row : row + 1])[0])]
            np.testing.assert_array_equal(found[row], expected[slide, *part.tile_xy_px0(np.array([row]))[0]])


def test_identity_label_site_and_side_come_along(tmp_path: Path) -> None:
    cohort = written(tmp_path, table()).open()
    assert cohort.patients == tuple(f"p{i}" for i in range(8))
    assert cohort.classes == ("class 0", "class 1")
    assert cohort.sites == ("site 0", "site 1")
    assert cohort.source.image_name(int(cohort.image_number[0])) == "s00.svs"
    sides = split(cohort, SplitSpec(kind="given"))
    assert sides["test"].patients == ("p6", "p7")
    assert "96 tiles as 12 features each" in str(cohort)


def test_stored_views_are_matched_by_identity(tmp_path: Path) -> None:
    first, order = table(seed=0), np.random.default_rng(2).permutation(96)
    second = reordered(replace(table(seed=1), columns=first.columns), order)
    cohort = written(tmp_path, first, second).open()
    rows = np.arange(96)
    np.testing.assert_array_equal(cohort.features(rows, 1), table(seed=1).features)
    mixed = cohort.features(rows, rows % 2)
    np.testing.assert_array_equal(mixed[::2], first.features[::2])
    np.testing.assert_array_equal(mixed[1::2], table(seed=1).features[1::2])


def test_tables_that_do_not_fit_say_where(tmp_path: Path) -> None:
    first = table()
    with pytest.raises(UserError, match="13 wide"):
        written(tmp_path / "a", first, table(13)).open()
    with pytest.raises(UserError, match=r"lacks the tile at 200,100 of slide 's15'"):
        written(tmp_path / "b", first, first.where(np.arange(96) < 95)).open()
    broken = first.features.copy()
    broken[7, 3] = np.nan
    with pytest.raises(UserError, match="feature 7 of 96 is not finite"):
        written(tmp_path / "c", replace(first, features=broken)).open()
    twice = reordered(first, np.append(np.arange(96), 5))
    with pytest.raises(UserError, match="same place"):
        written(tmp_path / "d", twice).open()


def test_features_are_no_pixels(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has features, not pixels"):
        written(tmp_path, table()).open().read_tile(0)


@pytest.mark.parametrize("below", ["", "h5_files"], ids=["trident", "clam"])
def test_hdf5_of_both_tools(tmp_path: Path, below: str) -> None:
    cohort = FeaturesHdf5Spec(**hdf5_cohort(tmp_path, below)).open()
    assert cohort.patients == ("000", "001", "002")
    assert (cohort.slides, cohort.n_tiles) == (tuple(f"s{i}" for i in range(6)), 24)
    with h5py.File(tmp_path / "features" / below / "s4.h5") as file:
        np.testing.assert_array_equal(cohort.features(cohort.slide_tiles(4)), file["features"][()])
        np.testing.assert_array_equal(cohort.tile_xy_px0(cohort.slide_tiles(4)), file["coords"][()])


def test_a_leading_axis_half_precision_and_doubles_are_taken(tmp_path: Path) -> None:
    settings = hdf5_cohort(tmp_path)
    features, coords = np.arange(48.0).reshape(4, 12), np.column_stack([np.arange(4), np.arange(4)])
    hdf5_slide(tmp_path / "features" / "s0.h5", features[None].astype(np.float16), coords)
    hdf5_slide(tmp_path / "features" / "s1.h5", features, coords)
    cohort = FeaturesHdf5Spec(**settings).open()
    for slide in (0, 1):
        found = cohort.features(cohort.slide_tiles(slide))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, features.astype(np.float32))


def test_half_precision_stays_half_in_memory(tmp_path: Path) -> None:
    settings = hdf5_cohort(tmp_path)
    for slide in range(6):
        path = tmp_path / "features" / f"s{slide}.h5"
        hdf5_slide(path, np.ones((4, 12), np.float16), np.column_stack([np.arange(4), np.arange(4)]))
    assert FeaturesHdf5Spec(**settings).open().source.tables[0].dtype == np.float16


@pytest.mark.parametrize(
    ("features", "coords", "message"),
    [
        (np.ones((4, 13), np.float32), np.zeros((4, 2)), "13 wide"),
        (np.ones((4, 12), np.float32), np.zeros((3, 2)), "do not belong together"),
        (np.ones((0, 12), np.float32), np.zeros((0, 2)), "do not belong together"),
        (np.full((4, 12), np.inf, np.float32), np.column_stack([np.arange(4)] * 2), "not finite"),
        (np.ones((4, 12), np.float32), np.zeros((4, 2)), "same place"),
    ],
)
def test_a_slide_that_does_not_fit_is_named(
    tmp_path: Path, features: np.ndarray, coords: np.ndarray, message: str
) -> None:
    settings = hdf5_cohort(tmp_path)
    hdf5_slide(tmp_path / "features" / "s3.h5", features, coords)
    with pytest.raises(UserError, match=message) as error:
        FeaturesHdf5Spec(**settings).open()
    assert "s3.h5" in str(error.value)


def test_missing_files_columns_and_slides_twice_are_named(tmp_path: Path) -> None:
    settings = hdf5_cohort(tmp_path)
    manifest = tmp_path / "slides.csv"
    whole = manifest.read_text()
    manifest.write_text(whole + "s9,003,class 0,x,test\n")
    with pytest.raises(UserError, match=r"no s9\.h5, nor h5_files/s9\.h5"):
        FeaturesHdf5Spec(**settings).open()
    manifest.write_text(whole + "s0,000,class 0,x,train\n")
    with pytest.raises(UserError, match="listed before"):
        FeaturesHdf5Spec(**settings).open()
    manifest.write_text("slide_id,label\ns0,a\n")
    with pytest.raises(UserError, match="no column for patient_id"):
        FeaturesHdf5Spec(**settings).open()
    manifest.write_text("slide_id,patient_id\ns0,\n")
    with pytest.raises(UserError, match="patient_id is empty"):
        FeaturesHdf5Spec(**settings).open()
    manifest.write_text(whole)
    (tmp_path / "features" / "s2.h5").write_bytes(b"no hdf5")
    with pytest.raises(UserError, match="cannot be read"):
        FeaturesHdf5Spec(**settings).open()
