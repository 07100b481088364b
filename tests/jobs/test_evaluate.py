"""`hlss evaluate` beyond nearest neighbours, as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from hlss.cli import app, main
from hlss.config import read_settings, write_settings
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.random import RandomEncoder
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.class_prompts import prompts_of, read_prompts

FAST = ("--protocol", "small", "--set", "resamples=100")


@pytest.fixture
def run(tmp_path: Path, experiment: Path) -> Path:
    """A run folder with settings and one table of 16 dimensions: two classes, two sites, 12 patients."""
    folder = tmp_path / "run"
    folder.mkdir()
    write_settings(read_settings(experiment, Experiment), folder / "config.yaml")
    write_table(folder / "embeddings" / "last", "p")
    return folder


def write_table(folder: Path, prefix: str, classes: str = "ab") -> None:
    rng = np.random.default_rng(0)
    number = np.arange(48) // 4

    def texts(name) -> np.ndarray:
        return np.array([name(i) for i in number.tolist()], dtype=object)

    columns = {
        "patient": texts(lambda i: f"{prefix}{i}"),
        "slide": texts(lambda i: f"{prefix}{i}-0"),
        "image": texts(lambda i: f"{prefix}{i}.png"),
        "label": texts(lambda i: classes[i % 2]),
        "site": texts(lambda i: f"s{i // 6}"),
        "side": texts(lambda i: "test" if i % 6 > 3 else "train"),
        "x_px0": np.arange(48),
        "y_px0": np.zeros(48, dtype=np.int64),
    }
    features = np.eye(16)[number % 2] + 0.1 * rng.standard_normal((48, 16))
    EmbeddingTable(features.astype(np.float32), columns, {"method": "m", "seed": 0, "fold": 0}).write(folder)


def scored(tmp_path: Path, *arguments: object) -> dict:
    out = tmp_path / "scores.json"
    command = ["evaluate", *map(str, arguments), *FAST, "--out", str(out)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(out.read_text())


def mistake(capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit):
        main(["evaluate", *map(str, arguments), *FAST])
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("hlss: ")
    return line


def test_further_protocols_by_flag(run, tmp_path):
    table = run / "embeddings" / "last"
    flags = [f"--also={name}" for name in ("probe", "few-shot", "retrieval", "mean-probe")]
    found = scored(tmp_path, table, *flags, "--set", "neighbours=[5]", "--set", "shots=[1]")
    protocols = [result["protocol"] for result in found["results"]]
    assert protocols == ["small", "knn-5", "probe", "few-shot-1", "retrieval", "mean-probe"]
    assert found["results"][2]["k"] is None
    assert found["results"][2]["fitted"][0]["C"] > 0
    assert found["settings"]["also"] == ["probe", "few-shot", "retrieval", "mean-probe"]


def test_by_site_and_another_cohort(run, tmp_path):
    table = run / "embeddings" / "last"
    found = scored(tmp_path, table, "--by-site")
    assert found["results"][0]["metrics"]["patient"]["n"] == 12
    write_table(tmp_path / "other", "q", "xb")
    found = scored(tmp_path, table, "--queries-from", tmp_path / "other", "--set", "class_names={x: a}")
    assert (found["queries"], found["results"][0]["metrics"]["patient"]["n"]) == ("external", 12)


def test_zero_shot_by_the_text_tower_of_the_run(run, tmp_path):
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(yaml.safe_dump({"a": ["one", "two"], "b": ["three"], "c": ["four"]}))
    found = scored(tmp_path, run / "embeddings" / "last", "--prompts", prompts)
    assert [result["protocol"] for result in found["results"]] == ["small", "zero-shot"]
    assert found["provenance"]["prompts"]["a"] == ["one", "two"]
    assert any("towers were not trained together" in notice for notice in found["notices"])
    assert any("random vectors" in notice for notice in found["notices"])
    assert "prompts of classes that no table has are not used: c" in found["notices"]


def test_rows_are_normalised_means_of_normalised_sentences(run):
    tower = RandomEncoder(16, 0)
    (found,) = prompts_of([run / "embeddings" / "last"], {"a": ["one", "two"], "b": ["three"]})
    one, two = (v / np.linalg.norm(v) for v in tower.encode(["one", "two"]).numpy())
    assert np.allclose(found.rows["a"], (one + two) / np.linalg.norm(one + two), atol=1e-6)
    assert np.allclose(found.rows["b"], tower.encode(["three"]).numpy()[0], atol=1e-6)


def test_a_run_is_read_once_for_all_its_tables(run, monkeypatch):
    built = []
    monkeypatch.setattr("hlss.jobs.class_prompts.read_settings",
                        lambda *given: built.append(1) or read_settings(*given))  # fmt: skip
    found = prompts_of([run / "embeddings" / name for name in ("start", "last")], {"a": ["one"]})
    assert len(built) == 1
    assert found[0] is found[1]


def test_run_without_text_tower(run):
    experiment = read_settings(run / "config.yaml", Experiment)
    write_settings(experiment.model_copy(update={"language": None}), run / "config.yaml")
    with pytest.raises(UserError, match="this run has no text tower"):
        prompts_of([run / "embeddings" / "last"], {"a": ["one"]})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "not valid YAML"),
        ("[a, b]", "`prompts`"),
        ("{}", "`prompts`"),
        ("a: []", "`prompts.a`"),
        ("a: one", "`prompts.a`"),
        ("a: ['']", "`prompts.a.0`"),
        ("1: [one]", "`prompts.1"),
    ],
)
def test_prompts_that_do_not_fit(tmp_path, text: str, says: str):
    path = tmp_path / "prompts.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        read_prompts(path)


def test_mistakes_are_one_line(run, tmp_path, capsys):
    table = run / "embeddings" / "last"
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("a: [one]\n")
    assert "no prompts of class b" in mistake(capsys, table, "--prompts", prompts)
    assert "cannot read prompts" in mistake(capsys, table, "--prompts", tmp_path / "none.yaml")
    assert "Input should be 'probe'" in mistake(capsys, table, "--also", "prob")
    assert "patient p0 is on" in mistake(capsys, table, "--queries-from", table)
    alone = tmp_path / "alone" / "table"
    write_table(alone, "p")
    assert "no run beside this table" in mistake(capsys, alone, "--prompts", prompts)
