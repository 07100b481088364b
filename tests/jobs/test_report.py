"""`hlss report` on a small run: its figures are those of the files they name, and it needs nothing beside it."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromium
import numpy as np
import pytest
import yaml
from axe import axe_findings, needs_axe
from html_figures import agree, read

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.knn import PAPER, SMALL
from hlss.jobs.embed import embed_run
from hlss.jobs.evaluate import evaluate_tables
from hlss.jobs.explain import explain_tables
from hlss.jobs.report import make_report
from hlss.jobs.report_cohort import EXAMPLES, counts, example_rows
from hlss.jobs.report_errors import confident_errors
from hlss.jobs.train import train_run

COHORT = {"name": "phantom", "patients": 28, "slides": 2, "side": 2, "tile_px": 32, "classes": 2, "sites": 2}


def silent(line: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, write_experiment: Callable[..., Path]) -> Path:
    """Trained and embedded at its start and end."""
    folder = tmp_path_factory.mktemp("reported")
    train_run(write_experiment(folder, cohort=COHORT), [])
    for checkpoint in ("start", "last"):
        embed_run(folder / "run", checkpoint, None, [])
    return folder / "run"


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    """Its report, without an evaluation beside it."""
    return make_report([run], run.parent / "page.html", say=silent).read_text()


def sources(run: Path, html: str) -> dict[str, Any]:
    """What the report's figures are of, as it lies on the disk; its own stand in the page."""
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {
        "report": json.loads(read(html).scripts["figures"]),
        "log.jsonl": log,
        "config.yaml": yaml.safe_load((run / "config.yaml").read_text()),
        "provenance.json": json.loads((run / "provenance.json").read_text()),
    }


def test_figures_are_those_of_their_files(run: Path, html: str) -> None:
    agree(html, sources(run, html))


def test_every_section_is_filled_and_says_how_to_read_it(html: str) -> None:
    for name in ("run", "cohort", "training", "accuracy", "embedding", "errors", "explained", "sources"):
        part = html.split(f'<section id="{name}"')[1].split("</section>")[0]
        assert 'class="lead"' in part
        assert 'class="missing"' not in part
    assert "scored for this report, with default settings" in html
    assert "no characteristic is claimed to be seen" in html  # image and text tower know nothing of each other
    assert "Not known: 4 tiles are too few (of 40)." in html
    assert "unreviewed" in html.split("<section")[0]
    for term in ("loss/total", "loss/hvc", "loss/ha", "bank_use", "val/knn_patch"):
        assert term in html


def test_everything_is_inside(html: str) -> None:
    for _, given in read(html).tags:
        for name in ("src", "href"):
            assert (given.get(name) or "#").startswith(("#", "data:"))
    assert not re.findall(r"@import|url\((?!data:)", html)
    assert len(html) < 3_000_000


def test_the_same_again_but_for_the_time(run: Path, html: str, tmp_path: Path) -> None:
    again = make_report([run], tmp_path / "again.html", say=silent).read_text()
    time = r"20\d\d-\d\d-\d\dT[\d:+]+"
    assert re.sub(time, "", again) == re.sub(time, "", html)


def test_counts_are_those_of_the_table(run: Path, html: str) -> None:
    table = EmbeddingTable.read(run / "embeddings" / "last")
    found = sources(run, html)["report"]["cohorts"][0]
    assert found == counts(table)
    assert found["total"] == {"patients": 28, "slides": 56, "tiles": 224}
    assert sum(one["sides"]["test"]["tiles"] for one in found["classes"]) == found["sides"]["test"]["tiles"]
    assert sum(sum(one["sites"].values()) for one in found["classes"]) == 28


def test_examples_are_of_as_many_patients_as_there_are(run: Path) -> None:
    table = EmbeddingTable.read(run / "embeddings" / "last")
    rows = np.flatnonzero(table["label"] == table["label"][0])
    chosen = example_rows(table, rows)
    assert len(set(table["patient"][chosen])) == len(chosen) == EXAMPLES
    few = example_rows(table, rows[:3])
    assert sorted(few) == rows[:3].tolist()


