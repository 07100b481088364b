"""Banks: what does not fit is refused with its place; the fingerprint is that of the words."""

import pytest
import yaml

from hlss.errors import UserError
from hlss.language.bank import check_tokens, read_bank, shipped_banks
from hlss.types import Level


def tree(levels=("patch", "slide", "patient")):
    return {
        "title": "test",
        "domain": "none",
        "provenance": "written for a test",
        **{
            level: [
                {"name": f"{level} {k}", "descriptions": [f"{level} thing {k} seen {j} times" for j in range(4)]}
                for k in range(2)
            ]
            for level in levels
        },
    }


@pytest.fixture
def write(tmp_path):
    def write(value):
        path = tmp_path / "bank.yaml"
        path.write_text(value if isinstance(value, str) else yaml.safe_dump(value))
        return path

    return write


def changed(path, value):
    result = tree()
    *parents, last = path
    node = result
    for key in parents:
        node = node[key]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return result


def test_a_bank_reads_back_its_texts(write):
    bank = read_bank(write(tree()))
    assert bank.counts == dict.fromkeys(Level, 2)
    assert bank.names(Level.SLIDE) == ["slide 0", "slide 1"]
    assert bank.texts(Level.PATCH)[1][3] == "patch thing 1 seen 3 times"
    assert bank.status == "unreviewed"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("slide",), None, "`slide` is missing"),
        (("colour",), "red", "unknown key `colour`"),
        (("patch", 0, "descriptions"), ["one", "two", "three"], "`patch.0.descriptions`"),
        (("patch", 1, "descriptions", 2), "", "`patch.1.descriptions.2`"),
        (("patch", 1, "descriptions", 2), 7, "`patch.1.descriptions.2`"),
        (("patch", 1, "name"), "Patch  0!", "stands twice: patch / patch 0 and patch"),
        (("patient", 1, "name"), "patch 0", "stands twice: patch / patch 0 and patient / patch 0"),
        (("patient", 0, "descriptions", 1), "PATCH thing 1, seen 3 times.", "patch / patch 1, description 4"),
        (("patch", 0, "status"), "fine", "`patch.0.status`"),
    ],
)
def test_misfits_name_their_place(write, path, value, says):
    with pytest.raises(UserError) as refused:
        read_bank(write(changed(path, value)))
    assert says in str(refused.value)
    assert "bank.yaml" in str(refused.value)


def test_files_that_are_no_banks(write, tmp_path):
    with pytest.raises(UserError, match="cannot read the bank"):
        read_bank(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="not valid YAML"):
        read_bank(write("a: ["))
    with pytest.raises(UserError, match=r"bank\.yaml"):
        read_bank(write("- 1"))
    with pytest.raises(UserError, match=f"Known: {shipped_banks()[0]}"):
        read_bank("no_such_bank")


def test_fingerprint_is_of_words_and_places(write):
    original = read_bank(write(tree())).fingerprint
    for path, value in [(("provenance",), "else"), (("patch", 0, "status"), "approved"), (("title",), "t")]:
        assert read_bank(write(changed(path, value))).fingerprint == original
    swapped = tree()
    swapped["patch"].reverse()
    assert read_bank(write(swapped)).fingerprint != original
    assert read_bank(write(changed(("patch", 0, "descriptions", 0), "other words"))).fingerprint != original


class Words:
    dim, context, family, fingerprint = 4, 77, None, "words"

    def token_counts(self, texts):
        return [len(text.split()) + 2 for text in texts]


def test_a_sentence_of_78_tokens_is_refused(write):
    check_tokens(read_bank(write(changed(("slide", 1, "descriptions", 2), "cell " * 75))), Words())
    with pytest.raises(UserError, match=r"slide / slide 1, description 3: 1 descriptions .* 78 tokens of at most 77"):
        check_tokens(read_bank(write(changed(("slide", 1, "descriptions", 2), "cell " * 76))), Words())
