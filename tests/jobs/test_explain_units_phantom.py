"""Slides of drawn tissue in words: what stands out is what was drawn, and what is said of its truth is so."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from drawn_run import write_run
from typer.testing import CliRunner

from hlss.cli import app
from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.factors import FACTORS
from hlss.cohorts.phantom.truth import tile_truths
from hlss.config import read_settings
from hlss.encoders.base import TextEncoder
from hlss.encoders.random import RandomText
from hlss.encoders.tiny import TinyText
from hlss.experiment import Experiment
from hlss.language.bank import read_bank
from hlss.language.factors import truth_of
from hlss.types import Level

SETTINGS: dict[str, Any] = {
    "name": "drawn",
    "cohort": {"name": "phantom", "patients": 18, "slides": 1, "side": 3, "tile_px": 32, "classes": 3},
    "split": {"kind": "random", "test": 0.5},
    "loader": {"workers": 0, "pack": None},
    "encoder": "tiny",
    "objective": "hidisc",
}
RANDOM: dict[str, Any] = {
    **SETTINGS,
    "encoder": {"name": "timm", "architecture": "resnet10t", "input_px": 32, "dim": 64},
    "language": {"bank": "phantom", "text": {"name": "random", "dim": 64}},
}
GLANDS = ("gland formation", "open tubules")
KINDS = ("patch", "slide", "patient", "class")


GLANDS_COLUMN = FACTORS.index("glands")


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Of all tiles of the cohort, columns as FACTORS."""
    path = tmp_path_factory.mktemp("truth") / "settings.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    cohort = read_settings(path, Experiment).cohort.open()
    return tile_truths(cohort, np.arange(cohort.n_tiles))


def in_words(tower: TextEncoder, glands: np.ndarray) -> np.ndarray:
    """Features along the words for glands, less those of all slide characteristics, as far as glands are drawn."""
    bank = read_bank("phantom")
    rows = {
        name: tower.encode(texts).mean(dim=0).numpy()
        for name, texts in zip(bank.names("slide"), bank.texts("slide"), strict=True)
    }
    away = np.mean([rows[name] for name in GLANDS], axis=0) - np.mean(list(rows.values()), axis=0)
    noise = np.random.default_rng(1).standard_normal((len(glands), len(away)))
    return np.asarray(glands[:, None] * away / np.linalg.norm(away) + 0.03 * noise)


def explained(run: Path, out: Path, *kinds: str) -> tuple[dict[str, Any], str]:
    units = [part for kind in kinds for part in ("--units", kind)]
    command = ["explain", str(run), "--bank", "phantom", *units, "--side", "all", "--out", str(out)]
    settings = ["--set", "permutations=100", "--set", "resamples=100", "--set", "patches=6"]
    result = CliRunner().invoke(app, [*command, *settings], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (table,) = json.loads((out / "units.json").read_text())["tables"]
    assert isinstance(table, dict)
    return table, result.output


def cohort_of(run: Path) -> Cohort:
    return read_settings(run / "config.yaml", Experiment).cohort.open()


def assert_glands_are_found(table: dict[str, Any], cohort: Cohort, glands: np.ndarray) -> None:
    slide = cohort.tile_slide(np.arange(cohort.n_tiles))
    drawn = {name: glands[slide == number].mean() for number, name in enumerate(cohort.slides)}
    slides = [unit for unit in table["units"] if unit["level"] == "slide"]
    said = {unit["name"]: set(unit["stands_out"]) & set(GLANDS) for unit in slides}
    with_glands = [drawn[name] for name, found in said.items() if found]
    without = [drawn[name] for name, found in said.items() if not found]
    assert len(with_glands) >= 3
    assert min(with_glands) > np.mean(without)
    best = max(drawn, key=lambda name: drawn[name])
    (unit,) = [unit for unit in slides if unit["name"] == best]
    assert unit["matches"][0]["characteristic"] in GLANDS
    assert unit["matches"][0]["truth"] == "true"
    assert len(unit["matches"][0]["evidence"]) == 4
    empty = [match for unit in slides for match in unit["matches"] if match["truth"] == "distractor"]
    assert sum(match["stands_out"] == "yes" for match in empty) < len(with_glands)


@pytest.mark.slow  # 2688 sentences through a text tower
def test_glands_stand_out_in_the_words_of_a_tower_that_knows_drawn_tissue(tmp_path: Path, truth: np.ndarray) -> None:
    glands = truth[:, GLANDS_COLUMN]
    run = write_run(tmp_path / "run", SETTINGS, {"last": lambda cohort, labels: in_words(TinyText().build(), glands)})
    table, said = explained(run, tmp_path / "out", "slide")
    assert table["aligned"]
    assert_glands_are_found(table, cohort_of(run), glands)
    for name in GLANDS:
        assert name in said


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, truth: np.ndarray) -> tuple[dict[str, Any], str, Path]:
    folder = tmp_path_factory.mktemp("drawn")
    tower = RandomText(dim=64).build()
    run = write_run(folder / "run", RANDOM, {"last": lambda cohort, labels: in_words(tower, truth[:, GLANDS_COLUMN])})
    return *explained(run, folder / "out", *KINDS), folder


