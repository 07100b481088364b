"""Serving a web app on 127.0.0.1, to who has the token only."""

import errno
import secrets
import socket
import warnings
from collections.abc import Callable
from contextlib import suppress

from hlss.errors import UserError
from hlss.studio.guard import App, Guard

_HERE = "127.0.0.1"
_CLOSING_S = 2


def bound(port: int) -> socket.socket:
    """A socket that listens on 127.0.0.1. Raises UserError where the port is taken or not allowed."""
    try:
        return socket.create_server((_HERE, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            fix = f"Another hlss may be running there: stop it, or say --port {port % 65535 + 1}."
            raise UserError(f"port {port} is in use", where="--port", fix=fix) from error
        if error.errno == errno.EACCES:
            raise UserError(f"port {port} is not allowed", where="--port", fix="Use one above 1023.") from error
        raise


def run(app: App, listening: socket.socket, say: Callable[[str], object], kept: str) -> None:
    """Serve until Ctrl-C; `say` is given the address with its token once connections are taken. kept: see Guard."""
    import uvicorn

    port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
    say(f"http://{_HERE}:{port}/?token={token}")
    config = uvicorn.Config(Guard(app, port, token, kept), log_level="error", timeout_graceful_shutdown=_CLOSING_S)
    with listening, suppress(KeyboardInterrupt), warnings.catch_warnings():
        # NiceGUI looks at every object that there is, and torch warns when it is looked at
        warnings.filterwarnings("ignore", "`torch", FutureWarning)
        uvicorn.Server(config).run(sockets=[listening])
