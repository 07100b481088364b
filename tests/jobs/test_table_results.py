"""What a table keeps of its runs: the same table from it alone, of these settings only, and small."""

import json
import shutil

import numpy as np
import pytest
from small_table import silent, write_small_table

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.evaluation import EvaluateSpec, evaluate
from hlss.jobs.table import make_table

FILES = ("table.md", "table.csv")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table of one fold; nobody changes it."""
    folder = tmp_path_factory.mktemp("made")
    table = write_small_table(folder)
    make_table([table], folds="0", out=folder / "out", say=silent)
    return folder


@pytest.fixture
def table(made, tmp_path):
    """A copy without its runs: only what was kept."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "out" / "runs")
    (tmp_path / "base.yaml").write_text((made / "base.yaml").read_text())
    return tmp_path / "table.yaml"


def test_without_its_runs_the_table_is_the_same(table, made):
    said, out = [], table.parent / "out"
    for name in FILES:
        (out / name).unlink()
    make_table([table], folds="0", out=out, say=said.append)
    assert said == ["2 runs, 2 of them made already"]
    assert not (out / "runs" / "hidisc-seed0-fold0").exists()
    for name in FILES:
        assert (out / name).read_bytes() == (made / "out" / name).read_bytes()
    rows = [json.loads((folder / "out" / "table.json").read_text())["rows"] for folder in (table.parent, made)]
    for before, after in zip(*([run for row in found for run in row["runs"]] for found in rows), strict=True):
        assert {key: after[key] for key in ("provenance", "made")} == {k: before[k] for k in ("provenance", "made")}
        assert {"code_version", "hardware", "time", "precision", "data_hash"} <= set(after["provenance"])
        assert after["made"]["seconds"] > 0
        assert after["made"]["threads"] >= 1


def test_results_of_other_settings_are_not_taken(table):
    def told(*overrides, run=False):
        with pytest.raises(UserError, match="no row is complete: HiDisc, seed 0, fold 0: not run yet"):
            make_table([table], folds="0", out=table.parent / "out", overrides=overrides, run=run, say=silent)

    told("train.steps=3")
    told("evaluate.k.small=2")
    make_table(
        [table], folds="0", out=table.parent / "out", overrides=["evaluate.resamples=200"], run=False, say=silent
    )


def test_figures_are_those_of_the_embeddings(made):
    """All that rests on the chosen classes exactly; AUROC but for pairs that rounding makes equal, of few."""
    folders = {"HiDisc": "hidisc-seed0-fold0/embeddings/last", "HLSS": "hlss-seed0-fold0/embeddings/last"}
    tables = [EmbeddingTable.read(made / "out" / "runs" / folder) for folder in folders.values()]
    spec = EvaluateSpec(protocols=("small",), k={"small": 3}, resamples=100)
    found = json.loads((made / "out" / "table.json").read_text())
    for table, label in zip(tables, folders, strict=True):
        (wanted,) = evaluate([table], spec).results
        (got,) = [r for r in found["results"] if r["method"] == label]
        for level, measures in wanted.metrics.items():
            for name, value in measures.items():
                assert got["metrics"][level][name] == pytest.approx(value, abs=0.03 if name == "macro_auroc" else 0)
        assert got["confusions"] == {str(level): rows for level, rows in wanted.confusions.items()}


def test_embeddings_that_changed_rule(made, tmp_path):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "out" / "runs" / "hlss-seed0-fold0" / "embeddings" / "last"
    table = EmbeddingTable.read(folder)
    EmbeddingTable(np.ones_like(table.features), table.columns, table.provenance).write(folder)
    make_table([tmp_path / "table.yaml"], folds="0", out=tmp_path / "out", run=False, say=silent)
    assert json.loads((tmp_path / "out" / "table.json").read_text())["health"]["HLSS"]["spread"] < 1e-6


def changed(path, change):
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda path: path.write_bytes(b"\xff\xfe"), "codec can't decode"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "Expecting"),
        (lambda path: path.write_text("[1, 2]"), "broken result of a run"),
        (lambda path: changed(path, lambda tree: tree.pop("health")), "`health` is missing"),
        (lambda path: changed(path, lambda tree: tree["fold"]["units"][0]["truth"].pop()), "not equally many"),
        (lambda path: changed(path, lambda tree: tree["fold"]["scored"][0]["log_odds"]["patch"].pop()), "do not fit"),
        (lambda path: path.rename(path.with_name("elsewhere")), None),
    ],
)
def test_a_broken_result_is_named_in_one_line(table, harm, says):
    path = table.parent / "out" / "results" / "hlss-seed0-fold0.json"
    harm(path)
    if says is None:
        make_table([table], folds="0", out=table.parent / "out", run=False, say=silent)
        assert "**HLSS is not complete**" in (table.parent / "out" / "table.md").read_text()
        return
    with pytest.raises(UserError, match=says) as refused:
        make_table([table], folds="0", out=table.parent / "out", run=False, say=silent)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_start_that_is_missing_is_named(table):
    (start,) = (table.parent / "out" / "results").glob("start-*")
    start.unlink()
    with pytest.raises(UserError, match=f"{start.name}: the result of this start is missing"):
        make_table([table], folds="0", out=table.parent / "out", say=silent)
