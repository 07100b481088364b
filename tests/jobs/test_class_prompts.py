"""Class prompts that are shipped, and whose text tower reads them."""

from pathlib import Path

import numpy as np
import pytest

from hlss.cohorts.phantom.factors import CLASSES
from hlss.config import read_settings
from hlss.experiment import Experiment
from hlss.jobs.class_prompts import prompts_of_run, read_prompts
from hlss.language.bank import normalised, read_bank, shipped_banks
from hlss.language.markers import read_markers, shipped_markers
from hlss.language.wording import content_words, overlap

PHANTOM = Path(__file__).parents[2] / "experiments" / "phantom"


def test_prompts_of_the_phantom_are_sentences_of_their_own():
    """All its classes, and no sentence, or near copy, of what trains or what is asked after training."""
    prompts = read_prompts(PHANTOM / "prompts.yaml")
    assert tuple(prompts) == CLASSES
    ours = [text for texts in prompts.values() for text in texts]
    assert [len(texts) for texts in prompts.values()] == [4] * 7
    assert len({normalised(text) for text in ours}) == len(ours)
    others = [text for bank in shipped_banks() for place, text in read_bank(bank).places() if place.number is not None]
    others += [text for markers in shipped_markers() for _, text in read_markers(markers).sentences()]
    words = [(text, content_words(text)) for text in others]
    copies = [(text, other) for text in ours for other, of in words if overlap(content_words(text), of).near_copy]
    assert copies == []


@pytest.mark.parametrize("text", ["random", None])
def test_the_towers_own_text_is_taken_before_that_of_training(tmp_path, text):
    """A run trained with random vectors is asked in the words that its image tower was trained with."""
    given = [] if text is None else ["language.text={name: random}"]
    experiment = read_settings(PHANTOM / "hlss.yaml", Experiment, [f"cache={tmp_path}", *given])
    found = prompts_of_run(experiment, {"a": ["pink fibres"]})
    own = experiment.encoder.text().build().encode(["pink fibres"]).numpy()[0]
    assert np.allclose(found.rows["a"], own / np.linalg.norm(own), atol=1e-5)
    assert found.notices == tuple(f"zero-shot, hlss: {notice}" for notice in experiment.encoder.text().notices)
