"""The map of embeddings: patches that are near in feature space lie near each other; how they cluster, in numbers."""

from collections.abc import Mapping, Sequence

from hlss.report.charts import Valued, interval_chart
from hlss.report.contents import MapPart, Report
from hlss.report.facts import Facts, count, percent
from hlss.report.markup import Content, Html, data_uri, element, joined
from hlss.report.parts import bracketed, figure, folded, missing, plain, section, table, titled
from hlss.report.svg import COLOURS, SHAPES, chart, label, mark, symbols

_SIDE, _PAD = 620, 14
_NAMED = 12  # kinds that are named in a legend and on the map
_LEAD = (
    "Every mark is a patch, and marks that are near each other look alike to the encoder (t‑SNE: what is near is "
    "near, but sizes and distances of groups mean nothing). Marks of one class should lie together; marks of one site "
    "or patient should not. Point at a mark to see its tile."
)
_HOW = (
    "The map can mislead, so the same is measured on the features: of a patch's 10 nearest neighbours among other "
    "patients (for patients: among other slides; for slides: among all patches), the share that has the same class, "
    "site, patient or slide. By chance: the same with labels dealt anew (sites within their class, so that sites "
    "with other classes are not blamed)."
)


def embedding_section(report: Report) -> Html:
    """A map a run."""
    if not report.maps:
        return section("embedding", "Embedding map", _LEAD, missing(report.lacking["embedding"]))
    sheets = {one.shared: one for one in report.maps if one.sprites is not None}
    parts = [_map(one, number) for number, one in enumerate(report.maps, start=1)]
    return section("embedding", "Embedding map", _LEAD, _sheets(sheets), parts, element("p", _HOW), _purities(report))


def _sheets(maps: Mapping[int, MapPart]) -> Html | None:
    """The sprites, once each, as backgrounds."""
    rules = [
        f".sheet-{number}{{background-image:url({data_uri(one.sprites.jpeg, 'image/jpeg')})}}"
        for number, one in maps.items()
        if one.sprites is not None
    ]
    return element("style", Html("\n".join(rules))) if rules else None


def _map(part: MapPart, number: int) -> Html:
    kinds = list(part.columns)
    inputs = [
        joined(
            element("input", type="radio", name=f"map-{number}", id=f"map-{number}-{kind}", checked=kind == kinds[0]),
            element("label", kind, for_=f"map-{number}-{kind}"),
        )
        for kind in kinds
    ]
    switch = element("fieldset", element("legend", "Mark patches by"), inputs, class_="switch")
    drawn = element("div", _drawn(part, number), element("div", class_="tip", hidden=True), class_="map-canvas")
    legends = [_legend(kind, part.columns[kind]) for kind in kinds]
    caption = joined(
        part.facts["shown"].shown(count), " of ", part.facts["of"].shown(count), f" patches of {part.name}"
    )
    return element("div", switch, figure(drawn, caption), legends, class_="map")


def _drawn(part: MapPart, number: int) -> Html:
    places = [(_PAD + x * (_SIDE - 2 * _PAD), _PAD + y * (_SIDE - 2 * _PAD)) for x, y in part.xy]
    layers = []
    for kind, column in part.columns.items():
        order = _order(column)
        uses = [_use(f"m{number}-", order[name], x, y) for (x, y), name in zip(places, column, strict=True)]
        names = _centres(column, places) if len(order) <= _NAMED else []
        layers.append(element("g", uses, names, class_=f"by-{kind}"))
    said = "; ".join(f"{len(set(column))} {kind}" for kind, column in part.columns.items())
    sprites = part.sprites
    return chart(
        _SIDE,
        _SIDE,
        f"Embedding map of {part.name}",
        f"{len(places)} patches placed by t-SNE. Number of each: {said}. How they cluster stands in the table below.",
        symbols(f"m{number}-"),
        layers,
        element("circle", r=7, class_="here", cx=-20, cy=-20),
        class_="chart scatter",
        tabindex=0,
        data_sheet=None if sprites is None else part.shared,
        data_px=None if sprites is None else sprites.px,
        data_across=None if sprites is None else sprites.across,
        data_total=len(places),
    )


def _use(prefix: str, kind: int, x: float, y: float) -> Html:
    """A mark among thousands, in few bytes."""
    href = f"#{prefix}{kind % SHAPES}"
    return element("use", href=href, x=f"{x:.1f}", y=f"{y:.1f}", class_=f"k{kind % COLOURS}")


def _order(column: Sequence[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(sorted(set(column)))}


def _centres(column: Sequence[str], places: Sequence[tuple[float, float]]) -> list[Html]:
    """Each kind's name at the median of its marks."""
    found = []
    for name in sorted(set(column)):
        mine = [place for place, other in zip(places, column, strict=True) if other == name]
        x, y = (sorted(values)[len(mine) // 2] for values in zip(*mine, strict=True))
        found.append(
            label(min(max(x, 60), _SIDE - 60), y, plain(name) or "none", class_="centre", text_anchor="middle")
        )
    return found


def _legend(kind: str, column: Sequence[str]) -> Html:
    order = _order(column)
    if len(order) > _NAMED:
        text = f"{len(order)} {kind}s: marks repeat, and pointing at one names it."
        return element("p", text, class_=f"legend by-{kind}")
    shapes = [
        element("span", element("svg", mark(8, 8, k), width=16, height=16, aria_hidden="true"), plain(name) or "none")
        for name, k in order.items()
    ]
    return element("p", shapes, class_=f"legend by-{kind}")


def _purities(report: Report) -> Html:
    """Clustering of every map by class, site, patient and slide."""
    rows: list[list[Content]] = []
    bars: dict[str, list[Valued]] = {}
    names = [part.name for part in report.maps]
    for part in report.maps:
        for found in part.facts["clustering"]:
            kind = found["by"].value
            low, high = found["chance_interval"]
            rows.append(
                [
                    part.name,
                    kind,
                    found["share"].shown(percent),
                    found["chance"].shown(percent),
                    bracketed(low.shown(percent), high.shown(percent)),
                    _verdict(kind, found),
                ]
            )
            chance = "by chance" if len(names) == 1 else f"{part.name} by chance"
            bars.setdefault(kind, []).append(Valued(part.name, found["share"], group=f"same {kind}"))
            bars[kind].append(Valued(chance, found["chance"], found["chance_interval"], 7, f"same {kind}"))
    flat = [one for of_kind in bars.values() for one in of_kind]
    heads = ["features", "by", "same among neighbours %", "by chance %", "95 % of chance", "so the features"]
    shown = table(heads, rows, "How features cluster, in numbers", texts=2)
    if not flat:
        return missing("There are too few patches, classes or sites to measure how features cluster.")
    title = "How features cluster"
    return joined(
        titled(title, interval_chart(title, flat, percent, "% of nearest neighbours")), folded("In figures", shown)
    )


def _verdict(kind: str, found: Facts) -> str:
    above = found["share"].value > found["chance_interval"].value[1]
    return f"{'cluster' if above else 'do not cluster'} by {kind}"
