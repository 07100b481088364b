"""What axe-core finds on a page. Its script is the one that HLSS_AXE names, or what `make install-for-tests` got."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

_INSTALLED = Path(__file__).parents[2] / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
AXE = Path(os.environ.get("HLSS_AXE", _INSTALLED))
needs_axe = pytest.mark.skipif(
    not AXE.is_file(), reason="axe-core is not here: make install-for-tests, or HLSS_AXE=axe.min.js"
)


IMPACTS = ("minor", "moderate", "serious", "critical")


def axe_findings(page: Any, media: Sequence[str] = ("screen",), least: str = "minor") -> list[str]:
    """Every violation of at least this impact, with where it is; media: screen, print, of each of which it is asked."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = []
    for one in media:
        page.emulate_media(media=one)
        for violation in page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]:
            if violation["impact"] not in IMPACTS[IMPACTS.index(least) :]:
                continue
            where = [node["target"] for node in violation["nodes"]]
            found.append(f"{one}: {violation['id']} ({violation['impact']}): {where}")
    return found
