"""`hlss bank review` in a process of its own, on a small bank whose texts try to be HTML."""

from pathlib import Path
from typing import Any

import yaml
from web_server import COMMAND, SCRIPT, WebServer

__all__ = ["SCRIPT", "ReviewServer"]


class ReviewServer(WebServer):
    """Started with `start`; characteristics `patch 0` to `patch 2`, and so at each level. The third of the patches has
    a name and a first description that would be a script.
    """

    def __init__(
        self, folder: Path, who: str = "Ann", out: Path | None = None, code: str = COMMAND, generic: bool = False
    ) -> None:
        """out: of another server, where its log is to be shared; code: Python that does as the command does;
        generic: one list for all levels, of the patches.
        """
        self.bank, self.out, self.who = folder / "bank.yaml", out or folder / "out", who
        super().__init__(["bank", "review", str(self.bank), "--reviewer", who, "--out", str(self.out)], code)
        tree: dict[str, Any] = {"title": f"small {SCRIPT}", "domain": "drawn", "provenance": "a test"}
        for level in ("patch", "slide", "patient"):
            tree[level] = [
                {"name": f"{level} {n}", "descriptions": [f"{level} {n} seen {way}" for way in "abcd"]}
                for n in range(3)
            ]
        tree["patch"][2]["descriptions"][0] = SCRIPT
        tree["patch"][2]["name"] = f"patch 2 {SCRIPT}"
        if generic:
            tree = {**{name: tree[name] for name in ("title", "domain", "provenance")}, "generic": tree["patch"]}
        self.bank.write_text(yaml.safe_dump(tree))

    @property
    def log(self) -> Path:
        return self.out / "decisions.jsonl"
