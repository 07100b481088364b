"""The files of the page: its own, and Leaflet as NiceGUI brings it. Nothing else is read by a name from outside."""

from importlib.util import find_spec
from pathlib import Path

from hlss.errors import UserError

_HERE = Path(__file__).parent
_SCRIPTS = ("app", "api", "slide", "tree", "details", "overlay", "trust")
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def page_files() -> dict[str, tuple[bytes, str]]:
    """By the address: content and its type. Raises UserError where NiceGUI is missing or keeps Leaflet elsewhere."""
    found = find_spec("nicegui")
    if found is None or not found.submodule_search_locations:
        raise UserError("the web app needs NiceGUI", fix="pip install 'hlss[studio]'.")
    leaflet = Path(found.submodule_search_locations[0]) / "elements" / "leaflet" / "dist"
    files = {"": _HERE / "page.html", "view.css": _HERE / "view.css"}
    files |= {f"{name}.js": _HERE / f"{name}.js" for name in _SCRIPTS}
    files |= {"leaflet.js": leaflet / "index.js", "leaflet.css": leaflet / "leaflet" / "leaflet.css"}
    try:
        return {name: (path.read_bytes(), f"{_KINDS[path.suffix]}; charset=utf-8") for name, path in files.items()}
    except OSError as error:
        fix = "pip install --upgrade 'nicegui>=3.0'."
        raise UserError("a file of the page is missing", where=error.filename, fix=fix) from error
