"""What was explained, as tables on a terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hlss.types import LEVELS, Level

Json = Mapping[str, Any]


def show(result: Json, top: int, console: Console) -> None:
    """Every part of `explanations.json` that has figures, its notices last."""
    tables = result["tables"]
    side = f"{result['settings']['side']} side"
    first = result["compared_with"]
    if tables[0]["alignment"] is not None:
        title = f"own class's markers less others' ({result['markers']['name']}), {side}: effect size, and without it"
        _print(console, title, _effects(tables))
        _print(console, f"effect size less that of {first}, paired by patient", _less(tables, LEVELS))
        level = next((n for n in reversed(LEVELS) if all(one["alignment"][n]["n"] for one in tables)), Level.PATCH)
        title = f"own class's markers, {level} level: cosine × 100, less the mean over all units [95 %]"
        _print(console, title, _own(tables, level))
    for table in tables:
        if table["profile"] is not None:
            _print(console, f"{table['name']}: what marks a class, σ [95 %], {side}", _profile(table, top))
    if any(table["agreement"] is not None for table in tables):
        title = f"words against the drawn truth, {side}: AUROC (chance: 0.5), below it rank correlation (chance: 0)"
        _print(console, title, _agreement([table for table in tables if table["agreement"] is not None]))
        _print(console, f"means less those of {first}, paired by patient", _less(tables, ("auroc", "rank")))
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
    "standard deviation, each marker class's mean taken away. labels permuted, random text (shuffled words): where "
    "95 % of draws lie, and the share of draws at least as large as the effect",
    "profile: * above what the largest of all characteristics reaches in 5 % of permutations of the classes",
)


def _effects(tables: Sequence[Json]) -> Table:
    table = _table("features", "level", "n", "effect [95 %]", "labels permuted", "random text")
    for one in tables:
        for level in LEVELS:
            found = one["alignment"][level]
            effect = _spanned(found["effect"], found["effect_interval"])
            _add(
                table,
                one["name"],
                level,
                str(found["n"]),
                effect,
                _null(found["permuted_labels"]),
                _null(found["random_text"]),
            )
    return table


def _null(null: Json | None) -> str:
    """Where 95 % of draws lie, and p."""
    if null is None:
        return "–"
    low, _, high = null["quantiles"].values()
    p = "" if null["p"] is None else f", p {null['p']:.3f}"
    return f"[{low:+.2f}, {high:+.2f}]{p}"


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


def _profile(one: Json, top: int) -> Table:
    table = _table("class", *LEVELS)
    for label in one["classes"]:
        _add(table, label, *("\n".join(_marks(one["profile"][level], label, top)) or "–" for level in LEVELS))
    for column in table.columns:
        column.justify = "left"
    return table


def _marks(found: Json, label: str, top: int) -> list[str]:
    chance = found["chance"]
    return [
        f"{mark['characteristic']} {_spanned(mark['mark'], mark['interval'])}"
        + ("*" if chance is not None and mark["mark"] > chance else "")
        for mark in found["classes"][label][:top]
    ]


def _agreement(tables: Sequence[Json]) -> Table:
    table = _table("factor", *[one["name"] for one in tables])
    rows: list[tuple[str, Callable[[Json], str]]] = [("mean of all characteristics", _means)]
    factors = dict.fromkeys(name for one in tables for name in one["agreement"]["rank_by_factor"])
    rows += [(name, lambda found, name=name: _factor(found, name)) for name in factors]  # type: ignore[misc]
    rows.append(("distractors (name nothing drawn)", lambda found: _number(found["distractors"])))
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
    console.print(line, highlight=False, soft_wrap=True, markup=False)
    for table in tables:
        console.print(table)


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(Text(column), justify="right" if table.columns else "left", overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*map(Text, cells))  # as they are: a name may hold what rich reads as markup
