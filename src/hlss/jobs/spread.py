"""The same work on many items: in this process, in several, or on Ray. What befalls one item costs that item only."""

import logging
import os
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import current_process, get_context
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from hlss.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
_WORKER = "worker-"
RAY_IN_FLIGHT = 4  # items asked for, for each core


@dataclass(frozen=True)
class Failed:
    """Why there is no result, in one line. error: the user's mistake, where it was one."""

    reason: str
    error: UserError | None = None


Outcomes = Generator[tuple[Item, Result | Failed], None, None]


def spread(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int = 1,
    *,
    ray: bool = False,
    address: str | None = None,
) -> Outcomes[Item, Result]:
    """Every item with `work(item)`, as they come to an end; with Failed where it raised, or where its process died.

    work, items, results: what can be pickled. workers: processes; with one, the work is done in this process (and
    what kills it, kills all). ray: let a Ray cluster do it, the one at `address`, or one started on this machine with
    so many workers (1: a worker a core). Raises UserError where there is no Ray, or none at the address.
    """
    if ray or address is not None:
        yield from _over_ray(work, items, workers, address)
    elif workers > 1 and len(items) > 1:
        yield from _over_processes(work, items, min(workers, len(items)))
    else:
        for item in items:
            yield item, _tried(work, item)


def worker_number() -> int:
    """Of this process among those that `spread` started here, from 0 on; on Ray, which numbers none, its process id."""
    number = current_process().name.removeprefix(_WORKER)
    return int(number) if number.isdecimal() else os.getpid()


def _tried(work: Callable[[Item], Result], item: Item) -> Result | Failed:
    try:
        return work(item)
    except UserError as error:
        return Failed(str(error), error)
    except Exception as error:  # whatever befalls one item must not cost the others
        return Failed(" ".join(f"{type(error).__name__}: {error!s:.300}".split()))


def _over_processes(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Outcomes[Item, Result]:
    left = iter(items)
    busy: dict[Any, tuple[Any, Item]] = {}  # pipe → process and what it works on
    try:
        for item in islice(left, workers):
            _begin(busy, _started(work, f"{_WORKER}{len(busy)}"), item)
        while busy:
            for pipe in wait(list(busy)):
                process, item = busy.pop(pipe)
                alive, result = _received(pipe, process)
                for following in islice(left, 1):
                    _begin(busy, (process, pipe) if alive else _started(work, process.name), following)
                if alive and pipe not in busy:
                    _end(pipe, process)
                yield item, result
    finally:
        for pipe, (process, _) in busy.items():
            process.terminate()
            _end(pipe, process)


def _started(work: Callable[[Any], Any], name: str) -> tuple[Any, Any]:
    context = get_context("spawn")  # forked, a process would inherit threads' locks
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(work, there), name=name, daemon=True)
    process.start()
    there.close()  # so that the pipe ends when the process does
    return process, here


def _begin(busy: dict[Any, tuple[Any, Any]], started: tuple[Any, Any], item: Any) -> None:
    process, pipe = started
    with suppress(BrokenPipeError, ConnectionResetError):  # it died between two items: its end is what is received
        pipe.send(item)
    busy[pipe] = process, item


def _received(pipe: Any, process: Any) -> tuple[bool, Any]:
    """Whether the process goes on, and its result."""
    try:
        return True, pipe.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        pipe.close()
        code = process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return False, Failed(f"its process died ({how})")


def _end(pipe: Any, process: Any) -> None:
    pipe.close()  # a process that waits for more ends by itself
    process.join()


def _serve(work: Callable[[Any], Any], pipe: "Connection[Any, Any]") -> None:
    """A process: one item after the other until the pipe ends, as it does when the process that asks is gone."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the asking process ends this one
    cv2.setNumThreads(1)  # the cores are shared by the processes
    while True:
        try:
            item = pipe.recv()
            pipe.send(_tried(work, item))
        except (EOFError, OSError):
            return


def _over_ray(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, address: str | None
) -> Outcomes[Item, Result]:
    ray, started = _connected(workers, address)
    try:
        task, shared = ray.remote(max_retries=1)(_tried), ray.put(work)
        left, running = iter(items), dict[Any, Item]()
        while True:
            most = RAY_IN_FLIGHT * max(1, int(ray.cluster_resources().get("CPU", 1)))  # a cluster may grow
            for item in islice(left, most - len(running)):
                running[task.remote(shared, item)] = item
            if not running:
                return
            ended, _ = ray.wait(list(running), num_returns=1)
            for reference in ended:
                try:
                    result = ray.get(reference)
                except ray.exceptions.RayError as error:
                    result = Failed(" ".join(f"on Ray: {type(error).__name__}: {error!s:.300}".split()))
                yield running.pop(reference), result
    finally:
        if started:
            ray.shutdown()


def _connected(workers: int, address: str | None) -> tuple[Any, bool]:
    """Ray, and whether it was started (or connected to) here."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError("Ray is not installed", where="--ray", fix="Run: pip install 'hlss[cluster]'") from error
    if ray.is_initialized():
        return ray, False
    local: dict[str, Any] = {}
    if address is None:
        local = {"num_cpus": workers if workers > 1 else None, "include_dashboard": False}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (OSError, RuntimeError, ValueError) as error:
        fix = "Start one (ray start --head), or leave out --ray-address."
        raise UserError(f"no Ray cluster answers: {error!s:.200}", where=address or "--ray", fix=fix) from error
    return ray, True


def _knock(address: str | None) -> None:
    """Raises OSError where nobody answers at host:port: Ray itself waits for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()
