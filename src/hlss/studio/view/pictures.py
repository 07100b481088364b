"""Addresses of pictures: tiles of slides and of maps, and patches."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hlss.jobs.view_map import COLOURS, LOW, WEAK, painted
from hlss.jobs.view_tiles import NoTileError, Pyramid
from hlss.studio.view.desk import Desk, content, real, tile_of, whole

THUMBNAIL_PX = 128


class Pictures:
    """Each is made once, and kept as long as the cache has room."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def tile(self, request: Request) -> Response:
        """Of a slide."""
        desk, (z, x, y) = self._desk, tile_of(request)
        image = desk.viewed.images[desk.place(request)]
        found = desk.tiles.kept(image, z, x, y)
        if found is None:
            found = await desk.done(request, ("tile", image.id, z, x, y), lambda: desk.tiles.tile(image, z, x, y))
        return content(request, found, "image/jpeg")

    async def map(self, request: Request) -> Response:
        """Tile of a text's map. Query: threshold (σ), colours; `drawn`: of what was drawn there instead."""
        desk, (z, x, y), patches = self._desk, tile_of(request), self._desk.patches()
        place, drawn = desk.place(request), "drawn" in request.query_params
        threshold, text = round(real(request, "threshold", LOW), 2), request.path_params["key"]
        colours, trust = request.query_params.get("colours", COLOURS[0]), desk.viewed.trust
        if colours not in (*COLOURS, WEAK) or trust is None:
            raise HTTPException(404)
        key = ("map", place, text, z, x, y, threshold, colours, drawn)

        def draw() -> bytes:
            pyramid = Pyramid(desk.frame(place))
            corner, _ = pyramid.place(z, x, y)
            score_map = trust.true_scores(place, text) if drawn else patches.map(place, text)
            if score_map is None:
                raise NoTileError("no map of this image")
            return painted(score_map, corner, pyramid.scale(z), threshold, colours)

        found = desk.cache.get(key)
        if found is None:
            found = await desk.done(request, key, lambda: desk.cache.made(key, draw))
        return content(request, found, "image/png")

    async def patch(self, request: Request) -> Response:
        """A patch by its row of the table."""
        desk, row, patches = self._desk, whole(request, "row"), self._desk.patches()
        if row >= len(patches.image) or patches.image[row] < 0:
            raise HTTPException(404)
        place = int(patches.image[row])
        image, (x, y) = desk.viewed.images[place], patches.xy_px0[row].tolist()

        def read() -> bytes:
            return desk.tiles.square(image, (x, y), patches.extent_px0(place), THUMBNAIL_PX)

        return content(request, await desk.done(request, ("patch", row), read), "image/jpeg")
