"""The addresses of the viewer. Everything is named by an id or a number of the cohort; no path comes from outside."""

import hashlib
import math
import re
from collections.abc import Callable, Hashable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hlss.cohorts.write.frame import Frame
from hlss.errors import UserError
from hlss.jobs.view import Patches, Viewed
from hlss.jobs.view_map import COLOURS, LOW
from hlss.jobs.view_tiles import BytesCache, NoTileError, Pyramid, TileServer
from hlss.studio.view import answers
from hlss.studio.view.files import page_files
from hlss.studio.view.lanes import GoneError, Lanes

THUMBNAIL_PX = 128
_KEEP = "private, max-age=600"
_ID = re.compile(r"[0-9a-f]{12}", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


class Routes:
    """Answers of one app. Raises UserError where a file of the page is missing."""

    def __init__(self, viewed: Viewed) -> None:
        self._viewed, self._files = viewed, page_files()
        self._cache = BytesCache()
        self._tiles, self._lanes = TileServer(self._cache), Lanes()

    @property
    def every(self) -> list[Route]:
        routes = {
            "/": self.file,
            "/{name}": self.file,
            "/api/cohort": self.cohort,
            "/api/images/{id}": self.image,
            "/api/images/{id}/at": self.patch,
            "/api/search": self.search,
            "/api/sayings/{key}": self.saying,
            "/tiles/{id}/{z}/{x}/{y}.jpg": self.tile,
            "/maps/{id}/{key}/{z}/{x}/{y}.png": self.map_tile,
            "/patches/{row}.jpg": self.thumbnail,
        }
        return [Route(path, answer, methods=["GET"]) for path, answer in routes.items()]

    async def file(self, request: Request) -> Response:
        """A file of the page."""
        found = self._files.get(request.path_params.get("name", ""))
        if found is None:
            raise HTTPException(404)
        return _bytes(request, *found, keep="private, no-cache")

    async def cohort(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(answers.cohort, self._viewed))

    async def image(self, request: Request) -> Response:
        place = self._place(request)
        return await self._json(request, lambda: answers.image(self._viewed, place, self._frame(place)))

    async def patch(self, request: Request) -> Response:
        """Of a place (level-0 px); null where there is no patch."""
        place, patches = self._place(request), self._patches()
        x, y = (_real(request, name, math.nan) for name in "xy")

        def look() -> Any:
            frame = self._frame(place)
            row = patches.at(place, x, y, frame.mpp0)
            return None if row is None else answers.patch(self._viewed, patches, row, frame)

        return await self._json(request, look)

    async def search(self, request: Request) -> Response:
        """Of a sentence."""
        patches, text = self._patches(), request.query_params.get("text", "")
        if patches.words is None:
            raise HTTPException(404)
        words = patches.words
        place = self._place_of(request.query_params.get("image", ""))
        return await self._json(request, lambda: answers.matches(self._viewed, patches, words.typed(text), place))

    async def saying(self, request: Request) -> Response:
        """Of a characteristic."""
        patches, key = self._patches(), request.path_params["key"]
        if patches.words is None:
            raise HTTPException(404)
        try:
            saying, _ = patches.words.get(key)
        except KeyError:
            raise HTTPException(404) from None
        place = self._place_of(request.query_params.get("image", ""))
        return await self._json(request, lambda: answers.matches(self._viewed, patches, saying, place))

    async def tile(self, request: Request) -> Response:
        place, (z, x, y) = self._place(request), _tile_of(request)
        image = self._viewed.images[place]
        found = self._tiles.kept(image, z, x, y)
        if found is None:
            found = await self._work(request, ("tile", image.id, z, x, y), lambda: self._tiles.tile(image, z, x, y))
        return _bytes(request, found, "image/jpeg")

    async def map_tile(self, request: Request) -> Response:
        """Query: threshold (σ), colours."""
        place, (z, x, y), patches = self._place(request), _tile_of(request), self._patches()
        threshold = round(_real(request, "threshold", LOW), 2)
        colours, saying = request.query_params.get("colours", COLOURS[0]), request.path_params["key"]
        if colours not in COLOURS:
            raise HTTPException(404)
        key = ("map", place, saying, z, x, y, threshold, colours)

        def draw() -> bytes:
            frame = self._frame(place)
            pyramid, raster = Pyramid(frame), patches.raster(place, frame.mpp0)
            corner, _ = pyramid.place(z, x, y)
            if raster is None:
                raise NoTileError("no patch of this image")
            return raster.tile(patches.sigma(saying), corner, pyramid.scale(z), threshold, colours)

        found = self._cache.get(key)
        if found is None:
            found = await self._work(request, key, lambda: self._cache.made(key, draw))
        return _bytes(request, found, "image/png")

    async def thumbnail(self, request: Request) -> Response:
        """A patch."""
        patches, row = self._patches(), _whole(request, "row")
        if row >= len(patches.image) or patches.image[row] < 0:
            raise HTTPException(404)
        place = int(patches.image[row])
        image, (x, y) = self._viewed.images[place], patches.xy_px0[row].tolist()

        def read() -> bytes:
            return self._tiles.square(image, (x, y), patches.extent_px0(self._frame(place).mpp0), THUMBNAIL_PX)

        return _bytes(request, await self._work(request, ("patch", row), read), "image/jpeg")

    def _frame(self, place: int) -> Frame:
        return self._tiles.frame(self._viewed.images[place])

    def _place(self, request: Request) -> int:
        place = self._place_of(request.path_params["id"])
        if place is None:
            raise HTTPException(404)
        return place

    def _place_of(self, id_: str) -> int | None:
        return self._viewed.by_id.get(id_) if _ID.fullmatch(id_) else None

    def _patches(self) -> Patches:
        if self._viewed.patches is None:
            raise HTTPException(404)
        return self._viewed.patches

    async def _json(self, request: Request, look: Callable[[], Any]) -> Response:
        return JSONResponse(await self._work(request, object(), look), headers={"cache-control": "private, no-store"})

    async def _work(self, request: Request, key: Hashable, work: Callable[[], Any]) -> Any:
        """By a thread; what cannot be done is told by the status, and why in one line."""
        try:
            return await self._lanes.do(key, work, request.is_disconnected)
        except (NoTileError, KeyError):
            raise HTTPException(404) from None
        except GoneError:
            raise HTTPException(408) from None
        except UserError as error:
            raise HTTPException(422, detail=error.what) from error


def _tile_of(request: Request) -> tuple[int, int, int]:
    return _whole(request, "z"), _whole(request, "x"), _whole(request, "y")


def _whole(request: Request, name: str) -> int:
    """A number of the address. Raises HTTPException for anything else."""
    given = request.path_params[name]
    if not _NUMBER.fullmatch(given):
        raise HTTPException(404)
    return int(given)


def _real(request: Request, name: str, default: float) -> float:
    """A finite number of the query. Raises HTTPException for anything else."""
    try:
        value = float(request.query_params.get(name, default))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise HTTPException(400, detail=f"{name} is no number")
    return value


def _bytes(request: Request, content: bytes, kind: str, keep: str = _KEEP) -> Response:
    """The content, or that it has not changed."""
    headers = {"etag": f'"{hashlib.sha256(content).hexdigest()[:24]}"', "cache-control": keep}
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)
