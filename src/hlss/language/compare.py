"""Two banks side by side, and two banks as one."""

from collections.abc import Iterator
from typing import Any

from hlss.errors import UserError
from hlss.language.bank import GENERIC, Characteristic, DescriptionBank, normalised

Key = tuple[str, str]  # level and normalised name


def diff(old: DescriptionBank, new: DescriptionBank) -> Iterator[str]:
    """A line for every characteristic that was added (+), removed (-), or whose descriptions or status changed (~)."""
    before, after = _by_key(old), _by_key(new)
    for key in [*before, *(key for key in after if key not in before)]:
        level, one, other = key[0], before.get(key), after.get(key)
        if one is None or other is None:
            sign, there = ("+", other) if one is None else ("-", one)
            yield f"{sign} {level} / {there.name if there else ''}"
            continue
        for text in one.descriptions:
            if text not in other.descriptions:
                yield f"~ {level} / {other.name}: - {text}"
        for text in other.descriptions:
            if text not in one.descriptions:
                yield f"~ {level} / {other.name}: + {text}"
        if one.status != other.status:
            yield f"~ {level} / {other.name}: {one.status} → {other.status}"


def merged(first: DescriptionBank, second: DescriptionBank) -> DescriptionBank:
    """The characteristics of both, those of the first before; what stands in both alike, stands once.

    Raises UserError for a characteristic that the two describe in other words, and where one has levels and the other
    one list for all of them. Names and sentences that stand at two places are left to `refuse_repeats`.
    """
    if bool(first.generic) != bool(second.generic):
        raise UserError(
            "one has three levels, the other one list for all", where=second.title, fix="Merge alike banks."
        )
    ours = _by_key(first)
    tree: dict[str, Any] = first.model_dump()
    for (level, name), one in _by_key(second).items():
        known = ours.get((level, name))
        if known is None:
            tree[level] = (*tree[level], one.model_dump())
        elif known.descriptions != one.descriptions:
            what = f"{level} / {one.name} is described in other words by {first.title!r} and {second.title!r}"
            raise UserError(what, where="merge", fix="Rename one, or take it out of one of the two.")
    tree["title"] = f"{first.title} + {second.title}"
    if first.provenance != second.provenance:
        tree["provenance"] = f"{first.provenance} {second.provenance}"
    return DescriptionBank.model_validate(tree)


def _by_key(bank: DescriptionBank) -> dict[Key, Characteristic]:
    return {(str(level or GENERIC), normalised(one.name)): one for level, one in bank.characteristics()}
