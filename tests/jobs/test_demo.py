"""The demo, small: all it promises is there, its numbers are those of its files, and it needs no network."""

import json
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from html_figures import read, resolved

from hlss.cohorts.phantom.factors import FACTORS
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.explain.match import match
from hlss.jobs.demo import run_demo
from hlss.jobs.demo_pictures import contact_sheet
from hlss.jobs.demo_report import CHECKPOINTS, PICTURES
from hlss.jobs.demo_tables import words_table
from hlss.jobs.setup import experiment_of
from hlss.jobs.truth import Asked, Words, agreement_of, asked_of
from hlss.types import LEVELS, Level

SMALL = [
    "cohort.patients=14",
    "cohort.slides=2",
    "cohort.side=2",
    "cohort.sites=1",
    "batches.patients=3",
    "loader.workers=0",
    "train.steps=2",
    "train.precision=fp32",
]


@pytest.fixture(scope="module")
def without_network():
    """Whoever asks for a connection fails."""

    def refuse(*arguments: object) -> None:
        raise AssertionError(f"the demo asked for the network: {arguments[1:]}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, without_network: None) -> tuple[Path, list[str]]:
    """The folder of two runs, one after the other, and what was said."""
    out = tmp_path_factory.mktemp("demo")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hlss.jobs.demo_maps.SIDE", 7)
        patch.setattr("builtins.print", lambda *words, **_: said.append(" ".join(map(str, words))))
        for _ in range(2):
            assert run_demo(out, SMALL) == out
    return out, said


@pytest.fixture(scope="module")
def asked(shown: tuple[Path, list[str]]) -> tuple[Asked, Words]:
    experiment = experiment_of(shown[0] / "run")
    table = EmbeddingTable.read(shown[0] / "run" / "embeddings" / "last")
    return asked_of(table, experiment.cohort.open()), Words.of(experiment)


def test_everything_it_names_is_there(shown: tuple[Path, list[str]]) -> None:
    out, said = shown
    report = (out / "README.md").read_text()
    maps = json.loads((out / "maps" / "maps.json").read_text())["maps"]
    mapped = [f"maps/{name}" for one in maps for name in one["files"] if name.endswith(".png")]
    assert len(mapped) == 4
    for one in maps:
        assert f"“{one['characteristic']}”, and what was drawn. Faithfulness {one['figures']}." in report
        assert one["truth"]["factor"] in FACTORS
    for name in (*PICTURES, *mapped):
        picture = (out / name).read_bytes()
        assert picture[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(picture) > 20_000
        assert f"]({name})" in report
    for name in re.findall(r"`([\w.]+(?:/|\.json))`", report):
        assert (out / name).exists()
    assert str(out / "README.md") in said[-1]
    assert str(out / "report.html") in said[-1]
    assert "](report.html)" in report


def test_stages_are_counted(shown: tuple[Path, list[str]]) -> None:
    stages = [line[:3] for line in shown[1] if line[1:3] == "/6"]
    assert stages == [f"{number}/6" for number in range(1, 7)] * 2


def test_tables_fit_a_terminal(shown: tuple[Path, list[str]]) -> None:
    out, said = shown
    tables = [line for text in said if "\n" in text for line in text.splitlines() if str(out) not in line]
    assert len(tables) > 20
    assert max(map(len, tables)) <= 80


def test_the_second_run_shows_the_first_ones_result_again(shown: tuple[Path, list[str]]) -> None:
    verdicts = [text.split("In ")[0] for text in shown[1] if "What this run shows" in text]
    assert len(verdicts) == 2
    assert verdicts[0] == verdicts[1]
    assert "going on from an earlier run" in (shown[0] / "README.md").read_text()


def test_its_page_shows_the_numbers_of_its_files(shown: tuple[Path, list[str]]) -> None:
    out, html = shown[0], (shown[0] / "report.html").read_text()
    assert len(html) < 15_000_000
    trees = {name: json.loads((out / name).read_text()) for name in ("evaluation.json", "explanations.json")}
    found = [figure for figure in read(html).figures if figure.source in trees]
    for figure in found:
        assert figure.value == resolved(trees[figure.source], figure.pointer)
    addresses = {figure.pointer for figure in found}
    for number, _ in enumerate(trees["evaluation.json"]["results"]):
        assert {f"/results/{number}/metrics/{level}/accuracy" for level in LEVELS} <= addresses
    assert {f"/agreement/{name}/mean_auroc" for name in CHECKPOINTS} <= addresses


def test_its_report_is_what_was_measured(shown: tuple[Path, list[str]]) -> None:
    """Every accuracy, gain and claim of the README is that of evaluation.json."""
    found = json.loads((shown[0] / "evaluation.json").read_text())
    report = (shown[0] / "README.md").read_text()
    assert {result["method"] for result in found["results"]} == {f"demo · {name}" for name in CHECKPOINTS}
    for result in found["results"]:
        name = result["method"].split(" · ")[1]
        table = report.split(f"protocol {result['protocol']} (k")[1].split("Gain:")[0].splitlines()
        at = next(number for number, line in enumerate(table) if line.startswith(f"| {name} |"))
        for level, cell in zip(LEVELS, table[at].split("|")[2:5], strict=True):
            assert float(cell.split()[0]) == round(100 * result["metrics"][level]["accuracy"], 1)
        for number, (level, difference) in enumerate(result["differences"].items(), start=2):
            change = 100 * difference["accuracy"]["mean"]
            assert table[at + 1].split("|")[number].split()[0] == f"{change:+.1f}"
            (line,) = re.findall(f"- {name}, protocol {result['protocol']}, {level}: (.*)", report)
            assert f"{abs(change):.1f} points" in line
            assert ("lost" in line, "gained" in line) == (change < 0, change > 0)


def test_its_report_has_the_words_that_were_scored(shown: tuple[Path, list[str]]) -> None:
    found = json.loads((shown[0] / "explanations.json").read_text())["agreement"]
    report = (shown[0] / "README.md").read_text()
    for factor in {factor for one in found.values() for factor in one["by_factor"]}:
        row = next(line for line in report.splitlines() if line.startswith(f"| {factor.replace('_', ' ')}"))
        for name, cell in zip(CHECKPOINTS, row.split("|")[2:5], strict=True):
            value = found[name]["by_factor"].get(factor)
            assert cell.split()[0] == ("–" if value is None else f"{value:.2f}")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ("language.bank=general_he", "general_he"),
        ("language.variant=permuted", "language.variant"),
        ("language=null", "language"),
        ("cohort={name: manifest, path: slides.csv}", "cohort"),
        ("split.test=0", "split"),
        ("out=elsewhere", "--out"),
    ],
)
def test_what_makes_no_demo_is_refused_at_once(tmp_path: Path, change: str, names: str) -> None:
    with pytest.raises(UserError, match=names) as raised:
        run_demo(tmp_path / "demo", [*SMALL, change])
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "demo").exists()


