"""Slides of drawn tissue in the words of a tower that knows it: what stands out is what was drawn."""

import json
from pathlib import Path

import numpy as np
from drawn_run import write_run
from typer.testing import CliRunner

from hlss.cli import app
from hlss.cohorts.phantom.factors import FACTORS
from hlss.cohorts.phantom.truth import tile_truths
from hlss.config import read_settings
from hlss.encoders.tiny import TinyText
from hlss.experiment import Experiment
from hlss.language.bank import read_bank

SETTINGS = {
    "name": "drawn",
    "cohort": {"name": "phantom", "patients": 24, "slides": 1, "side": 4, "tile_px": 32, "classes": 2},
    "split": {"kind": "random", "test": 0.5},
    "loader": {"workers": 0, "pack": None},
    "encoder": "tiny",
    "objective": "hidisc",
}
GLANDS = ("gland formation", "open tubules")


def glands_of(cohort) -> np.ndarray:
    return tile_truths(cohort, np.arange(cohort.n_tiles))[:, FACTORS.index("glands")]


def in_words(cohort, labels: np.ndarray) -> np.ndarray:
    """Features along the words for glands, less those of all slide characteristics, as far as glands are drawn."""
    tower, bank = TinyText().build(), read_bank("phantom")
    rows = {
        name: tower.encode(texts).mean(dim=0).numpy()
        for name, texts in zip(bank.names("slide"), bank.texts("slide"), strict=True)
    }
    away = np.mean([rows[name] for name in GLANDS], axis=0) - np.mean(list(rows.values()), axis=0)
    noise = np.random.default_rng(1).standard_normal((len(labels), len(away)))
    return glands_of(cohort)[:, None] * away / np.linalg.norm(away) + 0.03 * noise


def test_glands_stand_out_where_glands_were_drawn(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", SETTINGS, {"last": in_words})
    out = tmp_path / "out"
    command = ["explain", str(run), "--bank", "phantom", "--units", "slide", "--side", "all", "--out", str(out)]
    result = CliRunner().invoke(app, [*command, "--set", "permutations=200"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (table,) = json.loads((out / "units.json").read_text())["tables"]
    assert table["aligned"]
    cohort = read_settings(run / "config.yaml", Experiment).cohort.open()
    slide, truth = cohort.tile_slide(np.arange(cohort.n_tiles)), glands_of(cohort)
    drawn = {name: truth[slide == number].mean() for number, name in enumerate(cohort.slides)}
    said = {unit["name"]: set(unit["stands_out"]) & set(GLANDS) for unit in table["units"]}
    with_glands = [drawn[name] for name, found in said.items() if found]
    without = [drawn[name] for name, found in said.items() if not found]
    assert len(with_glands) >= 4
    assert min(with_glands) > np.mean(without)
    best = max(drawn, key=lambda name: drawn[name])
    (unit,) = [unit for unit in table["units"] if unit["name"] == best]
    assert unit["matches"][0]["characteristic"] in GLANDS
    assert len(unit["matches"][0]["evidence"]) == 4
    empty = [match for unit in table["units"] for match in unit["matches"] if match["distractor"]]
    assert sum(match["stands_out"] == "yes" for match in empty) <= 2
    for name in GLANDS:
        assert name in result.output
