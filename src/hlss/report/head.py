"""The head of a report: what was run, by which command, on what; what must be said of it; its main figures."""

from hlss.report.contents import Report, RunPart
from hlss.report.facts import Facts, count, percent, shown
from hlss.report.markup import Content, Html, element
from hlss.report.parts import bracketed, section, table
from hlss.types import LEVELS

_MADE = (
    ("when", "time"),
    ("command", "command"),
    ("code version", "code_version"),
    ("settings (hash)", "config_hash"),
    ("data (hash)", "data_hash"),
    ("bank (hash)", "bank_fingerprint"),
    ("bank is", "bank_status"),
    ("steps", "steps"),
    ("precision", "precision"),
    ("processes", "processes"),
    ("seed", "seed"),
    ("hardware", "hardware"),
)
_SET = (
    ("cohort", ("cohort", "name")),
    ("encoder", ("encoder", "name")),
    ("objective", ("objective", "name")),
    ("mode", ("objective", "mode")),
    ("bank", ("language", "bank")),
)


def title_block(report: Report) -> Html:
    """Title, when it was made, notices, and a few figures."""
    made = report.made
    when = element("p", f"Made {made['time'][:10]} by hlss {made['code_version']}.", class_="made")
    return element(
        "header",
        element("p", "hlss report", class_="eyebrow"),
        element("h1", report.title),
        when,
        _notices(report),
        _key_figures(report),
        class_="top",
    )


def run_section(report: Report) -> Html:
    """A column a run: its settings and how it was made."""
    rows: list[list[Content]] = []
    for name, keys in _SET:
        rows.append([name, *(_value(run.config.at(*keys)) for run in report.runs)])
    for name, key in _MADE:
        rows.append(
            [name, *(_value(None if run.provenance is None else run.provenance.at(key)) for run in report.runs)]
        )
    rows = [row for row in rows if any(cell != "–" for cell in row[1:])]
    rows.append(["embedded", *(", ".join(run.tables) or "nothing" for run in report.runs)])
    lead = (
        "What was trained, from which data and by which command. Two runs with equal hashes of settings and data were "
        "asked for the same thing."
    )
    heads = ["setting", *(run.name for run in report.runs)]
    return section("run", "What was run", lead, table(heads, rows, "Settings and provenance of each run", texts=99))


def _value(facts: Facts | None) -> Html | str:
    return shown(facts)


def _notices(report: Report) -> Html | None:
    if not report.notices:
        return None
    lines = [element("li", notice) for notice in report.notices]
    return element(
        "aside", element("h2", "Read this first"), element("ul", lines), class_="notices", aria_label="Notices"
    )


def _key_figures(report: Report) -> Html | None:
    """Of the first cohort and the first run's main table: counts, and accuracy at the three levels."""
    tiles: list[Html] = []
    if report.cohorts:
        total = report.cohorts[0].facts["total"]
        tiles += [_tile(name, total[name].shown(count)) for name in ("patients", "slides", "tiles")]
    result = main_result(report, report.runs[0]) if report.runs else None
    if result is not None:
        where = f"{result['method'].value}, protocol {result['protocol'].value}"
        for level, name in zip(LEVELS, ("patches", "slides", "patients"), strict=True):
            accuracy, span = (result.at(of, level, "accuracy") for of in ("metrics", "intervals"))
            if accuracy is not None:
                limits = None if span is None else bracketed(*(span[end].shown(percent) for end in ("low", "high")))
                tiles.append(_tile(f"% of {name} right", accuracy.shown(percent), limits, where))
    return element("div", tiles, class_="tiles") if tiles else None


def main_result(report: Report, run: RunPart) -> Facts | None:
    """Of the evaluation, the first protocol's result of a run's main table."""
    if report.evaluation is None or not run.tables:
        return None
    results = list(report.evaluation["results"])
    mine = [one for one in results if one["method"].value == run.tables[0]]
    return mine[0] if mine else None


def _tile(name: str, value: Content, span: Content = None, where: str | None = None) -> Html:
    lines = [element("strong", value), element("span", name)]
    small = [element("small", one) for one in (span, where) if one]
    return element("div", lines, small, class_="tile")
