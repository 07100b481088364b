"""`hlss tile --pack`: the tiles of a finished folder, packed before the first training asks for it."""

from pathlib import Path

from hlss.cohorts.pack import packed
from hlss.cohorts.slides import SlidesSpec
from hlss.jobs.setup import Say, now_and_then


def pack_tiles(tiles: Path, cache: Path, workers: int, say: Say) -> None:
    """Pack what `hlss tile` left in `tiles` into the cache of experiments, where the cohort `slides` of it, with no
    other manifest, and the default `loader.pack` look for it. A pack that was begun is gone on with.

    Raises UserError where some slides have no patient, where more images cannot be read than a pack may lack, and where
    writing fails.
    """
    cohort = packed(
        SlidesSpec(tiles=tiles).open(), cache / "packs", workers=workers, progress=now_and_then(say, "packing")
    )
    say(f"packed {cohort.n_tiles} tiles of {len(cohort.slides)} slides in {cache}")
    for path, reason in cohort.problems:
        say(f"left out, unreadable: {path}: {reason}")
