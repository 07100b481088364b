"""Where `hlss bank draft` asks: server, model and key, from flags or the environment; and whether it may."""

import os
import sys

from hlss.errors import UserError
from hlss.language.draft.client import Server

BASE_URL, MODEL = "OPENAI_BASE_URL", "OPENAI_MODEL"


def server_of(
    base_url: str | None, model: str | None, *, replay: bool, timeout_s: float, max_tokens: int
) -> Server | None:
    """Flags go before the environment. None in a replay without flags: the transcript says it.

    Raises UserError where a server or its model is named nowhere.
    """
    if replay and base_url is None and model is None:
        return None
    return Server(
        base_url=_given(base_url, "--base-url", BASE_URL),
        model=_given(model, "--model", MODEL),
        timeout_s=timeout_s,
        max_tokens=max_tokens,
    )


def _given(value: str | None, flag: str, variable: str) -> str:
    found = value or os.environ.get(variable)
    if not found:
        raise UserError("is missing", where=flag, fix=f"Give it, or run: export {variable}=...")
    return found


def key_of(name: str | None) -> str | None:
    """The API key in a variable of the environment. Raises UserError where it holds none."""
    if name is None:
        return None
    if not os.environ.get(name):
        raise UserError(f"the environment has no {name}", where="--key-env", fix=f"Run: export {name}=...")
    return os.environ[name]


def confirmed() -> bool:
    """Whether somebody at a terminal says yes; False where there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
