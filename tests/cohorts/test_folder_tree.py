"""Folders of images whose names say who they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hlss.cohorts.folder_tree import FolderTreeSpec
from hlss.config import validate
from hlss.errors import UserError

Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """put(paths): images of 20×20 px that hold their number; the root."""

    def write(*paths: str, side: int = 20) -> Path:
        for number, path in enumerate(paths):
            place = tmp_path / "root" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((side, side, 3), number, np.uint8)).save(place)
        return tmp_path / "root"

    return write


def test_patient_and_slide_are_the_folders(put: Put) -> None:
    root = put("08/b/1.png", "007/a/2.jpg", "007/a/1.tif", "007/c/1.PNG")
    cohort = FolderTreeSpec(root=root, tile_px=20).open()
    assert (cohort.patients, cohort.slides) == (("007", "08"), ("a", "c", "b"))
    assert [Path(cohort.source.image_name(i)).relative_to(root).as_posix() for i in range(4)] == [
        "007/a/1.tif",
        "007/a/2.jpg",
        "007/c/1.PNG",
        "08/b/1.png",
    ]
    assert [int(cohort.read_tile(row)[0, 0, 0]) for row in range(4)] == [2, 1, 3, 0]
    assert cohort.classes == cohort.sites == cohort.splits == ()
    assert cohort.name == "root"


def test_slides_of_one_name_belong_to_their_patients(put: Put) -> None:
    cohort = FolderTreeSpec(root=put("p/1/x.png", "q/1/x.png"), tile_px=20).open()
    assert cohort.slides == ("p/1", "q/1")
    assert cohort.slide_patient.tolist() == [0, 1]


def test_levels_say_what_a_folder_means(put: Put) -> None:
    root = put("train/lgg/s1/p/tiles/x.png", "test/gbm/s2/q/tiles/y.png")
    cohort = FolderTreeSpec(root=root, tile_px=20, levels=["split", "class", "site", "patient", "any"]).open()
    assert (cohort.patients, cohort.slides) == (("p", "q"), ("x", "y"))
    assert [cohort.classes[label] for label in cohort.patient_label] == ["lgg", "gbm"]
    assert [cohort.sites[site] for site in cohort.patient_site] == ["s1", "s2"]
    assert [cohort.splits[side] for side in cohort.patient_split] == ["train", "test"]


def test_a_patient_in_two_splits_is_refused(put: Put) -> None:
    root = put("train/p/a/x.png", "test/p/b/x.png")
    with pytest.raises(UserError, match="'p' stands in two splits"):
        FolderTreeSpec(root=root, tile_px=20, levels=["split", "patient", "slide"]).open()


def test_large_images_are_cut_at_the_resolution_asked_for(put: Put) -> None:
    root = put("p/a/x.png", side=80)
    assert FolderTreeSpec(root=root, tile_px=20).open().n_tiles == 16
    assert FolderTreeSpec(root=root, tile_px=20, mpp=1.0, image_mpp=0.5).open().n_tiles == 4
    assert FolderTreeSpec(root=root, tile_px=20, overlap_px=10).open().n_tiles == 49


def test_hidden_files_and_other_files_are_skipped(put: Put) -> None:
    root = put("p/a/x.png", ".hidden/a/y.png", "p/a/.y.png", "p/.a/x.png")
    (root / "p/a/notes.txt").write_text("no image")
    (root / "readme.md").write_text("no image")
    assert FolderTreeSpec(root=root, tile_px=20).open().n_tiles == 1


def test_images_at_another_depth_are_counted(put: Put) -> None:
    root = put("p/a/x.png", "p/y.png", "z.png")
    with pytest.raises(UserError, match=r"2 of 3 images do not lie as PATIENT/SLIDE/image, the first p/y\.png"):
        FolderTreeSpec(root=root, tile_px=20).open()


def test_an_endless_folder_and_a_way_out_are_refused(put: Put, tmp_path: Path) -> None:
    root = put("p/a/x.png")
    (root / "p/b").symlink_to(root / "p")
    with pytest.raises(UserError, match="an endless folder"):
        FolderTreeSpec(root=root, tile_px=20).open()
    (root / "p/b").unlink()
    (tmp_path / "elsewhere").mkdir()
    (root / "p/b").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="outside"):
        FolderTreeSpec(root=root, tile_px=20).open()


def test_names_that_differ_by_case_only_are_refused(put: Put) -> None:
    with pytest.raises(UserError, match=r"'P' and 'p' differ by case or spelling only"):
        FolderTreeSpec(root=put("P/a/x.png", "p/b/y.png"), tile_px=20).open()


def test_unreadable_images_are_listed_or_too_many(put: Put) -> None:
    root = put("p/a/x.png", "p/a/y.png")
    (root / "p/a/y.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 2 images cannot be read.*y\.png: the file is empty"):
        FolderTreeSpec(root=root, tile_px=20).open()
    cohort = FolderTreeSpec(root=root, tile_px=20, max_unreadable=0.5).open()
    assert (cohort.n_tiles, cohort.problems) == (1, ((str(root / "p/a/y.png"), "the file is empty"),))


def test_no_folder_and_no_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        FolderTreeSpec(root=tmp_path / "x").open()
    with pytest.raises(UserError, match="there is no image in this folder"):
        FolderTreeSpec(root=tmp_path).open()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"levels": ["class", "slide"]}, "levels must name the patient"),
        ({"levels": ["patient", "slide", "slide"]}, "levels name 'slide' twice"),
        ({"levels": ["patient", "block"]}, "levels"),
        ({"mpp": 0.5}, "needs an image_mpp"),
        ({"mpp": 0.25, "image_mpp": 0.5}, "needs an image_mpp that is no coarser"),
        ({"overlap_px": 224}, "overlap_px=224 must be smaller"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(UserError, match=match):
        validate({"root": "x", **settings}, FolderTreeSpec, where="cohort")
