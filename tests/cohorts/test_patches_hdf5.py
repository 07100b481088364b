"""Tiles of CLAM and TRIDENT: what the phantom wrote in their layouts is read back; the rest is written here by hand."""

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from hlss.cohorts.base import Cohort
from hlss.cohorts.patches_hdf5 import PatchesHdf5Spec
from hlss.cohorts.phantom import PhantomSpec
from hlss.cohorts.write.hdf5 import Flavour, write_hdf5s
from hlss.cohorts.write.pyramid import write_pyramids
from hlss.config import validate
from hlss.errors import Unreadable, UserError

SIDE = 512  # of a slide made by hand, px


@pytest.fixture(scope="module")
def drawn() -> Cohort:
    """2 patients, 4 slides, 16 tiles of 32 px, as level 0 has them."""
    return PhantomSpec(patients=2, slides=2, side=2, tile_px=32).open()


@pytest.fixture
def made(tmp_path: Path, coded):
    """made(coords, imgs=…, **attributes): one slide "s" of patient "007", 512×512 px, and its HDF5; the settings."""

    def write(coords: Any, imgs: Any = None, name: str = "s.h5", **facts: Any) -> dict[str, Any]:
        (tmp_path / "slides").mkdir(exist_ok=True)
        Image.fromarray(coded(SIDE, SIDE)).save(tmp_path / "slides" / "s.png")
        (tmp_path / "dataset.csv").write_text("case_id,slide_id,label\n007,s,lgg\n")
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("coords", data=np.array(coords)).attrs.update(facts)
            if imgs is not None:
                file["imgs"] = imgs
        settings = {"manifest": tmp_path / "dataset.csv", "folder": tmp_path, "tile_px": 64}
        return settings if imgs is not None else {**settings, "slides": tmp_path / "slides"}

    return write


def mean_of(coded: np.ndarray, x: int, y: int, side: int) -> np.ndarray:
    return coded[y : y + side, x : x + side].reshape(-1, 3).mean(axis=0)


@pytest.mark.parametrize("layout", ["clam", "trident"])
def test_what_the_phantom_wrote_is_read_back(tmp_path: Path, drawn: Cohort, layout: Flavour) -> None:
    write_hdf5s(drawn, tmp_path / "out", lambda done, of: None, flavour=layout)
    spec = PatchesHdf5Spec(manifest=tmp_path / "out/dataset.csv", folder=tmp_path / "out", tile_px=32)
    cohort = spec.open()
    rows = np.arange(drawn.n_tiles)
    assert (cohort.patients, cohort.slides, cohort.classes) == (drawn.patients, drawn.slides, drawn.classes)
    assert np.array_equal(cohort.tile_label(rows), drawn.tile_label(rows))
    assert np.array_equal(cohort.tile_xy_px0(rows), drawn.tile_xy_px0(rows))
    for row in rows[::5].tolist():
        assert np.array_equal(cohort.read_tile(row), drawn.read_tile(row))
    assert cohort.notices == ()


@pytest.mark.parametrize("layout", ["clam", "trident"])
def test_pixels_come_from_the_slides_where_those_are_given(tmp_path: Path, drawn: Cohort, layout: Flavour) -> None:
    write_hdf5s(drawn, tmp_path / "cut", lambda done, of: None, flavour=layout, images=False)
    write_pyramids(drawn, tmp_path / "whole", lambda done, of: None)
    spec = PatchesHdf5Spec(
        manifest=tmp_path / "cut/dataset.csv", folder=tmp_path / "cut/patches", slides=tmp_path / "whole", tile_px=32
    )
    cohort = spec.open()
    for row in range(0, drawn.n_tiles, 5):
        error = cohort.read_tile(row).astype(float) - drawn.read_tile(row)
        assert abs(error).mean() < 4  # of a JPEG of quality 90; another tile is off by tens
    assert pickle.loads(pickle.dumps(cohort)).read_tile(3).shape == (32, 32, 3)


