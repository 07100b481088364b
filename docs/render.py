"""Figures in the pages of this folder and below it come from the files of runs, never from a keyboard.

    python docs/render.py

Between `<!-- figures FILE -->` and `<!-- end -->` a page holds what this script makes of FILE (JSON, or what a command
printed as .txt; its path is seen from the page); a test makes it again and compares.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import render_explanations
import render_table
import render_units

HERE = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- figures (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_LEVELS = ("patch", "slide", "patient")


def rendered(page: Path) -> str:
    """The page with its figures made anew."""

    def block(found: re.Match[str]) -> str:
        return found[1] + _figures(page.parent / found[2]) + found[3]

    return _BLOCK.sub(block, page.read_text(encoding="utf-8"))


def _figures(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".txt":
        return f"```text\n{text}```\n"
    found = json.loads(text)
    if {"health", "rows"} <= set(found):
        return render_table.table(found)
    if "compared_with" in found and "tables" in found and "results" not in found:
        return render_explanations.explanations(found)
    if {"units", "only", "tables"} <= set(found):
        return render_units.counts(found)
    if "judged" in found:
        return _judged(found)
    if "agreement" in found:
        return _agreement(found)
    return _evaluation(found) if "results" in found else _plain(found)


def _evaluation(found: Mapping[str, Any]) -> str:
    """Accuracy by protocol, method and level; differences to the method it is compared with; where it comes from."""
    lines = []
    for protocol in dict.fromkeys(result["protocol"] for result in found["results"]):
        results = [result for result in found["results"] if result["protocol"] == protocol]
        levels = [level for level in _LEVELS if results[0]["metrics"][level]["n"]]
        k = "" if results[0]["k"] is None else f" (k = {results[0]['k']})"
        units = ", ".join(f"{results[0]['metrics'][level]['n']} {level}" for level in levels)
        lines += [f"Protocol `{protocol}`{k}, accuracy % [95 % interval], units: {units}.", ""]
        heads = [head for level in levels for head in (level, f"less {found['against']}")]
        lines += [_row(["method", *heads]), _row(["---"] * (1 + len(heads)))]
        for result in results:
            cells = [cell for level in levels for cell in _cells(result, level)]
            lines.append(_row([result["method"], *cells]))
        lines.append("")
    lines += [f"Command: `{_short(found['provenance']['command'])}`; {_origin(found)}", ""]
    return "\n".join(lines)


def _cells(result: Mapping[str, Any], level: str) -> tuple[str, str]:
    value, interval = result["metrics"][level]["accuracy"], result["intervals"].get(level, {}).get("accuracy")
    own = f"{100 * value:.1f}" + (f" [{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]" if interval else "")
    difference = result["differences"].get(level, {}).get("accuracy")
    if difference is None:
        return own, "–"
    other = f"{100 * difference['mean']:+.1f}"
    if difference["interval"]:
        other += f" [{100 * difference['interval']['low']:+.1f}, {100 * difference['interval']['high']:+.1f}]"
    if difference["detectable"] is not None:
        other += f", detectable {100 * difference['detectable']:.1f}"
    return own, other


def _origin(found: Mapping[str, Any]) -> str:
    tables = found["tables"]
    versions = sorted({table["code_version"] for table in tables})
    hashes = [
        f"{method} {', '.join(sorted({t['config_hash'] for t in tables if t['method'] == method}))}"
        for method in dict.fromkeys(table["method"] for table in tables)
    ]
    data = sorted({table["data_hash"] for table in tables})
    machine = tables[0]["hardware"]
    return (
        f"code {', '.join(versions)}; data {', '.join(data)}; {machine}; "
        f"config hashes (a fold each): {'; '.join(hashes)}."
    )


def _short(command: str) -> str:
    """A command whose tables are named by their pattern, where the shell had filled it in."""
    words = command.split()
    tables = [word for word in words if "/embeddings/" in word]
    kept = [word for word in words if word not in tables]
    patterns = dict.fromkeys(re.sub(r"-\d+/embeddings", "-*/embeddings", table) for table in tables)
    return " ".join([*kept[:2], *patterns, *kept[2:]])


def _judged(found: Mapping[str, Any]) -> str:
    """Zero-shot AUROC by factor of several sets of weights, and what they do on the whole."""
    weights = list(found["judged"].values())
    names = list(found["judged"])
    heads = ["", *(f"{name}{kind}" for name in names for kind in ("", ", unseen sentences"))]
    lines = [_row(heads), _row(["---"] * len(heads))]
    for factor in weights[0]["factors"]:
        of_factor = [one["factors"][factor] for one in weights]
        cells = [_number(one[kind]) for one in of_factor for kind in ("auroc", "unseen_sentences")]
        lines.append(_row([factor.replace("_", " "), *cells]))
    whole = {
        "mean over captioned factors": "mean",
        "mean over factors never captioned": "mean_held_out_factors",
        "mean over all that a tile can show": "mean_every_factor",
    }
    for title, key in whole.items():
        unseen = "mean_unseen_sentences" if key == "mean" else None
        cells = [_number(one[name]) if name else "" for one in weights for name in (key, unseen)]
        lines.append(_row([f"**{title}**", *cells]))
    lines.append(
        _row(["distractors (0.5: chance)", *(c for one in weights for c in (_number(one["distractors"]), ""))])
    )
    lines.append(
        _row(
            ["their mean distance from 0.5", *(c for o in weights for c in (_number(o["distractors_off_chance"]), ""))]
        )
    )
    for rank in ("r1", "r5"):
        cells = [c for one in weights for c in (_number(one["retrieval"][rank]), "")]
        lines.append(_row([f"retrieval of the own caption, R@{rank[1]}", *cells]))
    first, facts = weights[0], found["provenance"]
    interval = "" if first["interval"] is None else " [{:.3f}, {:.3f}]".format(*first["interval"])
    origin = (
        f"Mean of {names[0]}: {_number(first['mean'])}{interval} (95 %, patients resampled)",
        f"{first['tiles']} tiles of {first['patients']} patients",
        f"{first['retrieval']['captions']} captions to choose among",
        f"weights {found['weights']}",
        f"command `{_module(facts['command'])}`",
        f"code {facts['code_version']}",
        facts["hardware"],
    )
    lines += ["", "; ".join(origin) + ".", ""]
    return "\n".join(lines)


def _agreement(found: Mapping[str, Any]) -> str:
    """AUROC of words against what was drawn, by checkpoint and factor."""
    names, runs = list(found["agreement"]), list(found["agreement"].values())
    lines = [_row(["", *names]), _row(["---"] * (1 + len(names)))]
    means = [f"{_number(one['mean_auroc'])} [{', '.join(map(_number, one['interval']))}]" for one in runs]
    lines.append(_row(["**mean over factors** [95 %, patients resampled]", *means]))
    lines.extend(
        _row([factor.replace("_", " "), *(_number(one["by_factor"].get(factor)) for one in runs)])
        for factor in runs[0]["by_factor"]
    )
    lines.append(_row(["distractors (0.5: chance)", *(_number(one["distractors"]) for one in runs)]))
    facts = found["provenance"]
    return "\n".join(
        [*lines, "", f"Command: `{facts['command']}`; code {facts['code_version']}; {facts['hardware']}.", ""]
    )


def _module(command: str) -> str:
    """The command of a module run by `python -m`, which knows its arguments only."""
    return "python -m hlss.jobs.pretrain_tiny " + " ".join(command.split()[1:])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _plain(found: Mapping[str, Any]) -> str:
    """A list of rows, as benchmarks leave them: a table with their keys as heads."""
    rows = found["rows"]
    heads = list(rows[0])
    lines = [_row(heads), _row(["---"] * len(heads)), *(_row([str(row[head]) for head in heads]) for row in rows), ""]
    facts = [f"{key}: {value}" for key, value in found.items() if key != "rows"]
    return "\n".join([*lines, "; ".join(facts) + ".", ""])


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    for page in sorted(HERE.rglob("*.md")):
        text = rendered(page)
        if text != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
            print(f"rendered {page.name}")


if __name__ == "__main__":
    main()
