"""The demo's maps: slides of new patients as `hlss map` maps them, with faithfulness, beside what was drawn."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from hlss.cohorts.phantom.factors import FACTOR_LEVEL, FACTORS
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.cohorts.phantom.truth import tile_truths
from hlss.experiment import Experiment
from hlss.jobs.chosen_table import experiment_of
from hlss.jobs.embed import embed_run
from hlss.jobs.map_slide import MapSettings
from hlss.jobs.map_slides import MAPS_FILE, map_slides
from hlss.jobs.pretrain_tiny.captions import HELD_OUT
from hlss.jobs.setup import Say
from hlss.jobs.truth import Words
from hlss.types import Level

SLIDES, SIDE = 2, 16  # of a patient each; tiles along a side
MAPPED = 2  # characteristics


def map_new_slides(experiment: Experiment, run: Path, checkpoint: str, words: Words, out: Path, say: Say) -> Path:
    """Embed slides of new patients and laboratories (OUT/slides) and map, of the structures that truly vary most over
    them, a characteristic each (OUT/maps, which is returned). What an earlier demo mapped there is replaced.
    """
    spec = experiment.cohort
    assert isinstance(spec, PhantomSpec)
    cohort = {"seed": spec.seed + 1, "patients": SLIDES, "slides": 1, "side": SIDE}
    changes = [*(f"cohort.{name}={value}" for name, value in cohort.items()), "split.test=1", "split.val=0"]
    table = embed_run(run, checkpoint, out / "slides", changes, say=say)
    drawn = experiment_of(table).cohort.open()
    truth = tile_truths(drawn, np.arange(drawn.n_tiles))
    maps = out / "maps"
    if (maps / MAPS_FILE).is_file():
        shutil.rmtree(maps)
    return map_slides(table, characteristics_of(truth, words), (), out=maps, settings=MapSettings(), say=say)


def pictures_of(maps: Path) -> dict[str, str]:
    """Each map's picture, relative to the folder that the maps lie in, and what it shows."""
    found: Mapping[str, Any] = json.loads((maps / MAPS_FILE).read_text(encoding="utf-8"))
    pictures = {}
    for one in found["maps"]:
        (picture,) = (name for name in one["files"] if name.endswith(".png"))
        said = f"Slide {one['slide']} of a new patient: “{one['characteristic']}”, and what was drawn"
        pictures[f"{maps.name}/{picture}"] = f"{said}. Faithfulness {one['figures']}."
    return pictures


def characteristics_of(truth: Float64[ndarray, "n f"], words: Words) -> list[str]:
    """Names of what stands for much of the structures that vary most over these tiles, one each; none of structures
    that the small CLIP was never told of. truth: columns as FACTORS.
    """
    structures = [name for name in FACTORS if FACTOR_LEVEL[name] is Level.SLIDE and name not in HELD_OUT]
    spread = {name: float(np.nanstd(truth[:, FACTORS.index(name)])) for name in structures}
    meant, found = words.truths[Level.SLIDE], list[str]()
    for factor in sorted(structures, key=lambda name: -spread[name]):
        found += [name for name, one in meant.items() if one.factor == factor and one.end == "high"][:1]
    return found[:MAPPED]
