"""Serving the review on 127.0.0.1."""

import secrets
from collections.abc import Callable

from hlss.errors import UserError
from hlss.language.lint.lint import lint_bank
from hlss.language.review.review import Review
from hlss.studio.guard import Guard

Findings = dict[tuple[str, str], list[str]]  # (level, name) → what the linter says of it, as drafted


def serve(review: Review, port: int, say: Callable[[str], object]) -> None:
    """Serve until it is stopped; `say` is given the address with its token. Raises UserError without `studio`."""
    try:
        import uvicorn
        from fastapi import FastAPI
        from nicegui import ui
    except ImportError as error:
        raise UserError("the web app needs NiceGUI", fix="pip install 'hlss[studio]'.") from error
    from hlss.studio.review.page import Page

    app, token, findings = FastAPI(), secrets.token_urlsafe(24), _findings(review)
    ui.page("/", title=f"Review: {review.bank.title}")(lambda: Page(review, findings).build())
    ui.run_with(app, dark=None)
    say(f"http://127.0.0.1:{port}/?token={token}")
    uvicorn.run(Guard(app, port, token), host="127.0.0.1", port=port, log_level="warning")


def _findings(review: Review) -> Findings:
    found: Findings = {}
    for one in lint_bank(review.bank).findings:
        number = "" if one.place.number is None else f"description {one.place.number + 1}: "
        key = (str(one.place.level), one.place.name)
        found.setdefault(key, []).append(f"{one.severity}, {one.rule}: {number}{one.reason}")
    return found
