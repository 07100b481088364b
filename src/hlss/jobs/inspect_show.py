"""What `hlss cohort inspect` found, as tables on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hlss.jobs.inspect_counts import NONE

MOST = 12  # rows of a table: the largest; JSON has all
_COUNTED = ("patients", "slides", "images", "tiles")


def show(found: Mapping[str, Any], console: Console) -> None:
    """Counts, sides, what was read, notices; the problems are told at the end of the command."""
    _line(console, _headline(found))
    for what in ("classes", "sites"):
        if found[what].keys() - {NONE}:
            console.print(_by_name(what, found[what], found["sides"] if what == "classes" else {}))
    if found["sides"]:
        console.print(_sides(found["sides"]))
    for line in (*_facts(found), *(f"note: {notice}" for notice in found["notices"])):
        _line(console, line)
    for row in found["unreadable"][:MOST]:
        _line(console, f"unreadable: {row['path']}: {row['reason']}")
    if len(found["unreadable"]) > MOST:
        _line(console, f"and {len(found['unreadable']) - MOST} more; --json lists all")
    if not found["problems"]:
        _line(console, "No problem found that would stop training.")


def _headline(found: Mapping[str, Any]) -> str:
    counted = ", ".join(f"{found[what]} {what}" for what in _COUNTED)
    return f"{found['cohort']}: {counted} of {found['tile_px']} px at {_mpp(found['mpp'])}"


def _mpp(mpp: float | None) -> str:
    return "stored resolution" if mpp is None else f"{mpp:g} µm/px"


def _facts(found: Mapping[str, Any]) -> list[str]:
    per = found["tiles_per_slide"]
    lines = [f"tiles a slide: {per['least']} to {per['most']}, median {per['median']:g}"]
    mpp = found["image_mpp"]
    if mpp["known"]:
        span = f"{mpp['least']:g}" + (f" to {mpp['most']:g}" if mpp["most"] > mpp["least"] else "")
        lines.append(f"images: {span} µm/px ({mpp['known']} of {mpp['asked']} say it)")
    if found["given_splits"]:
        lines.append("given splits: " + ", ".join(f"{name} {n} patients" for name, n in found["given_splits"].items()))
    lines.append(f"sites and classes: {_association(found['sites_and_classes'])}")
    checked = found["checked"]
    kinds = ", ".join(f"{checked[kind]} {kind}" for kind in ("unreadable", "blank", "constant"))
    lines.append(f"looked at {checked['tiles']} tiles: {kinds}; and into {checked['files']} files")
    if found["pack_bytes"] is not None:
        lines.append(f"a pack of all tiles takes about {_bytes(found['pack_bytes'])}")
    return lines


def _association(found: Mapping[str, Any]) -> str:
    if found["v"] is None:
        return str(found["words"])
    numbers = f"Cramér's V {found['v']:.2f}, by chance {found['chance']:.2f}, p = {found['p']:.3f}"
    return f"{found['words']} ({numbers}, {found['patients']} patients)"


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _by_name(what: str, rows: Mapping[str, Mapping[str, int]], sides: Mapping[str, Any]) -> Table:
    """Counts of each class or site; of a class, its patients on each side too."""
    table = _table({"classes": "class", "sites": "site"}[what], *_COUNTED, *(f"in {side}" for side in sides))
    largest = sorted(rows, key=lambda name: -rows[name]["patients"])[:MOST]
    for name in (name for name in rows if name in largest):
        counted = [rows[name][column] for column in _COUNTED]
        counted += [row["classes"].get(name, 0) for row in sides.values()]
        table.add_row(Text(name), *map(str, counted))
    if len(rows) > MOST:
        table.add_row(f"and {len(rows) - MOST} more")
    return table


def _sides(sides: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("side", "patients", "slides", "tiles")
    for side, row in sides.items():
        table.add_row(side, *(str(row[column]) for column in ("patients", "slides", "tiles")))
    return table


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(Text(column), justify="right" if table.columns else "left", overflow="fold")
    return table


def _line(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True, markup=False)
