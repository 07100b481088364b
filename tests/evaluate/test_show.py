"""What a terminal shows."""

import io

import numpy as np
import pytest
from rich.console import Console

from hlss.evaluate.evaluation import EvaluateSpec, evaluate


@pytest.fixture
def printed():
    def run(tables, width: int = 200, **arguments) -> str:
        out = io.StringIO()
        spec = EvaluateSpec(resamples=100, scoring=arguments.pop("scoring", "mean"))
        evaluate(tables, spec, **arguments).show(Console(file=out, width=width))
        return out.getvalue()

    return run


def test_all_that_a_reader_needs(cohort_table, printed):
    tables = [
        cohort_table(range(18), range(18, 33), noise, method=f"hlss · {name}")
        for name, noise in (("last", 0.9), ("start", 0.9))
    ]
    text = printed(tables, against="start")
    assert "protocol small (k = 20), test side" in text
    assert "protocol paper is left out" in text
    for column in ("patch", "slide", "patient", "balanced", "AUROC", "F1", "top-2"):
        assert column in text
    assert "n=60" in text
    assert "n=15" in text
    assert "accuracy less that of start" in text
    assert "+0.0 [+0.0, +0.0], detectable 0.0" in text
    assert "hlss · last, protocol small: no difference shown at patient level" in text
    assert "patient level: confusion matrix of hlss · start, protocol small" in text


def test_left_out_few_and_absent_are_said(make_table, printed):
    rows = [(f"p{i}", f"s{i}", "abc"[i % 3], "train") for i in range(30)]
    rows += [("q", f"t{i}", "ab"[i % 2], "test") for i in range(4)]
    text = printed([make_table(rows, np.eye(34), method="m")])
    assert "m, patient level: left out for several labels: 1" in text
    assert "m, slide level: classes without a unit, left out of macro-averages: 1" in text
    assert "m, slide level: patients: 1, fewer than 10, so no interval" in text
    assert "slide level: confusion matrix of m" in text


def test_names_are_not_markup(make_table, printed):
    rows = [(f"p{i}", f"s{i}", "[b]x[/b]" if i % 2 else "[/]", "test" if i > 27 else "train") for i in range(32)]
    text = printed([make_table(rows, np.eye(32), method="[red]m")], scoring="released")
    assert "[b]x[/b]" in text
    assert "[red]m" in text
    assert "scoring released" in text


@pytest.mark.parametrize("width", [20, 60])
def test_narrow_terminal_cuts_nothing(cohort_table, printed, width: int):
    text = printed([cohort_table(range(18), range(18, 33), 0.9, method="m")], width=width)
    assert "…" not in text
