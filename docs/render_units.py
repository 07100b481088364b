"""In how many units something stands out (counts.json of `hlss explain --units`), beside chance, as Markdown."""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]
_HEADS = ("", "units", "`*` in", "by chance", "true, middle, false, ∅", "`*` or `(*)` in", "by chance")
_PERHAPS = ("`(*)`: true, middle, false, ∅", "q_units ≤ 0.25: true, middle, false, ∅")


def counts(found: Json) -> str:
    """A row a table and kind of unit; under it where all of it comes from."""
    heads = (*_HEADS, *_PERHAPS)
    lines = [_row(heads), _row(["---"] * len(heads))]
    for table in found["tables"]:
        lines += [
            _row(_cells(table["name"], level, count)) for level, count in table["levels"].items() if level != "class"
        ]
    blind = [
        f"{level} {', '.join(_shares(count['truth']['blindly']))}"
        for level, count in found["tables"][-1]["levels"].items()
        if level != "class" and count["truth"]
    ]
    lines += ["", f"Blindly chosen (true, middle, false, ∅; last table): {'; '.join(blind)}."] if blind else []
    facts, bank = found["provenance"], found["bank"]
    configs = dict.fromkeys(table["run"]["config_hash"] for table in found["tables"])
    settings = found["settings"]
    origin = (
        f"Command: `{facts['command']}`",
        f"config hash {', '.join(configs)}",
        f"bank {bank['name']} ({bank['status']}, {bank['fingerprint']})",
        f"{settings['random_texts']} random texts, {settings['permutations']} draws of patches",
        f"seed {settings['seed']}",
        f"code {facts['code_version']}",
        facts["hardware"],
        facts["time"],
    )
    return "\n".join([*lines, "", "; ".join(origin) + ".", ""])


def _cells(name: str, level: str, count: Json) -> list[str]:
    chosen = f" of {count['chosen_from']}" if count["chosen_from"] > count["explained"] else ""
    truth = count["truth"] or {}
    over = count["over_all_units"]["0.25"]["truth"]
    return [
        f"{name}, {level}",
        f"{count['explained']}{chosen}",
        str(count["with_stands_out"]),
        _chance(count["by_chance"]["with_stands_out"]),
        _judged(truth.get("stands_out")),
        str(count["with_stands_out_or_perhaps"]),
        _chance(count["by_chance"]["with_stands_out_or_perhaps"]),
        _judged(truth.get("perhaps")),
        _judged(over),
    ]


def _chance(found: Json) -> str:
    return f"{found['mean']:.1f} ({found['least']} to {found['most']}), p {found['p']:.3f}"


def _judged(judged: Json | None) -> str:
    return "–" if judged is None else ", ".join(str(number) for number in judged.values())


def _shares(judged: Json) -> list[str]:
    every = max(sum(judged.values()), 1)
    return [f"{100 * number / every:.0f} %" for number in judged.values()]


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
