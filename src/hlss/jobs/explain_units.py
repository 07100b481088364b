"""`hlss explain --units`: what each patch, slide, patient or class shows, with evidence and chance beside it."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hlss.config import overridden, validate
from hlss.errors import UserError
from hlss.files import write_json
from hlss.jobs.chosen_table import table_of
from hlss.jobs.explain import beside
from hlss.jobs.explain_asked import UnitsSpec
from hlss.jobs.explain_found import cut
from hlss.jobs.explain_sources import Source, Words, sources_of
from hlss.jobs.explain_units_csv import write_csv
from hlss.jobs.explain_units_found import Json, facts
from hlss.jobs.explain_units_show import show_units
from hlss.jobs.explain_units_source import Explainer

_ORIGIN = ("method", "checkpoint", "config_hash", "data_hash", "code_version")


def explain_units(
    paths: Sequence[Path],
    bank: str | None,
    units: Sequence[str],
    only: Sequence[str] = (),
    out: Path | None = None,
    side: str = "test",
    overrides: Sequence[str] = (),
) -> Path:
    """Explain units of these runs (their last tables) or tables; returns the folder written to. Raises UserError.

    units: kinds of them (levels, or class); only: names, of all kinds; overrides: of UnitsSpec.
    """
    spec = spec_of(side, overrides)
    say = Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
    kinds = list(dict.fromkeys(units))
    sources = sources_of([table_of(Path(path)) for path in paths], spec.side)
    folder, words, bank = out or beside(Path(paths[0])), Words(say), bank_of(bank, sources)
    explainers = [Explainer(source, bank, spec, words, say) for source in sources]
    for one in explainers:
        one.refuse_unknown(kinds, only)
    tables = []
    for number, one in enumerate(explainers, start=1):
        say(f"{number} of {len(sources)}: {one.source.name}")
        tables.append(one.table(kinds, only, folder))
    head = {**facts(bank, spec, sources), "units": kinds, "only": list(only)}
    result: Json = cut({**head, "tables": tables})
    write_json(folder / "units.json", result)
    write_json(folder / "counts.json", cut({**head, "tables": [_counts(table) for table in tables]}))
    write_csv(result, folder / "units.csv")
    show_units(result, Console())
    return folder


def bank_of(named: str | None, sources: Sequence[Source]) -> str:
    """The bank that is named, else the one that these runs were trained with. Raises UserError where not one."""
    trained = {None if source.experiment.language is None else source.experiment.language.bank for source in sources}
    if named is None and (len(trained) > 1 or None in trained):
        what = "these runs were trained with several banks, or none" if len(trained) > 1 else "trained without a bank"
        raise UserError(what, where="--bank", fix="Name one: phantom, he_general, or a .yaml file.")
    return named or str(trained.pop())


def spec_of(side: str, overrides: Sequence[str]) -> UnitsSpec:
    """Settings of explanations of units and of comparisons. Raises UserError."""
    return validate(overridden({"side": side}, overrides), UnitsSpec, where="settings of the explanation")


def _counts(table: Json) -> Json:
    """All of a table but the units one by one, and of where it comes from what tells it from others."""
    kept = {name: value for name, value in table.items() if name not in ("units", "classes")}
    return {**kept, "provenance": {name: table["provenance"].get(name) for name in _ORIGIN}}
