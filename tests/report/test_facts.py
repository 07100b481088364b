"""Figures and their addresses."""

import pytest
from html_figures import read, resolved

from hlss.report.facts import ABSENT, Facts, count, percent, shown, signed_percent

TREE = {"a/b": [{"~x": 0.12345}, None], "n": 12345, "text": "<script>"}


def test_an_address_leads_to_the_value() -> None:
    facts = Facts("f.json", TREE)["a/b"][0]["~x"]
    assert facts.address == "f.json#/a~1b/0/~0x"
    assert resolved(TREE, facts.pointer) == 0.12345
    (figure,) = read(facts.shown(percent)).figures
    assert figure == ("12.3", 0.12345, "f.json", "/a~1b/0/~0x")


def test_what_is_absent_is_none_and_shown_as_such() -> None:
    facts = Facts("f.json", TREE)
    assert facts.at("a/b", 1) is None
    assert facts.at("a/b", 7) is None
    assert facts.at("a/b", "x") is None
    assert facts.at("none", "deeper") is None
    assert facts.at("n", "deeper") is None
    assert shown(None) == ABSENT
    with pytest.raises(KeyError):
        facts["none"]


def test_texts_are_escaped() -> None:
    made = Facts("<s>.json", TREE)["text"].shown()
    assert "<script>" not in made
    assert "<s>" not in made
    assert read(made).figures[0].text == "<script>"


def test_forms() -> None:
    assert count(1234567) == "1\u202f234\u202f567"
    assert signed_percent(-0.015) == "−1.5"
    assert signed_percent(0.061) == "+6.1"
