"""What every cohort source must hold, run over all that are registered."""

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from cut_slides import cut_slides
from gdc_folder import gdc_cohort
from PIL import Image
from stored_features import hdf5_cohort, table

from hlss.cohorts.base import Cohort, CohortSpec, FeatureSource
from hlss.cohorts.integrity import duplicates
from hlss.cohorts.pack import packed
from hlss.cohorts.splits import SplitSpec, split
from hlss.config import validate
from hlss.registry import COHORTS


def manifest(folder: Path) -> dict[str, Any]:
    lines = ["patient_id,slide_id,path,label"]
    random = np.random.default_rng(0)
    for i in range(8):
        Image.fromarray(random.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / f"{i}.png")
        lines.append(f"{i // 2:03d},{i:02d},{i}.png,{'ab'[i // 4]}")
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    return {"path": folder / "m.csv", "tile_px": 16}


def embeddings(folder: Path) -> dict[str, Any]:
    table().write(folder / "table")
    return {"path": folder / "table"}


def opensrh(folder: Path) -> dict[str, Any]:
    random, meta = np.random.default_rng(0), {}
    for i in range(4):
        path = f"{i:03d}/1/patches/a.tif"
        (folder / path).parent.mkdir(parents=True)
        channels = random.integers(0, 20_000, (2, 300, 300), dtype=np.uint16)
        tifffile.imwrite(folder / path, channels, photometric="minisblack")
        kinds = {"normal_patches": [path], "tumor_patches": []} if i < 2 else {"tumor_patches": [path]}
        meta[f"{i:03d}"] = {"class": "normal" if i < 2 else "hgg", "slides": {"1": kinds}}
    (folder / "meta").mkdir()
    (folder / "meta" / "opensrh.json").write_text(json.dumps(meta))
    sides = {"train": ["000", "002"], "val": ["001", "003"]}
    (folder / "meta" / "train_val_split.json").write_text(json.dumps(sides))
    return {"root": folder}


def patches_hdf5(folder: Path) -> dict[str, Any]:
    lines, random = ["case_id,slide_id,label"], np.random.default_rng(0)
    for i in range(4):
        with h5py.File(folder / f"{i:02d}.h5", "w") as file:
            file["coords"] = np.array([[0, 0], [64, 0], [0, 64 + i]])
            file["imgs"] = random.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
        lines.append(f"{i // 2:03d},{i:02d},{'ab'[i // 2]}")
    (folder / "dataset.csv").write_text("\n".join(lines) + "\n")
    return {"manifest": folder / "dataset.csv", "folder": folder, "tile_px": 16}


def folder_tree(folder: Path) -> dict[str, Any]:
    random = np.random.default_rng(0)
    for i in range(8):
        (folder / f"{i // 4:03d}" / f"{i // 2:02d}").mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (16, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i // 4:03d}" / f"{i // 2:02d}" / f"{i}.png")
    return {"root": folder, "tile_px": 16}


# Settings of sources that cannot be opened as they come, or not quickly.
SETTINGS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "manifest": manifest,
    "embeddings": embeddings,
    "features_hdf5": hdf5_cohort,
    "slides": cut_slides,
    "tcga": gdc_cohort,
    "opensrh": opensrh,
    "patches_hdf5": patches_hdf5,
    "folder_tree": folder_tree,
}


@pytest.fixture(params=list(COHORTS))
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> CohortSpec:
    settings = SETTINGS.get(request.param, lambda folder: {})(tmp_path)
    made = validate(settings, COHORTS[request.param], where=request.param)
    assert isinstance(made, CohortSpec)
    assert made.name == request.param
    return made


@pytest.fixture
def cohort(spec: CohortSpec) -> Cohort:
    return spec.open()


