"""Work that takes its time, done by few threads: what nobody waits for any more is not begun, what several ask for is
done once.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Done = TypeVar("Done")
THREADS = min(4, max(2, os.cpu_count() or 1))


class GoneError(Exception):
    """Nobody waits for it any more."""


class Lanes:
    """As many threads as slides are read by at once; of one event loop."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="view")
        self._free = asyncio.Semaphore(threads)
        self._under_way: dict[Hashable, asyncio.Future[Any]] = {}

    async def do(self, key: Hashable, work: Callable[[], Done], gone: Callable[[], Awaitable[bool]]) -> Done:
        """What `work` gives, by a thread. key: names it; gone: whether who asked has left. Raises GoneError, and what
        `work` raises.
        """
        under_way = self._under_way.get(key)
        if under_way is None:
            async with self._free:
                if await gone():
                    raise GoneError
                under_way = self._under_way.get(key)
                if under_way is None:
                    loop = asyncio.get_running_loop()
                    under_way = self._under_way[key] = loop.run_in_executor(self._pool, work)
                    under_way.add_done_callback(lambda _: self._under_way.pop(key, None))
                    return await asyncio.shield(under_way)
        return await asyncio.shield(under_way)