@pytest.mark.parametrize("centred", [True, False])
def test_errors_are_the_wrong_patches_with_the_highest_scores(run: Path, centred: bool) -> None:
    """Against neighbours found without the evaluation's search."""
    table = EmbeddingTable.read(run / "embeddings" / "last")
    protocol, k = (SMALL if centred else PAPER), 7
    found, rows = confident_errors(table, [{"way": "kNN", "protocol": protocol.name, "k": k}])
    bank, asked = (np.flatnonzero(table["side"] == side) for side in ("train", "test"))
    z = table.features.astype(np.float64) - (table.features[bank].mean(axis=0) if centred else 0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    wrong: dict[int, float] = {}
    for row in asked:
        near = bank[np.argsort(-(z[bank] @ z[row]))[:k]]
        weights = np.exp((z[near] @ z[row] - 1) / protocol.temperature)
        scores = {name: weights[table["label"][near] == name].sum() / weights.sum() for name in set(table["label"])}
        best = max(scores, key=lambda name: scores[name])
        if best != table["label"][row]:
            wrong[int(row)] = scores[best]
    assert found["wrong"] == len(wrong)
    assert found["asked"] == len(asked)
    patients = [table["patient"][row[0]] for row in rows]
    assert len(set(patients)) == len(patients)
    for error, (own, *near) in zip(found["errors"], rows, strict=True):
        assert error["score"] == pytest.approx(wrong[own], abs=1e-5)
        of_patient = [score for row, score in wrong.items() if table["patient"][row] == table["patient"][own]]
        assert error["score"] == pytest.approx(max(of_patient), abs=1e-5)
        assert [one["class"] for one in error["neighbours"]] == table["label"][near].tolist()
        assert set(near) <= set(bank)


def test_an_evaluation_and_explanations_beside_the_run_are_shown_as_they_are(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    tables = [copy / "embeddings" / name for name in ("start", "last")]
    evaluate_tables(tables, "start", copy / "evaluation.json", overrides=["resamples=100"], shown=False)
    explain_tables([tables[1]], None, "general_he", None, "test", ["resamples=100", "permutations=100"])
    html = make_report([copy], say=silent).read_text()
    trees = sources(copy, html)
    assert "evaluation" not in trees["report"]
    trees["evaluation.json"] = json.loads((copy / "evaluation.json").read_text())
    trees["explanations.json"] = json.loads((copy / "explanations" / "explanations.json").read_text())
    agree(html, trees)
    assert "which was made before" in html
    assert (copy / "report.html").read_text() == html


def test_an_evaluation_of_other_tables_is_not_taken(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "evaluation.json"
    evaluate_tables([run / "embeddings" / "start"], None, other, overrides=["resamples=100"], shown=False)
    with pytest.raises(UserError, match="not of these tables"):
        make_report([run], tmp_path / "r.html", evaluation=other, say=silent)
    other.write_text("{}")
    with pytest.raises(UserError, match="no evaluation"):
        make_report([run], tmp_path / "r.html", evaluation=other, say=silent)
    assert not (tmp_path / "r.html").exists()


def test_runs_stand_side_by_side_and_share_a_cohort(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "run"))
    text = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(text.replace("name: small", "name: '<i>second'"))
    html = make_report([run, other / "embeddings" / "last"], tmp_path / "r.html", say=silent).read_text()
    figures = json.loads(read(html).scripts["figures"])
    assert len(figures["cohorts"]) == 1
    assert [one["name"] for one in figures["maps"]] == ["small · last", "<i>second · last"]
    assert {figure.source for figure in read(html).figures} >= {"small/log.jsonl", "<i>second/log.jsonl"}
    assert html.count(".sheet-0{") == 1
    assert ".sheet-1{" not in html
    assert "<i>" not in html.replace("\\u003ci\\u003e", "")


def test_a_run_without_tables_shows_its_curves(run: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("embeddings", "provenance.json")))
    html = make_report([bare], say=silent).read_text()
    assert "Nothing is embedded" in html
    assert "loss/total" in html
    assert set(sources_named(html)) == {"config.yaml", "log.jsonl"}


def sources_named(html: str) -> set[str]:
    """Of the figures."""
    return {figure.source for figure in read(html).figures}


def test_a_cohort_that_is_gone_costs_its_pictures_only(run: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(run, tmp_path / "run"))
    text = yaml.safe_load((moved / "config.yaml").read_text())
    text["cohort"] = {"name": "manifest", "path": str(tmp_path / "gone.csv"), "tile_px": 32}
    (moved / "config.yaml").write_text(yaml.safe_dump(text))
    for settings in moved.glob("embeddings/*/settings.yaml"):
        settings.unlink()
    html = make_report([moved], say=silent).read_text()
    assert "gone.csv" in html.split("<section")[0]
    assert "No example tiles" in html
    assert "image/jpeg" not in html
    assert "Embedding map of small" in html


def test_a_table_of_another_cohort_shows_the_tiles_of_its_own(run: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(run, tmp_path / "run"))
    text = yaml.safe_load((moved / "config.yaml").read_text())
    text["cohort"] = {"name": "manifest", "path": str(tmp_path / "gone.csv"), "tile_px": 32}
    (moved / "config.yaml").write_text(yaml.safe_dump(text))
    html = make_report([moved / "embeddings" / "last"], tmp_path / "r.html", say=silent).read_text()
    assert "gone.csv" not in html.split("<section")[0]
    assert "image/jpeg" in html


def test_without_labels_there_is_no_accuracy_and_the_page_says_so(run: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(run, tmp_path / "run"))
    shutil.rmtree(bare / "embeddings" / "start")
    table = EmbeddingTable.read(bare / "embeddings" / "last")
    empty = np.array([""] * len(table), dtype=object)
    EmbeddingTable(table.features, {**table.columns, "label": empty, "site": empty}, table.provenance).write(
        bare / "embeddings" / "last"
    )
    html = make_report([bare], say=silent).read_text()
    assert "Not evaluated: the tables have no labels" in html
    assert "No errors are shown" in html
    assert "No site is recorded" in html
    assert "same patient" in html
    assert "Use of the bank" in html
    assert "same site" not in html


def test_what_is_no_run_is_refused(tmp_path: Path, run: Path) -> None:
    with pytest.raises(UserError, match="neither a run nor a table"):
        make_report([tmp_path], None, say=silent)
    broken = Path(shutil.copytree(run, tmp_path / "run"))
    (broken / "log.jsonl").write_text("{not json}\n")
    with pytest.raises(UserError, match=r"log.jsonl: a line is not JSON"):
        make_report([broken], None, say=silent)


def test_the_command_says_where_it_lies(run: Path, tmp_path: Path, hlss: Callable[..., Any]) -> None:
    done = hlss("report", run, "--out", tmp_path / "r.html", "--checkpoint", "start")
    assert done.returncode == 0, done.stderr
    assert f"Output: {tmp_path / 'r.html'}" in done.stdout
    assert "small · start" in (tmp_path / "r.html").read_text()
    wrong = hlss("report", tmp_path / "nothing")
    assert wrong.returncode == 1
    assert wrong.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from chromium.started()


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Any, html: str, run: Path) -> Iterator[Any]:
    """The report opened from its file, in either scheme; `asked` and `said`: requests, and lines of the console."""
    context = browser.new_context(color_scheme=request.param, viewport={"width": 1300, "height": 900})
    one = context.new_page()
    one.asked, one.said = [], []
    one.on("request", lambda request: one.asked.append(request.url))
    one.on("console", lambda message: one.said.append(message.text))
    one.on("pageerror", lambda error: one.said.append(str(error)))
    one.goto((run.parent / "page.html").resolve().as_uri())
    yield one
    context.close()


