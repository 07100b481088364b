"""Overlap of sentences and names in them, on sentences whose words are counted by hand."""

import pytest

from hlss.language.wording import content_words, named_in, overlap


@pytest.mark.parametrize(
    ("first", "second", "shared", "of_both", "of_shorter", "copy"),
    [
        (
            "The nuclei are drawn out to long slender spindles",
            "Long spindle nuclei, slender, drawn out!",
            5,
            5,
            5,
            True,
        ),
        ("dense blue sheet", "Sheets of dense blue cells, all round", 3, 5, 3, True),
        ("dense blue sheet of old cells", "dense blue sheet, young nuclei, pink", 3, 8, 5, False),
        ("dense sheet", "a dense sheet", 2, 2, 2, False),
        ("pink fibres", "blue nuclei", 0, 4, 2, False),
    ],
)
def test_overlap_is_that_of_counted_words(first, second, shared, of_both, of_shorter, copy):
    for one, other in ((first, second), (second, first)):
        found = overlap(content_words(one), content_words(other))
        assert (found.shared, found.jaccard, found.containment) == (shared, shared / of_both, shared / of_shorter)
        assert found.near_copy is copy


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Spindle cells in rows", "spindle"),
        ("Small round cells in a sheet", "round cells"),
        ("Round nuclei in small cells", None),
        ("Inflammation around vessels", "inflammation"),
        ("Psammoma bodies in the stroma", None),
        ("A carcinoma", "carcinoma"),
        ("Lgg", "lgg"),
    ],
)
def test_names(text, named):
    assert named_in(text, ("spindled", "round_cell", "inflamed", "lgg")) == named
