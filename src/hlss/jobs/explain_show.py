"""What was explained, as tables on a terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hlss.types import LEVELS, Level

Json = Mapping[str, Any]


def show(result: Json, top: int, console: Console) -> None:
    """Every part of `explanations.json` that has figures, its notices last; fit for 80 columns."""
    tables = result["tables"]
    side = f"{result['settings']['side']} side"
    less = f"less that of {result['compared_with']}, paired by patient"
    if tables[0]["alignment"] is not None:
        _print(console, f"own class's markers less others' ({result['markers']['name']}), {side}")
        for table in tables:
            _print(console, f"{table['name']}: effect size, and without it", _effects(table))
        _print(console, f"effect size {less}", _less(tables, LEVELS))
        level = next((n for n in reversed(LEVELS) if all(one["alignment"][n]["n"] for one in tables)), Level.PATCH)
        _print(console, f"own class's markers, {level} level: cosine × 100, centred [95 %]", _own(tables, level))
    for table in tables:
        if table["profile"] is not None:
            title = f"{table['name']}: what marks a class, σ [95 %], {side}"
            _print(console, title, _profile(table, top, result["distractors"]))
    if any(table["agreement"] is not None for table in tables):
        title = f"words against the drawn truth, {side}: AUROC, below it rank correlation"
        _print(console, title, _agreement([table for table in tables if table["agreement"] is not None]))
        _print(console, f"mean {less}", _less(tables, ("auroc", "rank")))
    for line in (*_NOTES, *_notices(tables)):
        _print(console, line)


def _notices(tables: Sequence[Json]) -> list[str]:
    """Each once, with those whom it concerns."""
    every = dict.fromkeys(notice for one in tables for notice in one["notices"])
    concerned = {notice: [one["name"] for one in tables if notice in one["notices"]] for notice in every}
    return [
        f"{'all' if len(names) == len(tables) else ', '.join(names)}: {notice}" for notice, names in concerned.items()
    ]


_NOTES = (
    "intervals: 95 %, patients resampled (none below 10 patients). effect: difference of means over the pooled "
    "standard deviation, each marker class's mean taken away. classes dealt anew to the patients, words of the markers "
    "shuffled: what 97.5 % of such effects stay below, and the share (p) of those at least as large as the effect",
    "profile: * above what the largest of all characteristics reaches in 5 % of permutations of the classes; ∅ names "
    "nothing that is drawn. AUROC by chance: 0.5, rank correlation by chance: 0",
)


def _effects(one: Json) -> Table:
    table = _table("level", "n", "effect [95 %]", "dealt anew", "shuffled")
    for level in LEVELS:
        found = one["alignment"][level]
        effect = _spanned(found["effect"], found["effect_interval"])
        _add(table, level, str(found["n"]), effect, _null(found["permuted_labels"]), _null(found["random_text"]))
    return table


def _null(null: Json | None) -> str:
    """What 97.5 % of draws stay below, and p."""
    if null is None:
        return "–"
    high = list(null["quantiles"].values())[-1]
    return f"{high:+.2f}" + ("" if null["p"] is None else f", p {null['p']:.3f}")


def _less(tables: Sequence[Json], columns: Sequence[str]) -> Table | None:
    rows = [one for one in tables if one["less_first"] and any(one["less_first"].get(name) for name in columns)]
    if not rows:
        return None
    table = _table("features", *columns)
    for one in rows:
        found = [one["less_first"].get(name) for name in columns]
        _add(table, one["name"], *("–" if f is None else _spanned(f["mean"], f["interval"]) for f in found))
    return table


def _own(tables: Sequence[Json], level: Level) -> Table:
    """The diagonal of each matrix; the whole is in the JSON and the picture."""
    table = _table("class", *[one["name"] for one in tables])
    for label in dict.fromkeys(label for one in tables for label in one["classes"]):
        _add(table, label, *[_own_cell(one, level, label) for one in tables])
    return table


def _own_cell(one: Json, level: Level, label: str) -> str:
    if label not in one["classes"]:
        return "–"
    found, k = one["alignment"][level], one["classes"].index(label)
    span = None if found["low"] is None or found["low"][k][k] is None else (found["low"][k][k], found["high"][k][k])
    return _spanned(found["centred"][k][k], span, times=100, digits=1)


def _profile(one: Json, top: int, distractors: Sequence[str]) -> Table:
    table = _table("class", "level", "characteristic", "mark")
    table.columns[1].justify = table.columns[2].justify = "left"
    for label in one["classes"]:
        for level in LEVELS:
            marks = _marks(one["profile"][level], label, top, distractors) or [("–", "")]
            for number, (name, mark) in enumerate(marks):  # a row each, so that a long name leaves its figure beside it
                first = number == 0
                _add(table, label if first and level is Level.PATCH else "", level if first else "", name, mark)
        table.add_section()
    return table


def _marks(found: Json, label: str, top: int, distractors: Sequence[str]) -> list[tuple[str, str]]:
    """Characteristics that are more in this class than elsewhere, and by how much."""
    chance = found["chance"]
    return [
        (
            mark["characteristic"] + (" ∅" if mark["characteristic"] in distractors else ""),
            _spanned(mark["mark"], mark["interval"]) + ("*" if chance is not None and mark["mark"] > chance else " "),
        )
        for mark in found["classes"][label][:top]
        if mark["mark"] > 0
    ]


def _agreement(tables: Sequence[Json]) -> Table:
    table = _table("factor", *[one["name"] for one in tables])
    rows: list[tuple[str, Callable[[Json], str]]] = [("mean", _means)]
    factors = dict.fromkeys(name for one in tables for name in one["agreement"]["rank_by_factor"])
    rows += [(name, lambda found, name=name: _factor(found, name)) for name in factors]  # type: ignore[misc]
    rows.append(("distractors", lambda found: _number(found["distractors"])))
    for name, cell in rows:
        _add(table, name, *[cell(one["agreement"]) for one in tables])
    return table


def _means(found: Json) -> str:
    auroc = _spanned(found["mean_auroc"], found["interval"], signed=False)
    return f"{auroc}\n{_spanned(found['mean_rank'], found['rank_interval'])}"


def _factor(found: Json, name: str) -> str:
    auroc = _spanned(found["by_factor"].get(name), found["by_factor_interval"].get(name), signed=False)
    rank = _spanned(found["rank_by_factor"].get(name), found["rank_by_factor_interval"].get(name))
    return f"{auroc}\n{rank}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _spanned(
    value: float | None, span: Sequence[float] | None, times: float = 1, digits: int = 2, signed: bool = True
) -> str:
    if value is None:
        return "–"
    form = f"{'+' if signed else ''}.{digits}f"
    ends = "" if span is None else f" [{times * span[0]:{form}}, {times * span[1]:{form}}]"
    return f"{times * value:{form}}{ends}"


def _print(console: Console, line: str, *tables: Table | None) -> None:
    if tables == (None,):
        return
    console.print(line, highlight=False, markup=False)
    for table in tables:
        console.print(table)


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(Text(column), justify="right" if table.columns else "left", overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*map(Text, cells))  # as they are: a name may hold what rich reads as markup
