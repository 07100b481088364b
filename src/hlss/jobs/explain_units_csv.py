"""Explanations of units as a table: units.csv."""

import csv
from collections.abc import Iterator
from pathlib import Path

from hlss.files import replacing
from hlss.jobs.explain_units_found import CHANCES, Json

_NAMED = ("table", "kind", "name", "bank_level", "rank", "characteristic", "cosine", "sigma", "low", "high")
COLUMNS = (*_NAMED, *CHANCES, "q_units", "stands_out", "truth", "truth_share_below", "descriptions", "evidence")


def write_csv(result: Json, path: Path) -> None:
    """A row a unit (or class and bank) and characteristic. Raises UserError where it cannot be written."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for table in result["tables"]:
            for unit in table["units"]:
                writer.writerows(_rows(table["name"], unit["level"], unit["name"], unit["level"], unit))
            for one in table["classes"]:
                for level, found in one["levels"].items():
                    if found is not None:
                        writer.writerows(_rows(table["name"], "class", one["class"], level, found))


def _rows(table: str, kind: str, name: str, bank_level: str, found: Json) -> Iterator[Json]:
    for rank, match in enumerate(found["matches"], start=1):
        low, high = match.get("interval") or ("", "")
        known = {column: match[column] for column in COLUMNS if column in match}
        told = {
            "table": table,
            "kind": kind,
            "name": name,
            "bank_level": bank_level,
            "rank": rank,
            "low": low,
            "high": high,
            "descriptions": " | ".join(match["descriptions"]),
            "evidence": " | ".join(tile["file"] for tile in match["evidence"] if tile["file"]),
        }
        yield known | told
