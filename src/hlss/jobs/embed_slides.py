"""`hlss embed --per-slide`: a file of features for each slide as it is done, and the embedding table made of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hlss.cohorts.base import Cohort
from hlss.encoders.base import ImageEncoder
from hlss.errors import UserError
from hlss.evaluate.by_slide import embed_slides, parts_of, plan, tower_hash
from hlss.evaluate.embed import Stream, embedded_facts
from hlss.evaluate.slide_files import stored_key, stored_shape, write_table
from hlss.jobs.setup import Say


def table_by_slide(
    encoder: ImageEncoder,
    sides: Mapping[str, Cohort],
    stream: Stream,
    provenance: Mapping[str, Any],
    folder: Path,
    out: Path,
    *,
    device: torch.device,
    view: Any,
    max_patches_per_slide: int | None,
    seed: int,
    say: Say,
) -> None:
    """Fill `folder` with a file a slide, then write the table `out`, the one that `hlss.evaluate.embed.embed` makes.

    view: settings of the view where it is not the tiles as they are, else None. Files that are there and fit stay: of
    the same weights, tiles and view. Memory holds the features of one slide. Raises UserError.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError("this is a file, not a folder", where=folder, fix="Choose another one for --per-slide.")
    works = plan(sides, folder, tower_hash(encoder), view, max_patches_per_slide, seed)
    there = embed_slides(encoder, works, stream, device=device, progress=say)
    if there:
        say(f"{there} of {len(works)} slides were embedded before")
    done = [work for work in works if stored_key(work.path) == work.key]
    if not done:
        raise UserError("no patch could be embedded", fix="Check the images of the cohort.")
    shapes = [stored_shape(work.path) for work in done]
    rows, chosen = sum(n for n, _ in shapes), sum(len(work.rows) for work in works)
    facts = embedded_facts(max_patches_per_slide, seed, rows, chosen)
    write_table(out, parts_of(done), rows, shapes[0][1], {**provenance, **facts})
