"""`hlss table`: what is missing is run, killed or failed it goes on, and its figures are those of its embeddings."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from hlss.cli import app, main
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.jobs import table_runs, table_side_by_side
from hlss.jobs.table import make_table
from hlss.jobs.table_runs import facts_of, make_runs
from hlss.jobs.table_side_by_side import Place, places
from hlss.jobs.table_spec import planned, read_table

BASE = {
    "name": "base",
    "cohort": {"name": "phantom", "patients": 8, "slides": 1, "side": 2, "tile_px": 32, "classes": 2},
    "split": {"kind": "kfold", "folds": 2},
    "batches": {"patients": 2, "slides": 1, "patches": 2, "views": 2},
    "loader": {"workers": 0},
    "encoder": {"name": "timm", "architecture": "resnet10t", "input_px": 32, "dim": 8},
    "language": {"bank": "general_he", "text": {"name": "random", "dim": 8}},
    "objective": "hidisc",
    "train": {"steps": 3, "precision": "fp32", "checkpoint_every": 1, "log_every": 1},
    "evaluate": {"protocols": ["small"], "k": {"small": 3}, "resamples": 100},
}


@pytest.fixture
def table(tmp_path):
    """A table file of two methods, two folds of one cohort."""
    (tmp_path / "base.yaml").write_text(yaml.safe_dump({**BASE, "cache": str(tmp_path / "cache")}))
    (tmp_path / "hidisc.yaml").write_text("base: base.yaml\nname: hidisc\n")
    (tmp_path / "hlss.yaml").write_text("base: base.yaml\nname: hlss\nobjective: { name: hlss }\n")
    rows = "rows: [{ experiment: hidisc.yaml, label: HiDisc }, { experiment: hlss.yaml, label: HLSS }]\n"
    (tmp_path / "table.yaml").write_text(f"title: Small\npaper: table1\n{rows}")
    return tmp_path / "table.yaml"


def silent(line):
    pass


def killed(table, out, lines):
    """Run the table in a process of its own and kill it once it has said so many lines."""
    command = [sys.executable, "-c", "from hlss.cli import main; main()", "table", str(table)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command += ["--folds", "0", "--out", str(out)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        for _ in range(lines):
            process.stderr.readline()
        time.sleep(random.Random(lines).uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        return process.wait(timeout=120)


def test_killed_and_started_again_it_gives_the_same_table(table, tmp_path, capsys):
    said = []
    whole = make_table([table], out=tmp_path / "whole", folds="0", say=said.append).parent
    moment = random.Random(table.parent.name).randint(1, len(said))
    assert killed(table, tmp_path / "out", moment) == -signal.SIGKILL
    again = make_table([table], out=tmp_path / "out", folds="0", say=silent).parent
    for name in ("table.csv", "table.md"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()
    made = [run for row in json.loads((again / "table.json").read_text())["rows"] for run in row["runs"]]
    assert len(made) == 2
    assert all({"code_version", "hardware", "data_hash", "time"} <= set(run["provenance"]) for run in made)
    assert (again / "table.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    capsys.readouterr()
    said = []
    make_table([table], out=tmp_path / "out", folds="0", say=said.append)
    assert said[0] == "2 runs, 2 of them made already"
    assert capsys.readouterr().out.strip() == (again / "table.md").read_text().strip()


def figures_are_those_of_the_embeddings(out):
    """Accuracy of the patches, folds pooled, by a loop over queries; and the start is one for both methods."""
    rows = csv.DictReader((out / "table.csv").read_text().splitlines())
    found = {(r["method"], r["level"], r["measure"]): r for r in rows}
    assert {method for method, _, _ in found} == {"start", "HiDisc", "HLSS"}
    starts = list((out / "runs").glob("start-*"))
    assert len(starts) == 2  # of two folds, with other test sides
    tables = {"HiDisc": sorted((out / "runs").glob("hidisc-*/embeddings/last")), "start": starts}
    for method, folders in tables.items():
        right = [hit for folder in folders for hit in hits(EmbeddingTable.read(folder), k=3)]
        assert float(found[method, "patch", "accuracy"]["value"]) == pytest.approx(np.mean(right))
    less = found["HLSS", "patch", "accuracy"]["less_HiDisc_mean"]
    values = [float(found[method, "patch", "accuracy"]["value"]) for method in ("HLSS", "HiDisc")]
    assert float(less) == pytest.approx(values[0] - values[1])
    assert found["HLSS", "slide", "accuracy"]["paper_percent"] == "89.5"
    assert found["start", "slide", "accuracy"]["paper_percent"] == ""


def hits(table, k):
    bank, queries = table["side"] == "train", np.flatnonzero(table["side"] == "test")
    z = table.features.astype(np.float64)
    z = z - z[bank].mean(axis=0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    labels = np.array(sorted(set(table["label"])))
    for query in queries:
        similarity = z[bank] @ z[query]
        nearest = np.argsort(-similarity)[:k]
        votes = [np.exp(similarity[nearest] / 0.07)[table["label"][bank][nearest] == name].sum() for name in labels]
        yield labels[int(np.argmax(votes))] == table["label"][query]


def test_a_run_that_fails_costs_that_run_only(table, tmp_path, monkeypatch, capsys):
    train = table_runs.train_experiment
    tried = []

    def failing(experiment, say):
        tried.append(experiment.folder.name)
        if experiment.name == "hlss" and experiment.split.fold == 0 and tried.count(experiment.folder.name) == 1:
            raise RuntimeError("the disk\nwent away")
        return train(experiment, say)

    monkeypatch.setattr(table_runs, "train_experiment", failing)
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"1 of 4 runs failed.*HLSS, seed 0, fold 0: RuntimeError: the disk went away"):
        make_table([table], out=out, say=silent)
    assert "went away" in (out / "runs" / "hlss-seed0-fold0" / "failed.txt").read_text()
    told = (out / "table.md").read_text()
    assert "**HLSS is not complete**: 1 of 2 runs are missing. HLSS, seed 0, fold 0: RuntimeError" in told
    assert "| HLSS " in told
    assert {row["method"] for row in csv.DictReader((out / "table.csv").read_text().splitlines())} == {
        "start",
        "HiDisc",
    }
    assert len(tried) == 4
    make_table([table], out=out, say=silent)
    assert len(tried) == 5
    assert {row["method"] for row in csv.DictReader((out / "table.csv").read_text().splitlines())} == {
        "start",
        "HiDisc",
        "HLSS",
    }
    figures_are_those_of_the_embeddings(out)
    assert "not complete" not in (out / "table.md").read_text()
    assert not (out / "runs" / "hlss-seed0-fold0" / "failed.txt").exists()
    (tmp_path / "base.yaml").write_text(yaml.safe_dump({**BASE, "seed": 3, "train": {"steps": 4}}))
    with pytest.raises(UserError, match="4 run folders hold other settings") as refused:
        make_table([table], out=out, say=silent)
    assert str(out / "runs" / "hidisc-seed0-fold1") in str(refused.value)
    assert len(tried) == 5


def test_runs_side_by_side_share_the_cores(monkeypatch):
    monkeypatch.setattr(table_side_by_side, "devices", list)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert [place.environment for place in places(3)] == [{"OMP_NUM_THREADS": "2"}] * 3
    assert len(places()) == 1
    monkeypatch.setattr(table_side_by_side, "devices", lambda: ["0", "3", "5"])
    assert [place.environment for place in places(2)] == [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in "03"]
    assert len(places()) == 3
    with pytest.raises(UserError, match="--workers: 0 runs at a time"):
        places(0)


def test_processes_side_by_side_fail_alone(table, tmp_path, monkeypatch):
    monkeypatch.setattr(table_side_by_side, "_TELL_EVERY_S", 0.0)
    (tmp_path / "broken.yaml").write_text("base: hlss.yaml\nname: broken\nencoder: { dim: 16 }\n")
    spec, _ = read_table([tmp_path / "hidisc.yaml", tmp_path / "broken.yaml"], {"folds": (1,)})
    plan, said = planned(spec, tmp_path / "runs", []), []
    failures = make_runs(plan, said.append, [Place("here", {}), Place("there", {})])
    assert list(failures) == [tmp_path / "runs" / "broken-seed0-fold1"]
    (why,) = failures.values()
    assert "text of level patch has 8 dimensions, image features have 16" in why
    assert "\n" not in why
    assert facts_of(plan[0].experiment)["config_hash"] == plan[0].experiment.hash
    assert facts_of(plan[1].experiment) is None
    begun = [line for line in said if line.startswith("run ")]
    assert [line.split(":")[0] for line in begun] == ["run 1 of 2, here", "run 2 of 2, there"]
    assert any("training 3 steps" in line or line.lstrip().startswith(f"{plan[0]}: step") for line in said)
    assert len(list((tmp_path / "cache" / "packs").iterdir())) == 1


def test_nothing_to_show_yet_is_one_line(table, tmp_path):
    with pytest.raises(UserError, match="no row is complete: HiDisc, seed 0, fold 0: not run yet"):
        make_table([table], out=tmp_path / "out", run=False, say=silent)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seeds", "0,x"], "--seeds: '0,x' is no list of numbers"),
        (["--folds", "2"], "fold 2 of 2"),
        (["--against", "byol"], "no row 'byol' to compare with. There are: HiDisc, HLSS"),
        (["--set", "split={kind: leave_one_patient_out}"], "which patients are left out"),
        (["--set", "split={kind: random}", "--folds", "1"], "a random split has no folds"),
        (["--set", "name=x"], "name of experiment 'x' stands twice"),
        (["hidisc.yaml"], "which stands alone"),
    ],
)
def test_a_mistake_is_one_line(table, tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["table", str(table), *arguments])
    assert left.value.code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rows: []\n", "`rows`"),
        ("rows: [none.yaml]\n", "cannot read settings"),
        ("rows: [hidisc.yaml]\nfoldz: [1]\n", "unknown key `foldz`"),
        ("rows: [hidisc.yaml]\npaper: table2\n", "`paper`"),
        ("rows: [hidisc.yaml, { experiment: hlss.yaml, label: hidisc }]\n", "label 'hidisc' stands twice"),
        ("rows: [{ experiment: hidisc.yaml, label: start }]\n", "label 'start' stands twice"),
        ("rows: [hidisc.yaml, other.yaml]\n", "rows of a table share `split`"),
    ],
)
def test_a_misfit_of_a_table_file_is_named(table, tmp_path, text, says):
    (tmp_path / "other.yaml").write_text("base: hidisc.yaml\nname: other\nsplit: { folds: 3 }\n")
    table.write_text(text)
    with pytest.raises(UserError) as refused:
        make_table([table], out=tmp_path / "out", say=silent)
    assert says in str(refused.value)


def test_help_has_an_example():
    result = CliRunner().invoke(app, ["table", "--help"])
    assert "Example: hlss table" in " ".join(result.output.split())


def test_where_output_and_runs_lie(table):
    spec, out = read_table([table], {})
    assert out == Path("runs/tables") / table.parent.name / "table"
    assert [run.folder.name for run in planned(spec, Path("runs"), [])] == [
        f"{name}-seed0-fold{fold}" for fold in (0, 1) for name in ("hidisc", "hlss")
    ]
    _, of_experiments = read_table([table.parent / "hlss.yaml"], {})
    assert of_experiments == Path("runs/tables") / table.parent.name
