"""Comparisons of two classes or patients as tables on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hlss.jobs.explain_units_show import CHANCES, MARKED, chances, described, named, shown, spanned, unsure

Json = Mapping[str, Any]
_NOTE = (
    "σ: mean of the first less mean of the second, in standard deviations over all units. AUROC: chance that a unit of"
    " the first scores above one of the second. p words: share of random texts (the bank's words shuffled) that differ"
    " as much; q: the same as a rate of false discoveries over the bank. p images: chance that any characteristic of"
    " the bank differs as much where {blocks} are dealt anew to the two sides."
)


def show_compared(result: Json, console: Console) -> None:
    """What separates the two, by bank; where nothing does, that is said."""
    for table in result["tables"]:
        said = f"{table['name']}: {result['a']} less {result['b']}"
        console.print(said, highlight=False, markup=False)
        console.print(_table(table, result["settings"]["top"]))
        found: dict[str, list[str]] = {}
        for level in table["levels"].values():
            for match in level["matches"] if level else ():
                if match["stands_out"] != "no":
                    found.setdefault(match["characteristic"], match["descriptions"])
        for line in described(found):
            console.print(line, highlight=False, markup=False)
        console.print(_NOTE.format(blocks=table["blocks"]), highlight=False, markup=False)
        console.print(MARKED, highlight=False, markup=False)
        for notice in table["notices"]:
            console.print(f"{table['name']}: {notice}", highlight=False, markup=False)


def _table(one: Json, top: int) -> Table:
    table = Table()
    for number, column in enumerate(("bank", "characteristic", "σ [95 %]", "AUROC", *CHANCES)):
        table.add_column(Text(column), justify="left" if number < 2 else "right", overflow="fold")
    for level, found in one["levels"].items():
        name = level
        if said := unsure(found, "nothing separates them"):
            _row(table, name, said, *[""] * 5)
            name = ""
        for match in shown(found, top):
            _row(table, name, named(match), spanned(match), f"{match['auroc']:.2f}", *chances(match))
            name = ""
        table.add_section()
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*map(Text, cells))
