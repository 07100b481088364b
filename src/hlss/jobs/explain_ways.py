"""Which of its ways `hlss explain` goes: tables of classes, units, or a comparison."""

from collections.abc import Sequence
from pathlib import Path

from hlss.errors import UserError
from hlss.jobs.explain import explain_tables
from hlss.jobs.explain_compare import explain_compare
from hlss.jobs.explain_units import explain_units


def explain_ways(
    paths: Sequence[Path],
    markers: str | None,
    bank: str | None,
    out: Path | None,
    side: str,
    overrides: Sequence[str],
    units: Sequence[str],
    only: Sequence[str],
    compare: Sequence[str],
) -> Path:
    """Units and comparisons where they are asked for, else tables; returns the folder written to. Raises UserError."""
    if only and not units:
        raise UserError("--only names units", fix="Say of which kind: --units slide (patch, patient, class).")
    if out is not None and out.exists() and not out.is_dir():
        raise UserError("this is a file", where=out, fix="Name a folder with --out.")
    if not units and not compare:
        return explain_tables(paths, markers, bank, out, side, overrides)
    if markers is not None:
        raise UserError("markers are of classes, not of units", fix="Leave out --markers, or --units and --compare.")
    folder = Path()
    if units:
        folder = explain_units(paths, bank, units, only, out, side, overrides)
    if compare:
        folder = explain_compare(paths, bank, compare, out, side, overrides)
    return folder
