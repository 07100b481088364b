"""The review as a web app."""

from collections.abc import Callable

from hlss.errors import UserError
from hlss.language.review.beside import Beside
from hlss.language.review.review import Review
from hlss.studio.review.findings import Findings
from hlss.studio.serving import bound, run

_PATIENCE_S = 60.0  # a busy machine may take so long, and a tab that sleeps, before it has to load again


def serve(review: Review, port: int, say: Callable[[str], object], beside: Beside) -> None:
    """Serve until Ctrl-C; `say` is given the address with its token, and at the end where the log is.

    Raises UserError without `studio`, and where the port is taken.
    """
    try:
        from fastapi import FastAPI
        from nicegui import ui
    except ImportError as error:
        raise UserError("the web app needs NiceGUI", fix="pip install 'hlss[studio]'.") from error
    from hlss.studio.review.page import Page

    listening, app, findings = bound(port), FastAPI(), Findings(review.bank)

    async def page() -> None:
        await Page(review, findings, beside).build()

    ui.page("/", title=f"Review: {review.bank.title}", response_timeout=_PATIENCE_S)(page)
    ui.run_with(
        app,
        dark=None,
        tailwind=False,  # the page has a style of its own
        language="en-GB",
        reconnect_timeout=_PATIENCE_S,
        gzip_middleware_factory=None,  # nothing travels
    )
    run(app, listening, say, "Every decision that was shown as taken is saved.")
    say(f"Stopped. Decisions: {review.log.path}")
