"""`hlss report`: runs and their tables gathered into one HTML file that needs nothing beside it."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hlss.errors import UserError
from hlss.files import replacing
from hlss.jobs.report_explained import is_of
from hlss.jobs.report_gather import Gathering
from hlss.jobs.report_runs import run_folders
from hlss.jobs.setup import Say
from hlss.report.page import page


def make_report(
    paths: Sequence[Path],
    out: Path | None = None,
    evaluation: Path | None = None,
    checkpoint: str = "last",
    bank: str | None = None,
    mapped: Path | None = None,
    say: Say | None = None,
) -> Path:
    """Report these runs (or tables of them) side by side; returns the file written. Raises UserError.

    out: by default report.html in the first run's folder. evaluation: what `hlss evaluate` wrote of them; without it a
    fitting one beside the runs, or one made now. checkpoint: name of the table that is mapped and explained, where a
    run has several. bank: another than the run's, for its words. mapped: a table of other slides by the same weights,
    whose maps are shown.
    """
    runs = run_folders(paths, checkpoint)
    if mapped is not None and not any(is_of(run, mapped) for run in runs):
        fix = "Give a table that `hlss embed` made of this checkpoint, with --out."
        raise UserError("other weights embedded this table than are reported", where=mapped, fix=fix)
    spoken = say or Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
    text = page(Gathering(runs, bank, mapped, spoken).report(evaluation))
    path = out or runs[0].folder / "report.html"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
