"""Batches through a frozen tower, side by side on a CPU: the same features however many cores there are."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from hlss.batches.loader import SeenTiles
from hlss.encoders.base import ImageEncoder


@dataclass(frozen=True)
class Lanes:
    """A tower on its device, and how many batches go through it at once.

    On a CPU each batch has one thread: a sum that several threads share is another in its last bits. Batches come to
    an end in the order they are given, and the next are read while these are at it.
    """

    encoder: ImageEncoder
    device: torch.device
    count: int = 1

    def features(self, batches: Iterable[SeenTiles]) -> Iterator[tuple[SeenTiles, Float32[ndarray, "b d"]]]:
        """Of each batch the features of its tiles, in float32; none where none could be read. Leaves the tower in eval
        mode.
        """
        self.encoder.eval()
        running = deque[tuple[SeenTiles, Future[ndarray]]]()
        with _one_thread(), ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for seen in batches:
                running.append((seen, pool.submit(self._features, seen)))
                if len(running) > self.count:
                    yield _ended(*running.popleft())
            while running:
                yield _ended(*running.popleft())

    def _features(self, seen: SeenTiles) -> Float32[ndarray, "b d"]:
        if not len(seen.rows):
            return np.empty((0, self.encoder.dim), np.float32)
        with torch.no_grad():  # which every thread has its own of
            pixels = self.encoder.normalised(seen.pixels.to(self.device))
            return np.asarray(self.encoder(pixels).float().cpu().numpy())


def _ended(seen: SeenTiles, features: "Future[ndarray]") -> tuple[SeenTiles, ndarray]:
    return seen, features.result()


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
