"""Explanations in words: which characteristics are used, what marks each class, maps with their faithfulness."""

from collections.abc import Mapping

from hlss.report.charts import Valued, bar_chart, interval_chart
from hlss.report.contents import Report, WordsPart
from hlss.report.facts import Facts, decimal, percent, shown, signed
from hlss.report.markup import Content, Html, element, joined
from hlss.report.parts import folded, grid, missing, plain, section, table, titled
from hlss.report.slide_maps import slide_maps
from hlss.report.units import explained_units
from hlss.types import LEVELS

_LEAD = (
    "What the features say in the words of the bank. It holds for this encoder, not for the tissue: a characteristic "
    "is matched, not seen. What stands within chance is not an explanation."
)
_USE = (
    "How often each characteristic is the best match of a test patch, in standard deviations from its own mean over "
    "them, so that a text that lies near all patches wins none by that. Those that are never the best say nothing of "
    "these patches."
)
_PROFILE = (
    "What marks a class: mean of a characteristic over the class's units less its mean over all others, in standard "
    "deviations, with 95 % intervals (patients resampled). The dashed line is chance: what the largest of "
    "all marks stays below in 95 % of permutations of the classes. Grey squares do not stand above it."
)
_AGREEMENT = (
    "On drawn tissue the truth is known: AUROC that a test patch which has what a word names matches it better than "
    "one that lacks it. 0.5 is chance."
)
_SHOWN = 12  # characteristics of a level in the chart of use


def explained_section(report: Report) -> Html:
    """Words of each run's main table, and agreement with the truth where it is known."""
    parts: list[Html | str | None] = [_part(one, len(report.words) > 1) for one in report.words]
    if not report.words:
        parts = [missing(report.lacking["explained"])]
    if report.agreement:
        parts.append(_agreement(report.agreement))
    return section("explained", "Explanations", _LEAD, parts)


def _part(part: WordsPart, named: bool) -> Html:
    notices = [element("p", notice, class_="note") for notice in part.notices]
    return joined(
        element("h3", part.name) if named else None,
        notices,
        None if part.profile is None else _profile(part.profile),
        None if part.use is None else _use(part.use),
        slide_maps(part.maps, part.maps_how),
        explained_units(part.units, part.units_how, part.name if named else ""),
    )


def _profile(profile: Facts) -> Html:
    blocks: list[Html] = []
    for number, level in enumerate(level for level in LEVELS if level in profile.value):
        of_level, title = profile[level], f"What marks each class, by {level}"
        chance = of_level.at("chance")
        rows = [
            Valued(_named(one), one["mark"], one.at("interval"), 0 if _above(one, chance) else 7, plain(name))
            for name, strongest in of_level["classes"].items()
            for one in strongest
            if one.at("mark") is not None
        ]
        caption = joined(f"by {level}; above chance is what is above ", shown(chance, decimal(2)), " σ")
        reference = None if chance is None else float(chance.value)
        drawn = titled(caption, interval_chart(title, rows, signed, "σ", reference)) if rows else missing("no units")
        blocks.append(drawn if number == 0 else folded(f"by {level}", drawn))
    return joined(element("h3", "What marks each class"), element("p", _PROFILE), blocks)


def _named(one: Facts) -> str:
    return str(one["characteristic"].value)


def _above(one: Facts, chance: Facts | None) -> bool:
    return chance is None or float(one["mark"].value) > float(chance.value)


def _use(use: Facts) -> Html:
    charts = []
    for level, found in use.items():
        rows = [Valued(one["characteristic"].value, one["share"]) for one in list(found["most"])[:_SHOWN]]
        never = joined(
            f"{level}: ", found["never"].shown(), " of ", found["of"].shown(), " characteristics are never the best"
        )
        charts.append(
            titled(never, bar_chart(f"Best matches by {level} characteristics", rows, percent, "% of patches"))
        )
    return joined(element("h3", "Use of the bank"), element("p", _USE), grid(charts))


def _agreement(found: Mapping[str, Facts]) -> Html:
    means = []
    for number, (name, one) in enumerate(found.items()):
        means.append(Valued(name, one["mean_auroc"], one.at("interval"), number))
    factors = dict.fromkeys(factor for one in found.values() for factor in one["by_factor"].value)
    rows: list[list[Content]] = [
        [plain(factor), *(shown(one.at("by_factor", factor), decimal(2)) for one in found.values())]
        for factor in factors
    ]
    title = "Agreement with what was drawn, mean over factors"
    return joined(
        element("h3", "Words against the truth"),
        element("p", _AGREEMENT),
        titled(title, interval_chart(title, means, decimal(2), "AUROC", reference=0.5)),
        folded("By factor", table(["factor", *found], rows, "AUROC of each factor's words")),
    )
