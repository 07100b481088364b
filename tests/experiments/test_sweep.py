"""A sweep: every setting against the start, or cohorts of their own and all of them pooled; made in parts."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from experiments.sweep import main

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError

BASE = {
    "name": "base",
    "cohort": {"name": "phantom", "patients": 12, "slides": 1, "side": 3, "tile_px": 96, "mpp": 1.0, "classes": 2},
    "split": {"kind": "random", "test": 0.5, "stratify": True},
    "batches": {"patients": 2, "slides": 1, "patches": 2, "views": 2},
    "loader": {"workers": 0},
    "encoder": "tiny",
    "language": {"bank": "phantom"},
    "objective": "hlss",
    "train": {"steps": 1, "precision": "fp32"},
    "evaluate": {"protocols": ["small"]},
}


def swept(folder: Path, monkeypatch: pytest.MonkeyPatch, sweep: dict, *more: str) -> Path:
    (folder / "base.yaml").write_text(yaml.safe_dump({**BASE, "cache": str(folder / "cache")}))
    of_base = {"experiment": "base.yaml", "truth": "base.yaml", "runs": str(folder / "runs")}
    (folder / "sweep.yaml").write_text(yaml.safe_dump({**of_base, **sweep}))
    out = folder / "found.json"
    monkeypatch.setattr(sys, "argv", ["sweep.py", str(folder / "sweep.yaml"), "--out", str(out), *more])
    main()
    return out


def accuracy(folder: Path) -> float:
    """Of test patches by their 20 nearest of the train side, centred (protocol small), by a loop."""
    table = EmbeddingTable.read(folder)
    bank, labels = table["side"] == "train", np.array(sorted(set(table["label"])))
    z = table.features.astype(np.float64)
    z = z - z[bank].mean(axis=0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    right = []
    for query in np.flatnonzero(table["side"] == "test"):
        nearest = np.argsort(-(z[bank] @ z[query]))[:20]
        weights = np.exp((z[bank] @ z[query])[nearest] / 0.07)
        votes = [weights[table["label"][bank][nearest] == name].sum() for name in labels]
        right.append(labels[int(np.argmax(votes))] == table["label"][query])
    return 100 * float(np.mean(right))


def test_settings_stand_against_the_start_and_parts_make_the_same_runs(tmp_path, monkeypatch):
    sweep = {"settings": {"as it is": [], "faster": ["train.lr=0.1"]}}
    out = swept(tmp_path, monkeypatch, sweep, "--only", "1/2")
    assert not out.exists()
    assert [folder.name for folder in (tmp_path / "runs").iterdir()] == ["faster"]
    found = json.loads(swept(tmp_path, monkeypatch, sweep).read_text())
    start, *others = found["rows"]
    assert [row["setting"] for row in found["rows"]] == ["as it is · start", "as it is · last", "faster · last"]
    assert [row["changes"] for row in others] == ["", "train.lr=0.1"]
    began = accuracy(tmp_path / "runs" / "as-it-is" / "embeddings" / "start")
    assert start["patch (small)"] == f"{began:.1f}"
    for row, name in zip(others, ("as-it-is", "faster"), strict=True):
        gain = accuracy(tmp_path / "runs" / name / "embeddings" / "last") - began
        assert row["patch (small)"].split(" [")[0] == f"{gain:+.1f}"
    assert len({row["config"] for row in found["rows"]}) == 2
    assert 0.3 < float(start["words"]) < 1
    assert {"command", "code_version", "hardware", "data"} <= set(found)


def test_cohorts_stand_against_their_own_starts_and_are_pooled(tmp_path, monkeypatch):
    settings = {f"seed {seed}": [f"cohort.seed={seed}"] for seed in (1, 2)}
    found = json.loads(swept(tmp_path, monkeypatch, {"cohorts": True, "settings": settings}).read_text())
    names = [f"seed {seed} · {checkpoint}" for seed in (1, 2) for checkpoint in ("start", "last")]
    pooled = ["all cohorts · start", "all cohorts · last"]
    assert [row["setting"] for row in found["rows"]] == [*names, *pooled]
    starts = [accuracy(tmp_path / "runs" / f"seed-{seed}" / "embeddings" / "start") for seed in (1, 2)]
    (together,) = (row for row in found["rows"] if row["setting"] == pooled[0])
    assert float(together["patch (small)"]) == pytest.approx(np.mean(starts), abs=0.051)  # as many patches each
    assert len(found["data"].split(", ")) == 2


def test_seeds_of_a_setting_are_pooled_and_stand_against_the_first_name(tmp_path, monkeypatch):
    settings = {f"{rate}, seed {seed}": [f"train.lr={rate}", f"seed={seed}"] for rate in (1e-4, 0.1) for seed in (0, 1)}
    seeds = {f"rate {rate}": [f"{rate}, seed {seed}" for seed in (0, 1)] for rate in (1e-4, 0.1)}
    found = json.loads(swept(tmp_path, monkeypatch, {"settings": settings, "seeds": seeds}).read_text())
    first, second = found["rows"][-2:]
    assert [first["setting"], second["setting"]] == ["rate 0.0001 · all seeds", "rate 0.1 · all seeds"]
    assert second["changes"] == "less rate 0.0001 · all seeds"
    means = []
    for rate in ("0-0001", "0-1"):
        folders = [tmp_path / "runs" / f"{rate}-seed-{seed}" / "embeddings" / "last" for seed in (0, 1)]
        means.append(np.mean([accuracy(folder) for folder in folders]))
    assert float(first["patch (small)"]) == pytest.approx(means[0], abs=0.051)
    assert float(second["patch (small)"].split(" [")[0]) == pytest.approx(means[1] - means[0], abs=0.051)


def test_seeds_that_name_no_setting_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="`seeds` names 'b', which is no setting"):
        swept(tmp_path, monkeypatch, {"settings": {"a": []}, "seeds": {"both": ["a", "b"]}})
