"""The command line: parse, call one function, print where its output lies."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hlss.bank_cli import bank_app
from hlss.errors import UserError

app = typer.Typer(
    name="hlss",
    help="Hierarchical, language-tied self-supervised learning on histopathology: slides in, readable features out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
cohort_app = typer.Typer(help="Look at cohorts.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(cohort_app, name="cohort")
app.add_typer(bank_app, name="bank")

Config = Annotated[Path, typer.Argument(help="Experiment, a YAML file.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Changes to it, as in train.steps=100.")]
RunDir = Annotated[Path, typer.Argument(help="Folder of a training run.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes, each at a slide of its own.")]
Shard = Annotated[str | None, typer.Option(help="i/n: every n-th slide from the i-th on, for n machines.")]
OnRay = Annotated[bool, typer.Option("--ray", help="On Ray, started on this machine.")]
RayAddress = Annotated[str | None, typer.Option(help="On the Ray cluster at this address (auto: of here).")]


def _example(text: str) -> str:
    return f"Example: {text}"


@app.command(epilog=_example("hlss train experiments/tcga_organs/hlss.yaml split.fold=1 out=runs/hlss-1"))
def train(config: Config, overrides: Overrides = None) -> None:
    """Pretrain an encoder. Started again with the same command, it goes on where it was.

    Writes the run folder (`out`, by default runs/NAME): checkpoints, log.jsonl, tensorboard, config, provenance.
    Exit code 75: stopped on request (SIGTERM, SIGINT, SIGUSR1) and saved. Exit code 3: finished, but some images or
    tiles could not be read; problems.csv in the run folder lists them.
    """
    from hlss.jobs.train import first_process, train_run
    from hlss.train.problems import TRAINING, Problems

    folder = train_run(config, overrides or [])
    _say(folder)
    if first_process():  # one is enough: a launcher stops the others at the first that fails
        problems = Problems(folder, TRAINING)
        _end_with_problems(len(problems.rows()), problems.path)


@app.command(epilog=_example("hlss embed runs/hlss-1 --checkpoint start"))
def embed(
    run: RunDir,
    checkpoint: Annotated[str, typer.Option(help="start, best, last, midway (of start and last) or a step.")] = "last",
    out: Annotated[Path | None, typer.Option(help="Folder of the table [RUN/embeddings/CHECKPOINT].")] = None,
    view: Annotated[
        int | None, typer.Option(min=1, help="Embed an augmented view with this number instead of the tiles.")
    ] = None,
    norms: Annotated[
        Literal["own", "train"] | None,
        typer.Option(help="Statistics of batch norms: the checkpoint's own, or of training tiles [midway: train]."),
    ] = None,
    per_slide: Annotated[
        Path | None, typer.Option(help="Folder of an HDF5 a slide, written as it goes; what is there and fits is kept.")
    ] = None,
    workers: Workers = 1,
    shard: Shard = None,
    ray: OnRay = False,
    ray_address: RayAddress = None,
    overrides: Overrides = None,
) -> None:
    """Embed every patch of a run's cohort (or of another: cohort.path=...) with one of its checkpoints.

    Writes an embedding table: features, identities, labels, sides of the split, provenance. Exit code 3: finished, but
    some images or tiles could not be read; problems.csv in the run folder lists them. With --per-slide slides may be
    shared out (--workers, --shard, --ray), and several processes may fill one folder.
    """
    from hlss.jobs.embed import embed_run
    from hlss.jobs.embed_process import EMBEDDING
    from hlss.jobs.hands import Hands
    from hlss.train.problems import Problems

    problems = Problems(run, EMBEDDING)
    made = embed_run(
        run,
        checkpoint,
        out,
        overrides or [],
        view,
        norms,
        problems=problems,
        per_slide=per_slide,
        hands=Hands(workers, ray, ray_address),
        shard=shard,
    )
    _say(made)
    _end_with_problems(problems.found, problems.path)


@app.command(epilog=_example("hlss evaluate runs/hlss-*/embeddings/* --against start --out runs/hlss.json"))
def evaluate(
    tables: Annotated[list[Path], typer.Argument(help="Embedding tables; folds of a method are pooled.")],
    against: Annotated[str | None, typer.Option(help="Method to which the others are compared, by patient.")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file [evaluation.json beside the first table].")] = None,
    queries: Annotated[Literal["test", "val"], typer.Option(help="Side that is predicted.")] = "test",
    protocol: Annotated[list[str] | None, typer.Option(help="paper or small; repeat for both [both].")] = None,
    also: Annotated[
        list[str] | None, typer.Option(help="Further: probe, few-shot, retrieval or mean-probe; repeat for several.")
    ] = None,
    by_site: Annotated[
        bool, typer.Option("--by-site", help="Leave one site out: ask each, the others answer.")
    ] = False,
    prompts: Annotated[
        Path | None, typer.Option(help="Class prompts for zero-shot, YAML: {class: [sentences]}.")
    ] = None,
    queries_from: Annotated[
        list[Path] | None, typer.Option(help="External test: table of another cohort; repeat, one for each table.")
    ] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="Another setting, as in k.paper=100.")] = None,
) -> None:
    """Score features by nearest neighbours, at patch, slide and patient level, with intervals.

    Prints tables and writes the same as JSON. --set takes k.paper, k.small (neighbours), neighbours (more numbers of
    them, as [5,10]), shots and draws (of few-shot), class_names (theirs: ours, for --queries-from), scoring (mean or
    released), compare_scoring (true: both), resamples and seed (of the intervals and draws).
    """
    from hlss.jobs.evaluate import evaluate_tables

    _say(
        evaluate_tables(
            tables,
            against,
            out,
            queries,
            protocol,
            change or [],
            also=also,
            by_site=by_site,
            prompts=prompts,
            queries_from=queries_from or [],
        )
    )


@app.command(epilog=_example("hlss table experiments/phantom/table1.yaml"))
def table(
    what: Annotated[list[Path], typer.Argument(help="A table file (title, rows, seeds, ...), or experiments.")],
    seeds: Annotated[str | None, typer.Option(help="Every row is run with each, as 0,1,2.")] = None,
    folds: Annotated[str | None, typer.Option(help="Folds of the split, as 0,1,2 [all].")] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="Row that all are compared with; repeat for several [hidisc].")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of table and runs [runs/tables/NAME].")] = None,
    run: Annotated[bool, typer.Option(help="--no-run makes no run: the table of what there is.")] = True,
    workers: Annotated[
        int | None, typer.Option(help="Runs side by side: on GPUs at most so many, on a CPU sharing its cores.")
    ] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="Change every row, as in train.steps=20.")] = None,
) -> None:
    """Run what a table of methods lacks, score all rows alike, and print ours beside the paper's figures.

    Stopped or killed, it goes on with the same command; a run that fails costs that run only. On several GPUs one run
    goes on each; on a CPU runs follow each other unless --workers says otherwise. Writes table.md, table.csv,
    table.json (with what made every number) and table.png; keeps the results of each run (results: of the table file),
    which make the same table once the run's folder is gone.
    """
    from hlss.jobs.table import make_table

    changes = change or []
    _say(
        make_table(
            what, seeds=seeds, folds=folds, against=against, out=out, overrides=changes, run=run, workers=workers
        )
    )


@app.command(epilog=_example("hlss explain runs/hlss-1 runs/hidisc-1 --markers phantom --bank phantom"))
def explain(
    what: Annotated[list[Path], typer.Argument(help="Runs (all their tables), or tables: RUN/embeddings/NAME.")],
    markers: Annotated[
        str | None, typer.Option(help="Markers of each class: opensrh, glioma, phantom or a .yaml file.")
    ] = None,
    bank: Annotated[str | None, typer.Option(help="Bank of the profiles: a shipped one or a .yaml file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to fill [explanations in the first run's folder].")] = None,
    side: Annotated[Literal["test", "val", "train", "all"], typer.Option(help="Whose patches.")] = "test",
    units: Annotated[
        list[str] | None, typer.Option(help="Explain each patch, slide, patient or class instead; may be repeated.")
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

    With --units or --compare, of a run only its last table: units.json, units.csv and evidence/ (tiles); compare.json
    and compare-NAME.png. --set also takes tiles (of each characteristic) and patches (shown where none is named).
    """
    from hlss.jobs.explain_ways import explain_ways

    asked = None if top is None else f"top={top}"
    changes = [*(change or []), *([asked] if asked else [])]
    _say(explain_ways(what, markers, bank, out, side, changes, units or [], only or [], compare or []))