def test_glands_stand_out_where_glands_were_drawn(found: tuple[dict[str, Any], str, Path], truth: np.ndarray) -> None:
    table, said, folder = found
    assert_glands_are_found(table, cohort_of(folder / "run"), truth[:, GLANDS_COLUMN])
    for name in GLANDS:
        assert name in said


def by_hand(
    cohort: Cohort, truth: np.ndarray, kind: str, name: str, bank_level: str, characteristic: str
) -> str | None:
    """Where a unit stands among all of its kind, by counting. truth: of all tiles, columns as FACTORS."""
    meant = truth_of("phantom")[Level(bank_level)][characteristic]
    if meant.factor is None:
        return "distractor"
    every = np.arange(cohort.n_tiles)
    values = truth[:, FACTORS.index(meant.factor)]
    if kind == "patch":
        corners = cohort.tile_xy_px0(every)
        names = [
            f"{cohort.slides[s]}:{x}:{y}" for s, (x, y) in zip(cohort.tile_slide(every), corners.tolist(), strict=True)
        ]
    else:
        owner = {"slide": cohort.tile_slide, "patient": cohort.tile_patient, "class": cohort.tile_label}[kind]
        called = {"slide": cohort.slides, "patient": cohort.patients, "class": cohort.classes}[kind]
        names = [called[number] for number in owner(every)]
    means = {
        one: np.mean([v for v, of in zip(values, names, strict=True) if of == one and np.isfinite(v)] or [np.nan])
        for one in set(names)
    }
    known = [value for value in means.values() if np.isfinite(value)]
    own = means[name]
    if not np.isfinite(own):
        return None
    below = (sum(v < own for v in known) + sum(v == own for v in known) / 2) / len(known)
    below = below if meant.end == "high" else 1 - below
    return "true" if below >= 2 / 3 else "false" if below <= 1 / 3 else "middle"


def test_what_is_said_of_the_truth_is_what_was_drawn(
    found: tuple[dict[str, Any], str, Path], truth: np.ndarray
) -> None:
    table, _, folder = found
    cohort = cohort_of(folder / "run")
    seen: Counter[tuple[str, str | None]] = Counter()
    for kind in ("patch", "slide", "patient"):
        for unit in [unit for unit in table["units"] if unit["level"] == kind][:4]:
            for match in unit["matches"][:3]:
                said = by_hand(cohort, truth, kind, unit["name"], kind, match["characteristic"])
                assert match["truth"] == said, (kind, unit["name"], match["characteristic"])
                seen[kind, said] += 1
    for one in table["classes"]:
        for level, of_bank in one["levels"].items():
            for match in of_bank["matches"][:2]:
                assert match["truth"] == by_hand(cohort, truth, "class", one["class"], level, match["characteristic"])
    assert {said for _, said in seen} >= {"true", "false", "distractor"}


