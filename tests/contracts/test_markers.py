"""What every shipped set of markers must hold, and that no shipped bank shares a sentence with it."""

import re
from importlib.resources import files
from itertools import combinations

import pytest
import yaml

from hlss.cohorts.phantom.factors import CLASSES
from hlss.encoders.torchvision_guard import import_guarded
from hlss.language.bank import normalised, read_bank, shipped_banks
from hlss.language.markers import read_markers, refuse_shared, shipped_markers
from hlss.language.wording import content_words, overlap

NEGATIONS = re.compile(r"\b(no|not|none|never|without|absent|absence|lack(s|ing)?)\b", re.IGNORECASE)
OPENSRH = {"normal", "hgg", "lgg", "mening", "metast", "pituita", "schwan"}  # the names in its meta file
GLIOMA = {  # TCGA's two projects, and WHO 2021: entities and grades of diffuse gliomas of adults
    "lgg",
    "gbm",
    "astrocytoma idh mutant grade 2",
    "astrocytoma idh mutant grade 3",
    "astrocytoma idh mutant grade 4",
    "oligodendroglioma grade 2",
    "oligodendroglioma grade 3",
}
COPIES = (  # what a reader had found: of the markers once shipped, and of the bank `phantom`
    ("The nuclei are drawn out to long slender spindles", "Nuclei are long and slender, drawn out like spindles"),
    ("Nuclei form small circles around fibrils", "Small circles of nuclei close around pink fibrils"),
    ("Swarms of lymphocytes between the tumour cells", "Lymphocytes crowd between the tumour cells"),
    ("Deep blue clumped chromatin in round cells", "Chromatin gathers in deep blue clumps"),
)


@pytest.fixture(params=shipped_markers())
def markers(request):
    return read_markers(request.param)


def test_counts(markers):
    assert all(len(of_class) >= 4 for of_class in markers.classes.values())
    assert all(len(texts) == 4 for of_class in markers.classes.values() for texts in of_class.values())
    assert markers.status in ("unreviewed", "approved")
    assert markers.provenance


def test_the_threshold_parts_known_copies_from_sentences_that_were_written_apart():
    assert all(overlap(content_words(one), content_words(other)).near_copy for one, other in COPIES)
    bank = read_bank("general_he")
    apart = [content_words(text) for place, text in bank.places() if place.number is not None]
    assert not any(overlap(one, other).near_copy for one, other in combinations(apart, 2))


def test_a_marker_is_described_in_different_words(markers):
    every = [(place, text, content_words(text)) for place, text in markers.sentences()]
    for (place, text, words), (_, other, others) in combinations(every, 2):
        assert not overlap(words, others).near_copy, f"{place}: {text} | {other}"


def test_the_captions_of_the_shipped_tower_hold_no_marker():
    tree = yaml.safe_load((files("hlss.jobs") / "pretrain_tiny" / "phrases.yaml").read_text(encoding="utf-8"))
    phrases = [content_words(text) for ends in tree.values() for texts in ends.values() for text in texts]
    for place, text in read_markers("phantom").sentences():
        assert not any(overlap(content_words(text), words).near_copy for words in phrases), f"{place}: {text}"


def test_no_bank_shares_a_sentence(markers):
    for bank in shipped_banks():
        refuse_shared(markers, read_bank(bank))


def test_clip_reads_every_sentence_to_its_end(markers):
    tokenizer = import_guarded("open_clip").tokenizer.SimpleTokenizer()
    assert max(len(tokenizer.encode(text)) + 2 for _, text in markers.sentences()) <= 77


def test_sentences_say_what_is_seen(markers):
    for place, text in markers.sentences():
        assert not NEGATIONS.search(text), f"{place}: {text}"
        assert len(text.split()) >= 4, f"{place}: {text}"


def test_sets_share_no_sentence():
    every = [normalised(text) for name in shipped_markers() for _, text in read_markers(name).sentences()]
    assert len(every) == len(set(every))


def test_sets_have_the_classes_of_their_cohorts():
    assert set(read_markers("opensrh").classes) == OPENSRH
    assert set(read_markers("phantom").classes) == set(CLASSES)
    assert set(read_markers("glioma").classes) == GLIOMA
