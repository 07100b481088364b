"""`hlss tile`: slides to tiles of their tissue, one slide at a time, by one process or many."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hlss.config import overridden, validate
from hlss.errors import UserError
from hlss.jobs.claims import claimed, clock, sweep
from hlss.jobs.hands import ONE_PROCESS, Hands, Outcome, Progress, Say, in_shard, settled
from hlss.jobs.notes import sweep_old
from hlss.jobs.spread import Failed
from hlss.jobs.tile_folder import TileFolder, opened_folder
from hlss.jobs.tile_index import summarised
from hlss.jobs.tile_recipe import TileRecipe
from hlss.jobs.tile_slides import SlideFile, hashed, slides_of
from hlss.jobs.tile_work import tile_one


def say_now(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


def tile_slides(
    slides: Path,
    out: Path,
    overrides: Sequence[str],
    hands: Hands = ONE_PROCESS,
    shard: str | None = None,
    say: Say = say_now,
    pack: Path | None = None,
) -> Path:
    """Cut the slides of a folder or manifest into the folder `out`, which is returned; go on where it stands.

    shard: `i/n`, every n-th slide from the i-th on; pack: cache of experiments in which all tiles are packed once they
    are cut. Raises UserError for settings, names and contents that cannot be
    gone on with; and at the end, everything else being done, where slides had problems.
    """
    recipe = validate(overridden({}, overrides), TileRecipe, where="settings of the tiles")
    root, every = slides_of(slides)
    own = in_shard(every, shard)
    say(f"{len(every)} slides" + (f", {len(own)} of them in shard {shard}" if shard else ""))
    own = hashed(root, every, own)
    folder = opened_folder(out, root, recipe)
    folder.claims.mkdir(exist_ok=True)
    pending = [slide for slide in own if not folder.is_done(slide)]
    if pending:
        folder.index.unlink(missing_ok=True)
    n_cut = _cut_all(folder, root, recipe, pending, hands, say)
    sweep(folder.claims)
    sweep_old(folder.path)
    missing, problems = summarised(folder, every)
    say(f"cut {n_cut} slides, {len(own) - len(pending)} were done before")
    if missing:
        say(f"{missing} slides of other shards are not done yet; index.parquet is written when they are")
    if pack is not None:
        _pack(out, pack, missing, hands.workers, say)
    if problems:
        first = problems[0]
        what = f"{len(problems)} of {len(every)} slides have no tiles; {first['path']}: {first['reason']}"
        raise UserError(what, where=out / "problems.json", fix="All others are done. Mend these and run it again.")
    return out


def _pack(out: Path, cache: Path, missing: int, workers: int, say: Say) -> None:
    if missing:
        say("tiles are packed when the last shard is done")
        return
    from hlss.jobs.tile_pack import pack_tiles  # brings torch, which cutting does without

    pack_tiles(out, cache, workers, say)


def _cut_all(
    folder: TileFolder, root: Path, recipe: TileRecipe, pending: Sequence[SlideFile], hands: Hands, say: Say
) -> int:
    """Cut what is pending, the largest first; returns how many this process (and its workers) cut."""
    work = partial(tile_one, folder, root, recipe, clock(folder.claims))
    todo, n_cut = sorted(pending, key=lambda slide: -slide.n_bytes), 0
    progress = Progress((slide.n_bytes for slide in todo), say, "tiling")
    for slide, outcome in settled(todo, partial(hands.over, work), lambda one: folder.claims / one.name, say, "cut"):
        if isinstance(outcome, Failed):
            _note_failure(folder, slide, outcome)
        n_cut += outcome is Outcome.DONE
        progress.ended(slide.n_bytes)
    return n_cut


def _note_failure(folder: TileFolder, slide: SlideFile, failed: Failed) -> None:
    """Of a slide whose process died, or which befell what nobody foresaw. Raises what is wrong with all of them."""
    if failed.error is not None:
        raise failed.error
    with claimed(folder.claims / slide.name):  # takes the claim of the dead away
        folder.note_problem(slide, failed.reason)
