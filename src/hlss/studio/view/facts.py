"""Addresses of what the page is told: the cohort, an image, a patch, words, and whether their maps can be believed."""

import math
from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hlss.jobs.view_trust import Trust
from hlss.jobs.view_words import Words
from hlss.studio.view import answers
from hlss.studio.view.desk import Desk, content, real


class Facts:
    """As JSON; what they say: answers.py."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cohort = bytes(JSONResponse(answers.cohort(desk.viewed)).body)

    async def cohort(self, request: Request) -> Response:
        return content(request, self._cohort, "application/json", keep="private, no-cache")

    async def image(self, request: Request) -> Response:
        desk, place = self._desk, self._desk.place(request)
        return await desk.told(request, lambda: answers.image(desk.viewed, place, desk.frame(place)))

    async def patch(self, request: Request) -> Response:
        """Of a place (level-0 px); null where there is no patch."""
        desk, patches, place = self._desk, self._desk.patches(), self._desk.place(request)
        x, y = (real(request, name, math.nan) for name in "xy")

        def look() -> Any:
            row = patches.at(place, x, y)
            return None if row is None else answers.patch(desk.viewed, patches, row)

        return await desk.told(request, look)

    async def search(self, request: Request) -> Response:
        """Of a sentence."""
        words, text = self._words(), request.query_params.get("text", "")
        return await self._matches(request, lambda: words.typed(text))

    async def text(self, request: Request) -> Response:
        """Of a characteristic."""
        self._words()
        return await self._matches(request, lambda: str(request.path_params["key"]))

    async def faithfulness(self, request: Request) -> Response:
        """Of a text's map of an image; null where it has no patch."""
        trust, place, key = self._trust(request)
        return await self._desk.told(
            request,
            lambda: answers.faithfulness(trust.tested(place, key)),
            key=("faithfulness", place, key),
            slow=True,
        )

    async def truth(self, request: Request) -> Response:
        """What was drawn there of what a text says; null where that is not known."""
        trust, place, key = self._trust(request)
        return await self._desk.told(
            request, lambda: answers.truth(trust.true_map(place, key)), key=("truth", place, key), slow=True
        )

    async def _matches(self, request: Request, key_of: Callable[[], str]) -> Response:
        desk, patches = self._desk, self._desk.patches()
        place = desk.place_of(request.query_params.get("image", ""))
        return await desk.told(request, lambda: answers.matches(desk.viewed, patches, key_of(), place))

    def _words(self) -> Words:
        words = self._desk.patches().words
        if words is None:
            raise HTTPException(404)
        return words

    def _trust(self, request: Request) -> tuple[Trust, int, str]:
        trust, place = self._desk.viewed.trust, self._desk.place(request)
        if trust is None:
            raise HTTPException(404)
        return trust, place, request.path_params["key"]
