"""Explanations of units and comparisons as they stand in units.json and compare.json."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hlss.explain.blocks import finite
from hlss.explain.comparison import Comparison
from hlss.explain.gauge import Gauge
from hlss.explain.nulls import CHANCE, PERHAPS, Verdict
from hlss.explain.units import Explained, Match
from hlss.jobs.explain_found import facts_of
from hlss.jobs.explain_sources import ExplainSpec, Source
from hlss.jobs.explain_truth import Judged
from hlss.jobs.provenance import provenance
from hlss.language.bank import read_bank
from hlss.language.encode import Texts
from hlss.types import Level

Json = dict[str, Any]
Tiles = Callable[[Level, int], list[Json]]  # evidence of a level's characteristic
CHANCES = ("p_text", "q_text", "p_images", "corrected")
Judge = Callable[[str], Judged]  # of a characteristic


def facts(bank: str, spec: ExplainSpec, sources: Sequence[Source]) -> Json:
    """What stands over every result: settings, words, what was explained, by which code."""
    described = read_bank(bank)
    return {
        "settings": spec.model_dump(mode="json"),
        "stands_out_up_to": {"yes": CHANCE, "perhaps": PERHAPS},
        "bank": facts_of(described.title, described),
        "explained": [source.name for source in sources],
        "provenance": provenance(),
    }


def unit_json(one: Explained, gauge: Gauge, texts: Texts, judge: Judge, evidence: Mapping[int, list[Json]]) -> Json:
    """One unit; a patch's name is SLIDE:X:Y. `stands_out` is empty where nothing does."""
    row = one.number if one.level is Level.PATCH else int(gauge.rows(one.level, one.number)[0])
    table = gauge.table
    name = str(table["patient" if one.level is Level.PATIENT else "slide"][row])
    if one.level is Level.PATCH:
        name = f"{name}:{table['x_px0'][row]}:{table['y_px0'][row]}"
    return {
        "level": one.level,
        "name": name,
        "patient": str(table["patient"][row]),
        "patches": one.patches,
        **named_by_verdict([(texts.bank.names(one.level)[match.k], match.verdict) for match in one.matches]),
        "matches": [
            _named(texts, one.level, match.k, judge) | _figures(match) | {"evidence": evidence.get(match.k, [])}
            for match in one.matches
        ],
    }


def class_json(
    name: str,
    levels: Mapping[Level, Comparison | None],
    texts: Texts,
    judge: Callable[[Level, str], Judged],
    top: int,
    tiles: Tiles,
) -> Json:
    """One class against all others: by bank, what is more in it; None where a level has no unit of either."""
    return {
        "class": name,
        "levels": {
            level: _of_bank(found, level, texts, partial(judge, level), top, tiles) for level, found in levels.items()
        },
    }


def _of_bank(found: Comparison | None, level: Level, texts: Texts, judge: Judge, top: int, tiles: Tiles) -> Json | None:
    if found is None:
        return None
    more = [k for k in found.order(len(found.names)) if found.difference[k] > 0]
    out = [k for k in more if found.verdict(k) != "no"]
    shown = more[: max(top, len(out))]
    return {
        "units": list(found.units),
        "patients": list(found.blocks),
        **named_by_verdict([(found.names[k], found.verdict(k)) for k in shown]),
        "matches": [
            compared_json(found, k, level, texts, judge) | {"evidence": tiles(level, k) if k in out[:top] else []}
            for k in shown
        ],
    }


def compared_json(found: Comparison, k: int, level: Level, texts: Texts, judge: Judge) -> Json:
    """One characteristic of a comparison. interval: 95 %; None where it cannot be given."""
    low = finite(found.low[k])
    return _named(texts, level, k, judge) | {
        "sigma": finite(found.difference[k]),
        "interval": None if low is None else [low, finite(found.high[k])],
        **{name: float(getattr(found, name)[k]) for name in CHANCES},
        "stands_out": found.verdict(k),
    }


def _named(texts: Texts, level: Level, k: int, judge: Judge) -> Json:
    one = texts.bank.level(level)[k]
    return {"characteristic": one.name, "descriptions": list(one.descriptions), **judge(one.name).to_json()}


def _figures(match: Match) -> Json:
    figures = {name: float(getattr(match, name)) for name in ("cosine", "sigma", *CHANCES, "q_units")}
    return {**figures, "stands_out": match.verdict}


def named_by_verdict(verdicts: Sequence[tuple[str, Verdict]]) -> Json:
    """Names of what stands out (of a comparison: separates), surely and perhaps; empty where nothing does."""
    return {
        "stands_out": [name for name, said in verdicts if said == "yes"],
        "perhaps": [name for name, said in verdicts if said == "perhaps"],
    }
