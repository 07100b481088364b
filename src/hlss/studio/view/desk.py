"""What all addresses of the viewer share: what is asked for, by whom the work is done, how it is answered."""

import hashlib
import math
import re
from collections.abc import Callable, Hashable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hlss.cohorts.write.frame import Frame
from hlss.errors import UserError
from hlss.jobs.view import Viewed
from hlss.jobs.view_kept import Kept
from hlss.jobs.view_patches import Patches
from hlss.jobs.view_tiles import NoTileError, TileServer
from hlss.studio.view.lanes import GoneError, Lanes

_KEEP = "private, max-age=600"
_ID = re.compile(r"[0-9a-f]{12}", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


class Desk:
    """Of one app. cache: of pictures. Work is done by a few threads; what takes long by one more, so that pictures do
    not wait for it.
    """

    def __init__(self, viewed: Viewed, cache: Kept[bytes]) -> None:
        self.viewed, self.cache, self.tiles = viewed, cache, TileServer(cache)
        self._lanes, self._slow = Lanes(), Lanes(threads=1)

    def patches(self) -> Patches:
        if self.viewed.patches is None:
            raise HTTPException(404)
        return self.viewed.patches

    def frame(self, place: int) -> Frame:
        """Raises Unreadable."""
        return self.tiles.frame(self.viewed.images[place])

    def place(self, request: Request) -> int:
        """Of the image that the address names."""
        place = self.place_of(request.path_params["id"])
        if place is None:
            raise HTTPException(404)
        return place

    def place_of(self, id_: str) -> int | None:
        return self.viewed.by_id.get(id_) if _ID.fullmatch(id_) else None

    async def told(
        self, request: Request, look: Callable[[], Any], *, key: Hashable | None = None, slow: bool = False
    ) -> Response:
        """What `look` gives, as JSON. key: names it where several may ask for it at once."""
        found = await self.done(request, object() if key is None else key, look, slow=slow)
        return JSONResponse(found, headers={"cache-control": "private, no-store"})

    async def done(self, request: Request, key: Hashable, work: Callable[[], Any], *, slow: bool = False) -> Any:
        """By a thread; what cannot be done is told by the status, and why in one line."""
        try:
            return await (self._slow if slow else self._lanes).do(key, work, request.is_disconnected)
        except (NoTileError, KeyError):
            raise HTTPException(404) from None
        except GoneError:
            raise HTTPException(408) from None
        except UserError as error:
            raise HTTPException(422, detail=error.what) from error


def tile_of(request: Request) -> tuple[int, int, int]:
    """z, x, y of the address."""
    return whole(request, "z"), whole(request, "x"), whole(request, "y")


def whole(request: Request, name: str) -> int:
    """A number of the address. Raises HTTPException for anything else."""
    given = request.path_params[name]
    if not _NUMBER.fullmatch(given):
        raise HTTPException(404)
    return int(given)


def real(request: Request, name: str, default: float) -> float:
    """A finite number of the query. Raises HTTPException for anything else."""
    try:
        value = float(request.query_params.get(name, default))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise HTTPException(400, detail=f"{name} is no number")
    return value


def content(request: Request, found: bytes, kind: str, keep: str = _KEEP) -> Response:
    """The bytes, or that they have not changed."""
    headers = {"etag": f'"{hashlib.sha256(found).hexdigest()[:24]}"', "cache-control": keep}
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found, media_type=kind, headers=headers)
