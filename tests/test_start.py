"""What starts without torch: the command line, and the processes that cut slides, of which there are many."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "script",
    [
        "import hlss.cli",
        "import hlss.jobs.tile_work; from hlss.registry import SLIDES; assert 'phantom' in list(SLIDES)",
    ],
)
def test_torch_is_not_loaded(script: str) -> None:
    script += "; import sys; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
