"""The viewer as a web app."""

from collections.abc import Callable

from hlss.errors import UserError
from hlss.jobs.view import Viewed
from hlss.studio.serving import bound, run


def serve(viewed: Viewed, port: int, say: Callable[[str], object]) -> None:
    """Serve until Ctrl-C; `say` is given the address with its token. Raises UserError without `studio`, and where the
    port is taken.
    """
    try:
        from starlette.applications import Starlette
    except ImportError as error:
        raise UserError("the web app needs NiceGUI", fix="pip install 'hlss[studio]'.") from error
    from hlss.studio.view.routes import Routes

    routes = Routes(viewed).every
    run(Starlette(routes=routes), bound(port), say)
    say("Stopped.")