@pytest.mark.browser
def test_it_opens_from_its_file_and_asks_nobody(page: Any) -> None:
    page.locator("svg.scatter").first.scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function("document.querySelector('nav a[aria-current]').textContent === 'Provenance'")
    asked = [url for url in page.asked if not url.startswith("data:")]
    assert len(asked) == 1
    assert asked[0].startswith("file://")
    assert page.said == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
def test_marks_tell_what_they_are_and_switch(page: Any) -> None:
    chart, tip = page.locator("svg.scatter").first, page.locator(".tip").first
    chart.focus()
    page.keyboard.press("ArrowRight")
    assert tip.is_visible()
    assert "patient: P" in tip.inner_text()
    assert "data:image/jpeg" in tip.locator("i").evaluate("tile => getComputedStyle(tile).backgroundImage")
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    assert page.locator("g.by-class").first.is_visible()
    page.get_by_text("site", exact=True).first.click()
    assert not page.locator("g.by-class").first.is_visible()
    assert page.locator("g.by-site").first.is_visible()


@pytest.mark.browser
def test_curves_are_read_where_one_points(page: Any) -> None:
    chart = page.locator("svg.lines").first
    chart.hover()
    assert re.search(r"step \d+", chart.locator(".cursor").text_content())
    figure = page.locator("[data-source^='report#']").first
    figure.hover()
    assert "report#/" in figure.get_attribute("title")


@pytest.mark.browser
def test_print_shows_what_is_folded(page: Any) -> None:
    folded = page.locator("details:not([open])")
    assert folded.count() > 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert folded.count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert folded.count() > 0
    assert page.pdf(prefer_css_page_size=True)[:5] == b"%PDF-"


@pytest.mark.browser
@needs_axe
def test_axe_finds_nothing(page: Any) -> None:
    assert axe_findings(page, ("screen", "print")) == []


@pytest.mark.browser
@needs_axe
def test_axe_finds_nothing_on_a_page_of_two_runs(browser: Any, run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "run"))
    path = make_report([run, other / "embeddings" / "last"], tmp_path / "r.html", say=silent)
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    one = context.new_page()
    one.goto(path.resolve().as_uri())
    found = []
    for scheme in ("light", "dark"):
        one.emulate_media(color_scheme=scheme)
        found += axe_findings(one)
    context.close()
    assert found == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_to_the_right(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