@cohort_app.command(epilog=_example("hlss cohort inspect experiments/tcga/hlss.yaml --picture tiles.jpg"))
def inspect(
    config: Config,
    overrides: Overrides = None,
    check: Annotated[int, typer.Option(min=0, help="Tiles that are read, evenly over the cohort.")] = 64,
    json: Annotated[Path | None, typer.Option(help="Write what was found to this file.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw some tiles of each class to this .jpg or .png.")] = None,
) -> None:
    """Show what an experiment's cohort holds, and what would stop or spoil a training on it. Trains nothing.

    Patients, slides, images and tiles by class, site and side; damaged files; the same content under two names;
    whether class hangs on site; the disk a pack takes. Exit code 1: something was found that must be mended first.
    """
    from hlss.jobs.inspect_cohort import inspect_cohort

    problems = inspect_cohort(config, overrides or [], check, json, picture)
    for problem in problems:
        print(f"hlss: {problem}", file=sys.stderr)
    if problems:
        raise typer.Exit(1)


@app.command(epilog=_example("hlss tile slides --out tiles mpp=0.5 tile_px=256 --workers 8"))
def tile(
    slides: Annotated[Path, typer.Argument(help="Folder of slides, or a manifest (CSV, Parquet) with their paths.")],
    out: Annotated[Path, typer.Option(help="Folder to fill, or to go on with.")],
    workers: Workers = 1,
    shard: Shard = None,
    ray: OnRay = False,
    ray_address: RayAddress = None,
    pack: Annotated[
        Path | None, typer.Option(help="Also pack all tiles in this cache of experiments (theirs: runs/.cache).")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings of the tiles, as in tile_px=256.")] = None,
) -> None:
    """Find the tissue of slides and cut it into tiles: coordinates, tables and pictures; pixels only with --pack.

    Stopped or killed, it goes on with the same command; several processes may share one folder. Settings: mpp (µm/px
    of the tiles) or tile_um, tile_px, overlap_px, min_tissue, slide_mpp, reader, and tissue.mpp, tissue.method, ...
    Slides that cannot be read are named at the end (problems.json), with exit code 1; all others are done.
    """
    from hlss.jobs.hands import Hands
    from hlss.jobs.tile import tile_slides

    _say(tile_slides(slides, out, overrides or [], Hands(workers, ray, ray_address), shard, pack=pack))


@app.command(epilog=_example("hlss phantom slides --layout pyramid patients=7 slides=1 side=40 tile_px=256"))
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to fill.")],
    layout: Annotated[str, typer.Option(help="pyramid, drawn, opensrh, clam, trident, tiles or images.")] = "images",
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings of the cohort, as in seed=1.")] = None,
) -> None:
    """Write drawn tissue to disk as the world stores slides: pyramidal TIFFs, HDF5 of tiles, plain images, and more;
    or, with --layout drawn, as files of a few hundred bytes that are slides of any size, drawn when they are read.

    Settings: patients, slides (of each), side (tiles along a slide's side), tile_px, mpp, classes, sites, stain, organ,
    seed.
    """
    from hlss.jobs.export import write_phantom

    _say(write_phantom(out, layout, overrides or []))


