"""Who was looked at: counts by class, side and site, and tiles of each class."""

from hlss.report.contents import CohortPart, Report
from hlss.report.facts import count
from hlss.report.markup import Content, Html, element, joined, picture
from hlss.report.parts import missing, plain, section, table, words

_LEAD = (
    "Patients, slides and tiles of the embedded cohort. A patient is on one side of the split only; classes that stand "
    "at one site only cannot be told from that site."
)


def cohort_section(report: Report) -> Html:
    """One part for each cohort."""
    parts = [_part(one, len(report.cohorts) > 1) for one in report.cohorts]
    return section("cohort", "The cohort", _LEAD, parts or missing(report.lacking["cohort"]))


def _part(part: CohortPart, named: bool) -> Html:
    return joined(
        element("h3", f"Of {words(part.runs)}") if named else None,
        _by_side(part),
        _by_site(part),
        _examples(part),
    )


def _by_side(part: CohortPart) -> Html:
    sides = [name for name, _ in part.facts["sides"].items()]
    what = ("patients", "slides", "tiles")
    heads: list[Content] = ["class", *(f"{one}, {side}" for side in sides for one in what)]
    rows: list[list[Content]] = []
    for of_class in part.facts["classes"]:
        cells = [of_class["sides"][side][one].shown(count) for side in sides for one in what]
        rows.append([plain(of_class["name"].value) or "no label", *cells])
    rows.append(["all", *(part.facts["sides"][side][one].shown(count) for side in sides for one in what)])
    return table(heads, rows, "Patients, slides and tiles by class and side of the split")


def _by_site(part: CohortPart) -> Html:
    sites = [name for name, _ in part.facts["sites"].items()]
    if sites in ([], [""]):
        return element("p", "No site is recorded, so nothing can be said of differences between sites.")
    rows: list[list[Content]] = [
        [plain(of_class["name"].value) or "no label", *(of_class["sites"][site].shown(count) for site in sites)]
        for of_class in part.facts["classes"]
    ]
    rows.append(["all", *(part.facts["sites"][site].shown(count) for site in sites)])
    return table(["class", *(site or "no site" for site in sites)], rows, "Patients by class and site")


def _examples(part: CohortPart) -> Html:
    if not part.examples:
        return missing("No example tiles: the pixels could not be read (see the notices).")
    rows = []
    for one in part.examples:
        alt = f"{one.several} example tiles of class {plain(one.name)}, each of another patient where there are enough"
        rows.append(joined(element("h4", plain(one.name) or "no label"), picture(one.jpeg, alt, class_="strip")))
    what = "A row a class, each tile of another patient while there are any."
    return joined(element("h3", "Example tiles"), element("p", what), element("div", rows, class_="sheet"))
