"""Escaping: texts are never markup, wherever they stand."""

import pytest

from hlss.report.markup import Html, data_uri, element, joined

NASTY = "<script>alert('x')</script>\" onload=\"x & y"


def test_texts_are_escaped_and_markup_is_not() -> None:
    assert element("p", NASTY) == (
        "<p>&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&quot; onload=&quot;x &amp; y</p>"
    )
    assert element("p", element("b", "a")) == "<p><b>a</b></p>"
    assert element("p", ["a", None, Html("<br>"), ["<"]]) == "<p>a<br>&lt;</p>"


def test_attributes_are_escaped_left_out_and_named() -> None:
    made = element("a", "x", href=NASTY, class_="c", aria_label="l", hidden=True, title=None, open=False)
    assert 'onload="' not in made
    assert made.endswith(' class="c" aria-label="l" hidden>x</a>')
    assert element("img", alt="") == '<img alt="">'


def test_what_stands_between_is_escaped_too() -> None:
    assert joined("a", "b", between="<") == "a&lt;b"


@pytest.mark.parametrize("data", [b"", b"\xff\xd8"])
def test_bytes_are_held_in_the_address(data: bytes) -> None:
    assert data_uri(data, "image/jpeg").startswith("data:image/jpeg;base64,")
