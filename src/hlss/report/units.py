"""A patch, slide and patient of each class in words, with what chance would do and the patches that they rest on."""

from collections.abc import Sequence

from hlss.report.contents import UnitShown
from hlss.report.facts import Facts, decimal, signed
from hlss.report.markup import Content, Html, element, joined, picture
from hlss.report.parts import folded, missing, plain, table, with_code
from hlss.types import LEVELS

_HOW = (
    "σ: how far a characteristic stands from its mean over all units of the kind. p words: the share of random texts, "
    "the bank's words shuffled, that match as well; q: the same corrected for the size of the bank. p images: chance "
    "that any characteristic reaches as much in patches dealt anew. What has q and p images of 0.05 at most stands "
    "out; perhaps, where q is 0.25 at most, of which one in four is chance. On drawn tissue, “drawn” says whether it "
    "is so: true where the unit is in the third that has most of it, false in the third that has least; ∅ names what "
    "is never drawn."
)
_SAID = {"yes": "stands out", "perhaps": "perhaps", "no": "within chance"}
_OPEN = 3  # classes
_HEADS = ("unit", "characteristic", "σ", "p words", "q", "p images", "verdict", "patches that match best")


def explained_units(units: Sequence[UnitShown], how: str, of: str) -> Html | None:
    """None where nothing is said of units at all. of: the run, where several stand side by side."""
    if not units and not how:
        return None
    body: list[Html] = [element("p", _HOW), element("p", with_code(how))] if units else [missing(with_code(how))]
    for number, name in enumerate(dict.fromkeys(one.label for one in units)):
        title = plain(name) or "without a class"
        shown_units = _table(title + (f" · {of}" if of else ""), [one for one in units if one.label == name])
        body.append(shown_units if number < _OPEN else folded(title, shown_units))
    return joined(element("h3", "Patches, slides and patients"), body)


def _table(title: str, units: Sequence[UnitShown]) -> Html:
    rows = [row for level in LEVELS for one in units if one.facts["level"].value == level for row in _rows(one)]
    return table(_HEADS, rows, f"{title}, in words", texts=2, kind="units")


def _rows(one: UnitShown) -> list[list[Content]]:
    name = joined(f"{one.facts['level'].value} ", element("span", one.facts["name"].value, class_="place"))
    rows: list[list[Content]] = []
    for match, pictures in zip(one.facts["matches"], one.pictures, strict=False):
        said = str(match["stands_out"].value)
        figures = [match[key].shown(form) for key, form in _COLUMNS]
        tiles = element("span", [picture(data, alt) for data, alt in pictures], class_="evidence")
        mark = joined(element("span", _SAID.get(said, said), class_=f"mark-{said}"), _true(match))
        rows.append(
            [name if not rows else element("span", name, class_="unseen"), _named(match, said), *figures, mark, tiles]
        )
    return rows


def _true(match: Facts) -> Html | None:
    """On drawn tissue, whether it is so."""
    true = match.at("truth")
    return None if true is None else element("span", "drawn: ", true.shown(), class_="place")


def _named(match: Facts, said: str) -> Html:
    """∅ beside words for what is never drawn."""
    true = match.at("truth")
    name = match["characteristic"].value + (" ∅" if true is not None and true.value == "distractor" else "")
    title = "; ".join(match["descriptions"].value)
    return element("b" if said == "yes" else "span", name, class_=None if said != "no" else "quiet", title=title)


_COLUMNS = (("sigma", signed), ("p_text", decimal(3)), ("q_text", decimal(2)), ("p_images", decimal(3)))
