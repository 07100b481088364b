"""`hlss explain --units` and `--compare` as a user runs them, on features whose meaning is known."""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import stored_features
import yaml
from drawn_run import noise, write_run
from typer.testing import CliRunner

from hlss.cli import app, main
from hlss.cohorts.base import Cohort
from hlss.config import read_settings
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.random import RandomText
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.explain_compare import OF_PATIENTS
from hlss.jobs.explain_sources import NO_CLAIM, sources_of
from hlss.jobs.explain_units import bank_of
from hlss.language.bank import read_bank
from hlss.types import LEVELS, Level

FAST = ("--set", "resamples=100", "--set", "permutations=100")
NAMES = ("first", "second", "third", "fourth")
BANK = {
    "title": "small",
    "domain": "none",
    "provenance": "written for a test",
    **{
        level: [
            {"name": f"{level} {n}", "descriptions": [f"{n} {level} sign of kind {i}" for i in range(4)]} for n in NAMES
        ]
        for level in LEVELS
    },
}
SETTINGS: dict[str, Any] = {
    "name": "small",
    "cohort": {"name": "phantom", "patients": 24, "slides": 2, "side": 4, "tile_px": 32, "classes": 2},
    "split": {"kind": "random", "test": 0.5},
    "loader": {"workers": 0},
    "encoder": {"name": "timm", "architecture": "resnet10t", "input_px": 32, "dim": 16},
    "language": {"bank": "general_he", "text": {"name": "random", "dim": 16}},
    "objective": "hidisc",
}


def direction(level: str, name: str) -> np.ndarray:
    texts = next(one["descriptions"] for one in BANK[level] if one["name"] == f"{level} {name}")
    rows = RandomText(dim=16).build().encode(list(texts)).numpy()
    return rows.mean(axis=0) / np.linalg.norm(rows.mean(axis=0))


def known(cohort: Cohort, labels: np.ndarray) -> np.ndarray:
    """Slide 0 has `slide second`, its patient 3 `patient third`, patches of one class `patch first`."""
    features = np.random.default_rng(0).standard_normal((len(labels), 16))
    slide, patient = cohort.tile_slide(np.arange(len(labels))), cohort.tile_patient(np.arange(len(labels)))
    features += np.outer(slide == 4, 9 * direction("slide", "second"))
    features += np.outer(patient == 3, 9 * direction("patient", "third"))
    return features + np.outer(labels == "spindled", 4 * direction("patch", "first"))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bank") / "bank.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(BANK))))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("units") / "run", SETTINGS, {"last": known, "start": noise(16)})