def test_patches_keep_their_own_truth(shown: tuple[Path, list[str]], asked: tuple[Asked, Words]) -> None:
    experiment = experiment_of(shown[0] / "run")
    cohort = experiment.cohort.open()
    table = EmbeddingTable.read(shown[0] / "run" / "embeddings" / "last")
    test = table.where(np.asarray(table["side"] == "test"))
    source = cohort.source
    for row in (0, len(test) // 2, len(test) - 1):
        image = cohort.slides.index(test["slide"][row])
        truth = source.tile_truth(image, (int(test["x_px0"][row]), int(test["y_px0"][row])), cohort.tile_px, 1.0)
        np.testing.assert_allclose(asked[0].truth[row], [truth[name] for name in FACTORS], atol=1e-6)


def test_agreement_knows_features_that_say_the_truth(asked: tuple[Asked, Words]) -> None:
    """Features made of the very words that are true score near 1; such of the opposite, near 0."""
    _, words = asked
    rng = np.random.default_rng(0)
    n, factor = 400, "glands"
    value = rng.random(n)
    truth = np.full((n, len(FACTORS)), np.nan)
    truth[:, FACTORS.index(factor)] = value
    names, texts = words.names[Level.SLIDE], words.rows[Level.SLIDE]
    meant = [words.truths[Level.SLIDE][name] for name in names]
    high = texts[[t.factor == factor and t.end == "high" for t in meant]].mean(axis=0)
    low = texts[[t.factor == factor and t.end == "low" for t in meant]].mean(axis=0)
    features = value[:, None] * high + (1 - value)[:, None] * low
    patients = np.repeat([f"P{i}" for i in range(20)], n // 20)
    for sign, bound in ((1, (0.9, 1.0)), (-1, (0.0, 0.1))):
        mixed = features if sign == 1 else value[:, None] * low + (1 - value)[:, None] * high
        found = agreement_of(Asked(mixed.astype(np.float32), patients, truth), words)
        of_slide = [
            one["auroc"]
            for one in found["characteristics"]
            if one["factor"] == factor and one["characteristic"] in names
        ]
        assert bound[0] <= np.mean(of_slide) <= bound[1]
        assert set(found["by_factor"]) == {factor}


def test_where_nothing_can_be_asked_nothing_is_claimed(asked: tuple[Asked, Words]) -> None:
    given, words = asked
    few = Asked(given.features[:4], given.patients[:4], given.truth[:4])
    found = agreement_of(few, words)
    assert (found["mean_auroc"], found["interval"], found["distractors"]) == (None, None, None)
    rows = words_table({"last": found}, every=True)
    assert {cell for row in rows[1:] for cell in row[1:]} == {"–"}


def test_words_have_a_row_for_each_name(asked: tuple[Asked, Words]) -> None:
    given, words = asked
    for level in LEVELS:
        assert len(words.names[level]) == len(words.rows[level]) >= 32
        assert match(given.features, words.rows[level]).shape == (len(given.features), len(words.names[level]))


def test_a_contact_sheet_of_fewer_patients_than_columns(tmp_path: Path) -> None:
    contact_sheet(PhantomSpec(patients=7, slides=1, side=2, tile_px=32).open(), tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 5_000
