"""Explanations of units as tables on a terminal."""

from collections.abc import Iterable, Mapping
from textwrap import fill
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Mapping[str, Any]
CHANCES = ("p words", "q", "p images")
SHOWN, DESCRIBED = 20, 6  # units of each kind, and characteristics whose descriptions are printed
_NOTE = (
    "σ: standing among all units of the kind. p words: share of random texts (the bank's words shuffled) that match"
    " as well; q: the same as a rate of false discoveries over the bank. p images: chance that any characteristic of"
    " the bank reaches as much where patches (of a class: patients) are dealt anew."
)
MARKS = {"yes": "* ", "perhaps": "(*)", "no": ""}
MARKED = (
    "* stands out: q and p images ≤ 0.05. (*) perhaps: q ≤ 0.25, of which one in four is chance, and p images ≤ 0.05. "
    "∅ names nothing that is drawn"
)
NOT_OUT = 3  # characteristics printed where none stands out


def show_units(result: Json, console: Console) -> None:
    """The first SHOWN units of each kind; all are in units.json."""
    for table in result["tables"]:
        for level, count in table["levels"].items():
            units = [unit for unit in table["units"] if unit["level"] == level]
            out, perhaps, n = count["with_stands_out"], count["with_perhaps"], count["explained"]
            title = f"{table['name']}: {level} level, {n} of {count['there_are']}"
            title += f"; something stands out in {out} (perhaps: {perhaps})"
            _print(console, title, _units(units[:SHOWN], result["settings"]["top"]))
            if len(units) > SHOWN:
                _print(console, f"… and {len(units) - SHOWN} more in units.json")
        for one in table["classes"]:
            _print(
                console,
                f"{table['name']}: class {one['class']} against all others, σ [95 %]",
                _class(one, result["settings"]["top"]),
            )
        for line in _descriptions(table):
            _print(console, line)
    _print(console, _NOTE)
    _print(console, MARKED)
    for table in result["tables"]:
        for notice in table["notices"]:
            _print(console, f"{table['name']}: {notice}")


def _units(units: Iterable[Json], top: int) -> Table:
    table = _table("unit", "characteristic", "cosine", "σ", *CHANCES)
    for unit in units:
        name = unit["name"]
        if said := unsure(unit, "nothing stands out"):
            _row(table, name, said, *[""] * 5)
            name = ""
        for match in shown(unit, top):
            _row(table, name, named(match), f"{match['cosine']:.2f}", f"{match['sigma']:+.1f}", *chances(match))
            name = ""
        table.add_section()
    return table


def _class(one: Json, top: int) -> Table:
    table = _table("bank", "characteristic", "σ [95 %]", *CHANCES)
    for level, found in one["levels"].items():
        name = level
        if said := unsure(found, "nothing stands out"):
            _row(table, name, said, *[""] * 4)
            name = ""
        for match in shown(found, top):
            _row(table, name, named(match), spanned(match), *chances(match))
            name = ""
        table.add_section()
    return table


def unsure(found: Json | None, nothing: str) -> str:
    """What stands over characteristics of which none is sure; empty where one is."""
    if found is None:
        return "no units"
    if found["stands_out"]:
        return ""
    return "nothing surely; perhaps:" if found["perhaps"] else f"{nothing}; nearest:"


def shown(found: Json | None, top: int) -> list[Json]:
    """The matches that are printed."""
    if found is None:
        return []
    matches: list[Json] = found["matches"][: top if found["stands_out"] or found["perhaps"] else NOT_OUT]
    return matches


def named(match: Json) -> str:
    """A characteristic, ∅ beside a distractor."""
    return str(match["characteristic"]) + (" ∅" if match["distractor"] else "")


def spanned(match: Json) -> str:
    """A difference with its interval."""
    span = match["interval"]
    return f"{match['sigma']:+.2f}" + ("" if span is None else f" [{span[0]:+.2f}, {span[1]:+.2f}]")


def chances(match: Json) -> tuple[str, str, str]:
    """p and q against shuffled words, p against images dealt anew, and the mark of what stands out."""
    return f"{match['p_text']:.3f}", f"{match['q_text']:.2f}", f"{match['p_images']:.3f}{MARKS[match['stands_out']]}"


def _descriptions(table: Json) -> list[str]:
    """Of the first characteristics that stand out."""
    found: dict[str, list[str]] = {}
    classes = [level for one in table["classes"] for level in one["levels"].values() if level is not None]
    for unit in (*table["units"], *classes):
        for match in unit["matches"]:
            if match["stands_out"] != "no":
                found.setdefault(match["characteristic"], match["descriptions"])
    return described(found)


def described(found: Mapping[str, list[str]]) -> list[str]:
    """Lines: a characteristic and its four descriptions."""
    return [
        fill(f"{name}: {'; '.join(texts)}", 100, subsequent_indent="  ") for name, texts in [*found.items()][:DESCRIBED]
    ]


def _print(console: Console, line: str, table: Table | None = None) -> None:
    console.print(line, highlight=False, markup=False)
    if table is not None:
        console.print(table)


def _table(*columns: str) -> Table:
    table = Table()
    for number, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if number < 2 else "right", overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*map(Text, cells))
