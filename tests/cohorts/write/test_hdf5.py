import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom import PhantomSpec
from hlss.cohorts.write.hdf5 import write_hdf5, write_hdf5s
from hlss.errors import UserError
from hlss.slides.trident import magnification

h5py = pytest.importorskip("h5py", reason="needs h5py")


def attributes(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        return dict(file["coords"].attrs)


def test_tiles_are_where_and_what_the_cohort_says(tmp_path: Path, stored: Cohort) -> None:
    path = tmp_path / "b.h5"
    seen: list[tuple[int, int]] = []
    write_hdf5(path, stored, 2, "clam", progress=lambda done, of: seen.append((done, of)))
    assert seen == [(i, 6) for i in range(1, 7)]
    with h5py.File(path) as file:
        assert sorted(file) == ["coords", "imgs"]
        assert file["coords"].dtype == np.int32
        assert file["coords"][:].tolist() == [[0, 0], [20, 0], [40, 0], [0, 20], [20, 20], [40, 20]]
        assert file["imgs"].dtype == np.uint8
        for place, row in enumerate(stored.slide_tiles(1)):
            np.testing.assert_array_equal(file["imgs"][place], stored.read_tile(int(row)))


def test_clam_counts_patch_size_in_pixels_of_the_level_it_reads(tmp_path: Path, stored: Cohort) -> None:
    write_hdf5(tmp_path / "b.h5", stored, 2, "clam", images=False)
    found = attributes(tmp_path / "b.h5")
    assert (found["patch_size"], found["patch_level"], found["target_patch_size"]) == (20, 0, 10)
    assert found["downsample"].tolist() == [1.0, 1.0]
    assert found["level_dim"].tolist() == found["downsampled_level_dim"].tolist() == [70, 50]
    assert found["name"] == "b"


def test_trident_counts_patch_size_at_the_target_magnification(tmp_path: Path, drawn: Cohort) -> None:
    write_hdf5(tmp_path / "s.h5", drawn, 2, "trident", images=False)
    found = attributes(tmp_path / "s.h5")
    assert (found["patch_size"], found["patch_size_level0"], found["overlap"]) == (32, 64, 0)
    assert (found["level0_magnification"], found["target_magnification"]) == (20, 10)
    assert (found["level0_width"], found["level0_height"], found["name"]) == (128, 128, "s")
    src = round(found["patch_size"] * found["level0_magnification"] / found["target_magnification"])
    assert src == found["patch_size_level0"]


def test_overlap_is_in_pixels_of_the_tile(tmp_path: Path, small: Path) -> None:
    from hlss.cohorts.manifest import ManifestSpec

    cohort = ManifestSpec(path=small, tile_px=10, mpp=0.8, image_mpp=0.4, overlap_px=4).open()
    write_hdf5(tmp_path / "b.h5", cohort, 2, "trident", images=False)
    assert attributes(tmp_path / "b.h5")["overlap"] == 4


@pytest.mark.parametrize(("mpp", "power"), [(0.25, 40), (0.2527, 40), (0.499, 20), (1.0, 10), (10, 1), (1.5, 10 / 1.5)])
def test_magnification_is_whole_where_it_is_nearly_so(mpp: float, power: float) -> None:
    assert magnification(mpp) == pytest.approx(power, rel=1e-12)


def test_features_are_asked_for_in_batches_and_keep_the_order(tmp_path: Path) -> None:
    cohort = PhantomSpec(patients=2, slides=1, side=20, tile_px=16).open()
    asked: list[int] = []

    def features(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return np.stack([rows, rows % 7, -rows], axis=1).astype(np.float32)

    write_hdf5(tmp_path / "s.h5", cohort, 1, "trident", images=False, features=features)
    assert asked == [256, 144]
    with h5py.File(tmp_path / "s.h5") as file:
        rows = np.arange(400, 800)
        np.testing.assert_array_equal(file["features"][:], features(rows))
        assert file["features"].dtype == np.float32
        assert "imgs" not in file


def test_a_cohort_is_a_file_an_image_and_a_table(tmp_path: Path, stored: Cohort) -> None:
    seen: list[tuple[int, int]] = []
    write_hdf5s(stored, tmp_path / "out", lambda done, of: seen.append((done, of)), flavour="clam")
    assert seen == [(i, 30) for i in range(1, 31)]
    names = ["a-000", "a-001", "b", "c", "d"]
    assert sorted(path.stem for path in (tmp_path / "out" / "patches").iterdir()) == names
    with (tmp_path / "out" / "dataset.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["slide_id"] for row in rows] == names
    assert [row["case_id"] for row in rows] == ["007", "007", "007", "08", "NA"]
    assert [row["label"] for row in rows] == ["lung", "lung", "kidney", "kidney", ""]


def test_what_it_stores_must_be_known(tmp_path: Path, without_mpp: Cohort, opaque: Cohort) -> None:
    for cohort, words in ((without_mpp, "mpp is missing"), (opaque, "size of its images is not known")):
        with pytest.raises(UserError, match=words):
            write_hdf5(tmp_path / "x.h5", cohort, 0, "clam")
    assert not list(tmp_path.glob("*.h5")) + list(tmp_path.glob(".*"))
