"""What stands beside every number: code version, settings, data, hardware, time."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hlss


def code_version() -> str:
    """Version of the package, and of the checkout where it runs from one (`+dirty` with uncommitted changes)."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+dirty", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return hlss.__version__
    return f"{hlss.__version__} ({described})"


def provenance(**facts: Any) -> dict[str, Any]:
    """`facts` beside what this process knows of itself."""
    import torch

    return {
        **facts,
        "code_version": code_version(),
        "command": " ".join(["hlss", *sys.argv[1:]]),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "hardware": hardware(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def hardware() -> str:
    """Processor, cores, and GPU where there is one."""
    import torch

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        name = names[0] if names else name
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{gpu}"
