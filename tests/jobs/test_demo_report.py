"""The demo's report says what was measured, claims no more, and agrees with the repository's README."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hlss.jobs.demo import demo_experiment
from hlss.jobs.demo_report import COMMANDS, MINE, Report, origin_of, weights_of
from hlss.jobs.demo_tables import (
    accuracy_tables,
    claim,
    in_columns,
    in_markdown,
    short_claim,
    verdict_table,
    words_table,
)
from hlss.types import LEVELS

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.parametrize(
    ("mean", "interval", "says", "in_short"),
    [
        (0.1, (0.05, 0.2), "HLSS gained 10.0 points [+5.0, +20.0]", "gained 10.0"),
        (-0.1, (-0.2, -0.01), "HLSS lost 10.0 points [-20.0, -1.0]", "lost 10.0"),
        (0.1, (-0.1, 0.3), "HLSS gained 10.0 points [-10.0, +30.0] – the interval holds 0", "+10.0 not shown"),
        (-0.1, (-0.3, 0.0), "HLSS lost 10.0 points [-30.0, +0.0] – the interval holds 0", "-10.0 not shown"),
        (0.0, (-0.1, 0.1), "unchanged, 0.0 points", "+0.0 not shown"),
        (0.1, None, "HLSS gained 10.0 points", "+10.0 no interval"),
    ],
)
def test_claims_say_gains_losses_and_doubts(
    mean: float, interval: tuple[float, float] | None, says: str, in_short: str
) -> None:
    difference = {"mean": mean, "interval": None if interval is None else {"low": interval[0], "high": interval[1]}}
    assert claim(difference).startswith(says)
    assert ("no difference is shown" in claim(difference)) == (interval is not None and interval[0] <= 0 <= interval[1])
    assert short_claim(difference) == in_short


def _evaluation() -> dict[str, Any]:
    """The widest numbers there are: everything lost, and all of it sure."""
    wide, lost = {"accuracy": {"low": 0.999, "high": 1.0}}, {"mean": -1.0, "interval": {"low": -1.0, "high": -0.999}}
    results = [
        {
            "method": f"demo · {name}",
            "protocol": "small",
            "way": "kNN",
            "k": 20,
            "metrics": {level: {"n": 10000, "accuracy": 1.0} for level in LEVELS},
            "intervals": dict.fromkeys(LEVELS, wide),
            "differences": {} if name == "start" else {level: {"accuracy": lost} for level in LEVELS},
        }
        for name in ("start", "midway", "last")
    ]
    made = {"hardware": "a machine", "code_version": "0", "command": "hlss demo", "time": "2026-01-01T00:00:00"}
    return {"results": results, "notices": [], "provenance": made}


def _words() -> dict[str, Any]:
    factors = {"nuclear_size": 0.5, "membrane": 0.75}
    one = {"mean_auroc": 0.625, "interval": [0.5, 0.75], "by_factor": factors, "distractors": 0.5}
    return dict.fromkeys(
        ("start", "midway", "last"), one | {"by_factor_interval": {name: [0.25, 1.0] for name in factors}}
    )


def test_every_printed_table_fits_80_columns() -> None:
    evaluation = _evaluation()
    (rows,) = accuracy_tables(evaluation).values()
    for table in (rows, verdict_table(evaluation), words_table(_words(), every=False)):
        assert max(map(len, in_columns(table).splitlines())) <= 80
    assert verdict_table(evaluation)[1] == ["midway, small", "lost 100.0", "lost 100.0", "lost 100.0"]


def test_columns_stand_below_each_other() -> None:
    assert in_columns([["", "a"], ["long", "b"]]) == "      a\nlong  b"
    assert in_markdown([["", "a"], ["  long", "b"]]) == "|   | a |\n| --- | --- |\n| long | b |"


def test_means_of_told_and_untold_factors_stand_apart() -> None:
    rows = {row[0]: row[1] for row in words_table(_words(), every=True)}
    assert (rows["told"], rows["never told"]) == ("0.50", "0.75")
    assert (rows["nuclear size"], rows["membrane (never told)"]) == ("0.50 [0.25, 1.00]", "0.75 [0.25, 1.00]")


@pytest.mark.parametrize(("renewed", "claimed"), [(22, True), (0, False), (None, False)])
def test_norms_are_said_to_be_new_only_where_they_are(renewed: int | None, claimed: bool) -> None:
    facts = {} if renewed is None else {"norms_renewed": renewed}
    assert ("taken anew" in weights_of("midway", facts)) == claimed


@pytest.mark.parametrize(("seed", "stain", "seen"), [(22, 3.5, "This cohort (seed 22)"), (40, 2.0, "not this one")])
def test_the_report_says_what_to_doubt(tmp_path: Path, seed: int, stain: float, seen: str) -> None:
    changes = [f"cohort.seed={seed}", f"cohort.stain={stain}", "cohort.patients=14"]
    experiment = demo_experiment(tmp_path, changes)
    Report(experiment, _evaluation(), _words(), {"midway": {}}, {"tissue.png": "Tissue."}, 12.3, False).write(
        tmp_path / "README.md"
    )
    text = (tmp_path / "README.md").read_text()
    for wanted in ("never real", seen, f"{stain:g} times", "replicates", "12 s", "a machine", *COMMANDS, MINE):
        assert wanted in text


def test_weights_of_another_origin_are_not_called_the_small_clip(tmp_path: Path) -> None:
    small = ["cohort.patients=14"]
    assert origin_of(demo_experiment(tmp_path, small)) == "the small CLIP that comes with hlss"
    assert "random" in origin_of(demo_experiment(tmp_path, [*small, "encoder.random=true"]))


def test_commands_and_settings_are_those_of_the_readme() -> None:
    for command in COMMANDS:
        assert command in README
    blocks = [yaml.safe_load(block.split("```")[0]) for block in README.split("```yaml\n")[1:]]
    assert yaml.safe_load(MINE) in blocks
