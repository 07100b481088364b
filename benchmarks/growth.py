"""Cohorts of 10³ to 10⁶ slides of 1,024 tiles each: time to open, memory, time of a batch; then a few real steps.

Drawn tissue, so that nothing is stored: what grows is the cohort's tables alone. A tenth of the cells of every grid is
masked, as glass would be, so that each slide keeps a bit a cell. The last line trains on the largest cohort in a
process of its own and reports its peak memory; goal: 8 GiB, and a batch that takes no longer than on the smallest.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from hlss.batches.sampler import Sampler, SamplerSpec
from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.slides.tiles import GriddedTiles

SIDE, TILE_PX = 32, 64
BATCH = SamplerSpec(patients=8, slides=2, patches=2, views=2)
BATCHES = 20
TRAINED = "encoder=tiny", "objective=hidisc", "language=null", "loader.pack=null", "loader.workers=0"


def settings(slides: int) -> dict[str, Any]:
    return {"patients": slides // 2, "slides": 2, "side": SIDE, "tile_px": TILE_PX, "mpp": 1.0, "sites": 4}


def masked(cohort: Cohort) -> Cohort:
    """The cohort without a tenth of each slide's cells."""
    tissue = np.random.default_rng(0).random((SIDE, SIDE)) > 0.1
    assert isinstance(cohort.tiles, GriddedTiles)
    one = cohort.tiles.grid(0).masked(tissue)
    return replace(cohort, tiles=GriddedTiles.of([one] * cohort.n_images))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def batch(cohort: Cohort, sampler: Sampler, step: int) -> None:
    """Plan a batch and read its tiles."""
    for row in sampler.plan(step).tiles.ravel().tolist():
        cohort.read_tile(row)


def measured(slides: int) -> float:
    """Print a line for a cohort of so many slides; the median time of a batch, seconds."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened, whole = timed(lambda: PhantomSpec(**settings(slides)).open())
    cohort = masked(whole)
    del whole
    sampler = Sampler(cohort, BATCH, seed=0)
    plans = [timed(lambda step=step: sampler.plan(step))[0] for step in range(BATCHES)]
    batches = statistics.median(timed(lambda step=step: batch(cohort, sampler, step))[0] for step in range(BATCHES))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"  {slides:>9,} slides, {cohort.n_tiles:>13,} tiles: opened in {opened:6.2f} s, {grown:6.0f} MB more, "
        f"index {cohort.tiles.nbytes / cohort.n_tiles:5.3f} B a tile; plan {1e3 * statistics.median(plans):5.2f} ms, "
        f"batch {1e3 * batches:6.1f} ms"
    )
    return batches


def trained(slides: int, steps: int) -> None:
    """Train in a process of its own, and say what it took."""
    tree = "; ".join(
        (
            "import sys, tempfile",
            "from hlss.cli import main",
            "folder = tempfile.mkdtemp()",
            "path = folder + '/e.yaml'",
            "open(path, 'w').write('name: growth')",
            "main(['train', path, f'out={folder}/run', f'cache={folder}/cache', *sys.argv[1:]])",
        )
    )
    cohort = ", ".join(f"{key}: {value}" for key, value in settings(slides).items())
    batches = "{patients: 8, slides: 2, patches: 2, views: 2}"
    more = (f"cohort={{name: phantom, {cohort}}}", f"batches={batches}", f"train.steps={steps}", *TRAINED)
    took, done = timed(lambda: subprocess.run([sys.executable, "-c", tree, *more], capture_output=True, text=True))
    if done.returncode:
        sys.exit(f"training failed: {done.stderr[-400:]}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    verdict = "reached" if peak < 8 else "MISSED"
    print(f"  {steps} steps on {slides:,} slides: {took:.0f} s, peak {peak:.2f} GiB (goal 8: {verdict})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small cohorts, to see that it runs")
    sizes = [100, 1000] if parser.parse_args().quick else [10**3, 10**4, 10**5, 10**6]
    print(f"cohorts of slides of {SIDE}×{SIDE} cells, batches of 32 tiles of {TILE_PX} px")
    batches = [measured(slides) for slides in sizes]
    print(f"  a batch of the largest takes {batches[-1] / batches[0]:.2f}× that of the smallest")
    trained(sizes[-1], 3)


if __name__ == "__main__":
    main()
