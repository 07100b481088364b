"""What was written is opened again by the cohort source `manifest`: the same patients, slides, labels and pixels."""

from pathlib import Path

import numpy as np
import pytest

from hlss.cohorts.base import Cohort
from hlss.cohorts.manifest import ManifestSpec
from hlss.cohorts.pack import packed
from hlss.cohorts.write import folder
from hlss.cohorts.write.folder import write_images, write_tiles
from hlss.errors import UserError

WRITERS = pytest.mark.parametrize("write", [write_tiles, write_images])
NAMES = ("patients", "slides", "classes", "sites", "splits")


def again(cohort: Cohort, out: Path) -> Cohort:
    return ManifestSpec(path=out / "manifest.csv", tile_px=cohort.tile_px, mpp=cohort.mpp).open()


def assert_same(one: Cohort, other: Cohort) -> None:
    assert [getattr(one, name) for name in NAMES] == [getattr(other, name) for name in NAMES]
    rows = np.arange(one.n_tiles)
    for facts in ("tile_patient", "tile_slide", "tile_label", "tile_site"):
        np.testing.assert_array_equal(getattr(one, facts)(rows), getattr(other, facts)(rows))
    np.testing.assert_array_equal(one.patient_split, other.patient_split)
    for row in rows:
        np.testing.assert_array_equal(one.read_tile(int(row)), other.read_tile(int(row)))


@WRITERS
def test_drawn_slides_come_back(write, drawn: Cohort, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write(drawn, tmp_path / "out", lambda done, of: seen.append((done, of)))
    assert seen == [(i, 24) for i in range(1, 25)]
    assert_same(again(drawn, tmp_path / "out"), drawn)


@WRITERS
def test_regions_come_back_with_blanks_where_nothing_was_known(write, stored: Cohort, tmp_path: Path) -> None:
    write(stored, tmp_path / "out", lambda done, of: None)
    found = again(stored, tmp_path / "out")
    assert found.image_label[-1] == found.image_site[-1] == -1
    assert_same(found, stored)


@WRITERS
def test_an_odd_resolution_and_rests_at_the_border(write, small: Path, tmp_path: Path) -> None:
    cohort = ManifestSpec(path=small, tile_px=11, mpp=0.53, image_mpp=0.4).open()  # 14.6 → 15 px under a tile
    write(cohort, tmp_path / "out", lambda done, of: None)
    assert_same(again(cohort, tmp_path / "out"), cohort)


@WRITERS
def test_without_mpp_the_column_is_empty(write, without_mpp: Cohort, tmp_path: Path) -> None:
    write(without_mpp, tmp_path / "out", lambda done, of: None)
    assert_same(again(without_mpp, tmp_path / "out"), without_mpp)
    with pytest.raises(UserError, match="mpp is missing"):
        ManifestSpec(path=tmp_path / "out" / "manifest.csv", tile_px=20, mpp=1.0).open()


@WRITERS
def test_the_split_comes_back(write, small: Path, tmp_path: Path) -> None:
    lines = small.read_text().splitlines()
    sides = ["split", "train", "train", "train", "val", "test"]
    small.write_text("\n".join(f"{line},{side}" for line, side in zip(lines, sides, strict=True)))
    cohort = ManifestSpec(path=small, tile_px=20).open()
    write(cohort, tmp_path / "out", lambda done, of: None)
    assert_same(again(cohort, tmp_path / "out"), cohort)


@WRITERS
def test_jpeg_is_close(write, drawn: Cohort, tmp_path: Path) -> None:
    write(drawn, tmp_path / "out", lambda done, of: None, form="jpeg")
    found = again(drawn, tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.jpeg"))) == found.n_images
    difference = np.abs(found.read_tile(5).astype(int) - drawn.read_tile(5))
    assert 0 < difference.mean() < 3


def test_tiles_need_no_whole_images(opaque: Cohort, without_mpp: Cohort, tmp_path: Path) -> None:
    write_tiles(opaque, tmp_path / "a", lambda done, of: None)
    assert_same(again(opaque, tmp_path / "a"), opaque)
    pack = packed(without_mpp, tmp_path / "packs").keep_tiles(np.arange(without_mpp.n_tiles) % 4 == 1)
    write_tiles(pack, tmp_path / "b", lambda done, of: None)
    assert_same(again(pack, tmp_path / "b"), pack)
    with pytest.raises(UserError, match="size of its images is not known"):
        write_images(opaque, tmp_path / "c", lambda done, of: None)


def test_an_image_too_large_to_hold_is_refused_before_anything_is_read(
    drawn: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LARGEST_PX", 64 * 64 - 1)
    with pytest.raises(UserError, match=r"64×64 px are too many for one plain image.*`pyramid`"):
        write_images(drawn, tmp_path / "out", lambda done, of: None)
    assert not (tmp_path / "out").exists()
