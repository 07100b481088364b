"""`hlss explain` as a user runs it: on drawn tissue of known truth, and on towers that know nothing of each other."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from drawn_run import noise, write_run
from typer.testing import CliRunner

from hlss.cli import app, main
from hlss.cohorts.phantom.factors import FACTORS
from hlss.config import read_settings, write_settings
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.tiny import TinyText
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.explain.alignment_matrix import QUANTILES
from hlss.jobs.explain_sources import NO_CLAIM, sources_of
from hlss.language.bank import read_bank
from hlss.language.markers import read_markers
from hlss.types import LEVELS

FAST = ("--set", "resamples=100", "--set", "permutations=100")
MARKERS = {
    "name": "mine",
    "domain": "none",
    "provenance": "written for a test",
    "classes": {
        name: {f"marker {k}": [f"{letter} sign {k} of kind {j}" for j in range(4)] for k in range(2)}
        for name, letter in (("follicular", "x"), ("spindled", "y"))
    },
}
DRAWN = {
    "name": "drawn",
    "cohort": {"name": "phantom", "patients": 24, "slides": 1, "side": 2, "tile_px": 32, "classes": 2},
    "split": {"kind": "random", "test": 0.5},
    "loader": {"workers": 0, "pack": None},
    "encoder": "tiny",
    "objective": "hidisc",
}


def towards_glands(cohort, labels: np.ndarray) -> np.ndarray:
    """Features made of the words of glands where glands are drawn, and of the class's own markers."""
    from hlss.cohorts.phantom.truth import tile_truths

    tower, bank = TinyText().build(), read_bank("phantom")
    glands = dict(zip(bank.names("slide"), bank.texts("slide"), strict=True))["gland formation"]
    markers = read_markers("phantom").of_classes(sorted(set(labels)))
    truth = tile_truths(cohort, np.arange(cohort.n_tiles))[:, FACTORS.index("glands")]
    direction = tower.encode(glands).mean(dim=0).numpy()
    by_class = {
        name: tower.encode([t for texts in found for t in texts]).mean(dim=0).numpy() for name, found in markers.items()
    }
    away = truth[:, None] * direction + np.stack([by_class[label] for label in labels])
    return away + 0.05 * np.random.default_rng(1).standard_normal(away.shape)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HiDisc run, so without language, whose last features say the truth and whose start is noise."""
    folder = tmp_path_factory.mktemp("drawn") / "run"
    return write_run(folder, DRAWN, {"last": towards_glands, "start": noise(128)})


@pytest.fixture(scope="module")
def explained(drawn: Path) -> tuple[dict, Path, str]:
    out = drawn.parent / "out"
    command = ["explain", str(drawn), "--markers", "phantom", "--bank", "phantom", "--out", str(out), *FAST]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads((out / "explanations.json").read_text()), out, result.output


def test_features_that_say_the_truth_are_found_to(explained: tuple[dict, Path, str]) -> None:
    start, last = explained[0]["tables"]
    assert (start["name"], last["name"]) == ("drawn · start", "drawn · last")
    assert start["aligned"]
    for level in LEVELS:
        found = last["alignment"][level]
        assert found["effect"] > 1
        assert found["effect_interval"][0] > 0.5
        assert found["permuted_labels"]["p"] < 0.02
        assert found["random_text"]["p"] == pytest.approx(1 / 21)
        assert found["centred"][0][0] > found["centred"][0][1]
        assert abs(start["alignment"][level]["effect"]) < 1
        assert last["less_first"][level]["interval"][0] > 0
    agreement = last["agreement"]
    assert agreement["rank_by_factor"]["glands"] > 0.5
    low, high = agreement["rank_by_factor_interval"]["glands"]
    assert low < agreement["rank_by_factor"]["glands"] < high
    assert abs(start["agreement"]["mean_rank"]) < 0.15


def test_all_that_is_promised_is_written(explained: tuple[dict, Path, str]) -> None:
    found, out, said = explained
    names = {"explanations.json", "alignment.png", "profile-drawn-start.png", "profile-drawn-last.png"}
    assert {path.name for path in out.iterdir()} == names
    assert all((out / name).stat().st_size > 20_000 for name in names if name.endswith("png"))
    assert found["markers"]["fingerprint"] == read_markers("phantom").fingerprint
    assert found["bank"]["fingerprint"] == read_bank("phantom").fingerprint
    assert found["settings"]["random_texts"] == 20
    assert found["provenance"]["command"]
    assert found["tables"][0]["provenance"]["config_hash"]
    run = found["tables"][0]["run"]
    assert (run["objective"], run["trained_with"], run["text"]) == ("hidisc", None, "tiny")
    assert run["config_hash"] == found["tables"][0]["provenance"]["config_hash"]
    assert {"granulomas", "teratoma", "melanin pigment"} < set(found["distractors"])
    assert (out / "explanations.json").stat().st_size < 250_000
    assert list(found["tables"][0]["alignment"]["patch"]["random_text"]["quantiles"]) == [str(q) for q in QUANTILES]
    assert set(found["tables"][0]["profile"]["slide"]["classes"]) == {"follicular", "spindled"}
    for line in ("effect size, and without it", "what marks a class", "against the drawn truth", "all: markers"):
        assert line in said


def test_the_same_again_without_pictures_of_what_was_not_asked(drawn: Path, explained: tuple[dict, Path, str]) -> None:
    out = drawn.parent / "again"
    tables = [str(drawn / "embeddings" / name) for name in ("last", "start")]
    command = ["explain", *tables, "--markers", "phantom", "--out", str(out), *FAST]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    assert {path.name for path in out.iterdir()} == {"explanations.json", "alignment.png"}
    found = json.loads((out / "explanations.json").read_text())
    assert found["compared_with"] == "drawn · last"
    for before, after in zip(explained[0]["tables"], reversed(found["tables"]), strict=True):
        assert before["alignment"] == after["alignment"]
        assert (after["profile"], after["agreement"]) == (None, None)


def test_a_table_apart_is_read_with_the_run_it_was_embedded_with(drawn: Path, tmp_path: Path) -> None:
    """As `hlss table` leaves starts: RUNS/start-HASH beside RUNS/RUN/embeddings/last."""
    write_run(tmp_path / "another", {**DRAWN, "seed": 7}, {"last": noise(128)})
    run = write_run(tmp_path / "hidisc-seed0-fold0", DRAWN, {"last": noise(128)})
    start = tmp_path / "start-0123"
    EmbeddingTable.read(run / "embeddings" / "last").write(start)
    for paths in ([start], [start, run / "embeddings" / "last"]):
        found = sources_of(paths, "test")
        assert {source.experiment.seed for source in found} == {0}
        assert found[0].experiment.hash == found[0].table.provenance["config_hash"]
    far = tmp_path / "far" / "start-0123"
    EmbeddingTable.read(start).write(far)
    assert sources_of([far, run / "embeddings" / "last"], "test")[0].experiment.seed == 0
    with pytest.raises(UserError, match="no run beside this table"):
        sources_of([far], "test")


def test_truth_is_not_asked_of_a_table_of_other_settings(drawn: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {**DRAWN, "seed": 5}, {"last": noise(128)})
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("seed: 5\n", "seed: 6\n"))
    found = explain(run, tmp_path, "--bank", "phantom")
    assert found["tables"][0]["agreement"] is None
    assert any("embedded with other settings" in notice for notice in found["tables"][0]["notices"])
    found = explain(run, tmp_path, "--bank", "general_he")
    assert any("'general_he' stands for is not known" in notice for notice in found["tables"][0]["notices"])


def explain(run: Path, tmp_path: Path, *arguments: str) -> dict:
    command = ["explain", str(run), *arguments, *FAST, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads((tmp_path / "out" / "explanations.json").read_text())


@pytest.fixture
def apart(tmp_path: Path, experiment: Path) -> Path:
    """A run whose towers were not trained together: random text, 16 dimensions."""
    settings = yaml.safe_load(experiment.read_text())
    settings["cohort"] = {**settings["cohort"], "patients": 12}
    return write_run(tmp_path / "apart", settings, {"last": noise(16)})


@pytest.fixture
def markers(tmp_path: Path) -> Path:
    path = tmp_path / "markers.yaml"
    path.write_text(yaml.safe_dump(MARKERS))
    return path


def test_towers_that_were_not_trained_together_claim_nothing(apart: Path, markers: Path, tmp_path: Path) -> None:
    found = explain(apart, tmp_path, "--markers", str(markers), "--side", "all", "--bank", "general_he")
    (table,) = found["tables"]
    assert not table["aligned"]
    assert table["notices"][0] == NO_CLAIM
    assert any("random vectors" in notice for notice in table["notices"])
    assert table["agreement"] is None
    assert table["less_first"] is None
    assert table["alignment"]["patient"]["n"] == 12
    few = explain(apart, tmp_path, "--markers", str(markers))
    assert few["tables"][0]["alignment"]["patient"]["effect_interval"] is None
    assert few["tables"][0]["alignment"]["patient"]["permuted_labels"]["draws"] == 100


def test_names_tell_tables_apart(apart: Path) -> None:
    table = EmbeddingTable.read(apart / "embeddings" / "last")
    for name, facts in (("b", {"seed": 1}), ("c", {"seed": 1, "fold": 3}), ("d", {"seed": 1, "fold": 3})):
        EmbeddingTable(table.features, table.columns, {**table.provenance, **facts}).write(apart / "embeddings" / name)
    assert [source.name for source in sources_of([apart], "all")] == [
        "small · last, seed 1, fold 0",
        "small · last, seed 1, fold 3, 2",
        "small · last, seed 1, fold 3, 3",
        "small · last, seed 0",
    ]


def test_mistakes_are_one_line(apart: Path, markers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def mistake(*arguments: object) -> str:
        with pytest.raises(SystemExit):
            main(["explain", *map(str, arguments), *FAST, "--side", "all"])
        (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
        assert line.startswith("hlss: ")
        return line

    assert "Give --markers" in mistake(apart)
    assert "unknown markers 'no_such'. Known: glioma, opensrh, phantom" in mistake(apart, "--markers", "no_such")
    assert "no markers of class follicular, spindled" in mistake(apart, "--markers", "opensrh")
    assert "neither a run nor an embedding table" in mistake(tmp_path, "--bank", "phantom")
    assert "Input should be" in mistake(apart, "--bank", "phantom", "--set", "random_texts=5")
    assert "unknown bank" in mistake(apart, "--bank", "none")

    shared = {
        **MARKERS,
        "classes": {**MARKERS["classes"], "other": {"m": list(read_bank("general_he").texts("patch")[0])}},
    }
    markers.write_text(yaml.safe_dump(shared))
    assert "shares a sentence with the markers" in mistake(apart, "--markers", markers)

    table = EmbeddingTable.read(apart / "embeddings" / "last")
    EmbeddingTable(table.features[:, :8], table.columns, {}).write(apart / "embeddings" / "narrow")
    where = apart / "embeddings" / "narrow"
    assert "features have 8 dimensions, texts of the run's text tower 16" in mistake(where, "--bank", "phantom")
    broken = table.features.copy()
    broken[3] = np.nan
    EmbeddingTable(broken, table.columns, {}).write(apart / "embeddings" / "broken")
    assert "features are not finite" in mistake(apart / "embeddings" / "broken", "--bank", "phantom")
    one_class = {**table.columns, "label": np.full(len(table), "follicular", dtype=object)}
    EmbeddingTable(table.features, one_class, {}).write(apart / "embeddings" / "one")
    assert "one class only" in mistake(apart / "embeddings" / "one", "--bank", "phantom")
    (tmp_path / "alone").mkdir()
    table.write(tmp_path / "alone" / "table")
    assert "no run beside this table" in mistake(tmp_path / "alone" / "table", "--bank", "phantom")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.yaml").write_text((apart / "config.yaml").read_text())
    assert f"no embeddings. Run `hlss embed {empty}`" in mistake(empty, "--bank", "phantom")


def test_a_side_without_patches_and_a_run_without_text(apart: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explain", str(apart), "--bank", "phantom", "--side", "val"])
    assert "no patch is on the val side" in capsys.readouterr().err
    experiment = read_settings(apart / "config.yaml", Experiment)
    write_settings(experiment.model_copy(update={"language": None}), apart / "config.yaml")
    with pytest.raises(SystemExit):
        main(["explain", str(apart), "--bank", "phantom"])
    assert "this run has no text tower" in capsys.readouterr().err
