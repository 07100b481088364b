"""`hlss view`: what can be looked at, put together from a run, its cohort and its words."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.chosen_table import experiment_of, table_of
from hlss.jobs.explain_sources import sources_of
from hlss.jobs.map_drawn import Drawn
from hlss.jobs.map_ground import Pixels
from hlss.jobs.map_texts import MapTexts
from hlss.jobs.table_pixels import pixel_notices
from hlss.jobs.view_patches import Patches
from hlss.jobs.view_slides import ViewImage, images_below, images_of
from hlss.jobs.view_trust import Trust
from hlss.jobs.view_words import Words

NO_WORDS = "this run has no text tower: there are neighbours and classes, but no maps and no search by words"


@dataclass(frozen=True, eq=False)
class Viewed:
    """title: of the page; images: in order; patches: what is known of tiles, None of slides without a run; trust:
    whether their maps can be believed, None without words; notices: what must be said beside it.
    """

    title: str
    images: tuple[ViewImage, ...]
    patches: Patches | None = None
    trust: Trust | None = None
    notices: tuple[str, ...] = ()

    @cached_property
    def by_id(self) -> dict[str, int]:
        """Place of each image."""
        return {image.id: place for place, image in enumerate(self.images)}


def chosen_view(run: Path | None, table: str | None, bank: str | None, slides: Path | None) -> Viewed:
    """Of a run, or of slides. Raises UserError where both are named, or none."""
    if (run is None) == (slides is None):
        raise UserError("give either a run or --slides", fix="As in: hlss view RUN; hlss view --slides FOLDER.")
    if slides is not None and (table or bank):
        raise UserError("slides alone have no embeddings", where="--slides", fix="Leave --table and --bank out.")
    return view_of_slides(slides) if slides is not None else view_of_run(Path(str(run)), table, bank)


def view_of_run(run: Path, table: str | None = None, bank: str | None = None) -> Viewed:
    """run: its folder, or that of a table in it; table: its name [last, or the only one]; bank: of the
    characteristics [that of the training]. Raises UserError.
    """
    folder = table_of(run, table)
    experiment = experiment_of(folder)
    cohort = experiment.cohort.open()
    images = tuple(images_of(cohort))
    words, stored, notices = _words(folder, experiment, bank)
    pixels = Pixels(cohort)
    patches = Patches(stored, images, pixels, words)
    lost = int((patches.image < 0).sum())
    if lost == len(stored):
        fix = "Run `hlss embed` again."
        raise UserError("the run's cohort has none of the images that this table is of", where=folder, fix=fix)
    if lost:
        notices += (f"{lost} of {len(stored)} patches are of images that the cohort does not have: they are not shown",)
    title = str(stored.provenance.get("method") or experiment.name)
    trust = None if words is None else Trust(patches, words, Drawn(pixels, words.texts.bank_name))
    return Viewed(title, images, patches, trust, (*cohort.notices, *notices))


def view_of_slides(slides: Path) -> Viewed:
    """Of slides in a folder or a manifest, without a run. Raises UserError."""
    return Viewed(slides.resolve().name, tuple(images_below(slides)))


def _words(
    folder: Path, experiment: Experiment, bank: str | None
) -> tuple[Words | None, EmbeddingTable, tuple[str, ...]]:
    language = experiment.language
    if experiment.encoder.text() is None and (language is None or language.text is None):
        table = EmbeddingTable.read(folder)
        if not np.isfinite(table.features).all():
            raise UserError("features are not finite", where=folder, fix="Embed again with a sound checkpoint.")
        return None, table, (NO_WORDS,)
    (source,) = sources_of([folder], "all")
    texts = MapTexts(source, bank)
    if texts.bank_name is None:
        fix = "Name one, as --bank he_general."
        raise UserError(
            "this run was trained with no bank: there are no characteristics to show", where=folder, fix=fix
        )
    words = Words(texts)
    return words, source.table, (*pixel_notices(source), *texts.notices)
