"""The demo's pictures: patches with their words and the truth, and one slide's map beside the true map."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.factors import FACTOR_LEVEL, FACTORS
from hlss.cohorts.phantom.spec import MPP0, drawn_slides
from hlss.embedding_table import EmbeddingTable
from hlss.experiment import Experiment
from hlss.explain.match import match, standing
from hlss.explain.pictures import Reading, show_map, show_readings
from hlss.jobs.embed import tower_of
from hlss.jobs.pretrain_tiny.captions import HELD_OUT
from hlss.jobs.setup import EMBED_BATCH, open_data
from hlss.jobs.truth import WHOLE_SLIDE, Asked, Words
from hlss.types import LEVELS, Level

_CARDS, _WORDS = 9, 2  # patches shown; words a level on each
_MAP_TILES = 20  # along the mapped slide's side


def picture_readings(table: EmbeddingTable, asked: Asked, words: Words, cohort: Cohort, path: Path) -> None:
    """Test patches spread evenly over the classes, with what stands out in each at patch and slide level."""
    test = table.where(np.asarray(table["side"] == "test"))
    marks = {level: standing(match(asked.features, words.rows[level])) for level in LEVELS}
    order = np.argsort(test["label"], kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, _CARDS).astype(int)]
    row_of = {name: number for number, name in enumerate(cohort.slides)}
    show_readings(
        [_reading(int(i), test, asked, words, marks, cohort, row_of) for i in chosen],
        "Test patches: what the features say, and what was drawn",
        path,
    )


def _reading(
    i: int,
    test: EmbeddingTable,
    asked: Asked,
    words: Words,
    marks: dict[Level, ndarray],
    cohort: Cohort,
    slides: dict[str, int],
) -> Reading:
    rows = cohort.slide_tiles(slides[test["slide"][i]])
    place = (int(test["x_px0"][i]), int(test["y_px0"][i]))
    row = next(int(row) for row in rows if tuple(cohort.tile_xy_px0[row].tolist()) == place)
    found = []
    for level in (Level.PATCH, Level.SLIDE):
        best = np.argsort(-marks[level][i])[:_WORDS]
        found += [(words.names[level][k], float(marks[level][i, k])) for k in best]
    truth = {name: asked.truth[i, f] for f, name in enumerate(FACTORS) if name not in WHOLE_SLIDE}
    known = {name: float(value) for name, value in truth.items() if np.isfinite(value)}
    marked = sorted(
        known.items(), key=lambda item: -abs(item[1] - (0.5 if FACTOR_LEVEL[item[0]] is Level.PATCH else 0))
    )
    return Reading(cohort.read_tile(row), f"{test['label'][i]}".replace("_", " "), found, marked[:5])


def picture_map(
    experiment: Experiment, run: Path, checkpoint: str, table: EmbeddingTable, words: Words, path: Path
) -> None:
    """A test slide, larger than it was in the cohort, and the characteristic of the structure that truly varies most
    over it (of those that the small CLIP was ever told of).
    """
    cohort = experiment.cohort.open()
    source, px, mpp = drawn_slides(cohort), cohort.tile_px, cohort.mpp or MPP0
    slide_id = sorted(set(table["slide"][np.asarray(table["side"] == "test")].tolist()))[0]
    image = int(cohort.image_number[cohort.image_slide == cohort.slides.index(slide_id)][0])
    corners = np.arange(_MAP_TILES) * px * mpp / MPP0
    places = [(round(x), round(y)) for y in corners for x in corners]
    truths = [source.tile_truth(image, place, px, mpp) for place in places]
    values = {name: np.array([truth[name] for truth in truths]) for name in FACTORS if name not in WHOLE_SLIDE}
    structures = {name: v for name, v in values.items() if FACTOR_LEVEL[name] is Level.SLIDE and name not in HELD_OUT}
    factor = max(structures, key=lambda name: float(structures[name].std()))
    names = words.names[Level.SLIDE]
    meant = [words.truths[Level.SLIDE][name] for name in names]
    number = next(k for k, truth in enumerate(meant) if truth.factor == factor and truth.end == "high")
    features = _features(experiment, run, checkpoint, [source.read(image, place, px, mpp) for place in places])
    scores = match(features, words.rows[Level.SLIDE])[:, number]
    overview_px = 40 * _MAP_TILES
    slide = source.read(image, (0, 0), overview_px, px * mpp / 40)
    agree = float(np.corrcoef(scores, values[factor])[0, 1])
    side = (_MAP_TILES, _MAP_TILES)
    show_map(
        slide,
        scores.reshape(side),
        values[factor].reshape(side),
        (names[number], factor),
        f"{source.image_name(image)}, {_MAP_TILES * px * mpp / 1000:.1f} mm across; the factor was chosen because it "
        f"varies most over this slide, not by its score. Correlation of map and truth: {agree:.2f}.",
        path,
    )


def _features(experiment: Experiment, run: Path, checkpoint: str, tiles: list[ndarray]) -> Float32[ndarray, "n d"]:
    from hlss.batches.opencv import evaluation_view

    encoder, _ = tower_of(experiment, run, checkpoint, open_data(experiment, _silent), None, _silent)
    encoder.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(tiles), EMBED_BATCH):
            views = [evaluation_view(tile, encoder.input_px) for tile in tiles[start : start + EMBED_BATCH]]
            found.append(encoder(encoder.normalised(torch.from_numpy(np.stack(views)))).float())
    return torch.cat(found).numpy()


def _silent(_: str) -> None:
    """It was said when the patches were embedded."""
