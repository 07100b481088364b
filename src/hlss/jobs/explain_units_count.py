"""In how many units something stands out, beside how many chance would find, and how much of it is true."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from hlss.explain.by_chance import ByChance, p_of
from hlss.explain.nulls import CHANCE, PERHAPS
from hlss.jobs.explain_truth import JUDGED, DrawnTruth
from hlss.jobs.explain_units_found import Json


def unit_count(
    units: Sequence[Json], there_are: int, among: int, chance: ByChance, blindly: Mapping[str, int] | None
) -> Json:
    """Of the units of one kind. blindly: how many of all characteristics of all these units are what; None where
    nobody knows what is true.
    """
    surely = sum(bool(unit["stands_out"]) for unit in units)
    at_all = sum(bool(unit["stands_out"] or unit["perhaps"]) for unit in units)
    every = [match for unit in units for match in unit["matches"]]
    return {
        "there_are": there_are,
        "chosen_from": among,
        "explained": len(units),
        "with_stands_out": surely,
        "with_stands_out_or_perhaps": at_all,
        "by_chance": {
            "draws": len(chance.surely),
            "with_stands_out": _beside(surely, chance.surely),
            "with_stands_out_or_perhaps": _beside(at_all, chance.at_all),
        },
        "over_all_units": {str(limit): _over_all(units, limit, blindly) for limit in (CHANCE, PERHAPS)},
        "truth": None if blindly is None else {**_by_verdict(every), "blindly": _all_kinds(blindly)},
    }


def class_count(classes: Sequence[Json], truth: DrawnTruth | None) -> Json:
    """Of classes; each is asked in every bank. at_most_by_chance: 5 % of these, since a class and bank in which nothing
    is to be found has that chance at most.
    """
    asked = [found for one in classes for found in one["levels"].values() if found is not None]
    every = [match for found in asked for match in found["matches"]]
    return {
        "there_are": len(classes),
        "explained": len(classes),
        "asked": len(asked),
        "with_stands_out": sum(bool(found["stands_out"]) for found in asked),
        "at_most_by_chance": CHANCE * len(asked),
        "truth": None if truth is None else _by_verdict(every),
    }


def _beside(count: int, draws: Sequence[int]) -> Json:
    """What the draws of shuffled words count; p: chance that they count as many."""
    mean = sum(draws) / len(draws)
    return {"mean": mean, "least": min(draws), "most": max(draws), "p": p_of(count, draws)}


def _over_all(units: Sequence[Json], limit: float, blindly: Mapping[str, int] | None) -> Json:
    """What is left when all units and characteristics are corrected for at once."""
    kept = [[match for match in unit["matches"] if match["q_units"] <= limit] for unit in units]
    passing = [match for of_unit in kept for match in of_unit]
    return {
        "units": sum(map(bool, kept)),
        "characteristics": len(passing),
        "truth": None if blindly is None else _judged(passing),
    }


def _by_verdict(matches: Sequence[Json]) -> Json:
    kinds = {"stands_out": "yes", "perhaps": "perhaps"}
    return {name: _judged(match for match in matches if match["stands_out"] == said) for name, said in kinds.items()}


def _judged(matches: Iterable[Json]) -> Json:
    return _all_kinds(Counter(match["truth"] for match in matches))


def _all_kinds(counts: Mapping[str, int]) -> Json:
    return {said: counts.get(said, 0) for said in JUDGED}