def test_counts_are_those_of_the_units_and_stand_in_every_file(found: tuple[dict[str, Any], str, Path]) -> None:
    table, said, folder = found
    out, printed = folder / "out", " ".join(said.split())
    (counts,) = json.loads((out / "counts.json").read_text())["tables"]
    assert counts["provenance"]["config_hash"] == table["provenance"]["config_hash"] == table["run"]["config_hash"]
    left_out = ("units", "classes", "provenance")
    assert counts == {"provenance": counts["provenance"]} | {k: v for k, v in table.items() if k not in left_out}
    for kind in ("patch", "slide", "patient"):
        units = [unit for unit in table["units"] if unit["level"] == kind]
        count = counts["levels"][kind]
        for verdict, name in (("yes", "stands_out"), ("perhaps", "perhaps")):
            by_truth = Counter(m["truth"] for unit in units for m in unit["matches"] if m["stands_out"] == verdict)
            assert count["truth"][name] == {kind: by_truth[kind] for kind in ("true", "middle", "false", "distractor")}
        assert count["explained"] == len(units) == count["with_stands_out"] + sum(not u["stands_out"] for u in units)
        judged = count["truth"]["stands_out"]
        assert (
            not any(judged.values())
            or (
                f"*: {judged['true']} true, {judged['middle']} in the middle, {judged['false']} false, "
                f"{judged['distractor']} never drawn"
            )
            in printed
        )
    slides = counts["levels"]["slide"]
    assert sum(slides["truth"]["blindly"].values()) == 18 * 32
    assert slides["truth"]["blindly"]["distractor"] == 18 * 8
    chance = slides["by_chance"]["with_stands_out"]
    assert chance["least"] <= chance["mean"] <= chance["most"] < slides["with_stands_out"]
    assert chance["p"] == pytest.approx(1 / 21, abs=1e-4)
    assert f"in {chance['mean']:.1f} ({chance['least']} to {chance['most']} in 20 draws; p 0.048)" in printed
    assert counts["levels"]["patch"]["chosen_from"] == 18 * 9
    with (out / "units.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "slide"]
    of_units = [match for unit in table["units"] if unit["level"] == "slide" for match in unit["matches"]]
    assert [row["truth"] for row in rows] == [match["truth"] or "" for match in of_units]
    assert [float(row["q_units"]) for row in rows] == [match["q_units"] for match in of_units]
    files = [file for row in rows for file in row["evidence"].split(" | ") if file]
    assert files
    assert all((out / file).is_file() for file in files)


def test_two_classes_are_compared_with_what_was_drawn_of_them(
    found: tuple[dict[str, Any], str, Path], truth: np.ndarray
) -> None:
    run, out = found[2] / "run", found[2] / "compared"
    pair = ("follicular", "spindled")
    command = ["explain", str(run), "--bank", "phantom", "--compare", pair[0], "--compare", pair[1], "--side", "all"]
    settings = ["--set", "permutations=100", "--set", "resamples=100", "--top", "32", "--out", str(out)]
    result = CliRunner().invoke(app, [*command, *settings], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (table,) = json.loads((out / "compare.json").read_text())["tables"]
    matches = {match["characteristic"]: match for match in table["levels"]["slide"]["matches"]}
    cohort = cohort_of(run)
    label, glands = cohort.tile_label(np.arange(cohort.n_tiles)), truth[:, GLANDS_COLUMN]
    means = [glands[label == cohort.classes.index(name)].mean() for name in pair]
    away = (means[0] - means[1]) / glands.std()
    assert away > 0.2
    open_glands, solid = matches["gland formation"], matches["solid growth"]
    assert open_glands["drawn_sigma"] == pytest.approx(away, abs=1e-3)
    assert (open_glands["truth"], open_glands["sigma"] > 0) == ("true", True)
    assert solid["drawn_sigma"] == pytest.approx(-away, abs=1e-3)
    assert solid["truth"] == ("true" if solid["sigma"] < 0 else "false")
    assert (matches["cartilage"]["truth"], matches["cartilage"]["drawn_sigma"]) == ("distractor", None)
