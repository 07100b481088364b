"""Text vectors from a file: the vector that was put in comes out, and every way to write the file wrongly is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hlss.encoders.vectors import Vectors
from hlss.errors import UserError

SENTENCES = ["gland", "Sheets of round cells", 'Noyaux élargis, "μ"']
VECTORS = np.array([[1.0, 2.0], [3.0, -4.0], [0.0, 0.5]])


def written(path: Path, **arrays: Any) -> Vectors:
    np.savez(path, **{"sentences": SENTENCES, "vectors": VECTORS, **arrays})
    return Vectors(path=path)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_each_sentence_has_its_own_vector_in_any_order(tmp_path: Path, dtype: type) -> None:
    tower = written(tmp_path / "v.npz", vectors=VECTORS.astype(dtype)).build()
    found = tower.encode([SENTENCES[2], SENTENCES[0], SENTENCES[2]])
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.5], [1.0, 2.0], [0.0, 0.5]]), rtol=0, atol=0)
    assert (tower.dim, tower.encode([]).shape) == (2, (0, 2))


def test_sentences_without_a_vector_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    tower = written(tmp_path / "v.npz").build()
    with pytest.raises(UserError, match=r"no vector for 2 of 3 sentences, the first is 'Gland'.*features\.md"):
        tower.encode(["gland", "Gland", "other", "other"])


def test_the_fingerprint_is_of_what_the_file_says(tmp_path: Path) -> None:
    found = written(tmp_path / "a.npz").build().fingerprint
    turned = {"sentences": SENTENCES[::-1], "vectors": VECTORS[::-1].astype(np.float32)}
    assert written(tmp_path / "b.npz", **turned).build().fingerprint == found
    assert written(tmp_path / "c.npz", vectors=VECTORS * 1.01).build().fingerprint != found
    assert written(tmp_path / "d.npz", sentences=[*SENTENCES[:2], "another"]).build().fingerprint != found


def test_the_family_is_the_file(tmp_path: Path) -> None:
    spec = written(tmp_path / "v.npz")
    assert spec.family == spec.build().family
    assert Vectors(path=tmp_path / "other.npz").family != spec.family  # known before the file is there


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"sentences": [*SENTENCES[:2], "gland"]}, "'gland' stands twice"),
        ({"vectors": VECTORS[:2]}, r"vectors \(2, 2\) of float64 do not belong together"),
        ({"vectors": VECTORS[:, :1]}, r"vectors \(3, 1\)"),
        ({"vectors": VECTORS.astype(int)}, "of int64 do not belong together"),
        ({"sentences": [1, 2, 3]}, r"sentences \(3,\) of int64"),
        ({"sentences": [], "vectors": VECTORS[:0]}, "do not belong together"),
        ({"vectors": np.where(VECTORS == 3, np.nan, VECTORS)}, "1 of 3 .*not finite or zero, the first of 'Sheets"),
        ({"vectors": VECTORS * [[1], [1], [0]]}, "not finite or zero, the first of 'Noyaux"),
        ({"sentences": np.array(SENTENCES, dtype=object)}, r"cannot read text vectors.*numpy\.savez"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        written(tmp_path / "v.npz", **arrays).build()


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read text vectors"):
        Vectors(path=tmp_path / "missing.npz").build()
    (tmp_path / "text.npz").write_text("no archive")
    np.save(tmp_path / "array.npy", VECTORS)
    for name in ("text.npz", "array.npy"):
        with pytest.raises(UserError, match=r"cannot read text vectors.*numpy\.savez"):
            Vectors(path=tmp_path / name).build()
    np.savez(tmp_path / "v.npz", texts=SENTENCES)
    with pytest.raises(UserError, match="holds texts, not `sentences` and `vectors`"):
        Vectors(path=tmp_path / "v.npz").build()
