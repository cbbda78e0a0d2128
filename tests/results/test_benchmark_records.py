"""The document of figures says what its records say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def generator() -> Any:
    """`benchmarks/results.py`, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("benchmark_results", BENCHMARKS / "results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record(ratio: str, *, passed: bool = True, cpu: str = "X") -> dict[str, Any]:
    """One run."""
    env = {"cpu": cpu, "cores": 2, "python": "3.11.7", "load1": 1.5, "packages": {"numpy": "2.4"}}
    figures = {"snr_db": "139.9", "ratio_numpy": ratio, "shape": "odd"}
    return {"ts_utc": "2026-11-22T01:02:03", "passed": passed, "figures": figures, "env": env}


def test_ratios_come_first_and_nothing_is_hidden() -> None:
    """Runs of one machine: median, extremes, conditions, and how many fell short."""
    runs = [record("9", cpu="Y"), record("7.0"), record("5.0", passed=False), record("6.0")]
    text = generator().render("spectral-peers", runs)
    assert text.index("| NumPy, written naively") < text.index("| signal-to-noise")
    assert "| 6.0 (5.0 to 7.0) x |" in text
    assert "| shape | odd |" in text
    assert "3 runs to 2026-11-22" in text
    assert "numpy 2.4; commit unknown. 1 fell short" in text
    assert "Y" not in text
    assert generator().render("new", []) == "Not measured yet.\n"


def test_only_marked_sections_are_written(tmp_path: Path) -> None:
    """What people wrote around them stays."""
    (tmp_path / "x.jsonl").write_text(json.dumps(record("2")) + "\n")
    text = "# mine\n<!-- generated: x -->\nold\n<!-- end -->\n## theirs\n"
    found = generator().updated(text, tmp_path)
    assert found.startswith("# mine\n<!-- generated: x -->\n| ours")
    assert found.endswith("<!-- end -->\n## theirs\n")
    assert generator().updated(found, tmp_path) == found


def test_a_devices_records_are_shown(tmp_path: Path) -> None:
    """Every cell, the failed ones too, and from how many channels on the device is ahead."""

    def row(kind: str, name: str, p50: int, **params: Any) -> dict[str, Any]:
        env = record("1")["env"]
        return {
            "status": "ok",
            "workload": {"name": "spectral"},
            "params": params,
            "backend": {"name": name},
            "device": {"kind": kind, "name": "T4"},
            "dtype": "float32",
            "latency_ns": {"p50": p50, "p99": 2 * p50},
            "roofline": {"efficiency": 0.456},
            "env": env,
            "ts_utc": "2026-11-22T01:02:03",
        }

    batch = {"mode": "batch", "nfft": 4096}
    rows = [
        row("cuda", "fused", 21_500, mode="streaming", nfft=4096, channels=2),
        *(row("cuda", "fused", 100_000 + n, **batch, channels=n) for n in (1, 16, 128)),
        *(row("cpu", "mkl", 50_000 * n, **batch, channels=n) for n in (1, 16, 128)),
        {
            "status": "error",
            "reason": "torch is not installed",
            "workload": {"name": "matmul"},
            "params": {"n": 8},
        },
    ]
    (tmp_path / "devices").mkdir()
    lines = "".join(json.dumps(each) + "\n" for each in rows)
    (tmp_path / "devices" / "t4.jsonl").write_text(lines)
    text = generator().updated("<!-- generated: devices -->\n<!-- end -->\n", tmp_path)
    assert "### T4\n" in text
    assert "| fused | mode=streaming nfft=4096 channels=2 | float32 | 21.5 | 43.0 | 0.46 |" in text
    assert "| mkl (host) | mode=batch nfft=4096 channels=1 |" in text
    assert "| matmul |  | n=8 |  | error: torch is not installed | | |" in text
    assert "Batches of 4096 samples: the device is ahead from 16 channels on." in text
    assert generator().devices(tmp_path / "nothing") == generator().NO_DEVICE


def test_the_document_is_that_of_the_records() -> None:
    """Nobody edited a figure by hand."""
    text = (BENCHMARKS / "RESULTS.md").read_text()
    assert generator().updated(text, BENCHMARKS / "records") == text
