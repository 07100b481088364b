"""`hlss map`: where on its slides an encoder sees what a text says, how far that can be believed, in open formats."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from hlss.cohorts.paths import file_names
from hlss.errors import UserError
from hlss.evaluate.clock import Clock
from hlss.files import refuse_filled, replacing, write_json
from hlss.jobs.chosen_table import home_of, table_of
from hlss.jobs.explain_sources import sources_of
from hlss.jobs.map_ground import Pixels, grounds_of
from hlss.jobs.map_show import show_maps
from hlss.jobs.map_slide import KINDS, MapSettings, SlideMapper
from hlss.jobs.map_tables import anndata_there
from hlss.jobs.map_texts import MapTexts
from hlss.jobs.provenance import provenance
from hlss.jobs.setup import Say

MAPS_FILE = "maps.json"


def map_slides(
    what: Path,
    characteristics: Sequence[str],
    texts: Sequence[str],
    bank: str | None = None,
    slides: Sequence[str] = (),
    out: Path | None = None,
    settings: MapSettings | None = None,
    say: Say | None = None,
) -> Path:
    """Map characteristics of a bank, and sentences, over slides (all where none is named) of a run's table, or of a
    table; returns the folder written to (RUN/maps/TABLE). Raises UserError.
    """
    settings = settings or MapSettings()
    for kind in settings.kinds:
        if kind not in KINDS:
            raise UserError(f"no such kind of file: {kind!r}", where="--as", fix=f"Known: {', '.join(KINDS)}.")
    for name, value in (("--threshold", settings.threshold), ("--smooth-um", settings.smooth_um)):
        if not np.isfinite(value):
            raise UserError(f"{value} is no number", where=name)
    if "anndata" in settings.kinds and not anndata_there():
        raise UserError("AnnData is not installed", where="--as anndata", fix="Run: pip install 'hlss[anndata]'")
    say = say or Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
    folder = table_of(Path(what))
    source = sources_of([folder], "all")[0]
    out = out or home_of(folder) / "maps" / folder.resolve().name
    refuse_filled(out)
    words, pixels = MapTexts(source, bank, settings.seed), Pixels.of(source)
    asked = words.asked(characteristics, texts)
    grounds = grounds_of(source.table, pixels, slides)
    mapper = SlideMapper(source, words, pixels, asked, settings)
    clock, found = Clock(len(grounds), say, "mapping", "slides"), []
    for ground, name in zip(grounds, file_names([ground.name for ground in grounds]), strict=True):
        with replacing(out / name) as temporary:
            temporary.mkdir(parents=True)
            found += mapper.map(ground, temporary, name)
        clock.passed()
    result = {**mapper.facts, "provenance": provenance(), "notices": list(mapper.notices), "maps": found}
    write_json(out / MAPS_FILE, result)
    show_maps(result, Console())
    return out
