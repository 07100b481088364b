"""Scores of every method at the three levels, with intervals, gains and confusion matrices."""

from collections.abc import Mapping, Sequence

from hlss.report.charts import Valued, confusion_matrix, interval_chart
from hlss.report.contents import Report
from hlss.report.facts import ABSENT, Facts, count, decimal, percent, shown, signed_percent
from hlss.report.markup import Content, Html, element, joined
from hlss.report.parts import bracketed, folded, grid, missing, plain, section, table, titled
from hlss.types import LEVELS

_LEAD = (
    "How often the right class is found, for single patches, and for slides and patients from all their patches. In "
    "brackets and as lines: 95 % intervals, patients resampled, because patches of one patient are not independent. "
    "A gain whose interval holds 0 is no gain that was shown."
)
_ASKED = {
    "test": "Asked are patients of the test side, which training never saw.",
    "val": "Asked are validation patients.",
    "sites": "Asked are the patients of each site in turn.",
    "external": "Asked are the patients of another cohort.",
}
_MEASURES = (
    ("balanced %", "balanced_accuracy", percent),
    ("macro AUROC", "macro_auroc", decimal(3)),
    ("macro F1", "macro_f1", decimal(3)),
)


def accuracy_section(report: Report) -> Html:
    """Protocols one after the other, all methods side by side."""
    evaluation = report.evaluation
    if evaluation is None:
        return section("accuracy", "Accuracy", _LEAD, missing(report.lacking["accuracy"]))
    protocols: dict[str, list[Facts]] = {}
    for result in evaluation["results"]:
        protocols.setdefault(_protocol(result), []).append(result)
    asked = f"{_ASKED.get(evaluation['queries'].value, '')} {report.how}".strip()
    parts = [_part(name, results, _kinds(evaluation)) for name, results in protocols.items()]
    return section(
        "accuracy", "Accuracy", _LEAD, element("p", asked), parts, _confusions(evaluation, protocols, report)
    )


def _protocol(result: Facts) -> str:
    k = "" if result["k"].value is None else f", k = {result['k'].value}"
    return f"{result['way'].value}, protocol {result['protocol'].value}{k}"


def _kinds(evaluation: Facts) -> dict[str, int]:
    """The mark of each method."""
    return {name: k for k, name in enumerate(dict.fromkeys(one["method"].value for one in evaluation["results"]))}


def _part(name: str, results: Sequence[Facts], kinds: Mapping[str, int]) -> Html:
    return joined(element("h3", name), _chart(name, results, kinds), _table(name, results), _gains(name, results))


def _chart(name: str, results: Sequence[Facts], kinds: Mapping[str, int]) -> Html | None:
    """Levels below each other on one axis, methods within each."""
    rows, sizes = [], []
    for level in LEVELS:
        of_level = [one for one in results if one.at("metrics", level, "accuracy") is not None]
        for one in of_level:
            value, span = one["metrics"][level]["accuracy"], one.at("intervals", level, "accuracy")
            rows.append(Valued(one["method"].value, value, span, kinds[one["method"].value], f"by {level}"))
        if of_level:
            sizes.append(_n(level, of_level[0]))
    if not rows:
        return None
    return titled(
        joined("Accuracy of ", joined(*sizes, between=", ")),
        interval_chart(f"Accuracy, {name}", rows, percent, "% right"),
    )


def _n(level: str, result: Facts) -> Html:
    return joined(result["metrics"][level]["n"].shown(count), f" {level}{'es' if level == 'patch' else 's'}")


def _table(name: str, results: Sequence[Facts]) -> Html:
    rows: list[list[Content]] = []
    for one in results:
        for level in LEVELS:
            of_level = one["metrics"][level]
            value, span = of_level.at("accuracy"), one.at("intervals", level, "accuracy")
            limits = ABSENT if span is None else bracketed(*(span[end].shown(percent) for end in ("low", "high")))
            others = [shown(of_level.at(key), form) for _, key, form in _MEASURES]
            rows.append([one["method"].value, level, shown(value, percent), limits, *others])
    heads = ["method", "level", "accuracy %", "95 % interval", *(title for title, _, _ in _MEASURES)]
    return table(heads, rows, f"Scores: {name}", texts=2)


def _gains(name: str, results: Sequence[Facts]) -> Html | None:
    rows: list[list[Content]] = []
    for one in results:
        for level in LEVELS:
            found = one.at("differences", level, "accuracy")
            if found is not None:
                rows.append([one["method"].value, level, *_gain(found)])
    if not rows:
        return None
    heads = ["method", "level", "points", "95 % interval", "shown?"]
    return table(heads, rows, f"Gains over the method that each is compared with: {name}", texts=2)


def _gain(found: Facts) -> list[Content]:
    mean, span = found["mean"].shown(signed_percent), found.at("interval")
    if span is None:
        return [mean, ABSENT, "no interval"]
    low, high = span["low"], span["high"]
    sure = low.value > 0 or high.value < 0
    verdict = ("gain" if low.value > 0 else "loss") if sure else "not shown"
    return [mean, bracketed(low.shown(signed_percent), high.shown(signed_percent)), verdict]


def _confusions(evaluation: Facts, protocols: Mapping[str, Sequence[Facts]], report: Report) -> Html:
    """Those of the first protocol and of each run's main table open, all others folded."""
    classes = [plain(name) for name in evaluation["classes"].value]
    mains = {run.tables[0] for run in report.runs if run.tables}
    first = next(iter(protocols))
    opened, closed = [], []
    for protocol, results in protocols.items():
        for one in results:
            name = one["method"].value
            matrices = grid(_matrices(classes, one), kind="three")
            if protocol == first and name in mains:
                opened.append(joined(element("h4", f"{name} · {protocol}"), matrices))
            else:
                closed.append(folded(f"{name} · {protocol}", matrices))
    how = (
        "A row a true class, a column a predicted one; the darker a cell, the larger its share of its row. Right "
        "answers lie on the diagonal. Columns have the numbers of the rows."
    )
    return joined(element("h3", "What is taken for what"), element("p", how), opened, closed)


def _matrices(classes: Sequence[str], result: Facts) -> list[Html]:
    found = []
    for level in LEVELS:
        matrix = result.at("confusions", level)
        if matrix is not None and any(map(sum, matrix.value)):
            title = f"Confusion matrix by {level}, {result['method'].value}"
            found.append(titled(f"by {level}", confusion_matrix(title, classes, matrix)))
    return found
