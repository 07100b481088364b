"""Explanations as Markdown: every figure of a small file that was written by hand stands in its cell."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def alignment(effect: float, n: int) -> dict:
    null = {"quantiles": {"0.025": -0.2, "0.5": 0.0, "0.975": 0.3}, "p": 0.001, "draws": 1000}
    interval = [effect - 0.1, effect + 0.1]
    return {"n": n, "effect": effect, "effect_interval": interval, "permuted_labels": null, "random_text": None}


def profile(n: int) -> dict:
    marks = [("gland formation", 1.5, [1.0, 2.0]), ("granulomas", 0.4, None), ("sparse nuclei", -0.1, None)]
    of_class = [{"characteristic": name, "mark": mark, "interval": span} for name, mark, span in marks]
    return {"n": n, "chance": 0.8, "classes": {"round_cell": of_class, "inflamed": []}}


def table(name: str, effect: float, less: dict | None) -> dict:
    levels = {"patch": 90, "slide": 9, "patient": 3}
    return {
        "name": name,
        "notices": ["unreviewed"],
        "classes": ["round_cell", "inflamed"],
        "alignment": {level: alignment(effect, n) for level, n in levels.items()},
        "profile": {level: profile(n) for level, n in levels.items()},
        "agreement": {
            "mean_auroc": 0.76,
            "interval": [0.75, 0.78],
            "mean_rank": 0.35,
            "rank_interval": None,
            "distractors": 0.55,
        },
        "less_first": less,
        "run": {"objective": "hlss", "text": "tiny", "trained_with": {"name": "a bank", "fingerprint": "b4"}},
        "provenance": {"seed": 0, "fold": 0, "config_hash": "c1", "data_hash": "d2", "code_version": "0.1 (abc)"},
    }


def found() -> dict:
    less = {
        "patch": {"mean": 0.25, "interval": [0.125, 0.375]},
        "slide": None,
        "auroc": {"mean": -0.01, "interval": None},
    }
    return {
        "settings": {"side": "test"},
        "markers": {"name": "some markers", "status": "unreviewed", "fingerprint": "m3"},
        "bank": {"name": "a bank", "status": "approved", "fingerprint": "b4"},
        "distractors": ["granulomas"],
        "compared_with": "start",
        "tables": [table("start", 1.0, None), table("last", 1.25, less)],
        "provenance": {"command": "hlss explain x", "code_version": "0.2 (def)", "hardware": "2 cores", "time": "now"},
    }


def rendered(value: dict) -> str:
    spec = importlib.util.spec_from_file_location("rendered", ROOT / "docs" / "render_explanations.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.explanations(value)


def test_every_figure_stands_in_its_cell() -> None:
    lines = rendered(found()).splitlines()
    for line in (
        "| start | patch (90) | +1.00 [+0.90, +1.10] | [-0.20, +0.30], p 0.001 | – | – |",
        "| last | patch (90) | +1.25 [+1.15, +1.35] | [-0.20, +0.30], p 0.001 | – | +0.25 [+0.12, +0.38] |",
        "| last | slide (9) | +1.25 [+1.15, +1.35] | [-0.20, +0.30], p 0.001 | – | – |",
        "| last | 0.76 [0.75, 0.78] | -0.01 | +0.35 | – | 0.55 |",
        "| class | patch (0.80) | slide (0.80) | patient (0.80) |",
    ):
        assert line in lines
    marks = "gland formation +1.50 [+1.00, +2.00]\\*<br>granulomas ∅ +0.40"
    assert f"| round cell | {marks} | {marks} | {marks} |" in lines
    assert "| inflamed | – | – | – |" in lines


def test_origin_names_all_that_made_it() -> None:
    text = rendered(found())
    for part in ("`hlss explain x`", "0.2 (def)", "some markers (unreviewed, m3)", "a bank (approved, b4)", "2 cores"):
        assert part in text
    own = (
        "- last: objective hlss, trained with a bank (b4), read by text tower tiny, seed 0, fold 0, config c1, data d2"
    )
    assert own in text


def test_parts_that_were_not_asked_for_are_left_out() -> None:
    value = found()
    for one in value["tables"]:
        one |= {"alignment": None, "agreement": None}
    text = rendered(value | {"markers": None})
    assert "own class" not in text
    assert "AUROC" not in text
    assert "what marks a class" in text
