"""The demo's pictures of tissue: tiles of every class, and one slide's map beside the true map."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.factors import FACTOR_LEVEL, FACTORS
from hlss.cohorts.phantom.noise import Grid
from hlss.cohorts.phantom.nuisance import look_of
from hlss.cohorts.phantom.spec import MPP0, DrawnSlides, drawn_slides
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.base import ImageEncoder
from hlss.experiment import Experiment
from hlss.explain.match import match
from hlss.explain.pictures import SlideMap, show_map, show_sheet
from hlss.jobs.pretrain_tiny.captions import HELD_OUT
from hlss.jobs.setup import EMBED_BATCH, Say, now_and_then, open_data
from hlss.jobs.tower import tower_of
from hlss.jobs.truth import Words
from hlss.types import Level

_ACROSS = 9  # tiles of a class on the contact sheet
_MAP_TILES = 20  # along the mapped slide's side
_OVERVIEW = 40  # pixels of the pictured slide along a tile's side


def contact_sheet(cohort: Cohort, path: Path) -> None:
    """A row of tiles for each class, each of another patient as long as there are any."""
    rows, names = [], []
    for label, name in enumerate(cohort.classes):
        patients = np.flatnonzero(cohort.patient_label == label)
        tiles = []
        for number in range(_ACROSS):
            patient = int(patients[number % len(patients)])
            of_patient = np.concatenate([cohort.slide_tiles(int(slide)) for slide in cohort.patient_slides(patient)])
            tiles.append(cohort.read_tile(int(of_patient[(7 * number) % len(of_patient)])))
        rows.append(tiles)
        names.append(name.replace("_", " "))
    show_sheet(rows, names, path)


def image_of(cohort: Cohort, slide: str) -> int:
    """Number of the image of a drawn slide, as its source counts."""
    return int(cohort.image_number[cohort.image_slide == cohort.slides.index(slide)][0])


@dataclass(frozen=True)
class _Ground:
    """The place that is mapped: _MAP_TILES × _MAP_TILES tiles of px pixels at mpp, of one drawn slide."""

    source: DrawnSlides
    image: int
    px: int
    mpp: float

    @property
    def places(self) -> list[tuple[int, int]]:
        """Corners of the tiles, row by row, px of level 0."""
        corners = [round(number * self.px * self.mpp / MPP0) for number in range(_MAP_TILES)]
        return [(x, y) for y in corners for x in corners]

    @property
    def side_um(self) -> float:
        return _MAP_TILES * self.px * self.mpp

    def tile(self, place: tuple[int, int]) -> UInt8[ndarray, "p p 3"]:
        return self.source.read(self.image, place, self.px, self.mpp)

    def overview(self) -> UInt8[ndarray, "h h 3"]:
        return self.source.read(self.image, (0, 0), _OVERVIEW * _MAP_TILES, self.px * self.mpp / _OVERVIEW)

    def truths(self, say: Say) -> dict[str, Float64[ndarray, " n"]]:
        """Every factor over every tile."""
        progress, found = now_and_then(say, "  looking up what was drawn"), []
        for done, place in enumerate(self.places, start=1):
            found.append(self.source.tile_truth(self.image, place, self.px, self.mpp))
            progress(done, len(self.places))
        return {name: np.array([truth[name] for truth in found]) for name in FACTORS}

    def nuisances(self) -> list[str]:
        """What of pen marks and folds is to be seen here."""
        spec = self.source.spec
        patient, slide = divmod(self.image, spec.slides)
        look = look_of(spec.seed, patient, slide, self.source.site(patient), spec.stain)
        bands = {"a pen mark": look.pen[1] if look.pen is not None else None, "a fold": look.fold}
        along = np.linspace(0, self.side_um, _OVERVIEW * _MAP_TILES)
        grid = Grid(along, along)
        return [name for name, band in bands.items() if band is not None and band.cover(grid).max() > 0.5]


def picture_map(
    experiment: Experiment, run: Path, checkpoint: str, table: EmbeddingTable, words: Words, say: Say, path: Path
) -> None:
    """A test slide, larger than it was in the cohort, and the characteristic of the structure that truly varies most
    over it (of those that the small CLIP was ever told of).
    """
    cohort = experiment.cohort.open()
    slide = min(table["slide"][np.asarray(table["side"] == "test")].tolist())
    ground = _Ground(drawn_slides(cohort), image_of(cohort, slide), cohort.tile_px, cohort.mpp or MPP0)
    truths = ground.truths(say)
    factor = most_varying(truths)
    names = words.names[Level.SLIDE]
    meant = [words.truths[Level.SLIDE][name] for name in names]
    number = next(k for k, truth in enumerate(meant) if truth.factor == factor and truth.end == "high")
    say(f"  loading the weights of {checkpoint}, and statistics for its norms where they were trained")
    encoder, _ = tower_of(experiment, run, checkpoint, open_data(experiment, _said_before), None, _said_before)
    scores = match(_features(encoder, ground, say), words.rows[Level.SLIDE])[:, number]
    square, drawn = (_MAP_TILES, _MAP_TILES), truths[factor]
    shown = SlideMap(ground.overview(), scores.reshape(square), drawn.reshape(square), ground.side_um / 1000)
    titles = ("the slide (mm)", f"read: “{names[number]}” (cosine)", f"drawn: {factor} (0 to 1)")
    show_map(shown, titles, _caption(ground, checkpoint, float(np.corrcoef(scores, drawn)[0, 1])), path)


def most_varying(truths: dict[str, Float64[ndarray, " n"]]) -> str:
    """The structure that varies most over these tiles, but for those that the small CLIP was never told of."""
    structures = [name for name in truths if FACTOR_LEVEL[name] is Level.SLIDE and name not in HELD_OUT]
    return max(structures, key=lambda name: float(truths[name].std()))


def _caption(ground: _Ground, checkpoint: str, agree: float) -> str:
    untold = ", ".join(HELD_OUT)
    lines = (
        f"Read from the features of {checkpoint}; correlation of the two maps: {agree:.2f}. A test slide "
        f"({ground.source.image_name(ground.image)}), {_MAP_TILES**2} tiles, {ground.side_um / 1000:.1f} mm across.",
        "The factor was chosen because it varies most over this slide, not by its score; those never told to the small "
        f"CLIP ({untold}) were left out of the choice.",
        _nuisance_line(ground.nuisances()),
    )
    return " ".join(filter(None, lines))


def _nuisance_line(found: Sequence[str]) -> str:
    return f"The slide has {' and '.join(found)}: nuisances that must not be learnt." if found else ""


def _features(encoder: ImageEncoder, ground: _Ground, say: Say) -> Float64[ndarray, "n d"]:
    """Features of every tile, drawn as they are asked for."""
    from hlss.batches.opencv import evaluation_view

    encoder.eval()
    places, found = ground.places, []
    progress = now_and_then(say, "  drawing and embedding the slide")
    with torch.no_grad():
        for start in range(0, len(places), EMBED_BATCH):
            part = places[start : start + EMBED_BATCH]
            views = [evaluation_view(ground.tile(place), encoder.input_px) for place in part]
            found.append(encoder(encoder.normalised(torch.from_numpy(np.stack(views)))).double())
            progress(start + len(part), len(places))
    return torch.cat(found).numpy()


def _said_before(_: str) -> None:
    """It was said when the patches were embedded."""
