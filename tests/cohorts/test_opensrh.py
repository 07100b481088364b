"""A small OpenSRH, written here as it is published."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hlss.cohorts.opensrh import OpenSrhSpec
from hlss.cohorts.splits import SplitSpec, split
from hlss.config import validate
from hlss.errors import Unreadable, UserError

META = {
    "NIO_002": {
        "class": "hgg",
        "slides": {
            "2": {"tumor_patches": ["NIO_002/2/patches/b.tif", "NIO_002/2/patches/a.tif"], "normal_patches": ["x.tif"]},
            "1": {"tumor_patches": ["NIO_002/1/patches/a.tif"], "normal_patches": []},
            "3": {"tumor_patches": [], "normal_patches": ["NIO_002/3/patches/n.tif"]},
        },
    },
    "NIO_001": {
        "class": "normal",
        "slides": {"1": {"tumor_patches": ["NIO_001/1/patches/t.tif"], "normal_patches": ["NIO_001/1/patches/n.tif"]}},
    },
    "007": {"class": "lgg", "slides": {"1": {"tumor_patches": ["007/1/patches/p.tif"], "normal_patches": []}}},
}
SPLIT = {"train": ["NIO_001", "NIO_002"], "val": ["007"]}
USED = ["007/1/patches/p.tif", "NIO_001/1/patches/n.tif", "NIO_002/1/patches/a.tif"]
USED += ["NIO_002/2/patches/a.tif", "NIO_002/2/patches/b.tif"]
Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """put(meta, split): the two files, and the patches that are used, which hold 1000 × their place in USED."""

    def write(meta: Any = META, sides: Any = SPLIT) -> Path:
        (tmp_path / "meta").mkdir(exist_ok=True)
        for name, value in (("opensrh.json", meta), ("train_val_split.json", sides)):
            if value is not None:
                text = value if isinstance(value, str) else json.dumps(value)
                (tmp_path / "meta" / name).write_text(text)
        for number, path in enumerate(USED):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            channels = np.full((2, 300, 300), 1000 * number, dtype=np.uint16)
            tifffile.imwrite(tmp_path / path, channels, photometric="minisblack")
        return tmp_path

    return write


def test_who_and_what_is_in_it(put: Put) -> None:
    cohort = OpenSrhSpec(root=put()).open()
    assert cohort.patients == ("007", "NIO_001", "NIO_002")
    assert cohort.slides == ("007/1", "NIO_001/1", "NIO_002/1", "NIO_002/2")
    assert cohort.classes == ("hgg", "lgg", "normal")
    assert [cohort.classes[label] for label in cohort.patient_label] == ["lgg", "normal", "hgg"]
    assert [cohort.source.image_name(i) for i in range(5)] == [str(put() / path) for path in USED]
    assert cohort.notices == ("1 slides have no patch of their patient's class and are left out",)
    rows = np.arange(cohort.n_tiles)
    assert cohort.tile_slide(rows).tolist() == [0, 1, 2, 3, 3]
    assert not cohort.tile_xy_px0(rows).any()
    for row in rows.tolist():
        green = round(1000 * row / 65536 * 255)
        assert cohort.read_tile(row).reshape(-1, 3).max(axis=0).tolist() == [19, green, green]


def test_its_val_side_is_for_testing(put: Put) -> None:
    sides = split(OpenSrhSpec(root=put()).open(), SplitSpec(kind="given"))
    assert {side: part.patients for side, part in sides.items()} == {
        "train": ("NIO_001", "NIO_002"),
        "test": ("007",),
    }


def test_no_patch_is_opened_before_it_is_read(put: Put) -> None:
    root = put()
    (root / USED[1]).write_bytes(b"II*\0 and no more")
    cohort = OpenSrhSpec(root=root).open()
    assert cohort.n_tiles == 5
    with pytest.raises(Unreadable, match=r"NIO_001/1/patches/n\.tif"):
        cohort.read_tile(1)
    assert cohort.read_tile(2).shape == (300, 300, 3)


def test_missing_patches_are_counted_and_the_first_is_named(put: Put) -> None:
    root = put()
    for path in USED[2:4]:
        (root / path).unlink()
    with pytest.raises(UserError, match=r"2 of 5 listed patches are missing, the first NIO_002/1/patches/a\.tif\."):
        OpenSrhSpec(root=root).open()


def test_missing_or_broken_meta(put: Put, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"opensrh\.json: cannot be read: No such file.*cohort\.root must be"):
        OpenSrhSpec(root=tmp_path).open()
    with pytest.raises(UserError, match=r"train_val_split\.json: cannot be read"):
        OpenSrhSpec(root=put(sides=None)).open()
    with pytest.raises(UserError, match="is no JSON: "):
        OpenSrhSpec(root=put(meta="{")).open()
    with pytest.raises(UserError, match="is no JSON object"):
        OpenSrhSpec(root=put(meta="[]")).open()
    with pytest.raises(UserError, match="'a' stands there twice"):
        OpenSrhSpec(root=put(meta='{"a": 1, "a": 2}')).open()
    with pytest.raises(UserError, match="no patch is listed"):
        OpenSrhSpec(root=put(meta={})).open()
    with pytest.raises(UserError, match="has no list 'val'"):
        OpenSrhSpec(root=put(sides={"train": []})).open()


@pytest.mark.parametrize(
    "entry", [3, {}, {"class": "hgg"}, {"class": "hgg", "slides": {"1": {"normal_patches": []}}}], ids=str
)
def test_a_patient_of_another_form_is_named(put: Put, entry: Any) -> None:
    with pytest.raises(UserError, match=r"opensrh\.json: patient 'NIO_9' lacks `class`"):
        OpenSrhSpec(root=put(meta={**META, "NIO_9": entry})).open()


def test_a_patient_on_both_sides_is_refused(put: Put) -> None:
    with pytest.raises(UserError, match=r"train_val_split\.json: patient '007' stands in train and in val"):
        OpenSrhSpec(root=put(sides={"train": ["007"], "val": ["NIO_001", "007"]})).open()


def test_patients_without_a_side_and_sides_without_a_patient(put: Put) -> None:
    cohort = OpenSrhSpec(root=put(sides={"train": ["NIO_001", "NIO_77"], "val": ["007"]})).open()
    assert cohort.notices[-1] == "1 patients of the split are not in opensrh.json, as 'NIO_77'"
    with pytest.raises(UserError, match="'NIO_002' has no split"):
        split(cohort, SplitSpec(kind="given"))


@pytest.mark.parametrize("path", ["../x.tif", "/etc/passwd", "a/../../x.tif"])
def test_paths_that_leave_the_root_are_refused(put: Put, path: str) -> None:
    meta = {"p": {"class": "hgg", "slides": {"1": {"tumor_patches": [path], "normal_patches": []}}}}
    with pytest.raises(UserError, match="leads out of the root"):
        OpenSrhSpec(root=put(meta=meta)).open()


def test_a_patch_listed_twice_is_refused(put: Put) -> None:
    meta = {**META, "NIO_3": {"class": "hgg", "slides": {"1": {"tumor_patches": [USED[0]], "normal_patches": []}}}}
    with pytest.raises(UserError, match=r"'007/1/patches/p.tif' is listed twice"):
        OpenSrhSpec(root=put(meta=meta)).open()


@pytest.mark.parametrize("changed", [{"tile_px": 224}, {"mpp": 0.5}])
def test_patches_are_whole_or_not_at_all(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="patches are read whole"):
        validate({"root": tmp_path, **changed}, OpenSrhSpec, where="cohort")