def test_tiles_are_unique_and_inside_the_tables(cohort: Cohort) -> None:
    rows = np.arange(cohort.n_tiles)
    places = np.column_stack([cohort.image_number[cohort.tile_image(rows)], cohort.tile_xy_px0(rows)])
    assert len(np.unique(places, axis=0)) == cohort.n_tiles > 0
    for numbers, names in (
        (cohort.tile_slide(rows), cohort.slides),
        (cohort.tile_patient(rows), cohort.patients),
    ):
        assert np.unique(numbers).tolist() == list(range(len(names)))
    assert set(np.unique(cohort.tile_label(rows))) <= set(range(-1, len(cohort.classes)))
    assert set(np.unique(cohort.tile_site(rows))) <= set(range(-1, len(cohort.sites)))


def test_ids_are_unique_strings(cohort: Cohort) -> None:
    for names in (cohort.patients, cohort.slides, cohort.classes, cohort.sites):
        assert all(type(name) is str and name for name in names)
        assert len(set(names)) == len(names)


def test_hierarchy_is_a_tree(cohort: Cohort) -> None:
    for slide in range(len(cohort.slides)):
        rows = cohort.slide_tiles(slide)
        assert len(rows) > 0
        assert set(cohort.tile_slide(rows).tolist()) == {slide}
        assert set(cohort.tile_patient(rows).tolist()) == {int(cohort.slide_patient[slide])}
    slides = [s for p in range(len(cohort.patients)) for s in cohort.patient_slides(p).tolist()]
    assert sorted(slides) == list(range(len(cohort.slides)))


def test_patients_stand_on_one_side_only(cohort: Cohort) -> None:
    sides = split(cohort, SplitSpec(kind="kfold", folds=2))
    assert not set(sides["train"].patients) & set(sides["test"].patients)
    assert not set(sides["train"].slides) & set(sides["test"].slides)
    assert set(sides["train"].patients) | set(sides["test"].patients) == set(cohort.patients)


def test_nothing_is_there_twice(cohort: Cohort, tmp_path: Path) -> None:
    assert duplicates(cohort) == []
    known = cohort.source.contents
    assert known is None or all(known[number] for number in cohort.image_number.tolist())
    if not cohort.holds_features:
        assert packed(cohort, tmp_path / "packs").source.contents == known


def content(cohort: Cohort, row: int) -> np.ndarray:
    """Pixels of a tile, or its stored features."""
    return cohort.features(np.array([row]))[0] if cohort.holds_features else cohort.read_tile(row)


def test_tiles_are_rgb_bytes_or_finite_features(cohort: Cohort) -> None:
    found = content(cohort, cohort.n_tiles - 1)
    if not isinstance(cohort.source, FeatureSource):
        assert found.shape == (cohort.tile_px, cohort.tile_px, 3)
        assert found.dtype == np.uint8
        return
    assert found.shape == (cohort.source.dim,)
    assert found.dtype == np.float32
    for view in range(cohort.source.views):
        assert np.isfinite(cohort.features(np.arange(cohort.n_tiles), view)).all()


def test_tiles_are_fresh_and_the_same_each_time(cohort: Cohort) -> None:
    for row in (0, cohort.n_tiles // 2, cohort.n_tiles - 1):
        tile = content(cohort, row)
        assert tile.flags.writeable
        kept = tile.copy()
        tile[...] = 0
        assert np.array_equal(kept, content(cohort, row))


def test_opening_again_gives_the_same_cohort(spec: CohortSpec, cohort: Cohort) -> None:
    again = spec.open()
    assert again.fingerprint == cohort.fingerprint
    assert np.array_equal(content(again, 0), content(cohort, 0))


def test_it_travels_to_workers(cohort: Cohort) -> None:
    copy = pickle.loads(pickle.dumps(cohort))
    assert np.array_equal(content(copy, cohort.n_tiles - 1), content(cohort, cohort.n_tiles - 1))


def test_a_sub_cohort_reads_what_its_parent_does(cohort: Cohort) -> None:
    last = len(cohort.patients) - 1
    part = cohort.keep_patients([last])
    rows = np.flatnonzero(cohort.tile_patient(np.arange(cohort.n_tiles)) == last)
    assert part.n_tiles == len(rows)
    assert part.patients == (cohort.patients[last],)
    assert np.array_equal(content(part, 0), content(cohort, int(rows[0])))
    assert part.fingerprint != cohort.fingerprint
