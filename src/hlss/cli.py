"""The command line: parse, call one function, print where its output lies."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hlss.bank_cli import bank_app
from hlss.errors import UserError
from hlss.seeing_cli import seeing_app
from hlss.terminal import example, say_output

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
app.add_typer(seeing_app)

Config = Annotated[Path, typer.Argument(help="Experiment, a YAML file.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Changes to it, as in train.steps=100.")]
RunDir = Annotated[Path, typer.Argument(help="Folder of a training run.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes, each at a slide of its own.")]
Shard = Annotated[str | None, typer.Option(help="i/n: every n-th slide from the i-th on, for n machines.")]
OnRay = Annotated[bool, typer.Option("--ray", help="On Ray, started on this machine.")]
RayAddress = Annotated[str | None, typer.Option(help="On the Ray cluster at this address (auto: of here).")]


@app.command(epilog=example("hlss train experiments/tcga_organs/hlss.yaml split.fold=1 out=runs/hlss-1"))
def train(config: Config, overrides: Overrides = None) -> None:
    """Pretrain an encoder. Started again with the same command, it goes on where it was.

    Writes the run folder (`out`, by default runs/NAME): checkpoints, log.jsonl, tensorboard, config, provenance.
    Exit code 75: stopped on request (SIGTERM, SIGINT, SIGUSR1) and saved. Exit code 3: finished, but some images or
    tiles could not be read; problems.csv in the run folder lists them.
    """
    from hlss.jobs.train import first_process, train_run
    from hlss.train.problems import TRAINING, Problems

    folder = train_run(config, overrides or [])
    say_output(folder)
    if first_process():  # one is enough: a launcher stops the others at the first that fails
        problems = Problems(folder, TRAINING)
        _end_with_problems(len(problems.rows()), problems.path)


@app.command(epilog=example("hlss embed runs/hlss-1 --checkpoint start"))
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
    say_output(made)
    _end_with_problems(problems.found, problems.path)


@app.command(epilog=example("hlss evaluate runs/hlss-*/embeddings/* --against start --out runs/hlss.json"))
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

    say_output(
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


@app.command(epilog=example("hlss table experiments/phantom/table1.yaml"))
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
    say_output(
        make_table(
            what, seeds=seeds, folds=folds, against=against, out=out, overrides=changes, run=run, workers=workers
        )
    )


@cohort_app.command(epilog=example("hlss cohort inspect experiments/tcga/hlss.yaml --picture tiles.jpg"))
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


@app.command(epilog=example("hlss tile slides --out tiles mpp=0.5 tile_px=256 --workers 8"))
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

    say_output(tile_slides(slides, out, overrides or [], Hands(workers, ray, ray_address), shard, pack=pack))


@app.command(epilog=example("hlss phantom slides --layout pyramid patients=7 slides=1 side=40 tile_px=256"))
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

    say_output(write_phantom(out, layout, overrides or []))


export_commands = typer.Typer(help="Write what a run made in the formats of other tools.", rich_markup_mode=None)
app.add_typer(export_commands, name="export", no_args_is_help=True)


@export_commands.command("features", epilog=example("hlss export features runs/hlss-1 --as trident --out features"))
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

    say_output(write(what, kind, out))


@export_commands.command("encoder", epilog=example("hlss export encoder runs/hlss-1 --out exported"))
def export_encoder(
    run: RunDir,
    out: Annotated[Path, typer.Option(help="Folder to fill.")],
    checkpoint: Annotated[str, typer.Option(help="start, best, last, midway (of start and last) or a step.")] = "last",
) -> None:
    """Write the trained image tower for others: safetensors, config, and a card that says what it was made of.

    open_clip and timm load towers of theirs from the folder by their own calls; any other is for hlss.
    """
    from hlss.jobs.export_encoder import export_encoder as write

    say_output(write(run, checkpoint, out))


@app.command(epilog=example("hlss push exported my-group/hlss-glioma"))
def push(
    folder: Annotated[Path, typer.Argument(help="Folder that `hlss export encoder` wrote.")],
    repo: Annotated[str, typer.Argument(help="OWNER/NAME on the Hugging Face Hub.")],
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it; private otherwise.")] = False,
) -> None:
    """Upload an exported encoder to the Hugging Face Hub. Needs the network and `hf auth login`."""
    from hlss.jobs.export_encoder import push as upload

    typer.echo(f"Output: {upload(folder, repo, public)}")


@app.command(epilog=example("hlss doctor"))
def doctor() -> None:
    """Show what is installed, which device will be used, what is missing and how to get it."""
    from hlss.jobs.doctor import examine

    examine()


@app.command(epilog=example("hlss demo --out runs/demo"))
def demo(
    out: Annotated[Path, typer.Option(help="Folder to fill.")] = Path("runs/demo"),
    overrides: Overrides = None,
) -> None:
    """Pretrain on drawn tissue and evaluate before and after, in a few minutes, without data or network."""
    from hlss.jobs.demo import run_demo

    say_output(run_demo(out, overrides or []))


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
