"""A table of methods (`table.json` of `hlss table`) as Markdown: accuracies, differences, what is missing, origin."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median, stdev
from typing import Any

Json = Mapping[str, Any]
_LEVELS = ("patch", "slide", "patient")
_NONE = "–"
_SHOWN_HASHES = 3  # of a row


def table(found: Json) -> str:
    """Every protocol of a table, then rows that are not complete, then where the figures come from."""
    shown = [result for result in found["results"] if any(result["metrics"][level]["n"] for level in _LEVELS)]
    protocols = dict.fromkeys(result["protocol"] for result in shown)
    parts = [part for protocol in protocols for part in _protocol(found, protocol)]
    return "\n\n".join([*parts, *_incomplete(found), _origin(found)]) + "\n"


def _protocol(found: Json, protocol: str) -> Iterator[str]:
    results = {result["method"]: result for result in found["results"] if result["protocol"] == protocol}
    first = next(iter(results.values()))
    levels = [level for level in _LEVELS if first["metrics"][level]["n"]]
    units = ", ".join(f"{first['metrics'][level]['n']} {level}" for level in levels)
    k = "" if first["k"] is None else f" (k = {first['k']})"
    measure = "balanced_accuracy" if first["way"].startswith("retrieval") else "accuracy"
    means = "mMV, right majority votes meaned over classes," if measure == "balanced_accuracy" else "accuracy"
    yield (
        f"Protocol `{protocol}`{k}, {first['way']}: {means} % ± standard deviation over seeds [95 % interval, patients "
        f"resampled]; units: {units}."
    )
    yield _grid(_accuracies(found, results, levels, measure))
    for reference in found["provenance"]["compared_with"]:
        rows = list(_differences(found, protocol, results, levels, measure, reference))
        if rows:
            yield f"Less {reference}, points, paired by patient; where the interval holds 0, no difference is shown."
            yield _grid([["method", *levels], *rows])


def _accuracies(found: Json, results: Json, levels: Sequence[str], measure: str) -> Iterator[list[str]]:
    names = {row["label"]: row["experiment"] for row in found["rows"]}
    paper = found["paper"] if next(iter(results.values()))["way"] == "kNN" else None  # its figures are of kNN
    theirs = [] if paper is None else [f"paper: {paper['source']}"]
    yield ["method", *levels, *theirs, "rank", "spread", "seeds × folds"]
    for label, result in results.items():
        theirs = [] if paper is None else [_paper(paper, names.get(label))]
        health = found["health"][label]
        about = [f"{health['rank']:.1f} of {health['dim']}", f"{health['spread']:.2f}"]
        cells = [_measure(result, level, measure) for level in levels]
        yield [label, *cells, *theirs, *about, f"{result['seeds']} × {result['folds']}"]


def _measure(result: Json, level: str, measure: str) -> str:
    value, interval = result["metrics"][level][measure], result["intervals"].get(level, {}).get(measure)
    if value is None:
        return _NONE
    seeds = result["by_seed"][level] if measure == "accuracy" else ()
    spread = f" ± {100 * stdev(seeds):.1f}" if len(seeds) > 1 else ""
    return f"{100 * value:.1f}{spread}{_span(interval)}"


def _span(interval: Json | None, sign: str = "") -> str:
    return "" if interval is None else f" [{100 * interval['low']:{sign}.1f}, {100 * interval['high']:{sign}.1f}]"


def _paper(paper: Json, name: str | None) -> str:
    figures = paper["accuracy_percent"].get(name, {})
    return " / ".join(f"{figures[level]:.1f}" for level in _LEVELS) if figures else _NONE


def _differences(
    found: Json, protocol: str, results: Json, levels: Sequence[str], measure: str, reference: str
) -> Iterator[list[str]]:
    starts = {row["label"]: row["start"] for row in found["rows"]}
    for label in results:
        to = starts.get(label) or reference if reference == "start" else reference
        compared = found["results"] if to == found["against"] else found["compared"].get(to, [])
        entry = next((e for e in compared if (e["method"], e["protocol"]) == (label, protocol)), None)
        if entry is not None and entry["differences"]:
            yield [label, *(_difference(entry["differences"].get(level, {}).get(measure)) for level in levels)]


def _difference(one: Json | None) -> str:
    if one is None:
        return _NONE
    sure = "" if one["detectable"] is None else f", detectable {100 * one['detectable']:.1f}"
    return f"{100 * one['mean']:+.1f}{_span(one['interval'], '+')}{sure}"


def _incomplete(found: Json) -> Iterator[str]:
    for row in found["rows"]:
        if row["missing"]:
            run, why = next(iter(row["missing"].items()))
            lacking = f"{len(row['missing'])} of {len(row['runs'])} runs are missing"
            yield f"**{row['label']} is not complete**: {lacking}. {run}: {why}"


def _origin(found: Json) -> str:
    runs = [run for row in found["rows"] for run in row["runs"] if run["made"]]
    facts, hashes = [run["provenance"] for run in runs], {}
    for row in found["rows"]:
        of_row = sorted({run["made"]["config_hash"] for run in row["runs"] if run["made"]})
        if of_row:
            more = len(of_row) - _SHOWN_HASHES
            hashes[row["label"]] = ", ".join(of_row[:_SHOWN_HASHES]) + (f" and {more} more" if more > 0 else "")
    minutes = [run["made"]["seconds"] / 60 for run in runs]
    parts = {
        "Command": f"`{found['provenance']['command']}`",
        "code": _listed(one["code_version"] for one in facts),
        "data": _listed(one["data_hash"] for one in facts),
        "bank": _listed(one["bank_fingerprint"] for one in facts) or "none",
        "hardware": _listed(one["hardware"] for one in facts),
        "precision": _listed(one["precision"] for one in facts),
        "a run": f"{median(minutes):.1f} min (median of {len(minutes)})",
        "config hashes": "; ".join(f"{label} {of_row}" for label, of_row in hashes.items()),
    }
    return "; ".join(f"{name}: {value}" for name, value in parts.items()) + "."


def _listed(values: Iterable[str | None]) -> str:
    return ", ".join(sorted({value for value in values if value is not None}))


def _grid(rows: Iterable[Sequence[str]]) -> str:
    heads, *others = rows
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *others))
