"""What `hlss cohort inspect` finds, against cohorts whose faults are put there."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from hlss.cli import app
from hlss.cohorts.manifest import ManifestSpec
from hlss.cohorts.pack import PackRecipe
from hlss.jobs.inspect_counts import of_several
from hlss.jobs.inspect_pixels import look
from hlss.jobs.inspect_sites import cramers_v, sites_and_classes
from hlss.jobs.setup import evenly

PATIENTS, IMAGES = 8, 2


@pytest.fixture
def rows() -> list[dict[str, str]]:
    """8 patients of 2 classes at 2 sites, crossed, with a slide of 2 images each, 4 tiles an image."""
    return [
        {
            "patient_id": f"p{p}",
            "slide_id": f"s{p}",
            "path": f"{p}-{i}.png",
            "label": "ab"[p % 2],
            "site": "xy"[p // 2 % 2],
            "split": "train" if p < 6 else "test",
            "mpp": "0.5",
        }
        for p in range(PATIENTS)
        for i in range(IMAGES)
    ]


@pytest.fixture
def inspected(experiment: Path, tmp_path: Path) -> Any:
    """Write the rows and their images, unless they stand there, and inspect: (result of the command, JSON)."""

    def run(rows: list[dict[str, str]], *arguments: object) -> tuple[Result, dict[str, Any]]:
        for number, row in enumerate(rows):
            if not (tmp_path / row["path"]).exists():
                pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / row["path"])
        with (tmp_path / "manifest.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        tree = yaml.safe_load(experiment.read_text())
        tree["cohort"] = {"name": "manifest", "path": str(tmp_path / "manifest.csv"), "tile_px": 32}
        tree["split"] = {"kind": "given"}
        experiment.write_text(yaml.safe_dump(tree))
        command = ["cohort", "inspect", str(experiment), "--json", str(tmp_path / "found.json"), *map(str, arguments)]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        return result, json.loads((tmp_path / "found.json").read_text())

    return run


def test_a_sound_cohort_is_counted_and_nothing_stops_it(
    rows: list[dict[str, str]], inspected: Any, tmp_path: Path
) -> None:
    result, found = inspected(rows)
    assert result.exit_code == 0, result.output
    assert "No problem found" in result.output
    counted = {"patients": 8, "slides": 8, "images": 16, "tiles": 64}
    half = {name: n // 2 for name, n in counted.items()}
    assert {name: found[name] for name in counted} == counted
    assert found["classes"] == {"a": half, "b": half}
    assert found["sites"] == {"x": half, "y": half}
    assert found["tiles_per_slide"] == {"least": 8, "median": 8.0, "most": 8}
    assert found["given_splits"] == {"test": 2, "train": 6}
    assert found["image_mpp"] == {"least": 0.5, "most": 0.5, "known": 16, "asked": 16}
    assert found["sides"]["test"] == {"patients": 2, "slides": 2, "tiles": 16, "classes": {"a": 1, "b": 1}}
    assert found["checked"] == {"files": 16, "tiles": 64, "unreadable": 0, "blank": 0, "constant": 0}
    assert found["sites_and_classes"]["v"] == 0
    assert found["sites_on_both_sides"] == ["y"]
    assert found["problems"] == found["duplicates"] == found["unreadable"] == []
    cohort = ManifestSpec(path=tmp_path / "manifest.csv", tile_px=32).open()
    assert found["pack_bytes"] == sum(len(PackRecipe().encode(cohort.read_tile(row))) for row in range(64))


def test_the_same_image_of_two_patients_ends_with_1_and_names_both(
    rows: list[dict[str, str]], inspected: Any, tmp_path: Path
) -> None:
    inspected(rows)
    (tmp_path / "7-1.png").write_bytes((tmp_path / "0-0.png").read_bytes())
    result, found = inspected(rows)
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert line == f"hlss: {found['problems'][0]}" == f"hlss: {found['duplicates'][0]}"
    assert all(name in line for name in ("0-0.png", "7-1.png", "'p0'", "'p7'"))


def test_what_cannot_be_read_is_counted_with_its_reason(
    rows: list[dict[str, str]], inspected: Any, tmp_path: Path
) -> None:
    inspected(rows)
    whole = (tmp_path / "3-0.png").read_bytes()
    (tmp_path / "3-0.png").write_bytes(whole[:5000])
    result, found = inspected(rows)
    assert result.exit_code == 1  # 1 of 16 is more than 5 %
    (row,) = found["unreadable"]
    assert row["path"] == str(tmp_path / "3-0.png")
    assert "cut short" in row["reason"]
    assert found["checked"]["unreadable"] == 4
    assert "1 of 16 images cannot be read" in result.stderr
    assert inspected(rows, "train.max_unreadable=0.1")[0].exit_code == 0


def test_a_split_that_cannot_be_made_is_a_problem_beside_the_counts(rows: list[dict[str, str]], inspected: Any) -> None:
    for row in rows:
        row["split"] = "" if row["patient_id"] == "p3" else row["split"]
    result, found = inspected(rows)
    assert result.exit_code == 1
    assert "'p3' has no split" in result.stderr
    assert (found["patients"], found["sides"]) == (8, {})
    result, found = inspected(rows, "split={kind: random}", "batches.by_site=true")
    assert result.exit_code == 1
    assert "no site has the 4 patients of a batch" in result.stderr


def test_a_cohort_that_does_not_open_is_one_line(experiment: Path, tmp_path: Path, capsys: Any) -> None:
    from hlss.cli import main

    with pytest.raises(SystemExit) as left:
        main(["cohort", "inspect", str(experiment), f"cohort={{name: manifest, path: {tmp_path / 'none.csv'}}}"])
    assert left.value.code == 1
    assert "no such manifest" in capsys.readouterr().err


def test_oddities_are_notes_and_stop_nothing(rows: list[dict[str, str]], inspected: Any) -> None:
    rows[1]["label"] = "b"  # p0 has both
    rows[2]["patient_id"] = rows[3]["patient_id"] = "P2"
    rows[14]["label"] = rows[15]["label"] = "only in test"
    result, found = inspected(rows)
    assert result.exit_code == 0
    notes = "\n".join(found["notices"])
    assert "1 patients have images of several classes: p0" in notes
    assert "patients 'P2' and 'p2' differ by case" in notes
    assert "class 'only in test' (1 patients) has none on the train side" in notes
    assert "1 sites are on both sides of the split: y" in notes


def test_blank_and_one_coloured_tiles_are_told_apart(
    rows: list[dict[str, str]], inspected: Any, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), (240, 240, 240)).save(tmp_path / "0-0.png")
    glass = np.random.default_rng(0).normal(240, 1, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(glass).save(tmp_path / "1-0.png")
    _, found = inspected(rows)
    assert (found["checked"]["constant"], found["checked"]["blank"]) == (4, 4)


def test_all_tiles_of_one_colour_are_a_problem(rows: list[dict[str, str]], inspected: Any, tmp_path: Path) -> None:
    for shade, row in enumerate(rows):
        Image.new("RGB", (64, 64), (shade, 0, 0)).save(tmp_path / row["path"])
    result, _ = inspected(rows)
    assert result.exit_code == 1
    assert "every tile looked at is of one colour" in result.stderr


def test_the_picture_shows_tiles_of_each_class(rows: list[dict[str, str]], inspected: Any, tmp_path: Path) -> None:
    for row in rows:
        colour = (255, 0, 0) if row["label"] == "a" else (0, 0, int(row["path"][0]) * 20 + int(row["path"][2]))
        Image.new("RGB", (64, 64), colour).save(tmp_path / row["path"])
    inspected(rows, "--picture", tmp_path / "tiles.png")
    pixels = np.asarray(Image.open(tmp_path / "tiles.png"))
    red = (pixels == (255, 0, 0)).all(-1)
    blue = (pixels[..., :2] == 0).all(-1) & (pixels[..., 2] > 0)
    assert red[: len(red) // 2].sum() == 8 * 112 * 112
    assert not red[len(red) // 2 :].any()
    assert (
        len(np.unique(pixels[len(red) // 2 :][blue[len(red) // 2 :]][:, 2])) >= 4
    )  # tiles of every slide of the class


def test_a_picture_of_another_format_is_refused(rows: list[dict[str, str]], inspected: Any, tmp_path: Path) -> None:
    from hlss.errors import UserError

    with pytest.raises(UserError, match=r"tiles.gif: a picture is a .jpg or .png"):
        inspected(rows, "--picture", tmp_path / "tiles.gif")


def cohort_of(tmp_path: Path, given: list[tuple[str, str, str]]) -> Any:
    """(patient, class, site) of an image each."""
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    lines = ["patient_id,slide_id,path,label,site"]
    for number, (patient, label, site) in enumerate(given):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        lines.append(f"{patient},s{number},{number}.png,{label},{site}")
    (tmp_path / "sites.csv").write_text("\n".join(lines) + "\n")
    return ManifestSpec(path=tmp_path / "sites.csv", tile_px=32).open()


@pytest.mark.parametrize(
    ("labels", "sites", "words"),
    [
        ("aaaabbbb", "xxyyzzww", "every site has one class: site predicts the class"),
        ("aaaabbbb", "xyxyxyxy", "no sign that class hangs on site"),
        ("aaaabbbb", "12345678", "every patient has a site of its own"),
        ("aaaaaaabbbbbbbba", "xxxxxxxyyyyyyyyy", "class hangs on site"),
        ("aaaaaaaa", "xxxxyyyy", "nothing to compare: 8 patients"),
        ("aaaabbbb", "        ", "no sites are known"),
        ("        ", "xxxxyyyy", "no classes are known"),
    ],
)
def test_whether_class_hangs_on_site_is_said_in_words(tmp_path: Path, labels: str, sites: str, words: str) -> None:
    given = [(f"p{i}", a.strip(), s.strip()) for i, (a, s) in enumerate(zip(labels, sites, strict=True))]
    found = sites_and_classes(cohort_of(tmp_path, given))
    assert words in found.words
    assert found == sites_and_classes(cohort_of(tmp_path, given))


def test_cramers_v_by_hand_and_p_by_counting() -> None:
    label, site = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    # 2×2 table (2 1 / 0 3): φ = (2·3 − 1·0) / √(3·3·2·4)
    assert cramers_v(label, site) == pytest.approx(6 / np.sqrt(72))
    assert cramers_v(label, label) == pytest.approx(1)
    assert cramers_v(label, np.zeros(6, dtype=np.int64)) == 0


def test_p_is_the_share_of_permutations_as_extreme(tmp_path: Path) -> None:
    given = [(f"p{i}", "aaabbb"[i], "xxxyyy"[i]) for i in range(6)]
    found = sites_and_classes(cohort_of(tmp_path, given))
    assert found.v == pytest.approx(1)
    assert found.p == pytest.approx(2 / 20, abs=0.03)  # 2 of the 20 ways to choose 3 of 6 part them as cleanly


def test_a_patient_of_two_sites_or_classes_is_not_asked(tmp_path: Path) -> None:
    given = [(f"p{i}", "ab"[i % 2], "xy"[i // 2 % 2]) for i in range(8)] + [("p0", "b", "x"), ("p1", "b", "y")]
    cohort = cohort_of(tmp_path, given)
    assert sites_and_classes(cohort).patients == 6
    assert of_several(cohort, cohort.image_label) == ["p0"]
    assert of_several(cohort, cohort.image_site) == ["p1"]


def test_no_tile_is_looked_at_where_none_is_asked_for(tmp_path: Path) -> None:
    cohort = cohort_of(tmp_path, [("p", "a", "x")])
    assert look(cohort, 0, None).tiles == 0
    found = [evenly(n, most).tolist() for n, most in ((10, 3), (2, 5), (0, 5), (5, 1))]
    assert found == [[0, 4, 9], [0, 1], [], [0]]
