"""The page as a whole, of data made up here: nothing of users' texts is markup, and nothing is asked of anybody."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from html_figures import read, resolved

from hlss.report.contents import (
    OWN,
    CohortPart,
    ErrorPart,
    Example,
    MapPart,
    MapShown,
    Panel,
    Report,
    RunPart,
    SourceFile,
    Sprites,
    UnitShown,
    WordsPart,
)
from hlss.report.facts import Facts
from hlss.report.page import page

NASTY = "</script><script>alert(1)</script><img src=http://x.example/ onerror=alert(1)>"
JPEG = b"\xff\xd8\xff\xe0"
COUNT = {"patients": 2, "slides": 3, "tiles": 12345}
LEVELS = ("patch", "slide", "patient")


def computed() -> dict[str, Any]:
    profile = {
        "chance": 0.5,
        "n": 4,
        "classes": {NASTY: [{"characteristic": NASTY, "mark": 0.75, "interval": [0.25, 1.0]}]},
    }
    use = {"of": 3, "never": 1, "most": [{"characteristic": NASTY, "share": 0.625}]}
    clustering = {"by": "class", "share": 0.7, "chance": 0.5, "chance_interval": [0.4, 0.6]}
    error = {
        "truth": "a",
        "predicted": NASTY,
        "score": 0.9,
        "own_score": 0.05,
        "place": NASTY,
        "neighbours": [{"class": NASTY, "similarity": 0.875, "place": NASTY}],
    }
    names = {"names": ["a", NASTY], "of": [0, 1]}
    of_class = {"name": NASTY, "sides": {"test": COUNT}, "sites": {NASTY: 2}}
    return {
        "cohorts": [{"total": COUNT, "sides": {"test": COUNT}, "sites": {NASTY: 2}, "classes": [of_class]}],
        "maps": [{"shown": 2, "of": 2, "clustering": [clustering], "patches": {"class": names}}],
        "errors": [{"protocol": "small", "k": 5, "wrong": 1, "asked": 9, "errors": [error]}],
        "words": [{"profile": dict.fromkeys(LEVELS, profile), "use": dict.fromkeys(LEVELS, use)}],
    }


def evaluation() -> dict[str, Any]:
    span = {"low": 0.25, "high": 0.75}
    metrics = {"n": 4, "patients": 2, "accuracy": 0.5, "balanced_accuracy": None, "macro_auroc": 0.625, "macro_f1": 0.4}
    result = {
        "method": NASTY,
        "way": "kNN",
        "protocol": "small",
        "k": 5,
        "metrics": dict.fromkeys(LEVELS, metrics),
        "intervals": {"patch": {"accuracy": span}},
        "differences": {
            "patch": {"accuracy": {"mean": -0.125, "interval": span}},
            "slide": {"accuracy": {"mean": 0.1}},
        },
        "confusions": {level: [[1, 1], [2, 0]] for level in LEVELS},
    }
    return {"classes": ["a", NASTY], "queries": "test", "results": [result]}


def report() -> Report:
    figures = Facts(OWN, computed())
    run = RunPart(
        NASTY,
        NASTY,
        Facts("config.yaml", {"cohort": {"name": NASTY}}),
        Facts("provenance.json", {"command": NASTY, "seed": 0}),
        Facts("log.jsonl", [{"step": 1, "loss/total": 2.5, "loss/x/<b>": 1.0}, {"step": 5, "loss/total": 1.25}]),
        (NASTY,),
    )
    sprites = Sprites(JPEG, 48, 2)
    return Report(
        title=NASTY,
        made={"time": "2026-01-01T00:00:00+00:00", "code_version": "1", "command": NASTY, "hardware": NASTY},
        notices=[NASTY],
        runs=[run],
        cohorts=[CohortPart((NASTY,), figures["cohorts"][0], (Example(NASTY, JPEG, 3),))],
        evaluation=Facts("evaluation.json", evaluation()),
        how=NASTY,
        maps=[MapPart(NASTY, [(0, 0), (1, 1)], {"class": ["a", NASTY]}, figures["maps"][0], sprites, 0)],
        errors=[ErrorPart(NASTY, figures["errors"][0], [[JPEG, None]])],
        words=[WordsPart(NASTY, figures["words"][0]["profile"], figures["words"][0]["use"], (NASTY,))],
        agreement={},
        sources=[SourceFile(NASTY, NASTY, "abc", None)],
        figures=figures,
    )


def test_users_texts_are_never_markup() -> None:
    html = page(report())
    tags = read(html).tags
    assert [given.get("id") for tag, given in tags if tag == "script"] == ["figures", None]
    assert all((given.get("src") or "").startswith("data:image/jpeg;base64,") for tag, given in tags if tag == "img")
    assert not [name for _, given in tags for name in given if name.startswith("on")]
    assert json.loads(read(html).scripts["figures"]) == computed()


def test_nothing_outside_is_named() -> None:
    html = page(report())
    for _, given in read(html).tags:
        for name in ("src", "href", "action", "poster", "srcset"):
            value = given.get(name)
            assert value is None or value.startswith(("#", "data:"))
    assert not re.findall(r"@import|url\((?!data:)", html)


def test_every_figure_is_the_one_at_its_address() -> None:
    trees = {
        OWN: computed(),
        "evaluation.json": evaluation(),
        "log.jsonl": report().runs[0].log.value,  # type: ignore[union-attr]
        "config.yaml": report().runs[0].config.value,
        "provenance.json": {"command": NASTY, "seed": 0},
    }
    figures = read(page(report())).figures
    assert {figure.source for figure in figures} == set(trees)
    assert len(figures) > 80
    for figure in figures:
        assert figure.value == resolved(trees[figure.source], figure.pointer)
    shown = {figure.pointer: figure.text for figure in figures if figure.source == "evaluation.json"}
    assert shown["/results/0/metrics/patch/accuracy"] == "50.0"
    assert shown["/results/0/differences/patch/accuracy/mean"] == "−12.5"
    assert shown["/results/0/differences/slide/accuracy/mean"] == "+10.0"


def test_a_page_is_the_same_again_and_every_id_is_there_once() -> None:
    html = page(report())
    assert html == page(report())
    ids = [given["id"] for _, given in read(html).tags if given.get("id")]
    assert len(ids) == len(set(ids))
    for _, given in read(html).tags:
        if (given.get("href") or "").startswith("#"):
            assert (given["href"] or "")[1:] in ids
        for name in ("aria-labelledby", "aria-describedby"):
            assert given.get(name) is None or given[name] in ids


def test_an_empty_report_says_what_is_lacking() -> None:
    why = {name: f"why {name} <is> lacking" for name in ("cohort", "accuracy", "embedding", "errors", "explained")}
    empty = replace(
        report(),
        cohorts=[],
        evaluation=None,
        maps=[],
        errors=[],
        words=[],
        lacking=why,
        notices=[],
        figures=Facts(OWN, {}),
    )
    run = replace(empty.runs[0], log=None, provenance=None, tables=())
    html = page(replace(empty, runs=[run]))
    for name in why:
        assert f"why {name} &lt;is&gt; lacking" in html
    assert "No run has a log." in html
    assert "Read this first" not in html


def faithfulness(holds: bool | None) -> dict[str, Any]:
    null = {"quantiles": {"0.5": 0.5}, "p": 0.125}
    known = {"auroc": 0.625, "interval": [0.5, 0.75], "random_maps": null, "random_texts": None}
    return {**(known if holds is not None else {"auroc": None}), "above_chance": bool(holds), "verdict": "so <it> is"}


def seen(holds: bool | None) -> WordsPart:
    """A map and a unit with words of users in them."""
    map_ = {
        "slide": NASTY, "characteristic": NASTY, "tiles": 9, "notices": [NASTY], "faithfulness": faithfulness(holds),
        "truth": {"auroc": 0.875, "rank": None, "having": 20, "lacking": 30},
    }  # fmt: skip
    match = {
        "characteristic": NASTY, "descriptions": [NASTY], "truth": "distractor", "stands_out": "yes", "sigma": 2.0,
        "p_text": 0.25, "q_text": 0.5, "p_images": 0.125,
    }  # fmt: skip
    unit = {"level": "slide", "name": NASTY, "matches": [match]}
    scale = Panel("", JPEG, "", "image/jpeg")
    maps = [MapShown(Facts("maps.json", map_), [Panel(NASTY, JPEG, NASTY, "image/jpeg")], scale, 1500, 3.0)]
    units = [UnitShown(NASTY, Facts("units.json", unit), [[(JPEG, NASTY)]])]
    return replace(report().words[0], maps=maps, maps_how=NASTY, units=units, units_how=NASTY)


@pytest.mark.parametrize("holds", [True, False, None])
def test_faithfulness_stands_beside_every_map(holds: bool | None) -> None:
    html = page(replace(report(), words=[seen(holds)]))
    shown = {
        figure.pointer: figure.text for figure in read(html).figures if figure.source in ("maps.json", "units.json")
    }
    assert shown["/truth/auroc"] == "0.88"
    assert shown["/matches/0/sigma"] == "+2.00"
    assert shown["/matches/0/truth"] == "distractor"
    assert "∅" in html
    assert ("/faithfulness/auroc" in shown) is (holds is not None)
    assert ("not tested" in html) is (holds is None)
    assert "So &lt;it&gt; is." in html
    assert ('class="weak"' in html) is (not holds)
    assert ('class="slide-map is-weak"' in html) is (not holds)
    assert "1.5 mm wide" in html
    assert not [name for _, given in read(html).tags for name in given if name.startswith("on")]


def test_where_there_are_no_maps_or_units_it_is_said_why() -> None:
    html = page(replace(report(), words=[replace(report().words[0], maps_how="no <maps>", units_how="no <units>")]))
    assert "no &lt;maps&gt;" in html
    assert "no &lt;units&gt;" in html
