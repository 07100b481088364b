"""Marker sets: what does not fit is refused with its place; a bank that shares a sentence is refused."""

from collections import Counter

import pytest
import yaml

from hlss.errors import UserError
from hlss.language.bank import read_bank, shipped_banks
from hlss.language.markers import read_markers, refuse_shared, shipped_markers, shuffled


def tree():
    return {
        "name": "test",
        "domain": "none",
        "provenance": "written for a test",
        "classes": {
            name: {f"marker {k}": [f"{letter} sign {k} seen {j} times" for j in range(4)] for k in range(2)}
            for name, letter in (("class_a", "x"), ("class_b", "y"))
        },
    }


@pytest.fixture
def write(tmp_path):
    def write(value):
        path = tmp_path / "markers.yaml"
        path.write_text(value if isinstance(value, str) else yaml.safe_dump(value))
        return path

    return write


def test_sentences_of_classes_by_whatever_spelling(write):
    markers = read_markers(write(tree()))
    found = markers.of_classes(["Class-B", "class_a"])
    assert list(found) == ["Class-B", "class_a"]
    assert found["Class-B"] == list(tree()["classes"]["class_b"].values())
    with pytest.raises(UserError, match=r"markers test: no markers of class c, d\. It has: class_a, class_b"):
        markers.of_classes(["class_a", "c", "d"])


def test_status_and_fingerprint(write):
    original = read_markers(write(tree()))
    assert original.status == "unreviewed"
    assert read_markers(write({**tree(), "status": "approved"})).fingerprint == original.fingerprint
    changed = tree()
    changed["classes"]["class_a"]["marker 0"][2] = "another sign is seen here"
    assert read_markers(write(changed)).fingerprint != original.fingerprint


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t["classes"]["class_a"]["marker 1"].pop(), "`classes.class_a.marker 1`"),
        (lambda t: t["classes"]["class_a"]["marker 1"].__setitem__(0, ""), "`classes.class_a.marker 1.0`"),
        (lambda t: t["classes"].pop("class_a"), "`classes`"),
        (lambda t: t["classes"]["class_a"].clear(), "`classes.class_a`"),
        (lambda t: t.pop("provenance"), "`provenance` is missing"),
        (lambda t: t.update(colour="red"), "unknown key `colour`"),
        (lambda t: t["classes"].update(Class_A=t["classes"].pop("class_b")), "two classes have the same name"),
        (
            lambda t: t["classes"]["class_b"]["marker 0"].__setitem__(0, "X sign 1, seen 3 times."),
            "stands twice: class_a / marker 1 and class_b / marker 0",
        ),
    ],
)
def test_misfits_name_their_place(write, change, says):
    value = tree()
    change(value)
    with pytest.raises(UserError) as refused:
        read_markers(write(value))
    assert says in str(refused.value)
    assert "markers.yaml" in str(refused.value)


def test_files_that_are_no_sets(write, tmp_path):
    with pytest.raises(UserError, match="cannot read settings"):
        read_markers(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="not valid YAML"):
        read_markers(write("a: ["))
    with pytest.raises(UserError, match=f"unknown markers 'no_such_set'. Known: {', '.join(shipped_markers())}"):
        read_markers("no_such_set")


@pytest.mark.parametrize("bank", shipped_banks())
def test_a_shared_sentence_is_refused_whatever_its_punctuation(write, bank):
    found = read_bank(bank)
    value = tree()
    refuse_shared(read_markers(write(value)), found)
    value["classes"]["class_b"]["marker 1"][3] = (
        found.level("slide")[2].descriptions[1].upper().replace(" ", "  ") + "!"
    )
    with pytest.raises(UserError, match=r"markers test: class_b / marker 1: bank .* shares a sentence .*description 2"):
        refuse_shared(read_markers(write(value)), found)


def test_a_near_copy_is_refused_with_both_places(write):
    value = tree()
    value["classes"]["class_b"]["marker 1"][3] = "The nuclei are drawn out to long slender spindles"
    with pytest.raises(UserError) as refused:
        refuse_shared(read_markers(write(value)), read_bank("phantom"))
    for part in ("class_b / marker 1", "patch / spindle nuclei, description 1", "near copy", "drawn out like spindles"):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("sentence", "word"),
    [
        ("Sheets of class B cells in stroma", "class b"),
        ("Psammoma bodies lie in a meningioma", "meningioma"),
        ("Glial cells of low grade", "grade"),
        ("Crowded astrocytic nuclei", "astrocytic"),
        ("A gliomatous pattern of growth", "gliomatous"),
    ],
)
def test_a_sentence_that_names_a_class_or_diagnosis_is_refused(write, sentence, word):
    value = tree()
    value["classes"]["class_a"]["marker 0"][1] = sentence
    with pytest.raises(UserError) as refused:
        read_markers(write(value))
    assert f"class_a / marker 0: sentence {sentence!r} names a class or diagnosis: {word!r}" in str(refused.value)


def test_shuffled_words_are_the_same_words_in_sentences_of_the_same_length():
    groups = read_markers("phantom").of_classes(["necrotic", "inflamed"])

    def flat(sentences):
        return [text for markers in sentences.values() for texts in markers for text in texts]

    first, again, other = (shuffled(groups, seed, 0) for seed in (3, 3, 4))
    assert first == again != other
    assert shuffled(groups, 3, 1) != first
    assert Counter(" ".join(flat(first)).split()) == Counter(" ".join(flat(groups)).split())
    assert [len(text.split()) for text in flat(first)] == [len(text.split()) for text in flat(groups)]
    assert not set(flat(first)) & set(flat(groups))
    crossed = set(" ".join(flat({"necrotic": first["necrotic"]})).split())
    assert crossed & set(" ".join(flat({"inflamed": groups["inflamed"]})).split()) - set(
        " ".join(flat({"necrotic": groups["necrotic"]})).split()
    )
