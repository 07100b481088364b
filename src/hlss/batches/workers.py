"""Processes that decode tiles and draw views ahead of who needs them."""

import signal
from collections.abc import Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from typing import Any

import cv2
from torch.utils.data import DataLoader, Dataset

_FEW = 24  # items for which starting workers costs more than it saves


def loaded(work: "Dataset[Any]", items: Iterable[Any], n: int, workers: int) -> Iterator[Any]:
    """`work` of about n items in order; made here, or by worker processes that end with this one."""
    if workers == 0 or n < _FEW:
        cv2.setNumThreads(1)
        yield from (work[item] for item in items)
        return
    yield from DataLoader(
        work,
        batch_size=None,
        sampler=items,
        num_workers=min(workers, n),
        worker_init_fn=_begin_worker,
        multiprocessing_context=_context(),
        prefetch_factor=2,
    )


def _context() -> BaseContext:
    """Workers forked from a clean server that has the stream's modules loaded: fork alone copies the locks of running
    threads, spawn alone loads torch anew for each worker.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["hlss.batches.loader"])
    return context


def _begin_worker(number: int) -> None:
    cv2.setNumThreads(1)
    for asked_to_stop in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(asked_to_stop, signal.SIG_IGN)  # the parent decides, and its end ends the workers
