"""docs/render.py as a module; it finds its parts beside it, as it does when it is run."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"


def render() -> ModuleType:
    """The module of docs/render.py."""
    if str(DOCS) not in sys.path:
        sys.path.append(str(DOCS))
    return importlib.import_module("render")