def explain(run: Path, *arguments: object) -> str:
    result = CliRunner().invoke(app, ["explain", str(run), *map(str, arguments), *FAST], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def explained(run: Path, bank: Path) -> tuple[dict[str, Any], Path, str]:
    out = run.parent / "out"
    kinds = [part for kind in ("patch", "slide", "patient", "class") for part in ("--units", kind)]
    said = explain(run, "--bank", bank, *kinds, "--side", "all", "--out", out, "--top", 2)
    return json.loads((out / "units.json").read_text()), out, said


def unit_of(table: dict[str, Any], level: str, name: str) -> dict[str, Any]:
    (found,) = [unit for unit in table["units"] if unit["level"] == level and unit["name"] == name]
    assert isinstance(found, dict)
    return found


def test_what_was_put_in_comes_out_at_its_level(explained: tuple[dict[str, Any], Path, str], run: Path) -> None:
    (table,) = explained[0]["tables"]  # of a run only its last
    cohort = read_settings(run / "config.yaml", Experiment).cohort.open()
    slide = unit_of(table, "slide", cohort.slides[4])
    assert slide["stands_out"] == ["slide second"]
    best = slide["matches"][0]
    assert best["descriptions"] == [f"second slide sign of kind {i}" for i in range(4)]
    assert best["p_images"] == pytest.approx(1 / 101, abs=1e-4)
    assert best["p_text"] == pytest.approx(1 / 81, abs=1e-4)
    assert (best["corrected"], best["stands_out"]) == (best["q_text"], "yes")
    assert best["sigma"] > 3
    patient = unit_of(table, "patient", cohort.patients[3])
    assert patient["stands_out"] == ["patient third"]
    counts = table["levels"]
    assert counts["slide"]["there_are"] == counts["slide"]["explained"] == 48
    assert counts["slide"]["with_stands_out"] < 12  # the slide, those of the patient, and what chance lets through
    assert counts["patch"] == {**counts["patch"], "there_are": 48 * 16, "explained": 12}
    spindled = next(one for one in table["classes"] if one["class"] == "spindled")
    found = spindled["levels"]["patch"]
    assert found["matches"][0]["characteristic"] == "patch first"
    assert found["matches"][0]["interval"][0] > 0
    assert found["patients"] == [12, 12]


def test_evidence_is_the_unit_s_best_patches_as_they_are_stored(
    explained: tuple[dict[str, Any], Path, str], run: Path
) -> None:
    cohort = read_settings(run / "config.yaml", Experiment).cohort.open()
    features = EmbeddingTable.read(run / "embeddings" / "last").features
    (table,), out = explained[0]["tables"], explained[1]
    shown = unit_of(table, "slide", cohort.slides[4])["matches"][0]["evidence"]
    rows = np.flatnonzero(cohort.tile_slide(np.arange(cohort.n_tiles)) == 4)
    scores = features[rows] @ direction("slide", "second") / np.linalg.norm(features[rows], axis=1)
    best = rows[np.argsort(-scores)][:4]
    assert [(one["x_px0"], one["y_px0"]) for one in shown] == [tuple(p) for p in cohort.tile_xy_px0(best).tolist()]
    for one, tile in zip(shown, best, strict=True):
        pixels = cv2.cvtColor(cv2.imread(str(out / one["file"])), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(pixels, cohort.read_tile(int(tile)))
    of_patient = unit_of(table, "patient", cohort.patients[3])["matches"][0]["evidence"]
    assert len({one["slide"] for one in of_patient}) == 2
    spindled = next(one for one in table["classes"] if one["class"] == "spindled")
    of_class = spindled["levels"]["patch"]["matches"][0]["evidence"]
    assert len({one["patient"] for one in of_class}) == 4


def test_the_table_says_what_the_json_says(explained: tuple[dict[str, Any], Path, str], bank: Path) -> None:
    result, out, said = explained
    (table,) = result["tables"]
    with (out / "units.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    of_units = [(unit["level"], unit["name"], match) for unit in table["units"] for match in unit["matches"]]
    for row, (level, name, match) in zip(rows, of_units, strict=False):
        assert (row["kind"], row["name"], row["characteristic"]) == (level, name, match["characteristic"])
        assert float(row["corrected"]) == match["corrected"]
        assert row["stands_out"] == match["stands_out"]
    kinds = {row["kind"] for row in rows}
    assert kinds == {"patch", "slide", "patient", "class"}
    assert result["bank"]["fingerprint"] == read_bank(bank).fingerprint
    assert result["provenance"]["command"]
    assert result["settings"]["top"] == 2
    for line in ("48 of 48", "slide second", "nothing stands", "nearest:", "class spindled against all others"):
        assert line in said
    assert "… and 28 more in units.json" in said


def test_towers_not_trained_together_claim_nothing(explained: tuple[dict[str, Any], Path, str]) -> None:
    (table,) = explained[0]["tables"]
    assert not table["aligned"]
    assert NO_CLAIM in table["notices"]
    assert NO_CLAIM.split(":")[0] in " ".join(explained[2].split())


def test_only_what_is_named_is_explained(run: Path, bank: Path, tmp_path: Path) -> None:
    cohort = read_settings(run / "config.yaml", Experiment).cohort.open()
    slide, patient = cohort.slides[4], cohort.patients[5]
    x, y = cohort.tile_xy_px0(cohort.slide_tiles(0))[1].tolist()
    named = ("--only", slide, "--only", f"{cohort.slides[0]}:{x}:{y}", "--only", patient)
    kinds = ("--units", "slide", "--units", "patch", "--units", "patient")
    said = explain(run, "--bank", bank, *kinds, *named, "--side", "all", "--out", tmp_path, "--set", "patches=3")
    (table,) = json.loads((tmp_path / "units.json").read_text())["tables"]
    found = {level: [unit["name"] for unit in table["units"] if unit["level"] == level] for level in LEVELS}
    assert (found[Level.SLIDE], found[Level.PATIENT]) == ([slide], [patient])
    assert len(found[Level.PATCH]) == 7
    assert f"{cohort.slides[0]}:{x}:{y}" in found[Level.PATCH]
    assert sum(name.startswith(f"{slide}:") for name in found[Level.PATCH]) == 3
    assert table["classes"] == []
    assert "Output:" in said


def test_a_class_and_a_patch_are_explained_alone(run: Path, bank: Path, tmp_path: Path) -> None:
    cohort = read_settings(run / "config.yaml", Experiment).cohort.open()
    x, y = cohort.tile_xy_px0(cohort.slide_tiles(7))[5].tolist()
    place = f"{cohort.slides[7]}:{x}:{y}"
    named = ("--units", "class", "--units", "patch", "--only", "spindled", "--only", place)
    said = explain(run, "--bank", bank, *named, "--side", "all", "--out", tmp_path)
    (table,) = json.loads((tmp_path / "units.json").read_text())["tables"]
    assert [one["class"] for one in table["classes"]] == ["spindled"]
    assert [(unit["level"], unit["name"]) for unit in table["units"]] == [("patch", place)]
    assert table["levels"]["patch"]["chosen_from"] == table["levels"]["patch"]["explained"] == 1
    assert table["levels"]["class"]["asked"] == 3
    assert table["levels"]["class"]["at_most_by_chance"] == pytest.approx(0.15)
    assert table["levels"]["class"]["truth"] is None  # what this bank's words stand for, nobody knows
    assert "truth is not asked" in " ".join(table["notices"])
    for line in ("class spindled against all others", place, "patch bank", "patient bank"):
        assert line in said
    assert "class follicular" not in said


def test_runs_stand_side_by_side_and_a_name_that_one_lacks_is_refused_before_anything_is_done(
    run: Path, bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start, last = run / "embeddings" / "start", run / "embeddings" / "last"
    explain(start, last, "--bank", bank, "--units", "slide", "--side", "all", "--out", tmp_path)
    tables = json.loads((tmp_path / "units.json").read_text())["tables"]
    assert [table["name"] for table in tables] == ["small · start", "small · last"]
    assert [len(table["units"]) for table in tables] == [48, 48]
    with (tmp_path / "units.csv").open(encoding="utf-8", newline="") as file:
        assert {row["table"] for row in csv.DictReader(file)} == {"small · start", "small · last"}
    table = EmbeddingTable.read(last)
    gone = str(table["slide"][0])
    table.where(np.asarray(table["slide"] != gone)).write(run / "embeddings" / "fewer")
    both = (str(last), str(run / "embeddings" / "fewer"))
    for asked in (
        ("--units", "slide", "--only", gone),
        ("--compare", "spindled", "--compare", str(table["patient"][0])),
    ):
        with pytest.raises(SystemExit):
            main(["explain", *both, "--bank", str(bank), *asked, "--side", "all", "--out", str(tmp_path / "none")])
        assert not (tmp_path / "none").exists()
    assert "explaining" not in capsys.readouterr().err


def test_without_labels_or_with_one_class_no_class_is_explained_and_that_is_said(
    run: Path, bank: Path, tmp_path: Path
) -> None:
    table = EmbeddingTable.read(run / "embeddings" / "last")
    for name, label, said in (("unlabelled", "", "no patch has a label"), ("alike", "one", "all are one")):
        labels = np.full(len(table), label, dtype=object)
        where = run / "embeddings" / name
        EmbeddingTable(table.features, {**table.columns, "label": labels}, table.provenance).write(where)
        printed = explain(where, "--bank", bank, "--units", "class", "--side", "all", "--out", tmp_path / name)
        (found,) = json.loads((tmp_path / name / "units.json").read_text())["tables"]
        assert found["classes"] == []
        assert f"no class is explained: {said}" in " ".join(printed.split())


def test_two_classes_and_two_patients_are_compared(run: Path, bank: Path, tmp_path: Path) -> None:
    said = explain(
        run, "--bank", bank, *("--compare", "spindled", "--compare", "follicular"), "--out", tmp_path, "--side", "all"
    )
    result = json.loads((tmp_path / "compare.json").read_text())
    (table,) = result["tables"]
    patch = table["levels"]["patch"]
    assert (result["a"], result["b"], table["kind"]) == ("spindled", "follicular", "classes")
    assert patch["matches"][0]["characteristic"] == "patch first"
    assert "patch first" in patch["stands_out"]
    assert patch["matches"][0]["auroc"] > 0.8
    assert patch["matches"][0]["interval"][0] > 0.5
    assert patch["units"] == [12 * 32, 12 * 32]
    assert (tmp_path / "compare-small-last.png").stat().st_size > 10_000
    assert "spindled less follicular" in said
    cohort = read_settings(run / "config.yaml", Experiment).cohort.open()
    pair = ("--compare", cohort.patients[3], "--compare", cohort.patients[5])
    explain(run, "--bank", bank, *pair, "--out", tmp_path / "patients", "--side", "all")
    (table,) = json.loads((tmp_path / "patients" / "compare.json").read_text())["tables"]
    assert (table["kind"], table["blocks"]) == ("patients", "parts of slides")
    assert OF_PATIENTS in table["notices"]
    assert table["levels"]["patient"]["matches"][0]["characteristic"] == "patient third"
    assert table["levels"]["patient"]["matches"][0]["interval"][0] > 0


def test_a_class_of_one_patient_and_few_slides_are_told_of(run: Path, bank: Path, tmp_path: Path) -> None:
    table = EmbeddingTable.read(run / "embeddings" / "last")
    first = sorted(set(table["patient"]))[:4]
    kept = table.where(np.isin(table["patient"].astype(str), first))
    labels = np.where(kept["patient"] == first[0], "alone", "others").astype(object)
    labels[kept["patient"] == first[3]] = ""
    few = EmbeddingTable(kept.features, {**kept.columns, "label": labels}, table.provenance)
    few.write(run / "embeddings" / "few")
    where = run / "embeddings" / "few"
    explain(where, "--bank", bank, "--units", "class", "--units", "patient", "--side", "all", "--out", tmp_path)
    (found,) = json.loads((tmp_path / "units.json").read_text())["tables"]
    assert any("class alone: no intervals: 1 and 2 patients" in notice for notice in found["notices"])
    assert any("4 patients: σ among so few says little" in notice for notice in found["notices"])
    alone = next(one for one in found["classes"] if one["class"] == "alone")
    assert all(match["interval"] is None for match in alone["levels"]["patch"]["matches"])


def test_features_without_pixels_are_explained_without_pictures(bank: Path, tmp_path: Path) -> None:
    stored_features.table(width=16).write(tmp_path / "stored")
    settings = {
        **SETTINGS,
        "cohort": {"name": "embeddings", "path": str(tmp_path / "stored")},
        "views": {"preset": "features"},
        "encoder": {"name": "adapter", "width": 16, "words": {"name": "random", "dim": 16}},
    }
    where = write_run(tmp_path / "features", settings, {"last": noise(16)})
    out = tmp_path / "out"
    explain(where, "--bank", bank, "--units", "patch", "--units", "slide", "--side", "all", "--out", out)
    (table,) = json.loads((out / "units.json").read_text())["tables"]
    assert any("no evidence tiles: " in notice and "features, not pixels" in notice for notice in table["notices"])
    assert not (out / "evidence").exists()
    files = {tile["file"] for unit in table["units"] for match in unit["matches"] for tile in match["evidence"]}
    assert files <= {None}


def test_mistakes_are_one_line(run: Path, bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def mistake(*arguments: object) -> str:
        with pytest.raises(SystemExit):
            main(["explain", str(run), *map(str, arguments), *FAST, "--side", "all"])
        (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
        assert line.startswith("hlss: ")
        return line

    slides = ("--bank", bank, "--units", "slide")
    assert "unknown bank 'none'" in mistake("--bank", "none", "--units", "slide")
    assert "no units are called 'tile'. Known: patch, slide, patient, class" in mistake(
        "--bank", bank, "--units", "tile"
    )
    name = str(EmbeddingTable.read(run / "embeddings" / "last")["slide"][0])
    said = mistake(*slides, "--only", name + "x")
    assert f"no slide named '{name}x' on all sides" in said
    assert name in said.split("Meant:")[1]
    assert "no patch named" in mistake("--bank", bank, "--units", "patch", "--only", f"{name}:1:1")
    assert "--only names units" in mistake("--bank", bank, "--only", name)
    assert "markers are of classes" in mistake(*slides, "--markers", "phantom")
    assert "1 names to compare" in mistake("--bank", bank, "--compare", "spindled")
    assert "neither a class nor a patient: nobody" in mistake(
        "--bank", bank, "--compare", "spindled", "--compare", "nobody"
    )
    assert "top" in mistake(*slides, "--set", "top=0")
    said = mistake("--bank", bank, "--units", "class", "--only", "spindle")
    assert "no class named 'spindle' on all sides of small · last. Meant: spindled?" in said
    assert "SLIDE:X:Y" not in said
    assert "no slide named 'spindled'" in mistake(*slides, "--only", "spindled")
    assert "A patch is SLIDE:X:Y" in mistake("--bank", bank, "--units", "patch", "--only", f"{name}:1")
    (run.parent / "file").touch()
    assert "file: this is a file. Name a folder with --out" in mistake(*slides, "--out", run.parent / "file")
    assert "compared with itself" in mistake("--bank", bank, "--compare", "spindled", "--compare", "spindled")


def test_of_few_units_no_count_is_held_against_chance(run: Path, bank: Path, tmp_path: Path) -> None:
    name = str(EmbeddingTable.read(run / "embeddings" / "last")["slide"][0])
    slides = ("--bank", bank, "--units", "slide", "--side", "all")
    few = explain(run, *slides, "--only", name, "--out", tmp_path / "few")
    assert "of 1 slides." in few
    assert "By chance" not in few
    many = " ".join(explain(run, *slides, "--out", tmp_path / "many").split())
    assert "of 48 slides. By chance, were the bank's words shuffled, in" in many


def test_the_bank_is_the_one_that_the_runs_were_trained_with(run: Path, tmp_path: Path) -> None:
    language = read_settings(run / "config.yaml", Experiment).language
    assert language is not None
    untold = {**SETTINGS, "encoder": "tiny", "objective": "hidisc", "language": None}
    plain = write_run(tmp_path / "plain", untold, {"last": noise(128)})
    told, not_told = sources_of([run], "all"), sources_of([plain], "all")
    assert bank_of(None, told) == language.bank
    assert bank_of("he_general", told) == "he_general"
    with pytest.raises(UserError, match="several banks, or none"):
        bank_of(None, [*told, *not_told])
    with pytest.raises(UserError, match="trained without a bank"):
        bank_of(None, not_told)
