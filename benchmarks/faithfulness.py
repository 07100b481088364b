"""What the faithfulness of a map is worth (decision 0023): its p values by chance, and its kernel on drawn slides.

1. Random maps over features that they know nothing of: slides of 30 × 30 tiles, features and map each noise, or smooth
   over 2 or 4 tiles. By chance the mean is 0.5, p ≤ 0.05 in 5 % and p ≤ 0.2 in 20 % of draws, and the interval holds
   0.5 in 95 % (of the draws that have one: a map smooth over much of the slide has none). `above` is the verdict: p at
   most 0.05, and the interval above 0.5.
2. Drawn slides of seeds that no choice was made on, embedded by the shipped tiny CLIP as it comes: the maps of all
   characteristics of the phantom bank, with kernels of other widths, on tiles side by side and overlapping by half.
   Right maps: AUROC of 0.8 or more against what was drawn; wrong ones: 0.6 or less. `above`: chance; `words`: chance
   and the maps of 99 random texts (with the kernel in use). `tells`: rank correlation, over all maps, of faithfulness
   and AUROC. `noise`: maps of noise as smooth as each map, on the same features.
"""

import argparse
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from hlss.cohorts.phantom.factors import FACTORS, INDEX
from hlss.cohorts.phantom.spec import drawn_slides
from hlss.experiment import Experiment
from hlss.explain.agreement import agreement
from hlss.explain.lattice import NEAR, Lattice
from hlss.explain.swap_test import SwapTest
from hlss.jobs.map_texts import MapTexts
from hlss.jobs.provenance import code_version, hardware
from hlss.jobs.setup import build_encoder
from hlss.jobs.truth import WHOLE_SLIDE, Words
from hlss.types import LEVELS

SMOOTHNESS = (0.0, 2.0, 4.0)
NEARS = (0.4, NEAR, 0.8, 1.0, 1.4)
RIGHT, WRONG = 0.8, 0.6
SIDE, DIMENSIONS = 30, 16
TILE_PX, MPP, CLASSES = 96, 1.0, 7
# AUROC against the truth, faithfulness, above chance, above random text (NaN: not asked), faithfulness of noise
Row = tuple[float, float, bool, float, float]


@dataclass(frozen=True)
class Chance:
    """Of one pair of smoothnesses."""

    features: float
    maps: float
    draws: int
    random_maps: int

    def measured(self) -> str:
        found = [self.draw(seed) for seed in range(self.draws)]
        values, p, held, above = (np.array(one, dtype=np.float64) for one in zip(*found, strict=True))
        error = values.std() / np.sqrt(len(values))
        cells = f"{values.mean():.3f} ± {error:.3f} {(p <= 0.05).mean():>9.0%} {(p <= 0.2).mean():>8.0%}"
        kinds = (f"{one:g}" if one else "noise" for one in (self.features, self.maps))
        return "{:>8} {:>6}".format(*kinds) + f"   {cells} {np.nanmean(held):>9.0%} {above.mean():>7.0%}"

    def draw(self, seed: int) -> tuple[float, float, float, bool]:
        rng = np.random.default_rng([seed, 7])
        features = np.stack([field(rng, self.features) for _ in range(DIMENSIONS)], axis=1) + 1
        text = rng.standard_normal(DIMENSIONS)
        test = SwapTest(Lattice.of(squares(SIDE, 100), 100), features, seed)
        found = test.tested(text / np.linalg.norm(text), field(rng, self.maps), maps=self.random_maps)
        assert found.auroc is not None
        assert found.random_maps is not None
        span = found.interval
        held = np.nan if span is None else float(span.low <= 0.5 <= span.high)
        return found.auroc, found.random_maps.p or 1.0, held, found.above_chance


@dataclass(frozen=True)
class Slide:
    """One drawn slide of side × side tiles at a stride, in tiles."""

    seed: int
    number: int
    side: int
    stride: float
    random_maps: int
    cache: Path

    def measured(self) -> dict[float, list[Row]]:
        """By width of the kernel: each characteristic whose truth is known here."""
        torch.set_num_threads(1)
        experiment = experiment_of(self.seed, self.cache)
        words, source = Words.of(experiment), drawn_slides(experiment.cohort.open())
        corners = squares(int((self.side - 1) / self.stride) + 1, round(self.stride * TILE_PX * MPP / 0.5))
        places = [(x, y) for x, y in corners.tolist()]
        features = embedded(experiment, [source.read(self.number, place, TILE_PX, MPP) for place in places])
        truths = [source.tile_truth(self.number, place, TILE_PX, MPP) for place in places]
        truth = np.array([[one[name] for name in FACTORS] for one in truths])
        found: dict[float, list[Row]] = {}
        for near in NEARS:
            lattice = Lattice.of(corners, round(TILE_PX * MPP / 0.5), near)
            random = random_texts(experiment, features) if near == NEAR else None
            found[near] = list(self.rows(lattice, features, words, truth, random))
        return found

    def rows(
        self, lattice: Lattice, features: np.ndarray, words: Words, truth: np.ndarray, random: np.ndarray | None
    ) -> Iterator[Row]:
        test, rng = SwapTest(lattice, features), np.random.default_rng(self.seed)
        texts = None if random is None else test.maps_of(random)
        for level in LEVELS:
            for name, text in zip(words.names[level], words.rows[level], strict=True):
                meant = words.truths[level][name]
                if meant.factor is None or meant.end is None or meant.factor in WHOLE_SLIDE:
                    continue
                scores = test.scores(text)
                known = agreement(name, meant.factor, meant.end, scores, truth[:, INDEX[meant.factor]])
                if known.auroc is None:
                    continue
                faithful = test.tested(text, maps=self.random_maps, texts=texts)
                blind = lattice.noise(lattice.smoothness(scores), rng)
                noise = test.tested(text, blind, maps=0, resamples=2).auroc
                if faithful.auroc is not None and noise is not None:
                    by_words = np.nan if texts is None else float(faithful.above_random_text or False)
                    yield known.auroc, faithful.auroc, faithful.above_chance, by_words, noise


