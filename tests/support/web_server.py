"""A command that serves a web app, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Self

COMMAND = "from hlss.cli import main; main()"
SCRIPT = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>"


class WebServer:
    """Started with `start`. arguments: of the command, to which the port is added; code: Python that does as it does.

    url: what it says first, the address with its token.
    """

    def __init__(self, arguments: Sequence[str], code: str = COMMAND) -> None:
        self.port, self._arguments, self._code = free_port(), tuple(arguments), code

    def start(self) -> Self:
        self.process = self.command(self.port)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http"), self.url
        return self

    def command(self, port: int) -> "subprocess.Popen[str]":
        """The command, with what it says on standard output and error."""
        told = [*self._arguments, "--port", str(port)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "NICEGUI"))}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-c", self._code, *told], stdout=pipe, stderr=pipe, text=True, env=clean
        )

    def stop(self, how: signal.Signals = signal.SIGKILL) -> tuple[str, str]:
        """Standard output and error since the address."""
        self.process.send_signal(how)
        return self.process.communicate(timeout=30)

    @property
    def token(self) -> str:
        return self.url.partition("token=")[2]

    @property
    def cookie(self) -> str:
        return f"hlss-{self.port}={self.token}"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
