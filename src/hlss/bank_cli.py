"""The commands `hlss bank …`: banks drafted, checked, compared and reviewed."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hlss.types import Level

bank_app = typer.Typer(
    help="Description banks: draft, check, compare, review.", no_args_is_help=True, rich_markup_mode=None
)
Bank = Annotated[str, typer.Argument(help="A shipped bank's name, or the path of a .yaml file.")]
DIFFERENT = 1  # exit code


@bank_app.command(
    epilog="Example: hlss bank draft card.yaml --out bank.yaml --base-url http://localhost:8000/v1 --model qwen --yes"
)
def draft(
    card: Annotated[Path, typer.Argument(help="Domain card, a YAML file.")],
    out: Annotated[Path, typer.Option(help="Bank to write; the transcript goes beside it.")],
    base_url: Annotated[
        str | None, typer.Option(help="OpenAI-compatible server, as in http://localhost:8000/v1; else OPENAI_BASE_URL.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model there; else OPENAI_MODEL.")] = None,
    key_env: Annotated[str | None, typer.Option(help="Variable of the environment that holds the API key.")] = None,
    per_level: Annotated[int, typer.Option(min=1, max=1024, help="Characteristics a level.")] = 128,
    text: Annotated[
        str | None, typer.Option(help="Text tower (tiny, minilm, …) by which near duplicates are dropped.")
    ] = None,
    nearer_than: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Cosine of near duplicates; minilm 0.85, tiny 0.995.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Requests at a time.")] = 4,
    budget_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens that may be used in all.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens an answer may have.")] = 4096,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a request may take.")] = 120.0,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to the estimated cost.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="From the transcript only, without network.")] = False,
) -> None:
    """Draft a bank by a language model. Started again with the same command, it asks only what was not answered."""
    from hlss.jobs.bank_draft import Options
    from hlss.jobs.bank_draft import draft as run
    from hlss.jobs.bank_draft_server import server_of

    server = server_of(base_url, model, replay=replay, timeout_s=timeout, max_tokens=max_tokens)
    options = Options(
        per_level=per_level,
        concurrency=concurrency,
        budget=budget_tokens,
        yes=yes,
        replay=replay,
        key_env=key_env,
        text=text,
        nearer_than=nearer_than,
    )
    typer.echo(f"Output: {run(card, out, server, options)}")


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


@bank_app.command(epilog="Example: hlss bank review general_he --reviewer 'A. Smith' --out review")
def review(
    bank: Bank,
    reviewer: Annotated[str, typer.Option(help="Name that signs the decisions.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8411,
    out: Annotated[Path, typer.Option(help="Folder of the log, decisions.jsonl.")] = Path("review"),
    run: Annotated[
        Path | None, typer.Option(help="Run whose cohort gives example patches, or a table in it: RUN/embeddings/NAME.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(help="Text tower that says what is near (tiny, minilm, …) [the run's; else common words]."),
    ] = None,
) -> None:
    """Review a bank in the browser, on this machine only; every decision is on the disk before it is shown.

    Ctrl-C ends it.
    """
    from hlss.jobs.bank_beside import beside
    from hlss.language.bank import read_bank
    from hlss.language.review.review import Review
    from hlss.studio.review.server import serve

    found = Review(read_bank(bank), out / "decisions.jsonl", reviewer)
    serve(found, port, lambda line: print(line, flush=True), beside(text, run))


@bank_app.command(epilog="Example: hlss bank freeze bank.yaml --log review/decisions.jsonl --out bank-2.yaml")
def freeze(
    bank: Annotated[str, typer.Argument(help="The bank that was reviewed.")],
    log: Annotated[Path, typer.Option(exists=True, help="Its decisions.jsonl.")],
    out: Annotated[Path, typer.Option(help="YAML file of the new version.")],
    partial: Annotated[
        Literal["refuse", "keep", "drop"],
        typer.Option(help="What becomes of the undecided: keep as unreviewed, or drop."),
    ] = "refuse",
) -> None:
    """Write the next version of a reviewed bank, signed: approved texts stay, rejected ones go."""
    from hlss.jobs.bank_review import freeze_bank

    frozen = freeze_bank(bank, log, out, partial)
    typer.echo(f"Output: {out}: version {frozen.version}, {frozen.status}, fingerprint {frozen.fingerprint}")


@bank_app.command(epilog="Example: hlss bank agreement bank.yaml --log review/decisions.jsonl 'A. Smith' 'B. Jones'")
def agreement(
    bank: Annotated[str, typer.Argument(help="The bank that was reviewed.")],
    first: Annotated[str, typer.Argument(help="A reviewer.")],
    second: Annotated[str, typer.Argument(help="Another.")],
    log: Annotated[Path, typer.Option(exists=True, help="Its decisions.jsonl.")],
) -> None:
    """Cohen's kappa of two reviewers' verdicts: approved, edited or rejected."""
    from hlss.jobs.bank_review import agreement_of

    found = agreement_of(bank, log, first, second)
    kappa = "undefined" if found.kappa is None else f"{found.kappa:.3f}"
    typer.echo(f"{found.both} judged by both, {found.same} alike, kappa {kappa}")
