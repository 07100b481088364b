"""The addresses of the viewer. Everything is named by an id or a number of the cohort; no path comes from outside."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hlss.jobs.view import Viewed
from hlss.jobs.view_kept import Kept
from hlss.jobs.view_tiles import tile_cache
from hlss.studio.view.desk import Desk, content
from hlss.studio.view.facts import Facts
from hlss.studio.view.files import page_files
from hlss.studio.view.pictures import Pictures


def routes_of(viewed: Viewed, cache: Kept[bytes] | None = None) -> list[Route]:
    """Of one app. cache: of pictures. Raises UserError where a file of the page is missing."""
    files, desk = page_files(), Desk(viewed, tile_cache() if cache is None else cache)
    facts, pictures = Facts(desk), Pictures(desk)

    async def file(request: Request) -> Response:
        """Of the page."""
        found = files.get(request.path_params.get("name", ""))
        if found is None:
            raise HTTPException(404)
        return content(request, *found, keep="private, no-cache")

    every = {
        "/": file,
        "/{name}": file,
        "/api/cohort": facts.cohort,
        "/api/images/{id}": facts.image,
        "/api/images/{id}/at": facts.patch,
        "/api/images/{id}/faithfulness/{key}": facts.faithfulness,
        "/api/images/{id}/truth/{key}": facts.truth,
        "/api/search": facts.search,
        "/api/texts/{key}": facts.text,
        "/tiles/{id}/{z}/{x}/{y}.jpg": pictures.tile,
        "/maps/{id}/{key}/{z}/{x}/{y}.png": pictures.map,
        "/patches/{row}.jpg": pictures.patch,
    }
    return [Route(path, answer, methods=["GET"]) for path, answer in every.items()]
