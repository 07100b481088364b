"""Explanations of units on a terminal: a block of lines a unit, figures in columns."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any, NamedTuple

from rich.console import Console

from hlss.jobs.explain_units_say import DRAWN, MARKED, NOTE, described, many, said_of_classes, said_of_units

Json = Mapping[str, Any]
Column = tuple[str, Callable[[Json], str]]  # head, and what stands in it for a match
SHOWN = 20  # units of each kind that are printed, those that stand out most first
NOT_OUT = 3  # characteristics printed where none stands out
WIDE = 100  # characters, from which all figures fit
_MARKS = {"yes": "*", "perhaps": "(*)", "no": ""}
_MARGIN, _GAP, _NARROW = 6, 2, 20  # characters: before a name, between figures, of a name at least


class Block(NamedTuple):
    """What is found of one unit, class and bank, or bank; instead: what is said where that is None."""

    name: str
    found: Json | None
    instead: str = ""


def show_units(result: Json, console: Console) -> None:
    """The first SHOWN units of each kind; all are in units.json."""
    top = result["settings"]["top"]
    for table in result["tables"]:
        for level, count in table["levels"].items():
            if level == "class" or not count["explained"]:
                continue
            units = sorted((one for one in table["units"] if one["level"] == level), key=_least)
            of = f"{count['explained']} of {count['there_are']}"
            lines(console, ["", f"{table['name']}: {many(level)}, {of}; what stands out most first"])
            columns = [*_PLAIN, *chances(console), *drawn(units)]
            lines(console, blocks([Block(one["name"], one) for one in units[:SHOWN]], columns, top, console.width))
            if len(units) > SHOWN:
                lines(console, [f"… and {len(units) - SHOWN} more in units.json"])
            lines(console, ["", *said_of_units(level, count)])
        for one in table["classes"]:
            lines(console, ["", f"{table['name']}: class {one['class']} against all others"])
            found = [Block(f"{level} bank", of, "no units") for level, of in one["levels"].items()]
            columns = [("σ [95 %]", spanned), *chances(console), *drawn(block.found for block in found)]
            lines(console, blocks(found, columns, top, console.width))
        if table["classes"]:
            lines(console, ["", *said_of_classes(table["levels"]["class"])])
        if told := described(_matches(table), console.width):
            lines(console, ["", *told])
    known = any(match["truth"] for table in result["tables"] for match in _matches(table))
    lines(console, ["", NOTE, MARKED, *([DRAWN] if known else [])])
    show_notices(result, console)


def show_notices(result: Json, console: Console) -> None:
    """What must be said of the tables, once where it is said of several."""
    said: dict[str, list[str]] = {}
    for table in result["tables"]:
        for notice in table["notices"]:
            said.setdefault(notice, []).append(table["name"])
    lines(console, [f"{', '.join(names)}: {notice}" for notice, names in said.items()])


def blocks(
    found: Sequence[Block], columns: Sequence[Column], top: int, width: int, nothing: str = "nothing stands out"
) -> list[str]:
    """A line of heads; then of each block its name, its characteristics with their figures, and the first of their
    evidence. width: of a line, which longer names are folded to.
    """
    kept = [(block, _shown(block.found, top)) for block in found]
    matches = [match for _, of_block in kept for match in of_block]
    widths = [_GAP + max([len(head), *(len(cell(match)) for match in matches)]) for head, cell in columns]
    longest = max([_NARROW, *(len(match["characteristic"]) for match in matches)])
    name = max(_NARROW, min(longest, width - _MARGIN - sum(widths)))

    def row(mark: str, first: str, cells: Iterable[str]) -> list[str]:
        head, *rest = wrap(first, name) or [""]
        figures = "".join(f"{cell:>{of}}" for cell, of in zip(cells, widths, strict=True))
        return [f"{mark:<{_MARGIN}}{head:<{name}}{figures}", *(f"{'':{_MARGIN}}{more}" for more in rest)]

    result = row("", "", [head for head, _ in columns])
    for block, shown in kept:
        result.append(f"{block.name}{_unsure(block, nothing)}")
        for match in shown:
            mark = f"  {_MARKS[match['stands_out']]}"
            result += row(mark, match["characteristic"], [cell(match) for _, cell in columns])
            files = [tile["file"] for tile in match.get("evidence", ()) if tile["file"]]
            result += [f"{'':{_MARGIN}}see {files[0]}"] if files else []
    return result


def _unsure(block: Block, nothing: str) -> str:
    """What stands over characteristics of which none is sure."""
    if block.found is None:
        return f": {block.instead}"
    if block.found["stands_out"]:
        return ""
    return ": nothing surely; perhaps:" if block.found["perhaps"] else f": {nothing}; nearest:"


def _shown(found: Json | None, top: int) -> list[Json]:
    """The matches that are printed."""
    if found is None:
        return []
    matches: list[Json] = found["matches"][: top if found["stands_out"] or found["perhaps"] else NOT_OUT]
    return matches


def spanned(match: Json) -> str:
    """A difference with its interval."""
    span = match["interval"]
    return f"{match['sigma']:+.2f}" + ("" if span is None else f" [{span[0]:+.2f}, {span[1]:+.2f}]")


def chances(console: Console) -> list[Column]:
    """p and q against shuffled words, p against images dealt anew; p of words only where there is room."""
    found: list[Column] = [("q", lambda match: f"{match['q_text']:.2f}")]
    if console.width >= WIDE:
        found.insert(0, ("p words", lambda match: f"{match['p_text']:.3f}"))
    return [*found, ("p images", lambda match: f"{match['p_images']:.3f}")]


def drawn(found: Iterable[Json | None]) -> list[Column]:
    """What is known of the truth, where anything is."""
    if not any(match["truth"] for one in found if one is not None for match in one["matches"]):
        return []
    return [("drawn", lambda match: "∅" if match["truth"] == "distractor" else match["truth"] or "–")]


def lines(console: Console, texts: Iterable[str]) -> None:
    """Each as it is: a name may hold what rich reads as markup."""
    for text in texts:
        console.print(text, highlight=False, markup=False)


_PLAIN: list[Column] = [
    ("cosine", lambda match: f"{match['cosine']:.2f}"),
    ("σ", lambda match: f"{match['sigma']:+.1f}"),
]


def _least(unit: Json) -> tuple[int, float, float]:
    """In what order units are printed: by their verdict, by what chance explains least, by the largest σ."""
    rank = 0 if unit["stands_out"] else 1 if unit["perhaps"] else 2
    best = unit["matches"][0]
    return rank, best["corrected"], -best["sigma"]


def _matches(table: Json) -> list[Json]:
    classes = [level for one in table["classes"] for level in one["levels"].values() if level is not None]
    return [match for unit in (*table["units"], *classes) for match in unit["matches"]]
