"""Thumbnails that are drawn: what is tissue is known pixel by pixel."""

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from hlss.slides.tissue import TissueSpec, pen_mask, tissue_mask

MPP = 8.0
GLASS = (240, 238, 236)
EOSIN, HAEMATOXYLIN, BLOOD, DAB = (225, 150, 190), (130, 85, 160), (190, 70, 85), (150, 105, 70)
PENS = {"blue": (40, 70, 190), "green": (20, 120, 70), "black": (35, 35, 38), "red": (210, 25, 40)}
METHODS = ("saturation", "density")


def glass(height: int = 240, width: int = 320, colour: tuple[int, int, int] = GLASS, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 2, (height, width, 3))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def with_disc(image: np.ndarray, radius: int = 70, centre: tuple[int, int] = (160, 120)) -> np.ndarray:
    """Eosin with grains of haematoxylin; returns the disc."""
    random, disc = np.random.default_rng(1), np.zeros(image.shape[:2], np.uint8)
    cv2.circle(disc, centre, radius, 1, -1)
    disc = disc.astype(bool)
    image[disc] = np.where(random.uniform(size=(disc.sum(), 1)) < 0.3, HAEMATOXYLIN, EOSIN)
    return disc


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union."""
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("colour", [GLASS, (255, 255, 255), (228, 228, 232), (240, 235, 217)])
def test_an_empty_slide_has_no_tissue(method: str, colour: tuple[int, int, int]) -> None:
    assert not tissue_mask(glass(colour=colour), MPP, TissueSpec(method=method)).any()


@pytest.mark.parametrize("method", METHODS)
def test_neither_has_a_black_or_a_blank_one(method: str) -> None:
    for value in (0, 255):
        assert not tissue_mask(np.full((50, 60, 3), value, np.uint8), MPP, TissueSpec(method=method)).any()
    assert not tissue_mask(np.full((1, 1, 3), 255, np.uint8), MPP, TissueSpec(method=method)).any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("colour", [GLASS, (255, 255, 255), (240, 235, 217)])
def test_a_disc_is_found_whole(method: str, colour: tuple[int, int, int]) -> None:
    image = glass(colour=colour)
    disc = with_disc(image)
    assert overlap(tissue_mask(image, MPP, TissueSpec(method=method)), disc) > 0.93


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("colour", [EOSIN, HAEMATOXYLIN, BLOOD, DAB, (236, 205, 220)])
def test_a_slide_without_glass_is_all_tissue(method: str, colour: tuple[int, int, int]) -> None:
    assert tissue_mask(glass(colour=colour), MPP, TissueSpec(method=method)).mean() > 0.99


def test_holes_are_filled_up_to_their_area() -> None:
    image = glass()
    disc = with_disc(image)
    image[115:125, 155:165] = GLASS  # 80 × 80 µm
    image[115:125, 185:195] = 255
    spec = TissueSpec(smooth_um=0)
    assert overlap(tissue_mask(image, MPP, spec), disc) > 0.99
    kept = tissue_mask(image, MPP, spec.model_copy(update={"holes_um2": 6000.0}))
    assert not kept[115:125, 155:165].any()
    assert kept[disc].mean() == pytest.approx(1 - 200 / disc.sum(), abs=0.01)


def test_specks_are_dropped_up_to_their_area() -> None:
    image = glass()
    image[20:30, 20:30] = EOSIN  # 80 × 80 µm
    image[60:80, 20:40] = EOSIN  # 160 × 160 µm
    found = tissue_mask(image, MPP, TissueSpec(smooth_um=0))
    assert found[60:80, 20:40].all()
    assert found.sum() == 400
    assert tissue_mask(image, MPP, TissueSpec(smooth_um=0, specks_um2=0)).sum() == 500


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pen", PENS)
def test_a_stroke_is_no_tissue_beside_it_or_across_it(method: str, pen: str) -> None:
    image = glass()
    disc = with_disc(image)
    stroke = np.zeros(image.shape[:2], np.uint8)
    cv2.line(stroke, (20, 20), (20, 220), 1, 9)
    cv2.line(stroke, (160, 10), (160, 230), 1, 9)
    soft = cv2.GaussianBlur(stroke.astype(np.float32), (0, 0), 1.0)[..., None]  # its edge fades into the glass
    image = np.rint(image * (1 - soft) + np.array(PENS[pen]) * soft).astype(np.uint8)
    found = tissue_mask(image, MPP, TissueSpec(method=method))
    assert not found[:, :90].any()
    assert not found[stroke.astype(bool)].any()
    away = disc & ~cv2.dilate(stroke, np.ones((25, 25), np.uint8)).astype(bool)
    assert found[away].mean() > 0.98
    assert tissue_mask(image, MPP, TissueSpec(method=method, pen=False))[:, 20].any() or pen == "black"


@pytest.mark.parametrize("colour", [EOSIN, HAEMATOXYLIN, BLOOD, DAB, (90, 50, 120), (60, 40, 90)])
def test_no_colour_of_tissue_is_a_pen(colour: tuple[int, int, int]) -> None:
    assert not pen_mask(glass(colour=colour), MPP, TissueSpec()).any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pen", [True, False])
def test_the_scanners_black_border_is_no_tissue(method: str, pen: bool) -> None:
    image = glass()
    disc = with_disc(image)
    image[:, :30] = 4
    image[:25] = 0
    found = tissue_mask(image, MPP, TissueSpec(method=method, pen=pen))
    assert not found[:, :80].any()
    assert overlap(found, disc) > 0.93


def test_dark_grains_and_pigment_stay_tissue() -> None:
    image = glass()
    disc = with_disc(image)
    image[118:122, 158:162] = (20, 18, 15)
    assert tissue_mask(image, MPP, TissueSpec())[disc].mean() > 0.97


def test_lengths_are_in_um_whatever_the_thumbnail() -> None:
    image = glass()
    disc = with_disc(image)
    for times in (2, 4):
        small = cv2.resize(image, None, fx=1 / times, fy=1 / times, interpolation=cv2.INTER_AREA)
        truth = cv2.resize(disc.astype(np.uint8), None, fx=1 / times, fy=1 / times, interpolation=cv2.INTER_AREA)
        assert overlap(tissue_mask(small, MPP * times, TissueSpec()), truth.astype(bool)) > 0.85


def test_bounds_that_cross_are_refused() -> None:
    with pytest.raises(ValidationError, match="is above most"):
        TissueSpec(least=0.3)
