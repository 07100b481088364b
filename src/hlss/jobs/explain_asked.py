"""Which patches, slides, patients and classes are to be explained."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from pydantic import Field

from hlss.errors import UserError
from hlss.explain.gauge import Gauge
from hlss.explain.units import Wordings, outstanding_patches
from hlss.jobs.explain_sources import ExplainSpec
from hlss.types import Level

CLASS = "class"
KINDS = (*Level, CLASS)


class UnitsSpec(ExplainSpec):
    """top: characteristics of each unit. tiles: evidence of each that stands out; patches: shown where none is named.

    permutations: draws of patches dealt anew, and of classes (blocks) dealt anew. resamples: for comparisons.
    """

    top: int = Field(default=5, ge=1)
    tiles: int = Field(default=4, ge=0)
    patches: int = Field(default=12, ge=1)


@dataclass(frozen=True, eq=False)
class Units:
    """Numbers of the slides or patients that are explained, or rows of the patches.

    in_draws: for each draw of shuffled words, those that are asked in their place (the same, unless they are chosen by
    how much stands out in them). among: how many they were chosen from.
    """

    numbers: Int64[ndarray, " u"]
    in_draws: Sequence[Int64[ndarray, " _"]]
    among: int


def units_asked(gauge: Gauge, level: Level, only: Sequence[str], words: Wordings, count: int) -> Units:
    """All slides or patients, unless some are named.

    Patches: SLIDE:X:Y (level-0 px) names one; of a slide or patient that is named, or of all, those that stand out
    most.
    """
    if level is Level.PATCH:
        return _patches(gauge, only, words, count)
    names = gauge.names(level)
    numbers = np.flatnonzero(np.isin(names.astype(str), list(only)) if only else np.ones(len(names), bool))
    return Units(numbers, [numbers] * len(words.random), len(numbers))


def refuse_unknown(gauge: Gauge, kinds: Sequence[str], only: Sequence[str], side: str, table: str) -> None:
    """Raise UserError where a name is that of none of what is asked for."""
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise UserError(f"no units are called {unknown[0]!r}", where="--units", fix=f"Known: {', '.join(KINDS)}.")
    columns = {CLASS: ["label"], Level.SLIDE: ["slide"], Level.PATIENT: ["patient"], Level.PATCH: ["slide", "patient"]}
    known = {str(name) for kind in kinds for c in columns[kind] for name in set(gauge.table[c].tolist())} - {""}
    for name in only:
        if name in known or (Level.PATCH in kinds and len(_at(gauge, name))):
            continue
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        hints = [f"Meant: {', '.join(near)}?"] if near else []
        hints += ["A patch is SLIDE:X:Y."] if Level.PATCH in kinds else []
        hints += [] if side == "all" else ["Other sides: --side all."]
        where = "all sides" if side == "all" else f"the {side} side"
        raise UserError(
            f"no {' or '.join(kinds)} named {name!r} on {where} of {table}", where="--only", fix=" ".join(hints)
        )


def _patches(gauge: Gauge, only: Sequence[str], words: Wordings, count: int) -> Units:
    banks = [words.rows, *words.random]
    found: list[list[int]] = [[] for _ in banks]
    among = 0
    every = [np.arange(len(gauge))]
    for of, name in zip([_of(gauge, name) for name in only] or every, only or [""], strict=True):
        chosen = outstanding_patches(gauge, of, banks, count) if len(of) else [_at(gauge, name)] * len(banks)
        among += len(of) or len(chosen[0])
        for rows, more in zip(found, chosen, strict=True):
            rows.extend(more.tolist())
    numbers, *in_draws = (np.array(list(dict.fromkeys(rows)), dtype=np.int64) for rows in found)
    return Units(numbers, in_draws, among)


def _of(gauge: Gauge, name: str) -> Int64[ndarray, " r"]:
    """Rows of a slide, or patient, of this name."""
    return np.flatnonzero((gauge.table["slide"] == name) | (gauge.table["patient"] == name))


def _at(gauge: Gauge, name: str) -> Int64[ndarray, " r"]:
    """Rows of SLIDE:X:Y; empty where it is none."""
    slide, *place = name.rsplit(":", 2)
    if len(place) < 2 or not all(part.isdecimal() and part.isascii() for part in place):
        return np.empty(0, np.int64)
    table = gauge.table
    here = (table["slide"] == slide) & (table["x_px0"] == int(place[0])) & (table["y_px0"] == int(place[1]))
    return np.flatnonzero(here)