LEVEL_1 = {"patch_size": 64, "patch_level": 1, "downsample": (2.0, 2.0), "level_dim": (256, 256)}
CLAM = {"patch_size": 128, "patch_level": 0, "downsample": (1.0, 1.0), "level_dim": (SIDE, SIDE)}
TRIDENT = {"patch_size": 64, "patch_size_level0": 128, "level0_width": SIDE, "level0_height": SIDE}


@pytest.mark.parametrize("facts", [LEVEL_1, CLAM, TRIDENT], ids=["clam level 1", "clam level 0", "trident"])
def test_a_tile_covers_what_its_attributes_say(made, coded, facts: dict[str, Any]) -> None:
    cohort = PatchesHdf5Spec(**made([[0, 0], [130, 384]], **facts)).open()
    tile = cohort.read_tile(1)
    assert tile.shape == (64, 64, 3)
    assert tile.reshape(-1, 3).mean(axis=0) == pytest.approx(mean_of(coded(SIDE, SIDE), 130, 384, 128), abs=0.6)
    assert tile[0, 0].tolist() == pytest.approx(mean_of(coded(SIDE, SIDE), 130, 384, 2).tolist(), abs=0.6)


def test_stored_images_are_found_by_their_place_and_resized(made) -> None:
    imgs = np.stack([np.full((32, 32, 3), 10 * i, np.uint8) for i in range(3)])
    settings = made([[64, 0], [0, 0], [0, 64]], imgs)
    cohort = PatchesHdf5Spec(**settings).open()
    assert [cohort.read_tile(row)[5, 5, 0] for row in range(3)] == [0, 10, 20]
    assert cohort.tile_xy_px0(np.arange(3)).tolist() == [[64, 0], [0, 0], [0, 64]]
    assert cohort.read_tile(0).shape == (64, 64, 3)
    with pytest.raises(ValueError, match="no tile at"):
        cohort.source.read(0, (1, 1), 64, None)  # type: ignore[attr-defined]


def test_tridents_file_names_and_patches_folder(made, tmp_path: Path) -> None:
    (tmp_path / "patches").mkdir()
    assert PatchesHdf5Spec(**made([[0, 0]], name="patches/s_patches.h5", **TRIDENT)).open().n_tiles == 1


def test_tiles_that_overhang_are_left_out_and_said(made) -> None:
    cohort = PatchesHdf5Spec(**made([[0, 0], [400, 0], [384, 384]], **CLAM)).open()
    assert cohort.tile_xy_px0(np.arange(2)).tolist() == [[0, 0], [384, 384]]
    assert cohort.notices == ("1 tiles reach beyond their slide and are left out",)
    assert cohort.read_tile(1).shape == (64, 64, 3)


@pytest.mark.parametrize("corner", [[512, 0], [0, 600], [-1, 5]])
@pytest.mark.parametrize("facts", [LEVEL_1, TRIDENT], ids=["size by the slide", "size by the file"])
def test_corners_outside_the_slide_are_refused(made, corner: list[int], facts: dict[str, Any]) -> None:
    match = rf"s\.h5: a tile at {corner[0]},{corner[1]} lies outside its slide of 512×512 px"
    with pytest.raises(UserError, match=match):
        PatchesHdf5Spec(**made([[0, 0], corner], **facts)).open()


def test_coords_of_another_form_are_refused(made) -> None:
    for coords, match in (
        ([[0.5, 0.0]], "of float64, not n × 2 whole numbers"),
        ([[0, 0, 0]], r"`coords` are \(1, 3\)"),
        ([[0, 0], [64, 0], [0, 0]], "two of its tiles lie in the same place"),
        ([[2**31, 0]], "beyond any slide"),
    ):
        with pytest.raises(UserError, match=match):
            PatchesHdf5Spec(**made(coords, **TRIDENT)).open()
    with pytest.raises(UserError, match="do not say what a tile covers"):
        PatchesHdf5Spec(**made([[0, 0]])).open()
    with pytest.raises(UserError, match="do not say what a tile covers"):
        PatchesHdf5Spec(**made([[0, 0]], patch_size=64, patch_level=1)).open()
    with pytest.raises(UserError, match="scaled by 2 and 4"):
        PatchesHdf5Spec(**made([[0, 0]], **{**LEVEL_1, "downsample": (2.0, 4.0)})).open()


