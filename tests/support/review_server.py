"""`hlss bank review` in a process of its own, on a small bank whose texts try to be HTML."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

COMMAND = "from hlss.cli import main; main()"
SCRIPT = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>"


class ReviewServer:
    """Started with `start`; characteristics `patch 0` to `patch 2`, and so at each level. The third of the patches has
    a name and a first description that would be a script.
    """

    def __init__(
        self, folder: Path, who: str = "Ann", out: Path | None = None, code: str = COMMAND, generic: bool = False
    ) -> None:
        """out: of another server, where its log is to be shared; code: Python that does as the command does;
        generic: one list for all levels, of the patches.
        """
        self.bank, self.out, self.port, self.who = folder / "bank.yaml", out or folder / "out", free_port(), who
        self._code = code
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

    def start(self) -> "ReviewServer":
        self.process = self.command(self.port)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http"), self.url
        return self

    def command(self, port: int) -> "subprocess.Popen[str]":
        """The command, with what it says on standard output and error."""
        told = ["bank", "review", str(self.bank), "--reviewer", self.who, "--port", str(port), "--out", str(self.out)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "NICEGUI"))}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-c", self._code, *told], stdout=pipe, stderr=pipe, text=True, env=clean
        )

    def stop(self, how: signal.Signals = signal.SIGKILL) -> tuple[str, str]:
        """Standard output and error since the address."""
        self.process.send_signal(how)
        return self.process.communicate(timeout=30)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
