"""Who does the work on many items, where processes and machines share a folder of claims; and how far it is."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from hlss.errors import UserError
from hlss.jobs.claims import LOOK_EVERY_S, is_free
from hlss.jobs.spread import Failed, Outcomes, spread

Item = TypeVar("Item")
Result = TypeVar("Result")
Say = Callable[[str], None]
SAY_EVERY_S = 3.0


@dataclass(frozen=True)
class Hands:
    """`workers` processes, or a Ray cluster (at `ray_address`, or one of this machine)."""

    workers: int = 1
    ray: bool = False
    ray_address: str | None = None

    def are_this_process(self, n_items: int) -> bool:
        """Whether it does so many items by itself."""
        return not (self.ray or self.ray_address is not None) and min(self.workers, n_items) <= 1

    def cores_each(self, cores: int, n_items: int) -> int:
        """Of so many cores of this machine those of each process, at least 1. Ray gives each task one."""
        if self.ray_address is not None or (self.ray and self.workers == 1):
            return 1
        return max(1, cores // max(1, min(self.workers, n_items)))

    def over(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Outcomes[Item, Result]:
        """As `spread`."""
        return spread(work, items, self.workers, ray=self.ray, address=self.ray_address)


ONE_PROCESS = Hands()


class Outcome(StrEnum):
    """What became of an item: done here; done by another before; has a problem, which is noted."""

    DONE = "done"
    ALREADY = "already"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Busy:
    """Another process is at it just now."""


def settled(
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], Outcomes[Item, Result | Busy]],
    claim: Callable[[Item], Path],
    say: Say,
    doing: str,
) -> Iterator[tuple[Item, Result | Failed]]:
    """Every item with what became of it. What other processes are at is waited for, and taken over where they die.

    work: does items that nobody is at, as far as is known; claim: the file by which an item is claimed; doing: what
    others do to slides meanwhile, for a message.
    """
    todo, busy = list(items), list[Item]()
    while todo:
        with closing(work(todo)) as outcomes:
            for item, outcome in outcomes:
                if isinstance(outcome, Busy):
                    busy.append(item)
                else:
                    yield item, outcome
        if busy:
            say(f"waiting for {len(busy)} slides that other processes {doing}")
        todo = _freed(busy, claim)
        again = set(map(id, todo))
        busy = [item for item in busy if id(item) not in again]


def _freed(busy: Sequence[Item], claim: Callable[[Item], Path]) -> list[Item]:
    """Wait until some of them are no longer worked on, and return these; none at once where there are none."""
    while busy:
        free = [item for item in busy if is_free(claim(item))]
        if free:
            return free
        time.sleep(LOOK_EVERY_S)
    return []


def in_shard(items: Sequence[Item], shard: str | None) -> Sequence[Item]:
    """Every n-th item from the i-th on, for `i/n`; all where it is None. Raises UserError."""
    if shard is None:
        return items
    first, _, count = shard.partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        fix = "Write i/n with i from 1 to n, as in --shard 1/8."
        raise UserError(f"{shard!r} is no shard", where="--shard", fix=fix)
    return items[int(first) - 1 :: int(count)]


class Progress:
    """Says every few seconds how many slides are done and how long the others will take, by their sizes."""

    def __init__(self, sizes: Iterable[int], say: Say, doing: str) -> None:
        every = [size + 1 for size in sizes]
        self._n, self._size, self._say, self._doing = len(every), sum(every), say, doing
        self._n_done = self._size_done = self._size_begun = 0
        self._began = self._said = time.monotonic()

    def ended(self, size: int) -> None:
        """A slide of this size is done."""
        self._n_done, self._size_done, self._size_begun = self._n_done + 1, self._size_done + size + 1, 0
        self._now_and_then()

    def begun(self, size: int) -> None:
        """So much more is done of a slide that has not ended."""
        self._size_begun += size
        self._now_and_then()

    def _now_and_then(self) -> None:
        now, done = time.monotonic(), self._size_done + self._size_begun
        if now - self._said >= SAY_EVERY_S and self._n_done < self._n and done:
            self._said = now
            left = (now - self._began) / done * max(0, self._size - done)
            self._say(f"{self._doing}: {self._n_done} of {self._n} slides, {left:.0f} s left")
