"""The demo's report: a README in its folder that says what was done, what came out, and what to doubt."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.experiment import Experiment
from hlss.files import replacing
from hlss.jobs.demo_tables import accuracy_tables, in_markdown, verdict_sentences, words_table
from hlss.jobs.pretrain_tiny.captions import HELD_OUT
from hlss.train.checkpoint import MIDWAY

CHECKPOINTS = ("start", MIDWAY, "last")
READ = MIDWAY  # of which the pictures are: as good by patients as the last on tissue tuned on, and better in words
PICTURES = {
    "tissue.png": "The tissue: a row a class, every tile of another patient.",
    "readings.png": "Test patches, the words that match them best, and whether they are true.",
}
MINE = """\
name: mine
cohort: { name: manifest, path: my/manifest.csv, tile_px: 224, mpp: 0.5 }
split: { kind: random, test: 0.3, val: 0.1 }
batches: { patients: 32, slides: 2, patches: 2, views: 2 }
views: { preset: he }
encoder: { name: clip, architecture: RN50-quickgelu, pretrained: openai }   # downloads, because you ask for it
language: { bank: general_he }
objective: { name: hlss, mode: fixed }
train: { steps: 20000 }
"""
COMMANDS = (
    "hlss train mine.yaml",
    *(f"hlss embed runs/mine{'' if name == 'last' else f' --checkpoint {name}'}" for name in CHECKPOINTS),
    "hlss evaluate runs/mine/embeddings/* --against start",
)
_WEIGHTS = {
    "start": "the weights that training starts from",
    MIDWAY: "half way between start and last, weight by weight, which keeps more of the words",
    "last": "the end of training",
}
_LOOKED_AT = 22  # the cohort's seed while the demo's size was settled


def weights_of(checkpoint: str, facts: Mapping[str, Any]) -> str:
    """What a checkpoint's weights are; facts: of its table, which say whether statistics of norms were taken anew."""
    renewed = "; statistics of its norms taken anew from training tiles" if facts.get("norms_renewed") else ""
    return _WEIGHTS[checkpoint] + renewed


def origin_of(experiment: Experiment) -> str:
    """Where the start's weights come from."""
    given = experiment.encoder.model_dump(exclude_defaults=True)
    if experiment.encoder.name == "tiny" and not given.keys() - {"name"}:
        return "the small CLIP that comes with hlss"
    return f"encoder {given}, not the small CLIP that comes with hlss"


@dataclass(frozen=True)
class Report:
    """What a run of the demo found.

    evaluation: of evaluation.json; words: agreement by checkpoint; facts: provenance of each checkpoint's table;
    pictures: what each shows, by file beside the README; seconds: taken; resumed: whether an earlier run had done a
    part.
    """

    experiment: Experiment
    evaluation: Mapping[str, Any]
    words: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Mapping[str, Any]]
    pictures: Mapping[str, str]
    seconds: float
    resumed: bool

    def write(self, path: Path) -> None:
        """As Markdown, whole or not at all. Raises UserError where it cannot be written."""
        parts = (self._what(), self._accuracy(), self._pictures(), self._words(), _your_own(), self._caveats(), _FILES)
        with replacing(path) as temporary:
            temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")

    @property
    def cohort(self) -> PhantomSpec:
        """That was drawn."""
        assert isinstance(self.experiment.cohort, PhantomSpec)
        return self.experiment.cohort

    def _what(self) -> str:
        made, resumed = self.evaluation["provenance"], ", going on from an earlier run" if self.resumed else ""
        weights = "\n".join(f"- **{name}**: {weights_of(name, facts)}" for name, facts in self.facts.items())
        return (
            "# What `hlss demo` found\n\n"
            f"HLSS pretrained on drawn tissue of known truth ({self.cohort.patients} patients of {self.cohort.classes} "
            f"classes, {self.cohort.slides} slides each), without labels, from {origin_of(self.experiment)}. Compared "
            f"are\n\n{weights}\n\n"
            f"`{made['command']}` took {self.seconds:.0f} s{resumed}, on {made['hardware']}; "
            f"hlss {made['code_version']}, {made['time'][:10]}."
        )

    def _accuracy(self) -> str:
        tables = [f"**{title}**\n\n{in_markdown(rows)}" for title, rows in accuracy_tables(self.evaluation).items()]
        return "\n\n".join(
            [
                "## Before and after, on patients that training never saw",
                *tables,
                "Gain: over the start, in points. In brackets: 95 % intervals, patients resampled, paired for gains.",
                "What this run shows:",
                "\n".join(f"- {line}" for line in verdict_sentences(self.evaluation)),
                *(f"Note: {notice}" for notice in self.evaluation["notices"]),
            ]
        )

    def _words(self) -> str:
        return (
            "## Words against the truth\n\n"
            "AUROC on test patches: the chance that a patch which has what a word names matches it better than one "
            f"that lacks it; 0.5 is chance.\n\n{in_markdown(words_table(self.words, every=True))}\n\n"
            f"Never told: {', '.join(HELD_OUT)}; no caption of the small CLIP spoke of them. Distractors: words that "
            "name nothing drawn; theirs is how well they pass for a factor."
        )

    def _pictures(self) -> str:
        shown = (f"![{text}]({name})\n\n{text}" for name, text in self.pictures.items())
        lead = f"Words and maps are read with the features of **{READ}**."
        return "\n\n".join([f"## Pictures\n\n{lead}", *shown])

    def _caveats(self) -> str:
        which = "This cohort" if self.cohort.seed == _LOOKED_AT else "The shipped cohort, not this one"
        lines = (
            "The tissue is drawn, never real: nothing here tells how HLSS does on real slides.",
            f"{which} (seed {_LOOKED_AT}) was looked at while the demo's size was settled. The figures to trust are "
            "those of the replicates, on other cohorts: docs/results.md in the repository.",
            f"Its laboratories stain {self.cohort.stain:g} times as far apart as real ones (`cohort.stain`).",
            "The small CLIP learnt its words from the same kind of drawing, so that to read them is partly circular; "
            "not so the factors that it was never told.",
            "It is one run of one seed. Where an interval holds 0, no difference is shown.",
        )
        return "\n".join(["## Caveats", "", *(f"- {line}" for line in lines)])


def _your_own() -> str:
    commands = "\n".join(COMMANDS)
    return (
        "## The same on slides of your own\n\n"
        "A manifest (CSV: `patient_id,slide_id,path,label`; more columns in the repository's README), and `mine.yaml`, "
        f"which starts from a CLIP that knows real images:\n\n```yaml\n{MINE}```\n\n```sh\n{commands}\n```"
    )


_FILES = (
    "## Files\n\nAll of it in one page for a browser, with curves, a map of the embeddings and confident errors: "
    "[report.html](report.html). To pan and zoom over the mapped slides, and ask for any other words: "
    "`hlss view slides` here (after `pip install 'hlss[studio]'`).\n\nNumbers with their provenance: "
    "`evaluation.json`, `explanations.json`. The run, its checkpoints and embeddings: `run/`. The mapped slides' "
    "embeddings: `slides/`, their maps for QuPath and others: `maps/`. What can be made again: `cache/`."
)