export_commands = typer.Typer(help="Write what a run made in the formats of other tools.", rich_markup_mode=None)
app.add_typer(export_commands, name="export", no_args_is_help=True)


@export_commands.command("features", epilog=_example("hlss export features runs/hlss-1 --as trident --out features"))
def export_features(
    what: Annotated[Path, typer.Argument(help="A run (its table `last`), or a table: RUN/embeddings/NAME.")],
    out: Annotated[Path, typer.Option(help="Folder to fill (trident), or the file to write.")],
    kind: Annotated[
        Literal["trident", "anndata", "parquet"], typer.Option("--as", help="Layout to write.")
    ] = "trident",
) -> None:
    """Write the features of patches for other tools: TRIDENT's HDF5 (one a slide), AnnData (.h5ad) or Parquet.

    What TRIDENT records of the tiles (sizes, magnifications) is written where it is known. Beside its files stands
    slides.csv; the two are read by the cohort source features_hdf5.
    """
    from hlss.jobs.export_features import export_features as write

    _say(write(what, kind, out))


@export_commands.command("encoder", epilog=_example("hlss export encoder runs/hlss-1 --out exported"))
def export_encoder(
    run: RunDir,
    out: Annotated[Path, typer.Option(help="Folder to fill.")],
    checkpoint: Annotated[str, typer.Option(help="start, best, last, midway (of start and last) or a step.")] = "last",
) -> None:
    """Write the trained image tower for others: safetensors, config, and a card that says what it was made of.

    open_clip and timm load towers of theirs from the folder by their own calls; any other is for hlss.
    """
    from hlss.jobs.export_encoder import export_encoder as write

    _say(write(run, checkpoint, out))


