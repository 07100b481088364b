"""What `hlss explain` found, as Markdown: alignment, agreement with the drawn truth, profiles, and their origin."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]
_LEVELS = ("patch", "slide", "patient")
_TOP = 3


def explanations(found: Json) -> str:
    """Every part of an explanations.json that has figures, then where they come from."""
    parts = [_alignment(found), _agreement(found), *_profiles(found), _origin(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _alignment(found: Json) -> str:
    """Own-class against other-class alignment by table and level."""
    tables = [table for table in found["tables"] if table["alignment"]]
    if not tables:
        return ""
    first = found["compared_with"]
    rows = [
        [table["name"], f"{level} ({table['alignment'][level]['n']})", *_effect(table, level)]
        for table in tables
        for level in _LEVELS
    ]
    heads = ["features", "level (n)", "effect, σ [95 %]", "classes dealt anew", "words shuffled", f"less {first}"]
    note = (
        "Images against the markers of their own class less those of the other classes: difference of means over the "
        f"pooled standard deviation, {found['settings']['side']} side, patients resampled. Beside it where 95 % of "
        "such effects lie by chance, with p: classes dealt anew to the patients; words of the markers shuffled, each "
        "sentence as long as before."
    )
    return _table(note, heads, rows)


def _effect(table: Json, level: str) -> list[str]:
    one = table["alignment"][level]
    nulls = [_null(one["permuted_labels"]), _null(one["random_text"])]
    return [_spanned(one["effect"], one["effect_interval"]), *nulls, _less(table, level)]


def _null(null: Json | None) -> str:
    if null is None:
        return "–"
    ends = list(null["quantiles"].values())
    p = "" if null["p"] is None else f", p {null['p']:.3f}"
    return f"[{ends[0]:+.2f}, {ends[-1]:+.2f}]{p}"


def _agreement(found: Json) -> str:
    """Mean agreement with the true factors, and its difference to the first table."""
    tables = [table for table in found["tables"] if table["agreement"]]
    if not tables:
        return ""
    first = found["compared_with"]
    rows = []
    for table in tables:
        one = table["agreement"]
        auroc = _spanned(one["mean_auroc"], one["interval"], signed=False)
        rank = _spanned(one["mean_rank"], one["rank_interval"])
        distractors = "–" if one["distractors"] is None else f"{one['distractors']:.2f}"
        rows.append([table["name"], auroc, _less(table, "auroc"), rank, _less(table, "rank"), distractors])
    heads = ["features", "mean AUROC [95 %]", f"less {first}", "mean rank correlation [95 %]", f"less {first}"]
    note = (
        "Words against what was drawn: mean over all characteristics that a tile can show (chance: AUROC 0.5, "
        "correlation 0), patients resampled, differences paired by patient; and the AUROC of distractors, which name "
        "nothing that is drawn."
    )
    return _table(note, [*heads, "distractors"], rows)


def _profiles(found: Json) -> Iterator[str]:
    """What marks each class, a table for each table of features."""
    for table in found["tables"]:
        if not table["profile"]:
            continue
        levels = [level for level in _LEVELS if table["profile"][level]["n"]]
        heads = ["class", *(_profile_head(level, table["profile"][level]) for level in levels)]
        rows = [
            [name.replace("_", " "), *(_marks(found, table["profile"][level], name) for level in levels)]
            for name in table["classes"]
        ]
        note = (
            f"{table['name']}: what marks a class against all others, σ [95 %], the first {_TOP} that do; in brackets "
            "what the largest of all stays below in 95 % of permutations of the classes; * above it"
            + ("; ∅ names nothing that is drawn." if found["distractors"] else ".")
        )
        yield _table(note, heads, rows)


def _profile_head(level: str, one: Json) -> str:
    return level if one["chance"] is None else f"{level} ({one['chance']:.2f})"


def _marks(found: Json, one: Json, name: str) -> str:
    chance = one["chance"]
    cells = [
        mark["characteristic"]
        + (" ∅ " if mark["characteristic"] in found["distractors"] else " ")
        + _spanned(mark["mark"], mark["interval"])
        + ("\\*" if chance is not None and mark["mark"] > chance else "")
        for mark in one["classes"][name][:_TOP]
        if mark["mark"] > 0
    ]
    return "<br>".join(cells) or "–"


def _origin(found: Json) -> str:
    """Command, code, texts and machine of the explanation; then the same of each table."""
    facts = found["provenance"]
    texts = [
        f"{kind} {found[kind]['name']} ({found[kind]['status']}, {found[kind]['fingerprint']})"
        for kind in ("markers", "bank")
        if found[kind]
    ]
    parts = [
        f"Command: `{facts['command']}`",
        f"code {facts['code_version']}",
        *texts,
        facts["hardware"],
        facts["time"],
    ]
    lines = ["; ".join(parts) + ".", ""]
    lines += [f"- {table['name']}: {_table_origin(table)}." for table in found["tables"]]
    every = dict.fromkeys(notice for table in found["tables"] for notice in table["notices"])
    lines += ["", f"Said with it: {'; '.join(every)}."] if every else []
    return "\n".join(lines)


def _table_origin(table: Json) -> str:
    facts, run = table["provenance"], table["run"]
    trained = run["trained_with"]
    words = "no text in training" if trained is None else f"trained with {trained['name']} ({trained['fingerprint']})"
    parts = [
        f"objective {run['objective']}",
        words,
        f"read by text tower {run['text']}",
        *(f"{title} {facts[key]}" for title, key in _FACTS if facts.get(key) is not None),
    ]
    return ", ".join(parts)


_FACTS = (
    ("checkpoint", "checkpoint"),
    ("seed", "seed"),
    ("fold", "fold"),
    ("config", "config_hash"),
    ("data", "data_hash"),
    ("code", "code_version"),
    ("on", "hardware"),
)


def _less(table: Json, what: str) -> str:
    """The difference to the first table, which has none."""
    less = (table["less_first"] or {}).get(what)
    return "–" if less is None else _spanned(less["mean"], less["interval"])


def _spanned(value: float | None, span: Sequence[float] | None, signed: bool = True) -> str:
    if value is None:
        return "–"
    form = "+.2f" if signed else ".2f"
    return f"{value:{form}}" + ("" if span is None else f" [{span[0]:{form}}, {span[1]:{form}}]")


def _table(note: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join([note, "", *("| " + " | ".join(line) + " |" for line in lines)])
