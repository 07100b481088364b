"""The most confident errors: patches whose wrong class the neighbours agreed on, with those neighbours."""

from collections.abc import Sequence

from hlss.report.contents import ErrorPart, Report
from hlss.report.facts import Facts, count, decimal, percent
from hlss.report.markup import Html, element, joined, picture
from hlss.report.parts import missing, plain, section

_LEAD = (
    "Test patches that were given a wrong class with the highest score, at most one of a patient. To the right of each "
    "stand the training patches that decided it, the nearest first, with their class. What looks like the neighbours "
    "is a hard case or a wrong label; what looks unlike them shows what the encoder does not see."
)


def errors_section(report: Report) -> Html:
    """Errors of each run's main table."""
    if not report.errors:
        return section("errors", "Most confident errors", _LEAD, missing(report.lacking["errors"]))
    return section("errors", "Most confident errors", _LEAD, [_part(one) for one in report.errors])


def _part(part: ErrorPart) -> Html:
    facts = part.facts
    of = joined(
        f"{part.name}: protocol {facts['protocol'].value}, k = {facts['k'].value}; ",
        facts["wrong"].shown(count),
        " of ",
        facts["asked"].shown(count),
        " patches are wrong.",
    )
    pairs = zip(facts["errors"], part.pictures, strict=True)
    cards = [_card(one, pictures) for one, pictures in pairs]
    return joined(element("p", of), element("div", cards, class_="errors"))


def _card(error: Facts, pictures: Sequence[bytes | None]) -> Html:
    own, *others = pictures
    said = joined(
        element("p", "is ", element("b", plain(error["truth"].value)), class_="verdict"),
        element("p", "taken for ", element("b", plain(error["predicted"].value)), class_="verdict"),
        element(
            "p", "score ", error["score"].shown(percent), " %, of its class ", error["own_score"].shown(percent), " %"
        ),
        element("p", error["place"].value, class_="place"),
    )
    near = [_neighbour(one, data) for one, data in zip(error["neighbours"], others, strict=True)]
    tile = _tile(own, f"Patch of class {plain(error['truth'].value)}, taken for {plain(error['predicted'].value)}")
    return element("article", tile, element("div", said), element("div", near, class_="near"), class_="error")


def _neighbour(one: Facts, data: bytes | None) -> Html:
    name = plain(one["class"].value)
    caption = joined(name, element("br"), one["similarity"].shown(decimal(3)))
    return element("figure", _tile(data, f"Neighbour of class {name}"), element("figcaption", caption))


def _tile(data: bytes | None, alt: str) -> Html:
    return missing("no pixels") if data is None else picture(data, alt)
