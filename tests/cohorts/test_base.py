import pickle
from pathlib import Path

import numpy as np
import pytest

from hlss.cohorts.base import Cohort
from hlss.cohorts.manifest import ManifestSpec
from hlss.errors import Unreadable


@pytest.fixture
def cohort(small: Path) -> Cohort:
    return ManifestSpec(path=small, tile_px=20).open()


def test_hierarchy_is_the_manifests(cohort: Cohort) -> None:
    assert cohort.patients == ("007", "08", "NA")
    assert cohort.slides == ("a", "b", "c", "d")
    assert cohort.classes == ("kidney", "lung")
    assert cohort.sites == ("s1", "s2")
    assert cohort.n_tiles == 5 * 6
    assert cohort.slide_tiles(0).tolist() == list(range(12))
    assert cohort.slide_tiles(3).tolist() == list(range(24, 30))
    assert [cohort.patient_slides(p).tolist() for p in range(3)] == [[0, 1], [2], [3]]
    rows = np.array([0, 13, 20, 29])
    assert cohort.tile_slide(rows).tolist() == [0, 1, 2, 3]
    assert cohort.tile_patient(rows).tolist() == [0, 0, 1, 2]
    assert cohort.tile_label(rows).tolist() == [1, 0, 0, -1]
    assert cohort.tile_site(rows).tolist() == [0, 0, 1, -1]


def test_several_labels_are_none_at_their_level(cohort: Cohort) -> None:
    assert cohort.slide_label.tolist() == [1, 0, 0, -1]
    assert cohort.patient_label.tolist() == [-1, 0, -1]


def test_members_of_every_slide_and_patient_cover_all_once(cohort: Cohort) -> None:
    tiles = np.concatenate([cohort.slide_tiles(s) for s in range(4)])
    slides = np.concatenate([cohort.patient_slides(p) for p in range(3)])
    assert sorted(tiles) == list(range(30))
    assert sorted(slides) == list(range(4))


def test_kept_patients_are_renumbered_and_keep_names_classes_and_pixels(cohort: Cohort) -> None:
    part = cohort.keep_patients([2, 1])
    assert part.patients == ("08", "NA")
    assert part.slides == ("c", "d")
    assert part.classes == cohort.classes
    assert part.patient_label.tolist() == [0, -1]
    assert part.tile_patient(np.arange(12)).tolist() == [0] * 6 + [1] * 6
    for row in range(12):
        assert np.array_equal(part.read_tile(row), cohort.read_tile(18 + row))


def test_kept_tiles_leave_no_empty_image_slide_or_patient(cohort: Cohort) -> None:
    keep = np.zeros(30, dtype=bool)
    keep[[7, 25]] = True  # one tile of y.png (slide a) and one of w.png (slide d)
    part = cohort.keep_tiles(keep)
    assert (part.patients, part.slides, part.n_images, part.n_tiles) == (("007", "NA"), ("a", "d"), 2, 2)
    assert np.array_equal(part.read_tile(1), cohort.read_tile(25))


def test_fingerprint_tells_data_from_place(cohort: Cohort, small: Path) -> None:
    assert ManifestSpec(path=small, tile_px=20).open().fingerprint == cohort.fingerprint
    others = {
        cohort.fingerprint,
        cohort.keep_patients([0]).fingerprint,
        ManifestSpec(path=small, tile_px=19).open().fingerprint,
        ManifestSpec(path=small, tile_px=20, where={"label": ["lung"]}).open().fingerprint,
    }
    assert len(others) == 4


def test_tables_are_frozen(cohort: Cohort) -> None:
    with pytest.raises(ValueError, match="read-only"):
        cohort.image_slide[0] = 1
    with pytest.raises(AttributeError):
        cohort.tile_px = 3  # type: ignore[misc]


def test_pickling_keeps_everything(cohort: Cohort) -> None:
    copy = pickle.loads(pickle.dumps(cohort))
    assert copy.fingerprint == cohort.fingerprint
    assert np.array_equal(copy.read_tile(17), cohort.read_tile(17))


@pytest.mark.parametrize("row", [-1, 30])
def test_a_row_outside_is_no_tile(cohort: Cohort, row: int) -> None:
    with pytest.raises(IndexError):
        cohort.read_tile(row)


@pytest.mark.parametrize("number", [-1, 4])
def test_a_slide_outside_has_no_tiles(cohort: Cohort, number: int) -> None:
    with pytest.raises(IndexError):
        cohort.slide_tiles(number)


def test_a_tile_is_the_callers_own(cohort: Cohort) -> None:
    cohort.read_tile(0)[:] = 0
    assert cohort.read_tile(0).any()


def test_says_what_it_is(cohort: Cohort) -> None:
    assert str(cohort).endswith("3 patients, 4 slides, 5 images, 30 tiles of 20 px at stored resolution")


def test_an_unreadable_tile_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(Unreadable("a.png", "the file is empty")))
    assert (error.path, error.reason) == ("a.png", "the file is empty")
    assert str(error).startswith("a.png: cannot be read: the file is empty.")
