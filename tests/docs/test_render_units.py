"""Counts of explained units as Markdown: every figure of a small file that was written by hand stands in its cell."""

import importlib
from typing import Any

from rendering import render


def counts(of: dict[str, Any]) -> str:
    render()  # puts the folder of the module on the path
    made = importlib.import_module("render_units").counts(of)
    assert isinstance(made, str)
    return made


def beside(mean: float, p: float) -> dict[str, Any]:
    return {"mean": mean, "least": 1, "most": 7, "p": p}


def judged(*numbers: int) -> dict[str, int]:
    return dict(zip(("true", "middle", "false", "distractor"), numbers, strict=True))


def found(known: bool) -> dict[str, Any]:
    truth = {"stands_out": judged(9, 1, 2, 3), "perhaps": judged(4, 5, 6, 7), "blindly": judged(2, 1, 1, 4)}
    level = {
        "there_are": 40,
        "chosen_from": 40,
        "explained": 12,
        "with_stands_out": 8,
        "with_stands_out_or_perhaps": 11,
        "by_chance": {
            "draws": 20,
            "with_stands_out": beside(2.25, 0.048),
            "with_stands_out_or_perhaps": beside(5, 0.19),
        },
        "over_all_units": {"0.25": {"units": 1, "characteristics": 2, "truth": judged(2, 0, 0, 0) if known else None}},
        "truth": truth if known else None,
    }
    return {
        "settings": {"random_texts": 20, "permutations": 1000, "seed": 3},
        "bank": {"name": "words", "status": "unreviewed", "fingerprint": "abc"},
        "units": ["slide", "class"],
        "only": [],
        "tables": [{"name": "a · last", "levels": {"slide": level, "class": {}}, "run": {"config_hash": "1f2e"}}],
        "provenance": {"command": "hlss explain a", "code_version": "0.1", "hardware": "none", "time": "now"},
    }


def test_every_figure_stands_in_its_row() -> None:
    lines = counts(found(True)).splitlines()
    assert lines[2] == (
        "| a · last, slide | 12 of 40 | 8 | 2.2 (1 to 7), p 0.048 | 9, 1, 2, 3 | 11 | 5.0 (1 to 7), p 0.190"
        " | 4, 5, 6, 7 | 2, 0, 0, 0 |"
    )
    assert "slide 25 %, 12 %, 12 %, 50 %" in lines[4]
    assert "Command: `hlss explain a`; config hash 1f2e; bank words (unreviewed, abc); 20 random texts" in lines[6]
    assert len(lines) == 7


def test_where_nobody_knows_the_truth_none_is_told() -> None:
    text = counts(found(False))
    assert "| – | 11 |" in text
    assert "Blindly" not in text
