"""The program as its user runs it: by command, in a process of its own, and killed."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from hlss.cli import main


def hlss(*arguments: object) -> None:
    """A command, which must end with code 0."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert not ended.value.code


def killed(process: "subprocess.Popen[str]", folder: Path, when: float | str, sign: str) -> None:
    """Kill -9 it as soon as a file of the pattern `when` is in its folder, or so many seconds after one of `sign`."""
    pattern, seconds = (when, 0.0) if isinstance(when, str) else (sign, when)
    deadline = time.monotonic() + 120
    while process.poll() is None and not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()
