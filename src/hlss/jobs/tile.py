"""`hlss tile`: slides to tiles of their tissue, one slide at a time, by one process or many."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hlss.config import overridden, validate
from hlss.errors import UserError
from hlss.jobs.claims import claimed, clock, is_free, sweep
from hlss.jobs.spread import Failed, spread
from hlss.jobs.tile_folder import TileFolder, opened_folder
from hlss.jobs.tile_index import summarised
from hlss.jobs.tile_recipe import TileRecipe
from hlss.jobs.tile_slides import SlideFile, hashed, slides_of
from hlss.jobs.tile_work import Outcome, tile_one

Say = Callable[[str], None]
SAY_EVERY_S = 3.0
LOOK_EVERY_S = 0.5  # after slides that other processes cut


@dataclass(frozen=True)
class Hands:
    """Who does the work: `workers` processes, or a Ray cluster (at `ray_address`, or one of this machine)."""

    workers: int = 1
    ray: bool = False
    ray_address: str | None = None


def say_now(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


def tile_slides(
    slides: Path,
    out: Path,
    overrides: Sequence[str],
    hands: Hands = Hands(),
    shard: str | None = None,
    say: Say = say_now,
) -> Path:
    """Cut the slides of a folder or manifest into the folder `out`, which is returned; go on where it stands.

    shard: `i/n`, every n-th slide from the i-th on. Raises UserError for settings, names and contents that cannot be
    gone on with; and at the end, everything else being done, where slides had problems.
    """
    recipe = validate(overridden({}, overrides), TileRecipe, where="settings of the tiles")
    root, every = slides_of(slides)
    own = _shard(every, shard)
    say(f"{len(every)} slides" + (f", {len(own)} of them in shard {shard}" if shard else ""))
    own = hashed(root, every, own)
    folder = opened_folder(out, root, recipe)
    folder.claims.mkdir(exist_ok=True)
    pending = [slide for slide in own if not folder.is_done(slide)]
    if pending:
        folder.index.unlink(missing_ok=True)
    n_cut = _cut_all(folder, root, recipe, pending, hands, say)
    sweep(folder.claims)
    folder.sweep_own()
    missing, problems = summarised(folder, every)
    say(f"cut {n_cut} slides, {len(own) - len(pending)} were done before")
    if missing:
        say(f"{missing} slides of other shards are not done yet; index.parquet is written when they are")
    if problems:
        first = problems[0]
        what = f"{len(problems)} of {len(every)} slides have no tiles; {first['path']}: {first['reason']}"
        raise UserError(what, where=out / "problems.json", fix="All others are done. Mend these and run it again.")
    return out


def _cut_all(
    folder: TileFolder, root: Path, recipe: TileRecipe, pending: Sequence[SlideFile], hands: Hands, say: Say
) -> int:
    """Cut what is pending, the largest first; returns how many this process (and its workers) cut.

    What other processes are at is waited for, and taken over where they die.
    """
    work = partial(tile_one, folder, root, recipe, clock(folder.claims))
    todo, busy, n_cut = sorted(pending, key=lambda slide: -slide.n_bytes), list[SlideFile](), 0
    progress = _Progress(todo, say)
    while todo:
        with closing(spread(work, todo, hands.workers, ray=hands.ray, address=hands.ray_address)) as outcomes:
            for slide, outcome in outcomes:
                if isinstance(outcome, Failed):
                    _note_failure(folder, slide, outcome)
                elif outcome is Outcome.BUSY:
                    busy.append(slide)
                    continue
                n_cut += outcome is Outcome.CUT
                progress.ended(slide)
        if busy:
            say(f"waiting for {len(busy)} slides that other processes cut")
        todo = _freed(folder, busy)
        busy = [slide for slide in busy if slide not in todo]
    return n_cut


def _note_failure(folder: TileFolder, slide: SlideFile, failed: Failed) -> None:
    """Of a slide whose process died, or which befell what nobody foresaw. Raises what is wrong with all of them."""
    if failed.error is not None:
        raise failed.error
    with claimed(folder.claims / slide.name):  # takes the claim of the dead away
        folder.note_problem(slide, failed.reason)


def _freed(folder: TileFolder, busy: Sequence[SlideFile]) -> list[SlideFile]:
    """Wait until some of them are no longer worked on, and return these; none at once where there are none."""
    while busy:
        free = [slide for slide in busy if is_free(folder.claims / slide.name)]
        if free:
            return free
        time.sleep(LOOK_EVERY_S)
    return []


def _shard(slides: list[SlideFile], shard: str | None) -> list[SlideFile]:
    if shard is None:
        return slides
    first, _, count = shard.partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        fix = "Write i/n with i from 1 to n, as in --shard 1/8."
        raise UserError(f"{shard!r} is no shard", where="--shard", fix=fix)
    return slides[int(first) - 1 :: int(count)]


class _Progress:
    """Says every few seconds how many slides are done and how long the others will take, by the size of their files."""

    def __init__(self, slides: Sequence[SlideFile], say: Say) -> None:
        self._n, self._bytes, self._say = len(slides), sum(slide.n_bytes + 1 for slide in slides), say
        self._n_done = self._bytes_done = 0
        self._began = self._said = time.monotonic()

    def ended(self, slide: SlideFile) -> None:
        self._n_done, self._bytes_done = self._n_done + 1, self._bytes_done + slide.n_bytes + 1
        now = time.monotonic()
        if now - self._said >= SAY_EVERY_S and self._n_done < self._n:
            self._said = now
            left = (now - self._began) / self._bytes_done * (self._bytes - self._bytes_done)
            self._say(f"tiling: {self._n_done} of {self._n} slides, {left:.0f} s left")
