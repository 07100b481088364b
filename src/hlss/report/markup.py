"""HTML and SVG as escaped text: what comes from users is never taken for markup."""

import base64
from collections.abc import Iterable
from html import escape

VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Html(str):
    """Text that is markup already; any other text is escaped where it is put into an element."""

    __slots__ = ()


Content = Html | str | None | Iterable["Html | str | None"]


def element(tag: str, *content: Content, **attributes: object) -> Html:
    """`<tag …>content</tag>`.

    attributes: their names with `_` for `-`, and one `_` at the end left out (`class_`, `for_`); None and False leave
    an attribute out, True gives it without a value.
    """
    given = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in VOID:
        return Html(f"<{tag}{given}>")
    return Html(f"<{tag}{given}>{joined(*content)}</{tag}>")


def joined(*content: Content, between: str = "") -> Html:
    """All of it as markup, one after the other; texts are escaped, None is nothing."""
    parts: list[str] = []
    for one in content:
        if one is None:
            continue
        if isinstance(one, Html):
            parts.append(one)
        elif isinstance(one, str):
            parts.append(escape(one))
        else:
            parts.append(joined(*one))
    return Html(escape(between).join(parts))


def data_uri(data: bytes, kind: str) -> str:
    """The bytes as an address that holds them; kind: as image/jpeg."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def picture(data: bytes, alt: str, kind: str = "image/jpeg", **attributes: object) -> Html:
    """A picture inside the page."""
    return element("img", src=data_uri(data, kind), alt=alt, **attributes)


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    written = name.removesuffix("_").replace("_", "-")
    return f" {written}" if value is True else f' {written}="{escape(str(value))}"'
