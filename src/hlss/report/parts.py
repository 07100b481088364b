"""Pieces of a page that several sections use: sections, tables, notes."""

from collections.abc import Sequence

from hlss.report.markup import Content, Html, element, joined


def section(name: str, title: str, lead: str, *content: Content) -> Html:
    """A section with its id, heading, and the sentence that says what it shows and how to read it."""
    heading = element("h2", title, id=f"{name}-title")
    return element(
        "section", heading, element("p", lead, class_="lead"), *content, id=name, aria_labelledby=f"{name}-title"
    )


def missing(why: Content) -> Html:
    """In the place of what could not be shown."""
    return element("p", why, class_="missing")


def table(
    heads: Sequence[Content],
    rows: Sequence[Sequence[Content]],
    caption: str,
    *,
    texts: int = 1,
    kind: str | None = None,
) -> Html:
    """The first column holds the heads of rows; columns from `texts` on are figures, set to the right. kind: its class
    for the style.
    """
    head = element("tr", [element("th", one, scope="col", class_=_kind(k, texts)) for k, one in enumerate(heads)])
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            [element("td", cell, class_=_kind(k, texts)) for k, cell in enumerate(row[1:], start=1)],
        )
        for row in rows
    ]
    inner = element("table", element("caption", caption), element("thead", head), element("tbody", body), class_=kind)
    return element("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def figure(content: Content, caption: Content) -> Html:
    """A chart or picture with what it is called."""
    return element("figure", content, element("figcaption", caption))


def titled(caption: Content, content: Content) -> Html:
    """A chart below what it is called."""
    return element("figure", element("figcaption", caption), content, class_="titled")


def grid(*content: Content, kind: str = "") -> Html:
    """Things side by side where there is room. kind: three (of them), or wide (below each other)."""
    return element("div", *content, class_=joined("grid ", kind).strip())


def folded(summary: str, *content: Content) -> Html:
    """Details, closed on the screen and open in print."""
    return element("details", element("summary", summary), *content)


def with_code(text: str) -> Html:
    """A sentence whose commands stand between backticks."""
    return joined([element("code", part) if number % 2 else part for number, part in enumerate(text.split("`"))])


def words(names: Sequence[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def plain(name: str) -> str:
    """A class or characteristic as it is read: without underscores."""
    return name.replace("_", " ")


def bracketed(low: Html | str, high: Html | str) -> Html:
    """An interval."""
    return element("span", joined("[", low, ", ", high, "]"), class_="interval")


def _kind(column: int, texts: int) -> str | None:
    return "number" if column >= texts else None
