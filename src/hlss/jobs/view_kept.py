"""What a viewer keeps of what it made, so that it holds no more than it may."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by key. Those used longest ago go first once their sizes together exceed `limit`; one that is larger than
    that is not kept. Threads may ask at the same time.

    size: of a value; as it is, each counts one. held: sizes of all that is kept.
    """

    def __init__(self, limit: int, size: Callable[[Value], int] = lambda _: 1) -> None:
        self._limit, self._size, self.held = limit, size, 0
        self._kept: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Value | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def made(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """What is kept under the key, or else is made now, outside of the lock."""
        found = self.get(key)
        if found is not None:
            return found
        found = make()
        size = self._size(found)
        with self._lock:
            if key not in self._kept and size <= self._limit:
                self._kept[key] = found
                self.held += size
            while self.held > self._limit:
                self.held -= self._size(self._kept.popitem(last=False)[1])
        return found
