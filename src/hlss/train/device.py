"""Which device and which precision a run gets."""

from pathlib import Path

import torch
from lightning_fabric import Fabric

from hlss.train.settings import TrainSpec

_NATIVE_CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16 ", "sve_bf16")


def bf16_is_native(device: torch.device) -> bool:
    """Whether the device multiplies bf16 in hardware, so that bf16 is faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu = Path("/proc/cpuinfo")
    return device.type == "cpu" and cpu.exists() and any(flag in cpu.read_text() for flag in _NATIVE_CPU_FLAGS)


def uses_bf16(spec: TrainSpec, device: torch.device) -> bool:
    """The tower's precision as the settings and the hardware have it."""
    return spec.precision == "bf16" or (spec.precision == "auto" and bf16_is_native(device))


def launched(spec: TrainSpec) -> Fabric:
    """Fabric for the devices and nodes asked for; under torchrun or SLURM it follows their environment.

    Precision stays with the tower alone (autocast in `Network`), so Fabric itself runs in float32.
    """
    devices = spec.devices
    accelerator = spec.accelerator
    if devices == "auto" and not torch.cuda.is_available():
        devices = 1
    many = (
        spec.nodes > 1
        or (devices != "auto" and int(devices) > 1)
        or (devices == "auto" and torch.cuda.device_count() > 1)
    )
    fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=spec.nodes, strategy="ddp" if many else "auto")
    fabric.launch()
    return fabric
