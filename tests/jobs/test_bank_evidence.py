"""Example patches beside a characteristic, from a run whose best and worst matches are known."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import stored_features
from drawn_run import noise, write_run

from hlss.cohorts.base import Cohort
from hlss.config import read_settings
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.random import RandomText
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs import bank_evidence
from hlss.jobs.bank_beside import beside
from hlss.jobs.bank_evidence import cohort_evidence
from hlss.jobs.explain_sources import NO_CLAIM
from hlss.jobs.table_pixels import SIDE_PX, png_of
from hlss.language.review.entries import Wording
from hlss.language.review.evidence import Picture
from hlss.types import Level

SETTINGS: dict[str, Any] = {
    "name": "small",
    "cohort": {"name": "phantom", "patients": 12, "slides": 1, "side": 2, "tile_px": 32, "classes": 2},
    "split": {"kind": "random", "test": 0.5},
    "loader": {"workers": 0},
    "encoder": {"name": "timm", "architecture": "resnet10t", "input_px": 32, "dim": 16},
    "language": {"bank": "general_he", "text": {"name": "random", "dim": 16}},
    "objective": "hidisc",
}
TEXTS = ("the first way", "the second way", "the third way", "the fourth way")
LIKE, UNLIKE = (41, 6, 12, 3), (30, 21, 25, 17)  # tiles, four a patient, by how much they are like the text


def wording(level: Level | None = Level.PATCH, texts: tuple[str, ...] = TEXTS) -> Wording:
    return Wording(level=level, name="something", descriptions=texts)


def made_known(cohort: Cohort, labels: np.ndarray) -> np.ndarray:
    """Noise across the text, but for the tiles LIKE and UNLIKE it, along the text; their lengths say nothing."""
    unit = RandomText(dim=16).build().encode(list(TEXTS)).numpy()
    text = unit.mean(axis=0) / np.linalg.norm(unit.mean(axis=0))
    rng = np.random.default_rng(0)
    features = rng.standard_normal((len(labels), 16))
    features -= np.outer(features @ text, text)
    for sign, tiles in ((1, LIKE), (-1, UNLIKE)):
        for rank, tile in enumerate(tiles):
            features[tile] += sign * (40 - 8 * rank) * text
    return features * rng.uniform(0.1, 10, (len(labels), 1))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("evidence") / "run", SETTINGS, {"last": made_known, "start": noise(16)})


def cohort_of(run: Path) -> Cohort:
    cohort: Cohort = read_settings(run / "config.yaml", Experiment).cohort.open()
    return cohort


def pixels_of(picture: Picture) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(picture.png, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def slide_of(picture: Picture) -> str:
    return picture.caption.split(",")[0]


@pytest.mark.parametrize("level", [Level.PATCH, None])
def test_the_patches_that_were_made_to_match_are_shown_as_they_are_stored(run: Path, level: Level | None) -> None:
    found, cohort = cohort_evidence(run)(wording(level)), cohort_of(run)
    assert found is not None
    for pictures, tiles, sign in ((found.best, LIKE, "+"), (found.worst, UNLIKE, "-")):
        assert len(pictures) == 4
        for picture, tile in zip(pictures, tiles, strict=True):
            x, y = cohort.tile_xy_px0(np.array([tile]))[0]
            assert picture.caption.startswith(f"{cohort.slides[tile // 4]}, x {x}, y {y} px: {sign}")
            np.testing.assert_array_equal(pixels_of(picture), cohort.read_tile(tile))


def test_slides_and_patients_show_their_patch_that_comes_nearest(run: Path) -> None:
    evidence, cohort = cohort_evidence(run), cohort_of(run)
    for level, told in ((Level.SLIDE, "(the slide)"), (Level.PATIENT, "(the patient)")):
        found = evidence(wording(level))
        assert found is not None
        assert {slide_of(picture) for picture in found.best} == {cohort.slides[tile // 4] for tile in LIKE}
        assert {slide_of(picture) for picture in found.worst} == {cohort.slides[tile // 4] for tile in UNLIKE}
        assert all(picture.caption.endswith(told) for picture in (*found.best, *found.worst))
        shown = [pixels_of(picture).tolist() for picture in found.best]
        assert all(cohort.read_tile(tile).tolist() in shown for tile in LIKE)
        worst = [pixels_of(picture).tolist() for picture in found.worst]
        assert all(cohort.read_tile(tile).tolist() not in worst for tile in UNLIKE)  # others come nearer


def test_pictures_follow_the_wording_and_only_the_last_are_kept(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_evidence, "KEPT", 3)
    evidence = cohort_evidence(run)
    first = evidence(wording())
    assert evidence(wording()) is first
    assert evidence(wording(texts=("something else", *TEXTS[1:]))) != first
    for number in range(3):
        evidence(wording(texts=(f"edit {number}", *TEXTS[1:])))
    again = evidence(wording())
    assert again == first
    assert again is not first


def test_towers_not_trained_together_are_told_of_and_the_run_s_tower_serves_neighbours(run: Path) -> None:
    found = beside(None, run)
    assert found.notices[0] == NO_CLAIM
    assert any("random vectors" in notice for notice in found.notices)
    assert found.neighbours.measure == "cosine"
    assert beside(None, None)[1:] == (None, ())
    assert beside(None, None).neighbours.measure == "shared words"
    assert beside("random", None).neighbours.measure == "cosine"
    with pytest.raises(UserError, match="unknown"):
        beside("no_such", None)


def test_a_side_and_a_table_are_chosen(run: Path) -> None:
    found = cohort_evidence(run, "test")(wording())
    assert found is not None
    cohort = cohort_of(run)
    allowed = {cohort.slides[patient] for patient in range(12) if patient // 2 % 2}
    assert {slide_of(picture) for picture in (*found.best, *found.worst)} <= allowed
    start = cohort_evidence(run / "embeddings" / "start")(wording())
    assert start is not None
    assert start != cohort_evidence(run)(wording())
    with pytest.raises(UserError, match="no patch is on the val side"):
        cohort_evidence(run, "val")


def test_what_cannot_be_used_is_one_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither a run nor an embedding table"):
        cohort_evidence(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(run / "config.yaml", empty)
    with pytest.raises(UserError, match="this run has no embeddings"):
        cohort_evidence(empty)
    narrow = write_run(tmp_path / "narrow", SETTINGS, {"last": noise(8)})
    with pytest.raises(UserError, match="features have 8 dimensions, texts of the run's text tower 16"):
        cohort_evidence(narrow)
    several = write_run(tmp_path / "several", SETTINGS, {"step-2": noise(16), "step-4": noise(16)})
    with pytest.raises(UserError, match=r"several tables: step-2, step-4\. Name one"):
        cohort_evidence(several)
    long = wording(texts=("word " * 10_001, *TEXTS[1:]))
    with pytest.raises(UserError, match="patch / something: a description is longer than the 10000 tokens"):
        cohort_evidence(run)(long)


def test_a_table_of_other_settings_or_another_cohort_is_told_of(run: Path, tmp_path: Path) -> None:
    other = shutil.copytree(run, tmp_path / "other")
    settings = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(settings.replace("patients: 12", "patients: 2"))
    evidence = cohort_evidence(other)
    assert any("embedded with other settings" in notice for notice in evidence.notices)
    found = evidence(wording())
    assert found is not None
    lines = [picture.caption for picture in (*found.best, *found.worst)]
    gone = [line for line in lines if "the run's cohort has no patch at" in line]
    assert len(gone) == 6  # but for tiles 6 and 3 all are of patients that are not there


def test_where_no_picture_can_be_had_the_reason_is_all(run: Path, tmp_path: Path) -> None:
    table = EmbeddingTable.read(run / "embeddings" / "last")
    renamed = {**table.columns, "slide": np.array([f"X{name}" for name in table["slide"]], dtype=object)}
    EmbeddingTable(table.features, renamed, table.provenance).write(run / "embeddings" / "renamed")
    evidence = cohort_evidence(run / "embeddings" / "renamed")
    with pytest.raises(UserError, match=r"^XP\d+-00: the run's cohort has no patch at x \d+, y \d+\. Embed the cohort"):
        evidence(wording())
    stored_features.table(width=16).write(tmp_path / "stored")
    features = {
        **SETTINGS,
        "cohort": {"name": "embeddings", "path": str(tmp_path / "stored")},
        "views": {"preset": "features"},
        "encoder": {"name": "adapter", "width": 16, "words": {"name": "random", "dim": 16}},
    }
    without = cohort_evidence(write_run(tmp_path / "features", features, {"last": noise(16)}))
    with pytest.raises(UserError, match="features, not pixels: there are no pictures"):
        without(wording())


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A run on image files, two of each slide, so that slide and place do not tell a patch."""
    for number in range(24):
        for image in range(2):
            path = tmp_path / "images" / f"P{number}" / f"S{number}" / f"{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((32, 32, 3), 10 * number + image, np.uint8))
    cohort = {"name": "folder_tree", "root": str(tmp_path / "images"), "tile_px": 32}
    return write_run(tmp_path / "run", {**SETTINGS, "cohort": cohort}, {"last": noise(16)})


