"""The commands that show what features say: explanations, maps, the viewer, the report."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hlss.terminal import example, say_output

seeing_app = typer.Typer(rich_markup_mode=None)


@seeing_app.command(epilog=example("hlss explain runs/hlss-1 runs/hidisc-1 --markers phantom --bank phantom"))
def explain(
    what: Annotated[list[Path], typer.Argument(help="Runs (all their tables), or tables: RUN/embeddings/NAME.")],
    markers: Annotated[
        str | None, typer.Option(help="Markers of each class: opensrh, glioma, phantom or a .yaml file.")
    ] = None,
    bank: Annotated[
        str | None, typer.Option(help="Shipped bank or .yaml file [units, comparisons: the run's].")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to fill [explanations in the first run's folder].")] = None,
    side: Annotated[Literal["test", "val", "train", "all"], typer.Option(help="Whose patches.")] = "test",
    units: Annotated[
        list[str] | None,
        typer.Option(help="Explain each patch, slide, patient or class (the word) instead; may be repeated."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this slide, patient, class, or patch (SLIDE:X:Y); may be repeated.")
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="Two classes or two patients, one an option: what separates them.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, help="Characteristics shown [3; of units and comparisons 5].")
    ] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="Another setting, as in seed=1.")] = None,
) -> None:
    """Ask what features say in words: class against markers, what marks each class, and whether that is true.

    Every figure stands beside its interval or its null (classes permuted over patients, shuffled words). On drawn
    tissue, --bank phantom also compares with what was drawn. The first table is what the others are compared with.
    Prints tables; writes explanations.json, alignment.png and profile-NAME.png. --set takes resamples, permutations,
    random_texts (draws), top (characteristics shown) and seed.

    With --units or --compare, of a run only its last table. --units writes units.json, units.csv, counts.json (what can
    be quoted) and evidence/ (tiles), and says in how many units something stands out, in how many it would by chance,
    and on drawn tissue how much of it is true. --compare writes compare.json and compare-NAME.png. --set also takes
    tiles (of each characteristic) and patches (shown where none is named).
    """
    from hlss.jobs.explain_ways import explain_ways

    asked = None if top is None else f"top={top}"
    changes = [*(change or []), *([asked] if asked else [])]
    say_output(explain_ways(what, markers, bank, out, side, changes, units or [], only or [], compare or []))


@seeing_app.command("map", epilog=example("hlss map runs/hlss-1 --characteristic necrosis --slide TCGA-DU-7014-01Z"))
def map_(
    what: Annotated[Path, typer.Argument(help="A run (its table `last`), or a table: RUN/embeddings/NAME.")],
    characteristic: Annotated[list[str] | None, typer.Option(help="Of the bank; may be repeated.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="Any sentence; may be repeated.")] = None,
    bank: Annotated[str | None, typer.Option(help="Shipped bank or a .yaml file [the run's].")] = None,
    slide: Annotated[list[str] | None, typer.Option(help="Slides to map; may be repeated [all].")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to fill [RUN/maps/TABLE].")] = None,
    smooth_um: Annotated[float, typer.Option(min=0, help="Width of a Gaussian over the map, µm; 0: none.")] = 0.0,
    threshold: Annotated[float, typer.Option(help="σ from which places are marked in GeoJSON.")] = 1.0,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--as", help="geojson, tiff, csv, parquet, anndata or png; may be repeated [all]."),
    ] = None,
    truth: Annotated[
        bool, typer.Option("--truth", help="On drawn tissue: do maps agree with the true ones, table by table?")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of random maps, random text and resamples.")] = 0,
) -> None:
    """Map where on slides an encoder sees what a text says, with a test of whether the map can be believed.

    For each slide and text: GeoJSON for QuPath, heatmap TIFFs that lie over the slide, CSV, Parquet and AnnData of the
    tiles, and a picture. The faithfulness test stands in every file: 0.5 is chance, and a map that is not above it is
    grey.
    """
    from hlss.errors import UserError
    from hlss.jobs.map_slide import MapSettings
    from hlss.jobs.map_slides import map_slides
    from hlss.jobs.map_truth import map_truth

    if truth:
        if characteristic or text or slide or kinds:
            fix = "Leave out --characteristic, --text, --slide and --as."
            raise UserError("it asks all characteristics of the bank on all test slides", where="--truth", fix=fix)
        say_output(map_truth(what, bank, out, seed=seed))
        return
    settings = MapSettings(smooth_um, threshold, tuple(kinds or ()), seed)
    say_output(map_slides(what, characteristic or [], text or [], bank, slide or [], out, settings))


@seeing_app.command(epilog=example("hlss view runs/hlss-1"))
def view(
    run: Annotated[Path | None, typer.Argument(help="Folder of a training run with embeddings, or of a table.")] = None,
    table: Annotated[str | None, typer.Option(help="Name of the table in RUN/embeddings [last].")] = None,
    bank: Annotated[str | None, typer.Option(help="Characteristics to show [those of the training].")] = None,
    slides: Annotated[Path | None, typer.Option(help="In place of a run: folder of slides, or a manifest.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1.")] = 8412,
) -> None:
    """Look at slides in the browser of this machine: pan and zoom, overlay any characteristic, click a tile to see
    what it is like, type what to look for.

    Prints an address with a token; who does not have it is not let in. Needs the extra `studio`.
    """
    from hlss.jobs.view import chosen_view
    from hlss.studio.view.server import serve

    serve(chosen_view(run, table, bank, slides), port, lambda line: print(line, flush=True))


@seeing_app.command(epilog=example("hlss report runs/hlss-1 runs/hidisc-1 --out report.html"))
def report(
    runs: Annotated[list[Path], typer.Argument(help="Runs (all their tables), or tables: RUN/embeddings/NAME.")],
    out: Annotated[Path | None, typer.Option(help="File to write [report.html in the first run's folder].")] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="What `hlss evaluate` wrote of all these tables [one beside the runs, or made].")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="Table that is mapped and explained, of a run's several.")] = "last",
    bank: Annotated[str | None, typer.Option(help="Bank of the explanations [the run's].")] = None,
    mapped: Annotated[
        Path | None, typer.Option(help="Table of other slides by the same weights, whose maps are shown [the run's].")
    ] = None,
) -> None:
    """Show runs in one HTML file that works offline, prints, and says of every figure where it is from.

    The cohort with example tiles, training curves, accuracy at three levels with intervals and confusion matrices, a
    map of embeddings and how they cluster by site, the most confident errors, explanations, provenance. Several runs
    stand side by side.
    """
    from hlss.jobs.report import make_report

    say_output(make_report(runs, out, evaluation, checkpoint, bank, mapped))
