"""Charts: axes hold their values, everything is said in words, values carry their addresses."""

import math
import re

import pytest
from html_figures import read
from hypothesis import given
from hypothesis import strategies as st

from hlss.report.charts import Valued, bar_chart, confusion_matrix, interval_chart
from hlss.report.facts import Facts, decimal, percent
from hlss.report.lines import Line, line_chart
from hlss.report.scale import scale_of, written
from hlss.report.svg import spread

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(NUMBERS, min_size=1, max_size=8), st.booleans())
def test_a_scale_holds_its_values_and_has_ticks(values: list[float], zero: bool) -> None:
    scale = scale_of(values, 100, 300, zero=zero)
    assert all(99.9 <= scale(value) <= 300.1 for value in values)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 8
    assert all(99.9 <= scale(tick) <= 300.1 for tick in ticks)
    if zero:
        assert scale.low <= 0 <= scale.high


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf, 1.0], [0.0], [5.0, 5.0], [1e-9, 2e-9]])
def test_a_scale_of_strange_values_is_a_scale(values: list[float]) -> None:
    scale = scale_of(values, 0, 1)
    assert math.isfinite(scale.low)
    assert scale.low < scale.high


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_labels_stand_apart_where_there_is_room(wanted: list[float]) -> None:
    places = spread(wanted, 10, 0, 100)
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in places)
    assert all(b - a >= 10 - 1e-6 for a, b in zip(sorted(places), sorted(places)[1:], strict=False))
    for a, b in zip(range(len(wanted)), range(1, len(wanted)), strict=False):
        if wanted[a] < wanted[b]:
            assert places[a] < places[b]


def test_ticks_are_written_short() -> None:
    assert [written(value) for value in (0, -0.5, 12000, 2e-5, 1.5e7)] == ["0", "−0.5", "12000", "2e−5", "1.5e7"]


def rows() -> list[Valued]:
    facts = Facts("e.json", {"a": [0.5, [0.4, 0.6]], "b": [0.25, {"low": 0.2, "high": 0.3}], "c": [0.1]})
    return [
        Valued("<b>a", facts["a"][0], facts["a"][1], 0, "one"),
        Valued("b", facts["b"][0], facts["b"][1], 1, "one"),
        Valued("c", facts["c"][0], group="two"),
    ]


def test_values_and_intervals_stand_at_their_places() -> None:
    made = interval_chart("t", rows(), percent, "%")
    shown = {(figure.pointer, figure.text) for figure in read(made).figures}
    assert {("/a/0", "50.0"), ("/a/1/0", "40.0"), ("/b/1/high", "30.0"), ("/c/0", "10.0")} <= shown
    spans = re.findall(r'<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)" y2="[\d.]+" class="span', made)
    marks = [float(x) for x in re.findall(r'transform="translate\(([\d.]+) ', made)]
    for (low, high), middle in zip(spans, marks, strict=False):
        assert float(low) < middle < float(high)
    assert marks[0] > marks[1] > marks[2]
    assert "<b>a" not in made
    assert made.count('class="group"') == 2
    assert "one b 25.0 [20.0, 30.0]" in made


@pytest.mark.parametrize(
    "made",
    [
        interval_chart("title", rows(), percent, "%", 0.3),
        bar_chart("title", rows(), percent, "%"),
        line_chart("title", [Line("a", [1, 2], [0.5, 0.25])], [0, 1]),
        line_chart("title", [Line("a", [1], [0.5])], [0.5, 0.5]),
        confusion_matrix("title", ["a", "b"], Facts("e", [[3, 1], [0, 4]])),
    ],
    ids=["intervals", "bars", "lines", "one point", "confusion"],
)
def test_every_chart_is_named_and_described(made: str) -> None:
    (svg,) = [given for tag, given in read(made).tags if tag == "svg"]
    assert svg["role"] == "img"
    assert f'<title id="{svg["aria-labelledby"]}">title</title>' in made
    (said,) = re.findall(rf'<desc id="{svg["aria-describedby"]}">(.+?)</desc>', made)
    assert len(said) > 10
    assert "nan" not in made


def test_a_confusion_matrix_shows_counts_and_shares_of_rows() -> None:
    made = confusion_matrix("t", ["a", "b"], Facts("e", [[3, 1], [0, 0]]))
    assert [(figure.text, figure.pointer) for figure in read(made).figures] == [("3", "/0/0"), ("1", "/0/1")]
    assert "3 of 4 on the diagonal" in made


def test_curves_end_at_their_last_value() -> None:
    facts = Facts("log.jsonl", [{"loss": 2.0}, {"loss": 1.2345}])
    made = line_chart("t", [Line("loss", [1, 2], [2.0, 1.2345], facts[1]["loss"])], [1, 2])
    (figure,) = read(made).figures
    assert (figure.text, figure.pointer) == ("1.23", "/1/loss")
    assert decimal(1)(1.25) == "1.2"
