"""`hlss bank review`: what stands beside a characteristic."""

from pathlib import Path

from hlss.jobs.bank import text_tower
from hlss.jobs.bank_evidence import cohort_evidence
from hlss.language.review.beside import Beside
from hlss.language.review.neighbours import Neighbours
from hlss.language.review.text_rows import TextRows


def beside(text: str | None, run: Path | None, side: str = "all") -> Beside:
    """text: the tower that says what is near, by its name in the registry [the run's own; without a run, common words].
    run, side: as of `cohort_evidence`; None: no pictures. Raises UserError.
    """
    evidence = None if run is None else cohort_evidence(run, side)
    rows = None if evidence is None else evidence.rows
    if text is not None:
        rows = TextRows(text_tower(text))
    return Beside(Neighbours(rows), evidence, () if evidence is None else evidence.notices)