def test_of_several_images_of_a_slide_the_right_one_is_read(stored: Path) -> None:
    table = EmbeddingTable.read(stored / "embeddings" / "last")
    found = cohort_evidence(stored)(wording())
    assert found is not None
    unit = RandomText(dim=16).build().encode(list(TEXTS)).numpy().mean(axis=0)
    scores = table.features @ unit / np.linalg.norm(table.features, axis=1)
    image = Path(str(table["image"][scores.argmax()]))
    value = 10 * int(image.parent.name[1:]) + int(image.stem)
    assert (pixels_of(found.best[0]) == value).all()


def test_files_that_are_gone_leave_a_line_in_the_place_of_pictures(stored: Path) -> None:
    evidence, other = cohort_evidence(stored), wording(texts=("a", "b", "c", "d"))
    shown, whole = evidence(wording()), cohort_evidence(stored)(other)
    assert shown is not None
    assert whole is not None
    slide = slide_of(whole.best[0])
    assert slide not in {slide_of(picture) for picture in (*shown.best, *shown.worst)}  # so not yet read
    shutil.rmtree(stored.parent / "images" / slide.replace("S", "P"))
    found = evidence(other)
    assert found is not None
    assert "cannot be read" in found.best[0].caption
    assert (pixels_of(found.best[0]) == 128).all()
    assert found.best[1:] == whole.best[1:]
    shutil.rmtree(stored.parent / "images")
    assert evidence(wording()) is shown
    gone = cohort_evidence(stored)
    with pytest.raises(UserError, match="images"):
        gone(wording())
    with pytest.raises(UserError, match="images"):
        gone(wording())


@pytest.mark.parametrize(("shape", "shown"), [((320, 200), (160, 100)), ((224, 224), (160, 160)), ((96, 96), (96, 96))])
def test_pictures_are_small_and_never_enlarged(shape: tuple[int, int], shown: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = pixels_of(Picture(png_of(pixels), ""))
    assert found.shape == (*shown, 3)
    assert max(found.shape) <= SIDE_PX
    np.testing.assert_allclose(found.mean(axis=(0, 1)), pixels.mean(axis=(0, 1)), atol=1)
