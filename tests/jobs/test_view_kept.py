"""What is kept never exceeds what may be, and what was used longest ago goes first."""

from hlss.jobs.view_kept import Kept


def make(number: int, size: int = 30) -> bytes:
    return bytes([number]) * size


def test_it_holds_no_more_than_it_may() -> None:
    cache = Kept[bytes](100, len)
    for number in range(50):
        assert cache.made(number, lambda number=number: make(number)) == make(number)  # type: ignore[misc]
        assert cache.held <= 100
        assert len(cache) <= 3
    assert [cache.get(number) is not None for number in (46, 47, 48, 49)] == [False, True, True, True]
    assert cache.get(47) == make(47)
    cache.made("new", lambda: make(0))
    assert [cache.get(number) is not None for number in (47, 48)] == [True, False]  # 48 was used longest ago
    cache.made("large", lambda: make(0, 101))
    assert cache.get("large") is None
    assert (cache.held, len(cache)) == (90, 3)


def test_without_sizes_it_counts() -> None:
    cache, made = Kept[str](2), []
    for key in "aabcab":
        cache.made(key, lambda key=key: made.append(key) or key)  # type: ignore[misc, func-returns-value]
    assert made == ["a", "b", "c", "a", "b"]
    assert len(cache) == 2
