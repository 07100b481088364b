"""The demo's numbers as small tables and sentences, from what evaluation.json and explanations.json hold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hlss.jobs.pretrain_tiny.captions import HELD_OUT
from hlss.types import LEVELS

Rows = list[list[str]]  # of cells; the first holds the heads
UNSHOWN = "not shown"  # short for: the interval holds 0


def in_columns(rows: Rows) -> str:
    """For a terminal: columns two spaces apart, no line longer than its cells."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def in_markdown(rows: Rows) -> str:
    """For a README."""
    lines = [f"| {' | '.join(cell.strip() or ' ' for cell in row)} |" for row in rows]
    return "\n".join([lines[0], "| --- " * len(rows[0]) + "|", *lines[1:]])


def accuracy_tables(evaluation: Mapping[str, Any]) -> dict[str, Rows]:
    """By protocol: accuracy of each checkpoint, %, and below it the gain over the start, points; 95 % intervals."""
    tables: dict[str, Rows] = {}
    for result in evaluation["results"]:
        title = f"{result['way']} accuracy %, protocol {result['protocol']} (k = {result['k']})"
        heads = ["", *(f"{level} (n={result['metrics'][level]['n']})" for level in LEVELS)]
        rows = tables.setdefault(title, [heads])
        rows.append([checkpoint_of(result), *(_accuracy(result, level) for level in LEVELS)])
        if result["differences"]:
            rows.append(["  gain", *(_gain(found) for found in _differences(result).values())])
    return tables


def verdict_table(evaluation: Mapping[str, Any]) -> Rows:
    """A row for each checkpoint and protocol that is compared with the start: what each level gained or lost."""
    compared = [result for result in evaluation["results"] if result["differences"]]
    return [
        ["", *LEVELS],
        *(
            [f"{checkpoint_of(result)}, {result['protocol']}", *map(short_claim, _differences(result).values())]
            for result in compared
        ),
    ]


def verdict_sentences(evaluation: Mapping[str, Any]) -> list[str]:
    """What was measured, in a sentence a level; a loss is said as plainly as a gain."""
    return [
        f"{checkpoint_of(result)}, protocol {result['protocol']}, {level}: {claim(difference)}"
        for result in evaluation["results"]
        for level, difference in _differences(result).items()
        if difference is not None
    ]


def claim(difference: Mapping[str, Any]) -> str:
    """Of an accuracy's difference (fractions: mean, and interval or None), in points."""
    change, interval = 100 * difference["mean"], difference["interval"]
    word = "HLSS gained" if change > 0 else "HLSS lost" if change < 0 else "unchanged,"
    doubt = " – the interval holds 0: no difference is shown" if interval is not None and not _sure(interval) else ""
    return f"{word} {abs(change):.1f} points{_span(interval, '+')}{doubt}"


def short_claim(difference: Mapping[str, Any] | None) -> str:
    """The same in two words."""
    if difference is None:
        return "–"
    change, interval = 100 * difference["mean"], difference["interval"]
    if interval is None or not _sure(interval):
        return f"{change:+.1f} {'no interval' if interval is None else UNSHOWN}"
    return f"{'gained' if change > 0 else 'lost'} {abs(change):.1f}"


def words_table(found: Mapping[str, Mapping[str, Any]], every: bool) -> Rows:
    """AUROC of words against the truth by checkpoint: means, and with `every` each factor.

    found: of each checkpoint, the JSON of its agreement.
    """
    factors = list(dict.fromkeys(name for one in found.values() for name in one["by_factor"]))
    told = [name for name in factors if name not in HELD_OUT]
    untold = [name for name in factors if name in HELD_OUT]
    rows = [
        ["mean of", *found],
        ["all factors", *(_auroc(one["mean_auroc"], one["interval"]) for one in found.values())],
        ["told", *(_auroc(_mean(one["by_factor"], told)) for one in found.values())],
        ["never told", *(_auroc(_mean(one["by_factor"], untold)) for one in found.values())],
        ["distractors", *(_auroc(one["distractors"]) for one in found.values())],
    ]
    for factor in (*told, *untold) if every else ():
        name = factor.replace("_", " ") + (" (never told)" if factor in untold else "")
        rows.append([name, *(_of_factor(one, factor) for one in found.values())])
    return rows


def checkpoint_of(result: Mapping[str, Any]) -> str:
    """`demo · midway` is midway."""
    return str(result["method"]).rsplit(" · ", 1)[-1]


def _differences(result: Mapping[str, Any]) -> dict[str, Any]:
    return {level: result["differences"].get(level, {}).get("accuracy") for level in LEVELS}


def _accuracy(result: Mapping[str, Any], level: str) -> str:
    value = result["metrics"][level]["accuracy"]
    span = result["intervals"].get(level, {}).get("accuracy")
    return "–" if value is None else f"{100 * value:.1f}{_span(span)}"


def _gain(difference: Mapping[str, Any] | None) -> str:
    return "–" if difference is None else f"{100 * difference['mean']:+.1f}{_span(difference['interval'], '+')}"


def _span(interval: Mapping[str, float] | None, sign: str = "") -> str:
    if interval is None:
        return ""
    return f" [{100 * interval['low']:{sign}.1f}, {100 * interval['high']:{sign}.1f}]"


def _sure(interval: Mapping[str, float]) -> bool:
    return interval["low"] > 0 or interval["high"] < 0


def _of_factor(one: Mapping[str, Any], factor: str) -> str:
    return _auroc(one["by_factor"].get(factor), one["by_factor_interval"].get(factor))


def _auroc(value: float | None, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" + ("" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]")


def _mean(by_factor: Mapping[str, float], names: Sequence[str]) -> float | None:
    known = [by_factor[name] for name in names if name in by_factor]
    return float(np.mean(known)) if known else None
