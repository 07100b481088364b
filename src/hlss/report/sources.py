"""Where the figures are from: every file with its hash and command, and how the report was made."""

from hlss.report.contents import OWN, Report
from hlss.report.markup import Content, Html, element, joined
from hlss.report.parts import section, table

_LEAD = (
    "Every figure in this report carries the address of the value that it shows: a file and the way to it, as "
    "evaluation.json#/results/0/metrics/patch/accuracy. Point at a figure to see its address and the whole value."
)


def sources_section(report: Report) -> Html:
    """Files, and the making of the report."""
    rows: list[list[Content]] = [
        [
            one.name,
            element("code", one.path),
            element("code", one.digest, class_="digest"),
            element("code", one.made_by or "not recorded"),
        ]
        for one in report.sources
    ]
    rows.append([OWN, "computed for this report, and stored inside it (JSON, id “figures”)", "–", _command(report)])
    heads = ["source", "file", "SHA-256 (short)", "made by"]
    made = joined(
        "This report was made by ", _command(report), f" on {report.made['hardware']}, {report.made['time']}."
    )
    files = table(heads, rows, "Sources of the figures", texts=99)
    return section("sources", "Provenance", _LEAD, files, element("p", made))


def _command(report: Report) -> Html:
    return element("code", report.made["command"])
