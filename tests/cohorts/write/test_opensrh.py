import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom import PhantomSpec
from hlss.cohorts.write.opensrh import srh, write_opensrh
from hlss.errors import UserError


@pytest.fixture
def cohort() -> Cohort:
    return PhantomSpec(patients=5, slides=2, side=1, tile_px=300, mpp=1.0, classes=2).open()


def written(cohort: Cohort, out: Path, **settings: str) -> tuple[dict, dict]:
    write_opensrh(cohort, out, lambda done, of: None, **settings)
    meta = [json.loads((out / "meta" / name).read_text()) for name in ("opensrh.json", "train_val_split.json")]
    return meta[0], meta[1]


def stained(haematoxylin: float, eosin: float) -> np.ndarray:
    """A pixel of so much of each stain, by Beer and Lambert."""
    absorbed = haematoxylin * np.array([0.65, 0.70, 0.29]) + eosin * np.array([0.07, 0.99, 0.11])
    return np.round(256 * np.exp(-absorbed) - 1).clip(0, 255).astype(np.uint8).reshape(1, 1, 3)


def test_the_layout_is_opensrh_s(tmp_path: Path, cohort: Cohort) -> None:
    meta, sides = written(cohort, tmp_path)
    assert list(meta) == list(cohort.patients)
    for patient, entry in meta.items():
        assert entry["class"] == cohort.classes[cohort.patient_label[cohort.patients.index(patient)]]
        assert len(entry["slides"]) == 2
        for slide, patches in entry["slides"].items():
            assert patches["normal_patches"] == []
            (path,) = patches["tumor_patches"]
            assert path.startswith(f"{patient}/{slide}/patches/")
            pixels = tifffile.imread(tmp_path / path)
            assert (pixels.shape, pixels.dtype) == ((2, 300, 300), np.uint16)
    assert len(list(tmp_path.rglob("*.tif"))) == cohort.n_tiles
    assert set(sides) == {"train", "val"}
    assert sorted(sides["train"] + sides["val"]) == sorted(cohort.patients)
    assert len(sides["val"]) == 1


def test_patches_are_the_tiles_in_order(tmp_path: Path, cohort: Cohort) -> None:
    meta, _ = written(cohort, tmp_path)
    paths = [path for entry in meta.values() for slide in entry["slides"].values() for path in slide["tumor_patches"]]
    for row in (0, 7):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / paths[row]), srh(cohort.read_tile(row)))


def test_one_class_can_be_the_normal_one(tmp_path: Path, cohort: Cohort) -> None:
    meta, _ = written(cohort, tmp_path, normal=cohort.classes[1])
    classes = [entry["class"] for entry in meta.values()]
    assert sorted(set(classes)) == sorted({cohort.classes[0], "normal"})
    for entry in meta.values():
        for slide in entry["slides"].values():
            assert bool(slide["normal_patches"]) == (entry["class"] == "normal") != bool(slide["tumor_patches"])
    renamed = replace(cohort, classes=("normal", cohort.classes[1]))
    assert {e["class"] for e in written(renamed, tmp_path / "b")[0].values()} == {"normal", cohort.classes[1]}


def test_a_given_split_stays_and_its_test_side_is_val(tmp_path: Path, cohort: Cohort) -> None:
    given = replace(cohort, splits=("test", "train", "val"), patient_split=np.array([1, 0, 1, 2, 1]))
    _, sides = written(given, tmp_path)
    names = cohort.patients
    assert sides == {"train": [names[0], names[2], names[4]], "val": [names[1], names[3]]}


def test_one_patient_alone_is_for_training(tmp_path: Path, cohort: Cohort) -> None:
    _, sides = written(cohort.keep_patients([0]), tmp_path)
    assert sides == {"train": [cohort.patients[0]], "val": []}


def test_nuclei_are_dark_in_lipid_and_bright_in_the_difference() -> None:
    def counts(haematoxylin: float, eosin: float) -> np.ndarray:
        return srh(stained(haematoxylin, eosin)).astype(int)[:, 0, 0]

    glass, cytoplasm, fibre, nucleus = counts(0, 0), counts(0, 0.5), counts(0, 1.0), counts(1.5, 0.5)
    assert glass[0] < cytoplasm[0] < fibre[0]
    assert nucleus[0] < cytoplasm[0]
    difference = [channel[1] - channel[0] for channel in (glass, fibre, counts(0.7, 0.5), nucleus)]
    assert difference == sorted(difference)
    assert abs(difference[1]) < 100  # eosin alone makes no difference


def test_no_colour_leaves_the_range_of_the_arithmetic_on_these_channels() -> None:
    values = np.array([0, 1, 80, 160, 254, 255], dtype=np.uint8)
    colours = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(1, -1, 3)
    ch2, ch3 = srh(colours).astype(int)
    assert ch2.min() > 0
    assert ch3.max() < 65_000
    assert (ch3 - ch2 + 5000).min() > 0
    assert len(np.unique(ch2)) > 20


def test_other_tiles_patients_without_class_and_unknown_classes_are_refused(
    tmp_path: Path, drawn: Cohort, cohort: Cohort
) -> None:
    with pytest.raises(UserError, match=r"300 px, the cohort's tiles 32 px\. .*tile_px=300"):
        written(drawn, tmp_path)
    with pytest.raises(UserError, match=r"unknown class 'x'\. Known: "):
        written(cohort, tmp_path, normal="x")
    unlabelled = replace(cohort, image_label=np.full(cohort.n_images, -1))
    with pytest.raises(UserError, match="5 of 5 patients have no class or several"):
        written(unlabelled, tmp_path)
    assert not list(tmp_path.iterdir())
