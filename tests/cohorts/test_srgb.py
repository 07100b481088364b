"""Colours by a slide's profile, on request: in every source that reads slides, and in its fingerprint then only."""

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from colour_profiles import as_pil_converts, linear
from PIL import Image
from slide_files import tissue

from hlss.cohorts.base import Cohort
from hlss.cohorts.patches_hdf5 import PatchesHdf5Spec
from hlss.cohorts.slides import SlidesSpec
from hlss.cohorts.tcga import TcgaSpec
from hlss.config import validate
from hlss.errors import UserError
from hlss.files import digest
from hlss.jobs.tile import tile_slides

SLIDE, SIDE, TILE_PX = "TCGA-02-0001-01Z-00-DX1", 96, 32
Open = Callable[..., Cohort]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`slides` with one TIFF that has a profile, `tiles` as `hlss tile` cut it, and CLAM's HDF5 of the same tiles."""
    folder = tmp_path_factory.mktemp("srgb")
    (folder / "slides").mkdir()
    Image.fromarray(tissue(SIDE, SIDE)).save(folder / "slides" / f"{SLIDE}.tif", icc_profile=linear())
    recipe = [f"tile_px={TILE_PX}", "mpp=0.5", "slide_mpp=0.5", "min_tissue=0"]
    tile_slides(folder / "slides", folder / "tiles", recipe, say=lambda text: None)
    corners = [(x, y) for y in range(0, SIDE, TILE_PX) for x in range(0, SIDE, TILE_PX)]
    facts = {"patch_size": TILE_PX, "patch_level": 0, "level_dim": (SIDE, SIDE)}
    with h5py.File(folder / f"{SLIDE}.h5", "w") as file:
        file.create_dataset("coords", data=np.array(corners)).attrs.update(facts)
        file["imgs"] = np.zeros((len(corners), TILE_PX, TILE_PX, 3), np.uint8)
    (folder / "dataset.csv").write_text(f"case_id,slide_id,label\n007,{SLIDE},lgg\n")
    return folder


def of_slides(folder: Path, **settings: bool) -> Cohort:
    return SlidesSpec(tiles=folder / "tiles", **settings).open()


def of_manifest(folder: Path, **settings: bool) -> Cohort:
    (folder / "who.csv").write_text(f"slide_id,patient_id\n{SLIDE},007\n")
    return SlidesSpec(tiles=folder / "tiles", manifest=folder / "who.csv", **settings).open()


def of_tcga(folder: Path, **settings: bool) -> Cohort:
    return TcgaSpec(tiles=folder / "tiles", **settings).open()


def of_patches(folder: Path, **settings: bool) -> Cohort:
    where = {"manifest": folder / "dataset.csv", "folder": folder, "slides": folder / "slides"}
    return PatchesHdf5Spec(**where, tile_px=TILE_PX, **settings).open()


SOURCES = pytest.mark.parametrize("opened", [of_slides, of_manifest, of_tcga, of_patches])


@SOURCES
def test_tiles_are_what_pillow_makes_of_them_by_the_profile(folder: Path, opened: Open) -> None:
    stored, changed = opened(folder), opened(folder, srgb=True)
    whole = tissue(SIDE, SIDE)
    for row in range(stored.n_tiles):
        x, y = stored.tile_xy_px0(np.array([row]))[0].tolist()
        tile = whole[y : y + TILE_PX, x : x + TILE_PX]
        np.testing.assert_array_equal(stored.read_tile(row), tile)  # by default as they are
        np.testing.assert_array_equal(changed.read_tile(row), as_pil_converts(tile, linear()))
        assert np.abs(changed.read_tile(row).astype(float) - tile).mean() > 20
    assert np.array_equal(pickle.loads(pickle.dumps(changed)).read_tile(3), changed.read_tile(3))


@SOURCES
def test_it_tells_caches_apart_and_changes_no_fingerprint_by_default(folder: Path, opened: Open) -> None:
    stored, plain, changed = opened(folder), opened(folder, srgb=False), opened(folder, srgb=True)
    assert stored.fingerprint == plain.fingerprint != changed.fingerprint
    assert stored.source.freshness == plain.source.freshness != changed.source.freshness


def test_fingerprints_are_those_from_before_there_was_srgb(folder: Path) -> None:
    cut = of_slides(folder).source
    assert cut.fingerprint == digest(["slides", cut.hashes, cut.mpps])  # type: ignore[attr-defined]
    (file,) = of_patches(folder).source.files  # type: ignore[attr-defined]
    size = (folder / "slides" / f"{SLIDE}.tif").stat().st_size
    assert of_patches(folder).source.fingerprint == digest(["patches", [(file.places, file.extent_px0, size)]])


def test_pixels_that_lie_in_hdf5_have_no_profile(folder: Path) -> None:
    settings = {"manifest": str(folder / "dataset.csv"), "folder": str(folder), "tile_px": TILE_PX}
    assert validate(settings, PatchesHdf5Spec, where="cohort").open().n_tiles == 9
    with pytest.raises(UserError, match="srgb: pixels stored in HDF5 have no colour profile; set slides="):
        validate({**settings, "srgb": True}, PatchesHdf5Spec, where="cohort")
