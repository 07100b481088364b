"""Several requests at a time, their results in the order planned."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from hlss.errors import UserError
from hlss.language.draft.asker import GivenUp

MOST_IN_A_ROW = 6  # requests given up one after the other, after which the draft is

Progress = Callable[[int, int], None]
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Workers:
    """concurrency: requests at a time. progress: for the name of a stage, is told of requests done and in all."""

    def __init__(self, concurrency: int, progress: Callable[[str], Progress]) -> None:
        self._concurrency, self._progress, self._in_a_row = concurrency, progress, 0

    def map(
        self,
        what: str,
        work: Callable[[ItemT], ResultT],
        items: Iterable[ItemT],
        take: Callable[[ItemT, ResultT | None], None] = lambda item, result: None,
    ) -> list[ResultT | None]:
        """Results in the order of the items; None where no answer could be used. take: told of each, in that order.

        Raises UserError where that was so six times in a row, counted in that order, so that it hangs on no timing.
        """
        todo, told, results = list(items), self._progress(what), list[ResultT | None]()
        pool = ThreadPoolExecutor(self._concurrency)
        try:
            for number, result in enumerate(pool.map(partial(_tried, work), todo), 1):
                results.append(self._counted(result))
                take(todo[number - 1], results[-1])
                told(number, len(todo))
            return results
        finally:
            pool.shutdown(cancel_futures=True)

    def one(self, what: str, work: Callable[[], ResultT]) -> ResultT | None:
        """The result of one request, counted alike."""
        return self.map(what, lambda _: work(), [None])[0]

    def _counted(self, result: ResultT | GivenUp) -> ResultT | None:
        if not isinstance(result, GivenUp):
            self._in_a_row = 0
            return result
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            what = f"{MOST_IN_A_ROW} requests in a row got no usable answer; the last: {result}"
            fix = "Try a larger model, or a server that keeps to response_format json_schema."
            raise UserError(what, where="hlss bank draft", fix=fix)
        return None


def _tried(work: Callable[[ItemT], ResultT], item: ItemT) -> ResultT | GivenUp:
    try:
        return work(item)
    except GivenUp as error:
        return error
