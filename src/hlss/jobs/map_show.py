"""What was mapped, as tables on a terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hlss.explain.faithfulness import CHANCE


def show_maps(result: dict[str, Any], console: Console) -> None:
    """Each map of `maps.json` with its faithfulness, and the notices."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    true = any(one["truth"] is not None for one in result["maps"])
    for column in ("slide", "text", "tiles", "faithful", "p map", "p text", *(("truth",) if true else ()), "verdict"):
        table.add_column(column, overflow="fold")
    for one in result["maps"]:
        known = one["faithfulness"]
        auroc = None if one["truth"] is None else one["truth"]["auroc"]
        truth = ("–" if auroc is None else f"{auroc:.2f}",) if true else ()
        found = _cell({"value": known["auroc"], "interval": known["interval"]})
        chances = (_p(known["random_maps"]), _p(known["random_texts"]))
        cells = (one["slide"], one["characteristic"], str(one["tiles"]), found, *chances, *truth, known["verdict"])
        table.add_row(*map(Text, cells), style="" if known["above_chance"] else "dim")
    console.print(table)
    console.print(f"faithful: {CHANCE} by chance, 1 at best [95 %, squares of the slide resampled]", markup=False)
    console.print("p map, p text: that a random map, or the map of a random text, is as faithful", markup=False)
    if true:
        console.print("truth: AUROC of the map against what was drawn on the slide", markup=False)
    for notice in result["notices"]:
        console.print(f"note: {notice}", markup=False)


def show_truth(result: dict[str, Any], console: Console) -> None:
    """AUROC by factor of every table of `truth.json`, and the notices."""
    tables = result["tables"]
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("factor")
    parts = []
    for one, less in zip(tables, (None, *result["less_first"]), strict=True):
        shown.add_column(Text(one["name"].rpartition(" · ")[2]), justify="right")
        parts.append((one["auroc"], ".2f"))
        if less is not None:
            shown.add_column("less the first", justify="right")
            parts.append((less["auroc"], "+.2f"))
    for factor in [*tables[0]["auroc"]["by_factor"], None]:
        cells = [_cell(_of(part, factor), form) for part, form in parts]
        shown.add_row(
            *map(Text, ((factor or "mean of all").replace("_", " "), *cells)), style="bold" if factor is None else ""
        )
    counted = f"{tables[0]['slides']} slides, {tables[0]['tiles']} tiles"
    console.print(f"maps against the drawn truth within slides, {result['side']} side ({counted}): AUROC", markup=False)
    console.print(shown)
    console.print("0.5 by chance; intervals: 95 %, patients resampled (none below 10 patients)", markup=False)
    shares = ", ".join(_cell({"value": one["variance_within_slides"], "interval": None}) for one in tables)
    console.print(f"share of the features' variance that lies within slides, table by table: {shares}", markup=False)
    made, own = result["provenance"], {one["provenance"]["config_hash"] for one in tables}
    facts = (made["code_version"], made["hardware"], f"config hash {', '.join(sorted(filter(None, own)))}")
    console.print(f"by: {'; '.join(facts)}", markup=False)
    for notice in dict.fromkeys(notice for one in tables for notice in one["notices"]):
        console.print(f"note: {notice}", markup=False)


def _p(null: dict[str, Any] | None) -> str:
    return "–" if null is None or null["p"] is None else f"{null['p']:.3f}"


def _of(part: dict[str, Any], factor: str | None) -> dict[str, Any]:
    found: dict[str, Any] = part["mean"] if factor is None else part["by_factor"][factor]
    return found


def _cell(figure: dict[str, Any], form: str = ".2f") -> str:
    if figure["value"] is None:
        return "–"
    span = figure["interval"]
    return f"{figure['value']:{form}}" + ("" if span is None else f" [{span[0]:{form}}, {span[1]:{form}}]")
