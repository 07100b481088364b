"""The commands `hlss bank …`: banks drafted, checked and compared."""

from pathlib import Path
from typing import Annotated

import typer

from hlss.types import Level

bank_app = typer.Typer(help="Description banks: check, compare, look.", no_args_is_help=True, rich_markup_mode=None)
Bank = Annotated[str, typer.Argument(help="A shipped bank's name, or the path of a .yaml file.")]
DIFFERENT = 1  # exit code


@bank_app.command(epilog="Example: hlss bank lint my_bank.yaml --text tiny")
def lint(
    bank: Bank,
    text: Annotated[
        str | None, typer.Option(help="Text tower that is to read it (tiny, minilm, …): its tokens, its neighbours.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None,
) -> None:
    """Say what speaks against a bank: repeats, negations, what no image shows, hedges, form.

    Exit code 1: there are errors. Warnings are for the expert who reviews it.
    """
    from rich.console import Console

    from hlss.jobs.bank import lint as work

    report = work(bank, text, json, Console())
    if json is not None:
        typer.echo(f"Output: {json}")
    if report.errors:
        raise typer.Exit(1)


@bank_app.command(epilog="Example: hlss bank show srh_brain --level slide --name necrosis")
def show(
    bank: Bank,
    level: Annotated[Level | None, typer.Option(help="Of this level only.")] = None,
    name: Annotated[str | None, typer.Option(help="Only characteristics whose name holds this.")] = None,
) -> None:
    """Print a bank: its provenance, its characteristics with their status, their descriptions."""
    from rich.console import Console

    from hlss.jobs.bank import show as work

    work(bank, level, name, Console())


@bank_app.command(epilog="Example: hlss bank diff srh_brain my_srh.yaml")
def diff(old: Bank, new: Bank) -> None:
    """Print what was added (+), removed (-) and changed (~) from one bank to the other. Exit code 1: they differ."""
    from rich.console import Console

    from hlss.jobs.bank import compare

    if compare(old, new, Console()):
        raise typer.Exit(DIFFERENT)


@bank_app.command(epilog="Example: hlss bank merge he_brain my_bank.yaml --out both.yaml")
def merge(
    first: Bank, second: Bank, out: Annotated[Path, typer.Option(help="File to write; it must not be there.")]
) -> None:
    """Write the characteristics of two banks as one. What they describe in different words is refused by name."""
    from hlss.jobs.bank import merge as work

    typer.echo(f"Output: {work(first, second, out)}")


@bank_app.command(epilog="Example: hlss bank encode srh_brain --text tiny")
def encode(
    bank: Bank,
    text: Annotated[str, typer.Option(help="Text tower: tiny, minilm, …")],
    cache: Annotated[Path, typer.Option(help="Cache of the experiments that will use it.")] = Path("runs/.cache"),
) -> None:
    """Make a bank's text matrices ahead, where trainings look for them, and say how long its descriptions are."""
    from hlss.jobs.bank import encode_bank

    typer.echo(f"Output: {encode_bank(bank, text, cache, typer.echo)}")
