"""`hlss bank`: what its commands do with description banks."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hlss.config import Part
from hlss.encoders.base import TextEncoder
from hlss.errors import UserError
from hlss.files import write_json
from hlss.language.bank import check_tokens, read_bank, refuse_repeats
from hlss.language.bank_files import write_bank
from hlss.language.compare import diff, merged
from hlss.language.encode import encode
from hlss.language.lint.findings import Report, Severity
from hlss.language.lint.lint import lint_bank
from hlss.registry import TEXTS
from hlss.types import LEVELS, Level


def lint(name: str, text: str | None, json_file: Path | None, console: Console) -> Report:
    """Print what can be said against a bank, and write it as JSON where asked. text: a text tower's name."""
    bank = read_bank(name)
    report = lint_bank(bank, None if text is None else text_tower(text))
    for finding in report.findings:
        style = "red" if finding.severity is Severity.ERROR else "yellow"
        console.print(Text(str(finding), style=style), soft_wrap=True)
    told = ", ".join(f"{count} {rule}" for rule, count in report.counts().most_common()) or "nothing found"
    console.print(Text(f"{bank.title}: {len(list(bank.places()))} texts; {report.errors} errors; {told}"))
    if json_file is not None:
        found = [finding.as_json() for finding in report.findings]
        write_json(json_file, {"bank": bank.title, "fingerprint": bank.fingerprint, "findings": found})
    return report


def show(name: str, level: Level | None, only: str | None, console: Console) -> None:
    """Print a bank: names with their status, and their descriptions. only: those whose name holds this."""
    bank = read_bank(name)
    head = f"{bank.title}\n{bank.domain}\n{bank.provenance}\nfingerprint {bank.fingerprint}, {bank.status}"
    console.print(Text(head), soft_wrap=True)
    last: object = ()
    for where, one in bank.characteristics():
        if (level is not None and where not in (level, None)) or (only or "").casefold() not in one.name.casefold():
            continue
        if where != last:
            last = where
            console.print(Text(f"\n{where or 'all levels'}", style="bold"))
        by = f", {one.reviewer}" if one.reviewer else ""
        console.print(Text(f"  {one.name} ({one.status}{by})"))
        for description in one.descriptions:
            console.print(Text(f"    {description}", style="dim"), soft_wrap=True)


def compare(old: str, new: str, console: Console) -> int:
    """Print how two banks differ, a line each; returns how many lines."""
    lines = list(diff(read_bank(old), read_bank(new)))
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    return len(lines)


def merge(first: str, second: str, out: Path) -> Path:
    """Write the characteristics of both banks to `out`. Raises UserError where they clash, and where it is there."""
    if out.exists():
        raise UserError("it is there already", where=out, fix="Name another file.")
    whole = merged(read_bank(first), read_bank(second))
    refuse_repeats(whole, out)
    write_bank(out, whole)
    return out


def encode_bank(name: str, text: str, cache: Path, say: Callable[[str], None]) -> Path:
    """Make a bank's text matrices by a tower, where trainings with this `cache` look for them. Raises UserError."""
    bank, tower = read_bank(name), text_tower(text)
    longest = check_tokens(bank, tower)
    folder = cache / "texts"
    rows = encode({level: bank.texts(level) for level in LEVELS}, tower, folder)
    for level, matrix in rows.items():
        say(f"{level}: {matrix.shape[0]} characteristics × {matrix.shape[1]}")
    say(f"longest description: {longest} of {tower.context} tokens")
    return folder


def text_tower(name: str) -> TextEncoder:
    """A text tower by its name in the registry, with its defaults. Raises UserError for one that is not known."""
    spec: Part = TEXTS[name](name=name)  # type: ignore[call-arg]
    tower: TextEncoder = spec.build()  # type: ignore[attr-defined]
    return tower
