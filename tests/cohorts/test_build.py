import numpy as np
import pytest

from hlss.cohorts.base import TileSource
from hlss.cohorts.build import ImageRow, cohort_from_images
from hlss.errors import UserError


class Numbers(TileSource):
    """Tiles filled with the number of their image."""

    @property
    def fingerprint(self) -> str:
        return "numbers"

    def image_name(self, image: int) -> str:
        return f"image {image}"

    def read(self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float | None) -> np.ndarray:
        return np.full((tile_px, tile_px, 3), image, dtype=np.uint8)


def test_tables_are_in_order_of_ids_and_find_their_image_again() -> None:
    images = [ImageRow("p2", "s3", 20, 10, label="b"), ImageRow("p1", "s9", 10, 10), ImageRow("p1", "s1", 10, 30)]
    cohort = cohort_from_images("three", Numbers(), images, tile_px=10)
    assert cohort.patients == ("p1", "p2")
    assert cohort.slides == ("s1", "s9", "s3")
    assert cohort.slide_patient.tolist() == [0, 0, 1]
    assert cohort.tile_image(np.arange(cohort.n_tiles)).tolist() == [0, 0, 0, 1, 2, 2]
    assert [int(cohort.read_tile(row)[0, 0, 0]) for row in range(6)] == [2, 2, 2, 1, 0, 0]
    assert cohort.tile_xy_px0(np.arange(cohort.n_tiles)).tolist() == [[0, 0], [0, 10], [0, 20], [0, 0], [0, 0], [10, 0]]
    assert cohort.tile_label(np.arange(6)).tolist() == [-1, -1, -1, -1, 0, 0]


def test_equal_slide_ids_of_two_patients_stay_two_slides() -> None:
    cohort = cohort_from_images("clash", Numbers(), [ImageRow("p1", "1", 9, 9), ImageRow("p2", "1", 9, 9)], tile_px=9)
    assert cohort.slides == ("p1/1", "p2/1")
    assert cohort.slide_patient.tolist() == [0, 1]


def test_each_image_is_cut_at_its_own_resolution() -> None:
    images = [ImageRow("p", "a", 40, 40, mpp=0.25), ImageRow("p", "b", 40, 40, mpp=0.5)]
    cohort = cohort_from_images("mixed", Numbers(), images, tile_px=20, mpp=0.5)
    assert np.diff(cohort.tiles.starts).tolist() == [1, 4]


def test_images_smaller_than_a_tile_are_left_out_and_counted() -> None:
    cohort = cohort_from_images("mixed", Numbers(), [ImageRow("p", "a", 9, 10), ImageRow("q", "b", 10, 10)], tile_px=10)
    assert cohort.patients == ("q",)
    assert cohort.notices == ("1 of 2 images are smaller than a tile and left out",)


def test_a_tile_larger_than_every_image_is_refused() -> None:
    with pytest.raises(UserError, match=r"tiny: a tile of 10 px is larger than every image \(largest: 9×9\)"):
        cohort_from_images("tiny", Numbers(), [ImageRow("p", "a", 9, 9), ImageRow("p", "b", 99, 1)], tile_px=10)


def test_no_image_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="no image"):
        cohort_from_images("none", Numbers(), [], tile_px=10)


def test_a_patient_in_two_splits_is_refused_and_named() -> None:
    images = [ImageRow("p", "a", 9, 9, split="train"), ImageRow("p", "b", 9, 9, split="test")]
    with pytest.raises(UserError, match=r"patient 'p' stands in two splits \(test, train\)"):
        cohort_from_images("crossed", Numbers(), images, tile_px=9)


def test_an_image_without_mpp_has_no_tiles_at_a_target_mpp() -> None:
    with pytest.raises(UserError, match="slide 'a' has no mpp"):
        cohort_from_images("blind", Numbers(), [ImageRow("p", "a", 9, 9)], tile_px=9, mpp=0.5)
