"""The linter against sentences whose faults are known, and rule by rule."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from hlss.language.bank import DescriptionBank, read_bank
from hlss.language.lint.findings import Report
from hlss.language.lint.lint import lint_bank

SETS = sorted((Path(__file__).parent / "lint_sets").glob("*.yaml"))
PLAIN = [
    (
        "round nuclei",
        [
            "Round nuclei lie well apart",
            "Circles of an even size",
            "Each disc has smooth edges",
            "Globes abound in this view",
        ],
    ),
    (
        "pink fibres",
        [
            "Pink fibres cross the field",
            "Rosy strands weave along it",
            "Threads of collagen run past",
            "Bands look bright and eosinophilic",
        ],
    ),
    (
        "wide vessels",
        [
            "Broad vessels open at once",
            "Channels gape with pooled blood",
            "Lumina are dilated to sinuses",
            "Veins stretch far and thin",
        ],
    ),
]


def bank_of(*rows: tuple[str, list[str]]) -> DescriptionBank:
    parts = [{"name": name, "descriptions": texts} for name, texts in rows]
    return DescriptionBank.model_validate({"title": "t", "domain": "d", "provenance": "p", "generic": parts})


def one(sentence: str) -> Report:
    """Findings of a bank that is plain but for this sentence."""
    (name, texts), *rest = PLAIN
    return lint_bank(bank_of((name, [sentence, *texts[1:]]), *rest))


def test_nothing_is_said_of_a_plain_bank() -> None:
    assert lint_bank(bank_of(*PLAIN)).findings == ()


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_bad_sentences_are_caught_and_good_ones_let_through(path: Path) -> None:
    known = yaml.safe_load(path.read_text(encoding="utf-8"))
    bad = [(rule, sentence) for rule, sentences in known["bad"].items() for sentence in sentences]
    missed = [sentence for _, sentence in bad if not one(sentence).findings]
    named = sum(rule in one(sentence).counts() for rule, sentence in bad)
    alarms = [sentence for sentence in known["good"] if one(sentence).findings]
    n_bad, n_good = len(bad), len(known["good"])
    print(
        f"{path.stem}: caught {n_bad - len(missed)} of {n_bad} bad sentences ({named} by the rule that is meant), "
        f"false alarms {len(alarms)} of {n_good} good ones"
    )
    assert n_bad >= 60
    assert n_good >= 100
    assert len(missed) <= 0.05 * n_bad, missed
    assert len(alarms) <= 0.05 * n_good, alarms


@pytest.mark.parametrize(
    ("sentence", "rule"),
    [
        ("Cells that aren't cohesive fill the lumen", "negation"),
        ("Keratin-free islands of small cells", "negation"),
        ("Sheets of keratin-positive cells fill it", "non_visual"),
        ("Spindle cells with FLI1 in their nuclei", "symbol"),
        ("Sheets of p63 labelled basal cells", "symbol"),
        ("Description 2: round nuclei fill the field", "leftover"),
        ("Pink whorls of a leiomyoma fill the field", "diagnosis"),
        ("Hyperchromatc nuclei fill the field", "spelling"),
    ],
)
def test_a_fault_is_named_by_its_rule(sentence: str, rule: str) -> None:
    assert set(one(sentence).counts()) == {rule}


@pytest.mark.parametrize(
    "sentence",
    [
        "Type II cells line the airspace",
        "Hürthle cells and Gandy-Gamna bodies fill it",
        "Colour of the tumour centre is grey",
        "Colors at the center of the tumor are gray",
        "Organised fibrils look like storiform stroma",
        "H&E tints of the sex cord cells are pale",
        "Unheardofly glimmering xyzzyx cells fill the field",
    ],
)
def test_what_only_looks_like_a_fault_is_let_through(sentence: str) -> None:
    assert one(sentence).findings == ()


def test_a_misspelt_word_is_named_with_the_one_that_is_meant() -> None:
    (found,) = one("Mulitnucleated giant cells fill the field").findings
    assert found.reason == "'mulitnucleated': is 'multinucleated' meant?"


@pytest.mark.parametrize("level", ["patch", "slide"])
def test_near_copies_are_found_within_a_level_and_across(level: str) -> None:
    tree = {
        "title": "t",
        "domain": "d",
        "provenance": "p",
        "patch": [{"name": "a", "descriptions": ["Dark crowded nuclei fill the field", "two", "three", "four"]}],
        "slide": [{"name": "b", "descriptions": ["five", "six", "seven", "eight"]}],
        "patient": [{"name": "c", "descriptions": ["nine", "ten", "eleven", "twelve"]}],
    }
    copy = {"name": "d", "descriptions": ["The field is filled by crowded dark nuclei", "x1", "x2", "x3"]}
    tree[level] = [*tree[level], copy]
    (found,) = [one for one in lint_bank(DescriptionBank.model_validate(tree)).findings if one.rule == "near_copy"]
    assert {found.place.name} <= {"a", "b", "d"}
    assert "crowded" in found.reason


def test_names_of_the_same_words_are_the_same() -> None:
    (name, texts), *rest = PLAIN
    for other, expected in (("oval nuclei", 0), ("nuclei, rounded", 1), ("Round Nuclei!", 1)):
        report = lint_bank(bank_of((name, texts), (other, rest[0][1]), rest[1]))
        assert report.counts()["same_name"] == expected


class Tower:
    """Reads six words; places a text by its first letter, near all others."""

    context, family, fingerprint = 6, None, "test"

    def token_counts(self, texts: list[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode(self, texts: list[str]) -> torch.Tensor:
        rows = np.zeros((len(texts), 30), np.float32)
        for row, text in enumerate(texts):
            rows[row, ord(text[0].lower()) - ord("a")] = 1
            rows[row, 26 + len(text) % 3] = 0.1
            rows[row, 29] = 0.5
        return torch.from_numpy(rows)


def test_a_tower_tells_what_it_cannot_read_or_tell_apart() -> None:
    rows = [
        ("apples", ["a one", "a three", "a seven", "a five words and one too many"]),
        ("boats", ["b one", "b three", "b seven", "a strayed here"]),
        ("cats", ["c one", "c three", "c seven", "c eleven"]),
    ]
    report = lint_bank(bank_of(*rows), Tower())  # type: ignore[arg-type]
    assert [one.text for one in report.findings if one.rule == "tokens"] == ["a five words and one too many"]
    assert "a strayed here" in [one.text for one in report.findings if one.rule == "apart"]
    assert "c one" not in [one.text for one in report.findings if one.rule in ("apart", "too_near")]


def test_a_bank_of_one_list_serves_all_levels_and_is_counted_once() -> None:
    bank = read_bank("he_generic")
    assert bank.level("patch") == bank.level("patient") == bank.generic  # type: ignore[arg-type]
    assert len(list(bank.places())) == 128 * 5


def test_older_banks_keep_their_fingerprints() -> None:
    assert (read_bank("general_he").fingerprint, read_bank("phantom").fingerprint) == ("94bf167641c1", "0c380d23b573")
