"""The pages: their figures are those of the committed result files, and their links lead somewhere."""

import re
from pathlib import Path

import pytest
from rendering import render

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_figures_are_those_of_their_files(page: Path) -> None:
    assert render().rendered(page) == page.read_text(encoding="utf-8"), "run: python docs/render.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_a_figure_that_was_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"rows": [{"what": "x", "ratio": 2.5}], "machine": "m"}')
    page = tmp_path / "a.md"
    page.write_text("# A\n<!-- figures a.json -->\n| 9 |\n<!-- end -->\n")
    made = render().rendered(page)
    assert "| x | 2.5 |" in made
    assert "machine: m" in made
    page.write_text(made)
    assert render().rendered(page) == made
