"""`hlss table`: what is missing is run, killed or failed it goes on, and its figures are those of its embeddings."""

import csv
import fcntl
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from small_table import BASE, silent, write_small_table
from typer.testing import CliRunner

from hlss.cli import app, main
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.jobs import table_runs, table_side_by_side
from hlss.jobs.table import make_table
from hlss.jobs.table_folder import facts_of
from hlss.jobs.table_results import Results
from hlss.jobs.table_runs import make_runs
from hlss.jobs.table_side_by_side import Place, places
from hlss.jobs.table_spec import planned, read_table

MOMENTS = random.Random(4)  # when tables are killed


@pytest.fixture
def table(tmp_path):
    return write_small_table(tmp_path)


@pytest.fixture(scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as every process that is killed has: other threads, other bits
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, one_thread):
    """A table that nothing befell, and how many lines it said."""
    said = []
    table = write_small_table(tmp_path_factory.mktemp("whole"))
    return make_table([table], out=table.parent / "out", folds="0", say=said.append).parent, len(said)


def begun(table, out, *more):
    """The table in a process of its own."""
    command = [sys.executable, "-c", "from hlss.cli import main; main()", "table", str(table), "--folds", "0"]
    command += ["--out", str(out), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


def kill(process):
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=120) == -signal.SIGKILL


def is_the_same(again, whole):
    """Bytes, but for how long a run took, and the code version: someone may commit while tests run."""
    for name in ("table.csv", "table.md"):
        assert but_for_when(again / name) == but_for_when(whole / name)


def but_for_when(path):
    text = path.read_text()
    if path.suffix == ".md":
        return re.sub(r"\(median\) [\d.]+|Made by code [^;]+", "", text)
    return [{**row, "minutes": ""} for row in csv.DictReader(text.splitlines())]


@pytest.mark.parametrize("part", [MOMENTS.random() for _ in range(3)])
def test_killed_and_started_again_it_gives_the_same_table(table, tmp_path, whole, part, one_thread):
    with begun(table, tmp_path / "out") as process:
        for _ in range(1 + int(part * whole[1])):
            process.stderr.readline()
        time.sleep(0.2 * part)
        kill(process)
    is_the_same(make_table([table], out=tmp_path / "out", folds="0", say=silent).parent, whole[0])


def test_killed_with_runs_side_by_side_it_gives_the_same_table(table, tmp_path, whole, one_thread):
    """Both runs are under way when their table is killed; they stop by themselves, and let go of their folders."""
    runs = tmp_path / "out" / "runs"
    with begun(table, tmp_path / "out", "--workers", "2") as process:
        while not list(runs.glob("*/checkpoints/step-00000000")) and process.poll() is None:
            time.sleep(0.05)
        time.sleep(0.3 * MOMENTS.random())
        kill(process)
    for lock in runs.glob("*/.lock"):
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
    is_the_same(make_table([table], out=tmp_path / "out", folds="0", say=silent).parent, whole[0])


def test_made_already_it_is_only_shown(whole, capsys):
    out, said = whole[0], []
    before = (out / "table.md").read_text()
    make_table([out.parent / "table.yaml"], out=out, folds="0", say=said.append)
    assert said == ["2 runs, 2 of them made already"]
    assert capsys.readouterr().out.strip() == (out / "table.md").read_text().strip() == before.strip()
    assert (out / "table.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


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
    (tmp_path / "base.yaml").write_text(yaml.safe_dump({**BASE, "seed": 3, "train": {"steps": 3}}))
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
    results = Results(folder=tmp_path / "results", starts=tmp_path / "runs")
    failures = make_runs(plan, results, said.append, [Place("here", {}), Place("there", {})])
    assert list(failures) == [tmp_path / "runs" / "broken-seed0-fold1"]
    (why,) = failures.values()
    assert "text of level patch has 8 dimensions, image features have 16" in why
    assert "\n" not in why
    assert facts_of(plan[0].experiment)["config_hash"] == plan[0].experiment.hash
    assert facts_of(plan[1].experiment) is None
    assert results.of(plan[0].experiment).config_hash == plan[0].experiment.hash
    assert results.of(plan[1].experiment) is None
    begun = [line for line in said if line.startswith("run ")]
    assert [line.split(":")[0] for line in begun] == ["run 1 of 2, here", "run 2 of 2, there"]
    assert any("training 2 steps" in line or line.lstrip().startswith(f"{plan[0]}: step") for line in said)
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
