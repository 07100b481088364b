"""What every shipped set of markers must hold, and that no shipped bank shares a sentence with it."""

import re

import pytest

from hlss.cohorts.phantom.factors import CLASSES
from hlss.encoders.torchvision_guard import import_guarded
from hlss.language.bank import normalised, read_bank, shipped_banks
from hlss.language.markers import read_markers, refuse_shared, shipped_markers

NEGATIONS = re.compile(r"\b(no|not|none|never|without|absent|absence|lack(s|ing)?)\b", re.IGNORECASE)
OPENSRH = {"normal", "hgg", "lgg", "mening", "metast", "pituita", "schwan"}  # the names in its meta file


@pytest.fixture(params=shipped_markers())
def markers(request):
    return read_markers(request.param)


def test_counts(markers):
    assert all(len(of_class) >= 4 for of_class in markers.classes.values())
    assert all(len(texts) == 4 for of_class in markers.classes.values() for texts in of_class.values())
    assert markers.status in ("unreviewed", "approved")
    assert markers.provenance


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
    assert {"lgg", "gbm"} <= set(read_markers("glioma").classes)