@app.command(epilog=_example("hlss push exported my-group/hlss-glioma"))
def push(
    folder: Annotated[Path, typer.Argument(help="Folder that `hlss export encoder` wrote.")],
    repo: Annotated[str, typer.Argument(help="OWNER/NAME on the Hugging Face Hub.")],
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it; private otherwise.")] = False,
) -> None:
    """Upload an exported encoder to the Hugging Face Hub. Needs the network and `hf auth login`."""
    from hlss.jobs.export_encoder import push as upload

    typer.echo(f"Output: {upload(folder, repo, public)}")


@app.command(epilog=_example("hlss doctor"))
def doctor() -> None:
    """Show what is installed, which device will be used, what is missing and how to get it."""
    from hlss.jobs.doctor import examine

    examine()


@app.command(epilog=_example("hlss demo --out runs/demo"))
def demo(
    out: Annotated[Path, typer.Option(help="Folder to fill.")] = Path("runs/demo"),
    overrides: Overrides = None,
) -> None:
    """Pretrain on drawn tissue and evaluate before and after, in a few minutes, without data or network."""
    from hlss.jobs.demo import run_demo

    _say(run_demo(out, overrides or []))


@app.command("map", epilog=_example("hlss map runs/hlss-1 --characteristic necrosis --slide TCGA-DU-7014-01Z"))
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
    from hlss.jobs.map_slide import MapSettings
    from hlss.jobs.map_slides import map_slides
    from hlss.jobs.map_truth import map_truth

    if truth:
        _say(map_truth(what, bank, out, seed=seed))
        return
    settings = MapSettings(smooth_um, threshold, tuple(kinds or ()), seed)
    _say(map_slides(what, characteristic or [], text or [], bank, slide or [], out, settings))


@app.command(epilog=_example("hlss view runs/hlss-1"))
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


@app.command(epilog=_example("hlss report runs/hlss-1 runs/hidisc-1 --out report.html"))
def report(
    runs: Annotated[list[Path], typer.Argument(help="Runs (all their tables), or tables: RUN/embeddings/NAME.")],
    out: Annotated[Path | None, typer.Option(help="File to write [report.html in the first run's folder].")] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="What `hlss evaluate` wrote of all these tables [one beside the runs, or made].")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="Table that is mapped and explained, of a run's several.")] = "last",
    bank: Annotated[str | None, typer.Option(help="Bank of the explanations [the run's].")] = None,
) -> None:
    """Show runs in one HTML file that works offline, prints, and says of every figure where it is from.

    The cohort with example tiles, training curves, accuracy at three levels with intervals and confusion matrices, a
    map of embeddings and how they cluster by site, the most confident errors, explanations, provenance. Several runs
    stand side by side.
    """
    from hlss.jobs.report import make_report

    _say(make_report(runs, out, evaluation, checkpoint, bank))


def _say(output: Path) -> None:
    from rich.console import Console

    Console().print(f"Output: {output}", highlight=False, markup=False, soft_wrap=True)


def _end_with_problems(found: int, path: Path) -> None:
    from hlss.train.problems import EXIT_PROBLEMS

    if found:
        print(f"hlss: {found} images or tiles could not be read: see {path}", file=sys.stderr)
        raise typer.Exit(EXIT_PROBLEMS)


def main(arguments: list[str] | None = None) -> Any:
    """Entry point. A user's mistake is one line on standard error and exit code 1; a requested stop is 75,
    and 3 is work that was finished without what could not be read.
    """
    from hlss.train.stopping import EXIT_STOPPED, Stopped

    try:
        return app(arguments)
    except UserError as error:
        print(f"hlss: {error}", file=sys.stderr)
        sys.exit(1)
    except Stopped as stopped:
        print(f"hlss: {stopped}", file=sys.stderr)
        sys.exit(EXIT_STOPPED)
    except KeyboardInterrupt:
        print("hlss: interrupted", file=sys.stderr)
        sys.exit(130)
