"""The files of one slide's maps: what each says, and what must be said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray

from hlss.cohorts.paths import file_names
from hlss.errors import UserError
from hlss.explain.faithfulness import Faithfulness
from hlss.explain.score_map import SHOWN_SIGMA, ScoreMap, standing_of_all
from hlss.explain.swap_test import SwapTest
from hlss.jobs.explain_sources import Source
from hlss.jobs.map_drawn import Drawn, TrueMap
from hlss.jobs.map_geojson import write_geojson
from hlss.jobs.map_ground import Ground, Pixels
from hlss.jobs.map_picture import show_slide_map
from hlss.jobs.map_tables import anndata_there, tile_table, write_anndata, write_tables
from hlss.jobs.map_texts import Asked, MapTexts
from hlss.jobs.map_tiff import write_tiffs

KINDS = ("geojson", "tiff", "csv", "parquet", "anndata", "png")
_TABLES = "tiles"


@dataclass(frozen=True)
class MapSettings:
    """smooth_um: width (σ) of a Gaussian over the map, 0: none. threshold: σ from which a place is marked. kinds: files
    to write, none: all that can be. seed: of random maps, random text and resamples.
    """

    smooth_um: float = 0.0
    threshold: float = 1.0
    kinds: tuple[str, ...] = ()
    seed: int = 0


class SlideMapper:
    """Maps one slide after the other, with what they share: the standing of every patch of the table."""

    def __init__(
        self, source: Source, words: MapTexts, pixels: Pixels, asked: Sequence[Asked], settings: MapSettings
    ) -> None:
        self._source, self._words, self._pixels, self._asked, self._settings = source, words, pixels, asked, settings
        self._drawn = Drawn(pixels, words.bank_name)
        self._files = file_names([_TABLES, *(one.name[:80].replace(" ", "_") for one in asked)])[1:]
        self._cosine, self._sigma = standing_of_all(source.table.features, np.stack([one.row for one in asked]))
        self._kinds = settings.kinds or tuple(kind for kind in KINDS if kind != "anndata" or anndata_there())
        without = "AnnData files are not written: the extra `anndata` is not installed"
        self.notices = (
            *source.no_claim,
            *dict.fromkeys([*source.notices, *words.notices]),
            *(() if pixels.why is None else (pixels.why,)),
            *(() if settings.kinds or "anndata" in self._kinds else (without,)),
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What every file says of where it comes from."""
        source, settings = self._source, self._settings
        kept = ("method", "checkpoint", "config_hash", "data_hash", "tile_px", "mpp", "code_version", "seed", "fold")
        return {
            "run": source.run_facts,
            "table": {key: source.table.provenance.get(key) for key in kept},
            "patches": len(source.table),
            "bank": self._words.bank_name,
            "texts": {one.name: list(one.descriptions) for one in self._asked},
            "settings": {"smooth_um": settings.smooth_um, "threshold": settings.threshold, "seed": settings.seed},
            "shown_sigma": [-SHOWN_SIGMA, SHOWN_SIGMA],
        }

    def map(self, ground: Ground, folder: Path, name: str) -> list[dict[str, Any]]:
        """Write the files of one slide; what was found of each characteristic."""
        test = SwapTest(ground.lattice, _of_rows(self._source.table.features, ground.rows), self._settings.seed)
        random = {}
        if test.why_not is None:
            random = {n: test.maps_of(self._words.random(n)) for n in {len(one.descriptions) for one in self._asked}}
        overview, notices = self._overview(ground)
        cosine, sigma = self._cosine[ground.rows], self._sigma[ground.rows]
        truth, found = self._drawn.of(ground), []
        notices = (*notices, *self._drawn.notices(ground))
        for number, (asked, file) in enumerate(zip(self._asked, self._files, strict=True)):
            faithful = test.tested(asked.row, texts=random.get(len(asked.descriptions)))
            true = self._drawn.beside(asked, sigma[:, number], truth)
            one: dict[str, Any] = {
                "slide": ground.slide,
                "image": ground.image,
                "characteristic": asked.name,
                "level": asked.level,
                "tiles": len(ground.rows),
                "mean_sigma": float(sigma[:, number].mean()),
                "faithfulness": faithful.to_json(),
                "figures": faithful.figures,
                "truth": None if true is None else true.to_json(),
                "notices": list(notices),
            }
            scores = (cosine[:, number], sigma[:, number])
            one["files"] = self._write(ground, asked, folder, file, scores, faithful, true, overview, one)
            found.append(one)
        tiles = tile_table(self._source.table, ground, [asked.name for asked in self._asked], cosine, sigma)
        facts = self.facts | {"maps": found, "notices": [*self.notices, *notices]}
        write_tables(folder, tiles, facts, self._kinds)
        if "anndata" in self._kinds:
            names = [asked.name for asked in self._asked]
            write_anndata(folder / f"{_TABLES}.h5ad", tiles, ground, names, (cosine, sigma), overview, facts)
        for one in found:
            one["files"] = [f"{name}/{file}" for file in one["files"]]
        return found

    def _write(
        self,
        ground: Ground,
        asked: Asked,
        folder: Path,
        file: str,
        scores: tuple[Float32[ndarray, " n"], Float32[ndarray, " n"]],
        faithful: Faithfulness,
        true: TrueMap | None,
        overview: UInt8[ndarray, "h w 3"] | None,
        facts: dict[str, Any],
    ) -> list[str]:
        score_map = self._smoothed(ScoreMap.of(ground.lattice, scores[1]), ground)
        said, kinds = self.facts | facts | {"notices": [*self.notices, *ground.notices]}, self._kinds
        written = []
        if "geojson" in kinds:
            path = folder / f"{file}.geojson"
            write_geojson(path, ground, asked.name, score_map, scores, faithful, self._settings.threshold, said)
            written.append(path.name)
        if "tiff" in kinds:
            paths = (folder / f"{file}.tiff", folder / f"{file}.sigma.tiff")
            write_tiffs(*paths, score_map, ground.size_px0, ground.mpp0, not faithful.above_chance, said)
            written += [path.name for path in paths]
        if "png" in kinds:
            path = folder / f"{file}.png"
            notices = [*self.notices, *facts["notices"]]
            show_slide_map(ground, asked.name, score_map, faithful, true, overview, notices, path)
            written.append(path.name)
        return written

    def _smoothed(self, score_map: ScoreMap, ground: Ground) -> ScoreMap:
        width_um = self._settings.smooth_um
        if width_um <= 0:
            return score_map
        if ground.mpp0 is None:
            fix = "Leave --smooth-um out."
            raise UserError("nothing says how many µm a pixel is", where=ground.name, fix=fix)
        if width_um > max(ground.size_px0) * ground.mpp0:
            raise UserError(f"{width_um:g} µm is wider than slide {ground.name}", where="--smooth-um")
        return score_map.smoothed(width_um / ground.mpp0)

    def _overview(self, ground: Ground) -> tuple[UInt8[ndarray, "h w 3"] | None, tuple[str, ...]]:
        if self._pixels.why is not None or not {"png", "anndata"} & set(self._kinds):
            return None, ground.notices
        try:
            return self._pixels.overview(ground), ground.notices
        except UserError as error:
            return None, (*ground.notices, f"no picture of the slide: {error}")


def _of_rows(features: Float32[ndarray, "m d"], rows: Int64[ndarray, " n"]) -> Float32[ndarray, "n d"]:
    """Not copied where they follow each other, as the tiles of a slide do in most tables."""
    if (np.diff(rows) == 1).all():
        return features[rows[0] : rows[-1] + 1]
    return features[rows]
