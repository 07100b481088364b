"""The viewer as a web app."""

from collections.abc import Callable
from threading import Thread

from hlss.errors import UserError
from hlss.jobs.view import Viewed
from hlss.studio.serving import bound, run

_KEPT = (
    "Nothing is lost. To see the same view again, put what stands behind # in the address of this page, with the #, "
    "behind the new one."
)


def serve(viewed: Viewed, port: int, say: Callable[[str], object]) -> None:
    """Serve until Ctrl-C; `say` is given the address with its token. Raises UserError without `studio`, and where the
    port is taken.
    """
    try:
        from starlette.applications import Starlette
    except ImportError as error:
        raise UserError("the web app needs NiceGUI", fix="pip install 'hlss[studio]'.") from error
    from hlss.studio.view.routes import routes_of

    routes = routes_of(viewed)
    if viewed.patches is not None:
        Thread(target=viewed.patches.prepare, name="prepare", daemon=True).start()
    run(Starlette(routes=routes), bound(port), say, _KEPT)
    say("Stopped.")