def test_images_of_another_form_are_refused(made) -> None:
    for imgs in (np.zeros((2, 8, 8, 3), np.uint8), np.zeros((1, 8, 9, 3), np.uint8), np.zeros((1, 8, 8, 3), np.uint16)):
        with pytest.raises(UserError, match=r"`imgs` are .*, not 1 square RGB images"):
            PatchesHdf5Spec(**made([[0, 0]], imgs)).open()


def test_what_is_missing_is_counted_and_named(made, tmp_path: Path) -> None:
    settings = made([[0, 0]], **TRIDENT)
    (tmp_path / "dataset.csv").write_text("case_id,slide_id\n1,s\n2,t\n3,u\n")
    with pytest.raises(UserError, match="2 of 3 slides have no HDF5 here, nor in `patches`, the first 't'"):
        PatchesHdf5Spec(**settings).open()
    (tmp_path / "dataset.csv").write_text("case_id,slide_id\n1,s\n")
    (tmp_path / "slides/s.png").rename(tmp_path / "slides/r.png")
    with pytest.raises(UserError, match="1 of 1 slides are not here, the first 's'"):
        PatchesHdf5Spec(**settings).open()
    (tmp_path / "s.h5").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match=r"s\.h5: cannot be read"):
        PatchesHdf5Spec(**{**settings, "slides": None}).open()


def test_two_slides_of_one_name_are_refused(made, tmp_path: Path) -> None:
    settings = made([[0, 0]], **TRIDENT)
    (tmp_path / "slides/again").mkdir()
    (tmp_path / "slides/again/s.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"again/s\.jpg and s\.png are called alike"):
        PatchesHdf5Spec(**settings).open()


def test_a_slide_without_tiles_is_left_out(made, tmp_path: Path) -> None:
    made(np.empty((0, 2), np.int64), name="t.h5", **TRIDENT)
    settings = made([[0, 0]], **TRIDENT)
    (tmp_path / "dataset.csv").write_text("case_id,slide_id\n2,t\n")
    with pytest.raises(UserError, match="no slide has a tile"):
        PatchesHdf5Spec(**{**settings, "slides": None}).open()
    (tmp_path / "slides/t.png").write_bytes((tmp_path / "slides/s.png").read_bytes())
    (tmp_path / "dataset.csv").write_text("case_id,slide_id\n1,s\n2,t\n")
    cohort = PatchesHdf5Spec(**settings).open()
    assert (cohort.patients, cohort.notices) == (("1",), ("1 of 2 slides have no tile and are left out",))


def test_a_slide_that_breaks_later_is_unreadable_there(made, tmp_path: Path) -> None:
    cohort = PatchesHdf5Spec(**made([[0, 0]], **TRIDENT)).open()
    (tmp_path / "slides/s.png").write_bytes(b"")
    with pytest.raises(Unreadable, match=r"s\.png"):
        cohort.read_tile(0)
    stored = PatchesHdf5Spec(**made([[0, 0]], np.zeros((1, 8, 8, 3), np.uint8))).open()
    (tmp_path / "s.h5").write_bytes(b"")
    with pytest.raises(Unreadable, match=r"s\.h5"):
        stored.read_tile(0)


def test_mpp_is_not_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mpp: tiles have the resolution they were cut at"):
        validate({"manifest": "a", "folder": "b", "mpp": 0.5}, PatchesHdf5Spec, where="cohort")
