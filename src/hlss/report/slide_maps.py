"""Maps of characteristics over slides, each with what its test found printed beside it."""

from collections.abc import Sequence

from hlss.report.contents import MapShown, Panel
from hlss.report.facts import Facts, count, decimal, shown, signed
from hlss.report.markup import Html, element, joined, picture
from hlss.report.parts import bracketed, missing, with_code

_HOW = (
    "Light is where a slide matches the words, in standard deviations over all patches of the table. Beside each map "
    "stands whether it can be believed: its faithfulness is the share of swaps of a tile that the map points to, for "
    "another, which lower the slide's score, on tiles that the map was not made from. 0.5 is chance, 1 is best. A map "
    "that is not above chance is grey. Faithful is not true: only on drawn tissue is the true map known."
)
_TWO, _THREE = decimal(2), decimal(3)


def slide_maps(maps: Sequence[MapShown], how: str) -> Html | None:
    """None where nothing is said of maps at all."""
    if not maps and not how:
        return None
    shown_maps = [_map(one) for one in maps]
    body = joined(element("p", _HOW), element("p", with_code(how)), shown_maps) if maps else missing(with_code(how))
    return joined(element("h3", "Maps of characteristics"), body)


def _map(one: MapShown) -> Html:
    facts, weak = one.facts, not one.facts["faithfulness"]["above_chance"].value
    title = joined("“", facts["characteristic"].value, "” on slide ", facts["slide"].value)
    panels = element("div", [_panel(panel) for panel in one.panels], class_="panels")
    width = "" if one.width_um is None else f"; the slide is {_length(one.width_um)} wide"
    sigma = f"{one.sigma:g} σ"
    scale = joined(f"−{sigma} ", picture(one.scale.data, "", one.scale.kind), f" {sigma}")
    tiles = joined(facts["tiles"].shown(count), f" tiles{width}")
    notices = [element("span", notice, class_="note") for notice in facts["notices"].value]
    said = joined(
        element("span", scale, " · ", tiles, class_="colours"),
        _faithful(facts["faithfulness"], weak),
        _truth(facts),
        notices,
    )
    kind = "slide-map is-weak" if weak else "slide-map"
    return element("figure", element("h4", title), panels, element("figcaption", said), class_=kind)


def _panel(panel: Panel) -> Html:
    return element("div", picture(panel.data, panel.alt, panel.kind), element("span", panel.title), class_="panel")


def _faithful(found: Facts, weak: bool) -> Html:
    """The figures, and the verdict in words."""
    verdict = str(found["verdict"].value)
    doubtful = weak or verdict.startswith("above chance, but")
    said = element("span", verdict[0].upper() + verdict[1:], ".", class_="weak" if doubtful else "holds")
    if found.at("auroc") is None:
        return joined(element("span", "Faithfulness: ", element("b", "not tested"), class_="faithful"), said)
    nulls = [
        joined(f"; {name} ", null["quantiles"]["0.5"].shown(_TWO), ", p ", shown(null.at("p"), _THREE))
        for name, null in (("random maps", found.at("random_maps")), ("random text", found.at("random_texts")))
        if null is not None
    ]
    span = found.at("interval")
    limits = None if span is None else joined(" ", bracketed(span[0].shown(_TWO), span[1].shown(_TWO)))
    figures = joined("Faithfulness ", element("b", found["auroc"].shown(_TWO)), limits, "; chance 0.5", nulls)
    return joined(element("span", figures, class_="faithful"), said)


def _truth(facts: Facts) -> Html | None:
    true = facts.at("truth")
    if true is None:
        return None
    counts = joined(" (", true["having"].shown(count), " tiles have it, ", true["lacking"].shown(count), " lack it)")
    auroc, rank = true.at("auroc"), true.at("rank")
    if auroc is None:
        said = joined("Against the true map: too few tiles for an AUROC", counts)
    else:
        said = joined("Against the true map: AUROC ", element("b", auroc.shown(_TWO)), counts)
    return element(
        "span", said, None if rank is None else joined(", rank correlation ", rank.shown(signed)), class_="faithful"
    )


def _length(width_um: int) -> str:
    return f"{width_um / 1000:.2g} mm" if width_um >= 1000 else f"{width_um} µm"
