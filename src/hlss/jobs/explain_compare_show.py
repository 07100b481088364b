"""Comparisons of two classes or patients as tables on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from hlss.jobs.explain_truth import SMALL
from hlss.jobs.explain_units_say import MARKED, described
from hlss.jobs.explain_units_show import Block, blocks, chances, drawn, lines, show_notices, spanned

Json = Mapping[str, Any]
_NOTE = (
    "σ: mean of the first less mean of the second, in standard deviations over all units. AUROC: chance that a unit of"
    " the first scores above one of the second. p words: share of random texts (the bank's words shuffled) that differ"
    " as much; q: the same as a rate of false discoveries over the bank. p images: chance that any characteristic of"
    " the bank differs as much where {blocks} are dealt anew to the two sides."
)
_DRAWN = (
    f"drawn: true, where what was drawn differs the same way, by {SMALL} standard deviations over all patches at least;"
    " false, where the other way; middle, where by less; ∅: it names nothing that is ever drawn."
)


def show_compared(result: Json, console: Console) -> None:
    """What separates the two, by bank; where nothing does, that is said."""
    for table in result["tables"]:
        found = [Block(f"{level} bank", of, "no units") for level, of in table["levels"].items()]
        known = [block.found for block in found if block.found is not None]
        columns = [("σ [95 %]", spanned), ("AUROC", lambda match: f"{match['auroc']:.2f}"), *chances(console)]
        top = result["settings"]["top"]
        lines(console, ["", f"{table['name']}: {result['a']} less {result['b']}"])
        lines(console, blocks(found, [*columns, *drawn(known)], top, console.width, "nothing separates them"))
        if told := described([match for of in known for match in of["matches"]], console.width):
            lines(console, ["", *told])
        lines(console, ["", _NOTE.format(blocks=table["blocks"])])
    levels = [level for table in result["tables"] for level in table["levels"].values() if level is not None]
    judged = any(match["truth"] for level in levels for match in level["matches"])
    lines(console, [MARKED, *([_DRAWN] if judged else [])])
    show_notices(result, console)
