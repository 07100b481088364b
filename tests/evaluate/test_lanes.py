"""Batches side by side: in order, and the same bits however many there are and whatever threads torch would take."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hlss.batches.loader import SeenTiles
from hlss.encoders.base import ImageEncoder
from hlss.evaluate.lanes import Lanes

CPU = torch.device("cpu")


class Sums(ImageEncoder):
    """Long sums, as towers have them: threads that share one change its last bits."""

    def __init__(self) -> None:
        super().__init__(64, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 256), nn.ReLU(), nn.Linear(256, 64))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.layers(pixels)


def batches(sizes: list[int]) -> Iterator[SeenTiles]:
    random, start = np.random.default_rng(0), 0
    for size in sizes:
        pixels = torch.from_numpy(random.integers(0, 256, (size, 3, 32, 32), dtype=np.uint8))
        yield SeenTiles(np.arange(start, start + size), pixels, {})
        start += size


def features(encoder: ImageEncoder, count: int, threads: int, sizes: list[int]) -> np.ndarray:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = list(Lanes(encoder, CPU, count).features(batches(sizes)))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert np.concatenate([seen.rows for seen, _ in found]).tolist() == list(range(sum(sizes)))
    return np.concatenate([block for _, block in found])


def test_the_bits_hang_neither_on_lanes_nor_on_threads():
    encoder, sizes = Sums(), [16, 7, 0, 1, 16, 3]
    alone = features(encoder, 1, 1, sizes)
    assert alone.shape == (43, 64)
    for count, threads in ((1, 4), (2, 1), (3, 2), (8, 4)):
        assert np.array_equal(features(encoder, count, threads, sizes), alone), (count, threads)


class Meeting(Sums):
    """Ends a batch when so many are in it at once."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(count, timeout=30)

    def forward(self, pixels: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        assert not self.training
        self.barrier.wait()
        return super().forward(pixels)


def test_so_many_go_at_once():
    assert len(features(Meeting(3), 3, 1, [2] * 6)) == 12


class Failing(Sums):
    def forward(self, pixels: Tensor) -> Tensor:
        raise MemoryError("no room")


def test_what_fails_in_a_lane_is_raised():
    with pytest.raises(MemoryError, match="no room"):
        features(Failing(), 2, 1, [2] * 6)
