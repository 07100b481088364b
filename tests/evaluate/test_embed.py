"""Embedding with a stream and a tower whose outputs are known."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from hlss.cohorts.base import Cohort, TileSource
from hlss.encoders.base import ImageEncoder
from hlss.errors import UserError
from hlss.evaluate.embed import chosen_rows, embed
from hlss.slides.tiles import ListedTiles

CPU = torch.device("cpu")


class NoPixels(TileSource):
    @property
    def fingerprint(self) -> str:
        return "none"

    def image_name(self, image: int) -> str:
        return f"image{image}.png"

    def read(self, image, xy_px0, tile_px, mpp):
        raise AssertionError("the stream reads, not the table")


class MeanColour(ImageEncoder):
    """Three features: the mean of each channel. Training mode would spoil them."""

    def __init__(self) -> None:
        super().__init__(3, 4, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.drop = torch.nn.Dropout(0.9)
        self.autocast_seen: set[bool] = set()

    def forward(self, pixels: Tensor) -> Tensor:
        self.autocast_seen.add(torch.is_autocast_enabled("cpu"))
        return self.drop(pixels.mean(dim=(2, 3)))


def make_cohort(tiles_of_slide: list[int], slides: tuple[str, ...]) -> Cohort:
    """One image a slide, two slides a patient, tiles in a row of 10 px steps; the last image has no label."""
    n = len(slides)
    image = np.repeat(np.arange(n), tiles_of_slide)
    patients = tuple(f"p{i}" for i in range((n + 1) // 2))
    x_px0 = np.concatenate([np.arange(count) * 10 for count in tiles_of_slide])
    corners = np.stack([x_px0, x_px0 + 1], axis=1).astype(np.int32)
    label = np.arange(n) % 2
    label[-1] = -1
    return Cohort(
        name="made up",
        source=NoPixels(),
        tile_px=4,
        mpp=None,
        patients=patients,
        slides=slides,
        classes=("kidney", "lung"),
        sites=("s0",),
        splits=(),
        slide_patient=np.arange(n) // 2,
        patient_split=np.full(len(patients), -1),
        image_slide=np.arange(n),
        image_label=label,
        image_site=np.where(np.arange(n) == 0, 0, -1),
        image_number=np.arange(n) + 5,
        tiles=ListedTiles.of([corners[image == one] for one in range(n)]),
    )


def stream(cohort: Cohort, rows: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Tiles by three: red = row, green = twice the row, blue = 7; row 4 cannot be read."""
    for start in range(0, len(rows), 3):
        kept = np.array([row for row in rows[start : start + 3] if row != 4], dtype=np.int64)
        colours = torch.tensor([[row, 2 * row, 7] for row in kept.tolist()], dtype=torch.uint8)
        yield kept, colours.view(-1, 3, 1, 1).expand(-1, 3, 4, 4)


def test_rows_features_and_identity_belong_together():
    train, test = make_cohort([3, 2, 1], ("a", "b", "c")), make_cohort([2], ("z",))
    table = embed(MeanColour(), {"train": train, "test": test}, stream, {"method": "m"}, device=CPU, seed=9)
    rows = [0, 1, 2, 3, 5, 0, 1]
    expected = np.array([[row, 2 * row, 7] for row in rows]) / 255
    assert np.allclose(table.features, expected, atol=1e-7)
    assert table["side"].tolist() == ["train"] * 5 + ["test"] * 2
    assert table["slide"].tolist() == ["a", "a", "a", "b", "c", "z", "z"]
    assert table["patient"].tolist() == ["p0"] * 4 + ["p1", "p0", "p0"]
    assert table["label"].tolist() == ["kidney"] * 3 + ["lung", "", "", ""]
    assert table["site"].tolist() == ["s0", "s0", "s0", "", "", "s0", "s0"]
    assert table["image"].tolist() == ["image5.png"] * 3 + ["image6.png", "image7.png", "image5.png", "image5.png"]
    assert table["x_px0"].tolist() == [0, 10, 20, 0, 0, 0, 10]
    assert table["y_px0"].tolist() == [1, 11, 21, 1, 1, 1, 11]
    assert table.provenance == {
        "method": "m",
        "max_patches_per_slide": None,
        "patch_seed": 9,
        "bf16": False,
        "patches": 7,
        "unreadable_patches": 1,
    }


def test_tower_is_frozen_and_exact_unless_asked():
    encoder, cohort = MeanColour().train(), make_cohort([4], ("a",))
    once = embed(encoder, {"test": cohort}, stream, {}, device=CPU)
    again = embed(encoder.train(), {"test": cohort}, stream, {}, device=CPU)
    assert np.array_equal(once.features, again.features)
    assert encoder.autocast_seen == {False}
    rough = embed(encoder, {"test": cohort}, stream, {}, device=CPU, bf16=True)
    assert encoder.autocast_seen == {False, True}
    assert rough.provenance["bf16"] is True
    assert rough.features.dtype == np.float32


def test_nothing_readable():
    cohort = make_cohort([2], ("a",))
    with pytest.raises(UserError, match="no patch could be embedded"):
        embed(MeanColour(), {"test": cohort}, lambda *_: iter(()), {}, device=CPU)


def test_progress_is_said(monkeypatch):
    monkeypatch.setattr("hlss.evaluate.clock._SAY_EVERY_S", -1.0)
    said: list[str] = []
    embed(MeanColour(), {"test": make_cohort([4], ("a",))}, stream, {}, device=CPU, progress=said.append)
    assert said[-1].startswith("embedding: 4 of 4 patches")


def test_all_patches_unless_limited():
    cohort = make_cohort([3, 2], ("a", "b"))
    assert chosen_rows(cohort, None, 0).tolist() == [0, 1, 2, 3, 4]
    assert chosen_rows(cohort, 3, 0).tolist() == [0, 1, 2, 3, 4]


def test_at_most_so_many_a_slide():
    cohort = make_cohort([50, 3, 20], ("a", "b", "c"))
    rows = chosen_rows(cohort, 5, 0)
    assert np.bincount(cohort.tile_slide(rows)).tolist() == [5, 3, 5]
    assert rows.tolist() == sorted(set(rows.tolist()))


def test_choice_hangs_on_seed_and_slide_id_alone():
    """The same slide in another cohort, at another place, beside others: the same patches."""
    alone, later = make_cohort([50], ("x",)), make_cohort([20, 7, 50], ("a", "b", "x"))
    here = alone.tile_xy_px0(chosen_rows(alone, 5, 1))
    rows = chosen_rows(later, 5, 1)
    there = later.tile_xy_px0(rows[later.tile_slide(rows) == 2])
    assert np.array_equal(here, there)
    assert chosen_rows(alone, 5, 1).tolist() != chosen_rows(alone, 5, 2).tolist()


def test_choice_is_even():
    """Over many seeds every tile is chosen about as often: 400 draws of 5 in 20, so 100 ± 5 standard deviations."""
    cohort = make_cohort([20], ("a",))
    counts = np.bincount(np.concatenate([chosen_rows(cohort, 5, seed) for seed in range(400)]), minlength=20)
    assert abs(counts - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)
