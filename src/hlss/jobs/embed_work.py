"""Slides of `hlss embed --per-slide`, whichever process does them."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from hlss.batches.loader import DrawnView, SeenTiles, seen_tiles
from hlss.cohorts.base import Cohort
from hlss.evaluate.by_slide import SlideFeatures, SlideWork, slide_features, write_slide
from hlss.evaluate.embed import Identities, Rows
from hlss.evaluate.lanes import Lanes
from hlss.jobs.claims import claimed
from hlss.jobs.embed_folder import SlideFolder
from hlss.jobs.hands import Busy, Outcome
from hlss.jobs.setup import EMBED_BATCH

CPU_BATCH = 16  # each core has one of its own: more would be memory alone


@dataclass(frozen=True)
class SlideEnd:
    """What became of a slide, and tiles of it that could not be read: (image at x, y) → reason."""

    outcome: Outcome
    unreadable: dict[str, str] = field(default_factory=dict)


Ends = Generator[tuple[SlideWork, SlideEnd | Busy], None, None]


@dataclass(frozen=True, eq=False)
class Opened:
    """What a process holds to embed slides with.

    drawn: the view, where it is not the tiles as they are; loaders: processes that read tiles for this one; note: where
    to say what cannot be read, before a file says that its slide is done; began: when the work began, by the folder's
    clock: a problem noted since is not met again; begun: slides of which killed processes left something.
    """

    lanes: Lanes
    sides: Mapping[str, Cohort]
    folder: SlideFolder
    began: float
    drawn: DrawnView | None
    loaders: int
    note: Callable[[Mapping[str, str]], None]
    begun: frozenset[str]

    @property
    def batch(self) -> int:
        """Tiles that go through the tower together."""
        return CPU_BATCH if self.lanes.device.type == "cpu" else EMBED_BATCH


def embedded(opened: Opened, works: Sequence[SlideWork], passed: Callable[[int], None] = lambda _: None) -> Ends:
    """Write the slides' files, but for those that another process does or did. passed: told of tiles as they come."""
    for side in opened.sides:
        group = [work for work in works if work.side == side]
        if group:
            yield from _of_side(opened, side, group, passed)


def _of_side(opened: Opened, side: str, works: Sequence[SlideWork], passed: Callable[[int], None]) -> Ends:
    cohort, identities = opened.sides[side], Identities(opened.sides[side], side)
    n_full = sum(len(work.rows) for work in works) // EMBED_BATCH  # batches as large as any: small ones start no loader

    def stream(chunks: Iterable[Rows]) -> Iterator[SeenTiles]:
        return seen_tiles(cohort, chunks, n_full, opened.lanes.encoder.input_px, opened.loaders, opened.drawn)

    with _Claims(opened) as claims:
        mine = claims.taken(works)
        with closing(slide_features(opened.lanes, mine, stream, opened.batch, passed)) as found:
            for one in found:
                yield from claims.left()
                end = _written(opened, one, cohort, identities)
                claims.release(one.work)
                yield one.work, end
        yield from claims.left()


def _written(opened: Opened, found: SlideFeatures, cohort: Cohort, identities: Identities) -> SlideEnd:
    if found.unreadable:
        opened.note(found.unreadable)
    if not len(found.rows):
        reason = f"none of its {len(found.work.rows)} tiles can be read"
        opened.folder.note_problem(found.work, reason, found.unreadable)
        return SlideEnd(Outcome.PROBLEM, found.unreadable)
    write_slide(found, cohort, identities)
    opened.folder.forget_problem(found.work)
    return SlideEnd(Outcome.DONE, found.unreadable)


class _Claims:
    """Claims of slides, each taken as it is asked for and held until its file is written."""

    def __init__(self, opened: Opened) -> None:
        self._folder, self._began, self._begun = opened.folder, opened.began, opened.begun
        self._held: dict[SlideWork, ExitStack] = {}
        self._left: list[tuple[SlideWork, SlideEnd | Busy]] = []

    def __enter__(self) -> "_Claims":
        return self

    def __exit__(self, *_: object) -> None:
        for work in list(self._held):
            self.release(work)

    def taken(self, works: Iterable[SlideWork]) -> Iterator[SlideWork]:
        """Those that are to be done here."""
        for work in works:
            claim = ExitStack()
            mine = claim.enter_context(claimed(self._folder.claim(work)))
            self._held[work] = claim
            end = self._end(work) if mine else Busy()
            if end is None:
                if work.path.stem in self._begun:
                    self._folder.sweep(work)
                yield work
            else:
                self.release(work)
                self._left.append((work, end))

    def left(self) -> Iterator[tuple[SlideWork, SlideEnd | Busy]]:
        """Those that are not, since it was asked for last."""
        while self._left:
            yield self._left.pop(0)

    def release(self, work: SlideWork) -> None:
        self._held.pop(work).close()

    def _end(self, work: SlideWork) -> SlideEnd | None:
        if self._folder.is_done(work):
            return SlideEnd(Outcome.ALREADY)
        return SlideEnd(Outcome.PROBLEM) if self._folder.problem_since(work, self._began) else None
