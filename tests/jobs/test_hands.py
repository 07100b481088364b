"""Who does what: cores and GPUs go round, busy items are waited for, and it is said how far the work is."""

from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
import torch

from hlss.errors import UserError
from hlss.jobs import hands
from hlss.jobs.claims import claimed
from hlss.jobs.embed_process import device_of
from hlss.jobs.hands import Busy, Hands, Progress, in_shard, settled


def test_gpus_are_taken_in_turn(monkeypatch: pytest.MonkeyPatch):
    assert device_of(3) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert [device_of(i).index for i in range(5)] == [0, 1, 2, 0, 1]
    assert device_of(1).type == "cuda"


@pytest.mark.parametrize(
    ("asked", "items", "cores", "itself"),
    [
        (Hands(), 9, 8, True),
        (Hands(workers=3), 9, 2, False),
        (Hands(workers=3), 2, 4, False),
        (Hands(workers=3), 1, 8, True),
        (Hands(workers=16), 99, 1, False),
        (Hands(ray=True), 9, 1, False),
        (Hands(ray=True), 1, 1, False),
        (Hands(workers=4, ray=True), 9, 2, False),
        (Hands(workers=4, ray_address="auto"), 9, 1, False),
    ],
)
def test_cores_are_shared_by_the_processes(asked: Hands, items: int, cores: int, itself: bool):
    assert asked.cores_each(8, items) == cores
    assert asked.are_this_process(items) == itself


def test_shards_are_every_nth_and_together_all():
    items = list(range(7))
    assert in_shard(items, None) == items
    assert [in_shard(items, f"{i}/3") for i in (1, 2, 3)] == [[0, 3, 6], [1, 4], [2, 5]]
    assert in_shard(items, "9/9") == []
    with pytest.raises(UserError, match=r"--shard: '4/3' is no shard"):
        in_shard(items, "4/3")


def test_busy_items_are_tried_again_when_they_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hands, "LOOK_EVERY_S", 0.0)
    said, rounds = list[str](), list[list[str]]()
    other = claimed(tmp_path / "b")
    assert other.__enter__()

    def work(items: Sequence[str]) -> Generator[tuple[str, str | Busy], None, None]:
        rounds.append(list(items))
        for item in items:
            with claimed(tmp_path / item) as mine:
                yield item, item.upper() if mine else Busy()

    def say(text: str) -> None:
        said.append(text)
        other.__exit__(None, None, None)

    assert dict(settled("abc", work, tmp_path.joinpath, say, "cut")) == {"a": "A", "b": "B", "c": "C"}
    assert rounds == [["a", "b", "c"], ["b"]]
    assert said == ["waiting for 1 slides that other processes cut"]


def test_progress_goes_by_size(monkeypatch: pytest.MonkeyPatch):
    now, said = [100.0], list[str]()
    monkeypatch.setattr("hlss.jobs.hands.time.monotonic", lambda: now[0])
    progress = Progress([99, 99, 199], said.append, "embedding")
    now[0] += 2
    progress.ended(99)  # nothing is said before three seconds are over
    now[0] += 2
    progress.begun(50)
    now[0] += 4
    progress.ended(99)
    now[0] += 4
    progress.ended(199)  # nor at the end
    assert said == ["embedding: 1 of 3 slides, 7 s left", "embedding: 2 of 3 slides, 8 s left"]
