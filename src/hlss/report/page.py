"""The page: all sections, styles and scripts in one file that asks for nothing else."""

import json
from importlib.resources import files

from hlss.report.accuracy import accuracy_section
from hlss.report.cohort import cohort_section
from hlss.report.contents import Report
from hlss.report.embedding import embedding_section
from hlss.report.errors import errors_section
from hlss.report.explained import explained_section
from hlss.report.head import run_section, title_block
from hlss.report.markup import Html, element, joined
from hlss.report.sources import sources_section
from hlss.report.svg import restart_ids
from hlss.report.training import training_section

_SECTIONS = (
    ("run", "What was run", run_section),
    ("cohort", "The cohort", cohort_section),
    ("training", "Training", training_section),
    ("accuracy", "Accuracy", accuracy_section),
    ("embedding", "Embedding map", embedding_section),
    ("errors", "Confident errors", errors_section),
    ("explained", "Explanations", explained_section),
    ("sources", "Provenance", sources_section),
)
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(report: Report) -> str:
    """The whole file. The same report gives the same text."""
    restart_ids()
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in _SECTIONS]
    contents = element("nav", element("ol", links), aria_label="Contents")
    body = element(
        "body",
        element("a", "Skip to the report", href="#main", class_="skip"),
        contents,
        element("main", title_block(report), [draw(report) for _, _, draw in _SECTIONS], id="main"),
        element("script", _figures(report), type="application/json", id="figures"),
        element("script", _asset("page.js")),
    )
    return f"<!doctype html>\n{element('html', _head(report), body, lang='en')}\n"


def _head(report: Report) -> Html:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="color-scheme", content="light dark"),
        element("title", report.title),
        element("style", _asset("page.css")),
    )


def _figures(report: Report) -> Html:
    """The figures that were computed for the report, as JSON that cannot end its element."""
    text = json.dumps(report.figures.value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return Html(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _asset(name: str) -> Html:
    return joined(Html("\n"), Html((files("hlss.report") / name).read_text(encoding="utf-8")))