def experiment_of(seed: int, cache: Path) -> Experiment:
    """The demo's tissue, drawn by another seed: a slide of each class."""
    cohort = {"name": "phantom", "patients": CLASSES, "slides": 1, "classes": CLASSES, "sites": 4, "side": 1}
    cohort |= {"tile_px": TILE_PX, "mpp": MPP, "stain": 3.5, "organ": 5, "seed": seed}
    settings = {"cohort": cohort, "encoder": "tiny", "language": {"bank": "phantom"}, "objective": "hidisc"}
    return Experiment.model_validate({"name": "faithfulness", "cache": str(cache), **settings})


def embedded(experiment: Experiment, tiles: Sequence[np.ndarray]) -> np.ndarray:
    encoder = build_encoder(experiment, lambda line: None).eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(tiles), 64):
            pixels = torch.from_numpy(np.stack(tiles[start : start + 64])).permute(0, 3, 1, 2)
            found.append(encoder(encoder.normalised(pixels)).numpy())
    return np.concatenate(found)


def random_texts(experiment: Experiment, features: np.ndarray) -> np.ndarray:
    table = SimpleNamespace(features=features)
    source: Any = SimpleNamespace(experiment=experiment, text=experiment.encoder.text(), table=table, name="")
    return np.asarray(MapTexts(source, "phantom").random(4))


def squares(side: int, step: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.stack([x.ravel(), y.ravel()], axis=1) * step


def field(rng: np.random.Generator, width: float) -> np.ndarray:
    values = rng.standard_normal((SIDE, SIDE))
    return (gaussian_filter(values, width, mode="wrap") if width else values).ravel()


def line_of(near: float, rows: Sequence[Row]) -> str:
    truth, faithful, above, by_words, noise = (np.array(one, dtype=np.float64) for one in zip(*rows, strict=True))
    cells = []
    for kept in (truth >= RIGHT, truth <= WRONG):
        shares = [np.nanmean(one[kept]) if np.isfinite(one[kept]).any() else np.nan for one in (above, by_words)]
        known = [f"{share:>7.0%}" if np.isfinite(share) else f"{'–':>7}" for share in shares]
        mean = f"{faithful[kept].mean():>9.3f}" if kept.any() else f"{'–':>9}"
        cells.append(f"{kept.sum():>6} {mean} {' '.join(known)}")
    tells = spearmanr(truth, faithful).statistic
    return f"{near:>6}   {'   '.join(cells)}   {tells:>6.2f} {noise.mean():>8.3f}"


def measured(one: "Chance | Slide") -> "str | dict[float, list[Row]]":
    return one.measured()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200, help="of each pair of smoothnesses")
    parser.add_argument("--maps", type=int, default=99, help="random maps that each p value comes from")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102])
    parser.add_argument("--side", type=int, default=20, help="tiles along a drawn slide's side")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a few draws, one seed, small slides")
    given = parser.parse_args()
    draws, maps, seeds, side = (
        (5, 19, given.seeds[:1], 8) if given.quick else (given.draws, given.maps, given.seeds, given.side)
    )
    with TemporaryDirectory() as cache, multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        print(f"random maps, {draws} draws each, {maps} maps for each p value")
        print("features    map              mean    p ≤ 0.05  p ≤ 0.2  holds 0.5   above")
        for line in pool.imap(measured, [Chance(*pair, draws, maps) for pair in product(SMOOTHNESS, SMOOTHNESS)]):
            print(line, flush=True)
        for stride, what in ((1.0, "side by side"), (0.5, "overlapping by half")):
            slides = [Slide(seed, k, side, stride, maps, Path(cache)) for seed, k in product(seeds, range(CLASSES))]
            found = pool.map(measured, slides, chunksize=1)
            print(f"drawn slides of seeds {', '.join(map(str, seeds))}, {len(slides)} slides, tiles {what}")
            print(" width    right  faithful   above   words    wrong  faithful   above   words    tells    noise")
            for near in NEARS:
                print(line_of(near, [row for one in found for row in one[near]]), flush=True)  # type: ignore[index]
    print(f"code: {code_version()}\nmachine: {hardware()}")


if __name__ == "__main__":
    main()
