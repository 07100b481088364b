"""Counts of explanations in sentences, and the notes that stand under their tables."""

from collections.abc import Iterable, Iterator, Mapping
from textwrap import fill
from typing import Any

from hlss.explain.nulls import CHANCE

Json = Mapping[str, Any]
DESCRIBED, WIDTH = 6, 100  # characteristics whose descriptions are printed, and characters of a line at most
FEW = 10  # units, below which their count says nothing that each one's own p does not
NOTE = (
    "σ: standing among all units of the kind. p words: share of random texts (the bank's words shuffled) that match as"
    " well; q: the same as a rate of false discoveries over the bank. p images: chance that any characteristic of"
    " the bank reaches as much where patches (of a class: patients) are dealt anew. Under a characteristic stands its"
    " best patch; up to four lie in evidence/."
)
MARKED = (
    "* stands out: q and p images ≤ 0.05. (*) perhaps: q ≤ 0.25, of which one in four is chance, and p images ≤ 0.05."
)
DRAWN = (
    "drawn: true, where the unit is in the third of all units of its kind that have most of what is named; false, in"
    " the third that has least; ∅: it names nothing that is ever drawn."
)


def many(level: str) -> str:
    """The plural of a kind of units."""
    return "patches" if level == "patch" else f"{level}s"


def said_of_units(level: str, count: Json) -> Iterator[str]:
    """What the counts of one kind of units come to."""
    n, chosen = count["explained"], count["chosen_from"]
    if not n:
        return
    units = many(level)
    of = f"{n} {units}" + (f", chosen of {chosen} as those that stand out most" if chosen > n else "")
    if n < FEW:
        yield f"Something stands out (*) in {count['with_stands_out']} of {of}."
        yield from _against_what_was_drawn(count["truth"])
        return
    yield f"Something stands out (*) in {count['with_stands_out']} of {of}. {_chance(count, 'with_stands_out')}"
    at_all = count["with_stands_out_or_perhaps"]
    yield f"Something stands out or may, * or (*), in {at_all}. {_chance(count, 'with_stands_out_or_perhaps')}"
    for limit, over in count["over_all_units"].items():
        kept = f"{over['characteristics']} characteristics of {over['units']} {units}" if over["units"] else "none"
        judged = _listed(over["truth"]) if over["units"] else ""
        yield f"Left when corrected for all {chosen} {units} at once (q_units ≤ {limit}): {kept}{judged}."
    yield from _against_what_was_drawn(count["truth"])
    if count["truth"] and (every := sum(count["truth"]["blindly"].values())):
        shares = {said: f"{100 * number / every:.0f} %" for said, number in count["truth"]["blindly"].items()}
        yield f"Blindly chosen, of all characteristics of all these {units}{_listed(shares)}."


def said_of_classes(count: Json) -> Iterator[str]:
    """The same of classes."""
    n = count["asked"]
    yield (
        f"Something stands out (*) in {count['with_stands_out']} of {n} (classes, each in every bank); by chance in"
        f" {count['at_most_by_chance']:.1f} at most."
    )
    yield from _against_what_was_drawn(count["truth"])


def _chance(count: Json, name: str) -> str:
    found, draws = count["by_chance"][name], count["by_chance"]["draws"]
    verdict = "more than chance finds" if found["p"] <= CHANCE else "NO MORE THAN CHANCE MAY FIND"
    span = f"{found['least']} to {found['most']} in {draws} draws"
    said = f"p {found['p']:.3f}){': ' + verdict if count[name] else ''}"
    return f"By chance, were the bank's words shuffled, in {found['mean']:.1f} ({span}; {said}."


def _against_what_was_drawn(truth: Json | None) -> Iterator[str]:
    """Of what stands out, where anything does and its truth is known."""
    marks = {"*": truth["stands_out"], "(*)": truth["perhaps"]} if truth else {}
    if told := [f"{mark}{_listed(judged)}" for mark, judged in marks.items() if any(judged.values())]:
        yield f"Against what was drawn, {'; '.join(told)}."


def _listed(counts: Json | None) -> str:
    """What is true, and what is not; empty where nobody knows."""
    names = {"middle": "in the middle", "distractor": "never drawn"}
    told = ", ".join(f"{number} {names.get(said, said)}" for said, number in counts.items()) if counts else ""
    return f": {told}" if told else ""


def described(matches: Iterable[Json], width: int) -> list[str]:
    """The four descriptions of the first characteristics that stand out."""
    found: dict[str, list[str]] = {}
    for match in matches:
        if match["stands_out"] != "no":
            found.setdefault(match["characteristic"], match["descriptions"])
    return [
        fill(f"{name}: {'; '.join(texts)}", min(width, WIDTH), subsequent_indent="  ")
        for name, texts in [*found.items()][:DESCRIBED]
    ]
