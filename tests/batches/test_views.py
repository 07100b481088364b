"""Views: the recipe as data, each operation against an independent oracle, two executors that agree."""

from dataclasses import fields
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from hlss.batches.draw import draw
from hlss.batches.keyed import generator
from hlss.batches.opencv import evaluation_view, views_of
from hlss.batches.recipe import ViewSpec
from hlss.batches.torch_views import views_of_batch
from hlss.config import validate
from hlss.errors import UserError

PX = 64


def texture(px: int = PX, seed: int = 0) -> np.ndarray:
    """Smooth, asymmetric, colourful."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((px, px), Image.Resampling.BICUBIC))


def seen(spec: ViewSpec, tile: np.ndarray, views: int = 1, out_px: int = PX, key: int = 0) -> np.ndarray:
    params = draw(spec, [generator(key)], views)
    return views_of(tile, params, 0, views, out_px).transpose(0, 2, 3, 1)


def only(**ops: dict) -> ViewSpec:
    return ViewSpec(preset="none", **ops)


def test_presets_hold_the_recipe_and_can_be_changed_in_part():
    hidisc = ViewSpec(preset="hidisc", blur={"p": 0.3})
    assert (hidisc.blur.p, hidisc.blur.sigma, hidisc.crop.p, hidisc.crop.scale) == (0.3, (1.0, 1.0), 0.5, (0.08, 1.0))
    assert (hidisc.noise.sigma, hidisc.solarize.threshold, hidisc.colour.p) == ((0.01, 0.1), 0.2, 0.0)
    assert (hidisc.affine.degrees, hidisc.affine.translate, hidisc.erase.scale) == (10.0, (0.1, 0.3), (0.02, 0.33))
    he = validate({"preset": "he", "stain": {"strength": 0.5}}, ViewSpec, "x")
    assert (he.stain.p, he.stain.strength) == (0.8, 0.5)
    with pytest.raises(UserError, match=r"unknown key `blurr`"):
        validate({"blurr": {}}, ViewSpec, "x")


def test_drawn_chances_and_ranges():
    params = draw(ViewSpec(preset="hidisc"), [generator(i) for i in range(2000)], 2)
    assert params.autocontrast.mean() == pytest.approx(0.5, abs=0.03)
    assert (params.blur > 0).mean() == pytest.approx(0.5, abs=0.03)
    assert (params.noise > 0).mean() == pytest.approx(0.5, abs=0.03)
    drawn = params.noise[params.noise > 0]
    assert 0.01 <= drawn.min() < 0.012
    assert 0.098 < drawn.max() <= 0.1
    erased = (params.erase[:, 2] - params.erase[:, 0]) * (params.erase[:, 3] - params.erase[:, 1])
    assert erased[erased > 0].min() >= 0.02 - 1e-9
    assert erased.max() <= 0.33 + 1e-9
    area = np.abs(np.linalg.det(params.matrix[:, :, :2]))
    assert (area < 1 - 1e-9).mean() == pytest.approx(0.5, abs=0.03)
    assert area.min() >= 0.08 - 1e-9


def test_a_view_does_not_hang_on_who_else_is_drawn():
    spec = ViewSpec(preset="hidisc")
    together = draw(spec, [generator(1), generator(2)], 2)
    alone = draw(spec, [generator(2)], 2)
    for field in fields(together):
        np.testing.assert_array_equal(getattr(together, field.name)[2:], getattr(alone, field.name), field.name)


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ({}, lambda t: t),
        ({"hflip": {"p": 1}}, lambda t: t[:, ::-1]),
        ({"vflip": {"p": 1}}, lambda t: t[::-1]),
        ({"transpose": {"p": 1}}, lambda t: t.transpose(1, 0, 2)),
        ({"hflip": {"p": 1}, "vflip": {"p": 1}}, lambda t: t[::-1, ::-1]),
    ],
)
def test_flips_are_exact(ops, expected):
    np.testing.assert_array_equal(seen(only(**ops), texture())[0], expected(texture()))


def bilinear(tile: np.ndarray, x: float, y: float) -> np.ndarray:
    """Value at a point, pixel centres at integers, black outside: the textbook formula."""
    total = np.zeros(3)
    for dx in (0, 1):
        for dy in (0, 1):
            cx, cy = int(np.floor(x)) + dx, int(np.floor(y)) + dy
            if 0 <= cx < tile.shape[1] and 0 <= cy < tile.shape[0]:
                total += tile[cy, cx] * (1 - abs(x - cx)) * (1 - abs(y - cy))
    return total


@pytest.mark.parametrize(
    "ops", [{"crop": {"p": 1}}, {"affine": {"p": 1}}, {"crop": {"p": 1}, "affine": {"p": 1}, "hflip": {"p": 1}}]
)
def test_geometry_equals_the_textbook_bilinear_sample(ops):
    tile, spec = texture(), only(**ops)
    params = draw(spec, [generator(3)], 2)
    found = seen(spec, tile, views=2, key=3)
    for view in range(2):
        for row, column in [(0, 0), (5, 40), (31, 31), (63, 10), (40, 63)]:
            u, v = (column + 0.5) / PX, (row + 0.5) / PX
            x, y = params.matrix[view] @ [u, v, 1.0] * PX - 0.5
            np.testing.assert_allclose(found[view, row, column], bilinear(tile, x, y), atol=4)


def test_affine_turns_about_the_centre_and_shifts_in_range():
    params = draw(only(affine={"p": 1}), [generator(i) for i in range(500)], 1)
    turn = params.matrix[:, :, :2]
    angles = np.degrees(np.arctan2(turn[:, 0, 1], turn[:, 0, 0]))
    assert np.abs(angles).max() <= 10
    assert np.abs(angles).max() > 9.5
    np.testing.assert_allclose(np.linalg.det(turn), 1)
    centers = np.einsum("nij,j->ni", params.matrix, [0.5, 0.5, 1.0]) - 0.5  # where the view's centre lies in the tile
    back = np.einsum("nij,nj->ni", np.linalg.inv(turn), centers)
    assert np.abs(back).max(axis=0) == pytest.approx([0.1, 0.3], abs=0.01)


class TestPixels:
    tile: ClassVar[np.ndarray] = texture()

    def test_autocontrast_is_pillows(self):
        dull = (self.tile // 2 + 40).astype(np.uint8)
        expected = np.asarray(ImageOps.autocontrast(Image.fromarray(dull)))
        np.testing.assert_allclose(seen(only(autocontrast={"p": 1}), dull)[0], expected, atol=1)

    def test_solarize_is_pillows(self):
        expected = np.asarray(ImageOps.solarize(Image.fromarray(self.tile), threshold=51))
        np.testing.assert_array_equal(seen(only(solarize={"p": 1}), self.tile)[0], expected)

    def test_sharpness_is_pillows_away_from_the_border(self):
        expected = np.asarray(ImageEnhance.Sharpness(Image.fromarray(self.tile)).enhance(2.0)).astype(int)
        found = seen(only(sharpness={"p": 1}), self.tile)[0].astype(int)
        assert np.abs(found - expected)[1:-1, 1:-1].max() <= 2

    def test_blur_is_a_gaussian_of_five_pixels(self):
        weights = np.exp(-0.5 * np.arange(-2, 3) ** 2)
        weights /= weights.sum()
        window = self.tile[10:15, 20:25].astype(float)
        expected = np.einsum("i,j,ijc->c", weights, weights, window)
        np.testing.assert_allclose(seen(only(blur={"p": 1}), self.tile)[0][12, 22], expected, atol=1)

    def test_noise_has_its_sigma_and_no_bias(self):
        grey = np.full((PX, PX, 3), 128, dtype=np.uint8)
        spec = only(noise={"p": 1, "sigma": (0.05, 0.05)})
        found = seen(spec, grey, views=6).astype(float) - 128
        on_device = views_of_batch(torch.from_numpy(grey).permute(2, 0, 1)[None], draw(spec, [generator(0)], 6), 6, PX)
        for noise in (found, on_device.numpy().astype(float) - 128):
            assert noise.mean() == pytest.approx(0, abs=0.2)
            assert noise.std() == pytest.approx(0.05 * 255, rel=0.02)
            assert np.abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.03

    def test_erase_blackens_the_drawn_box(self):
        spec, white = only(erase={"p": 1}), np.full((PX, PX, 3), 255, dtype=np.uint8)
        box = np.rint(draw(spec, [generator(0)], 1).erase[0] * PX).astype(int)
        found = seen(spec, white)[0]
        assert (found[box[1] : box[3], box[0] : box[2]] == 0).all()
        assert (found == 0).all(axis=-1).sum() == (box[2] - box[0]) * (box[3] - box[1])

    def test_stain_acts_on_optical_densities(self):
        spec = only(stain={"p": 1})
        params = draw(spec, [generator(0)], 1)
        pixel = self.tile[30, 12].astype(float)
        od = -np.log((pixel + 1) / 256)
        expected = np.exp(-(params.stain[0, :, :3] @ od + params.stain[0, :, 3])) * 256 - 1
        np.testing.assert_allclose(seen(spec, self.tile)[0][30, 12], np.clip(expected, 0, 255), atol=1)

    def test_stain_without_strength_changes_nothing(self):
        found = seen(only(stain={"p": 1, "strength": 0, "shift": 0}), self.tile)[0]
        np.testing.assert_allclose(found.astype(int), self.tile.astype(int), atol=1)

    def test_grey_by_saturation_zero(self):
        params = draw(only(colour={"p": 1}), [generator(0)], 1)
        np.testing.assert_allclose(params.colour[0], np.eye(3), atol=1e-12)
        spec = only(colour={"p": 1, "brightness": 0.3})
        ratio = seen(spec, self.tile)[0].astype(float)[20:40, 20:40].mean() / self.tile[20:40, 20:40].mean()
        assert ratio != 1.0


@pytest.mark.parametrize("preset", ["hidisc", "he"])
@pytest.mark.parametrize(("tile_px", "out_px"), [(96, 64), (160, 48)])
@pytest.mark.parametrize("solarized", [False, True])
def test_two_executors_agree(preset, tile_px, out_px, solarized):
    """To 4/255 nearly everywhere; solarize jumps at its threshold, so a rounding there may turn a few values over."""
    tiles = np.stack([texture(tile_px, seed) for seed in range(6)])
    spec = ViewSpec(preset=preset, noise={"p": 0}, solarize={"p": 0.5 if solarized else 0.0})
    params = draw(spec, [generator(9, i) for i in range(6)], 6)
    workers = np.concatenate([views_of(tile, params, 6 * i, 6, out_px) for i, tile in enumerate(tiles)])
    device = views_of_batch(torch.from_numpy(tiles).permute(0, 3, 1, 2), params, 6, out_px).numpy()
    difference = np.abs(workers.astype(int) - device.astype(int))[:, :, 2:-2, 2:-2]
    assert difference.mean() <= 0.5
    assert (difference > 4).mean() <= (0.005 if solarized else 0.0005)


def test_evaluation_view_is_the_mean_of_areas():
    tile = texture(64)
    expected = tile.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(evaluation_view(tile, 32).transpose(1, 2, 0), expected, atol=0.6)
    np.testing.assert_array_equal(evaluation_view(tile, 64).transpose(1, 2, 0), tile)
