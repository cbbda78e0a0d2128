"""Writes the generated sections of RESULTS.md from the records beside it, ratios first.

A record is a line of `records/<benchmark>.jsonl`, as `make bench` appends it; what was measured on
a GPU is in `records/devices/`, a file for each. A section stands
between `<!-- generated: <benchmark> -->` and `<!-- end -->`; what stands elsewhere is left alone.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flyback.spec.codec import write_atomic

HERE = Path(__file__).parent
SECTION = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

WORDS: Mapping[str, Mapping[str, str]] = {
    "spectral-peers": {
        "ratio_numpy": "NumPy, written naively (1024 frames of 4096, float32)",
        "ratio_scipy": "`scipy.fft`",
        "ratio_pyfftw": "pyFFTW, whole array",
        "ratio_mkl_fft": "mkl_fft, whole array",
        "latency_ratio_least": "the quickest of those four, one frame of 2 x 4096",
        "latency_us": "one frame of 2 x 4096, µs",
        "snr_db": "signal-to-noise ratio against float64, dB",
    },
    "blur-peers": {
        "ratio_dense": "torch's dense 15 x 15 convolution (2048 x 2048 x 3, float32)",
        "ratio_opencv": "OpenCV's `GaussianBlur`",
        "ratio_skimage": "scikit-image's `gaussian`",
        "ms": "one image, ms of processor time",
        "max_error": "greatest error against float64, of 1",
    },
    "matmul-peers": {
        "ratio_scipy": "SciPy's BLAS (n = 1000, float32)",
        "gflop_s": "rate, GFLOP/s",
        "n": "side of the matrices",
    },
}


SHOWN = ("wait", "mode", "nfft", "channels", "operation", "mib", "n", "size", "batch", "width")
NO_DEVICE = """\
No device has been measured: `records/devices/` is empty, and every figure on this page is of
processors. `make bench ONLY=gpu` measures one, in one go of under nine minutes, and keeps its
records there.
"""


def devices(folder: Path) -> str:
    """A table for each device that has records, and from where on it is ahead of its host."""
    lines: list[str] = []
    for path in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        known = [row for row in rows if on_device(row)]
        if not known:
            continue
        lines += [f"### {known[0]['device']['name']}", ""]
        lines += ["| workload | by | | type | p50, µs | p99, µs | of the limit |"]
        lines += ["|---|---|---|---|---|---|---|", *map(line_of, rows), ""]
        lines += [*ahead(rows), conditions_of(known[-1]), ""]
    return "\n".join(lines) if lines else NO_DEVICE


def on_device(row: Mapping[str, Any]) -> bool:
    """Whether a GPU computed it; a cell that failed early has no device."""
    return (row.get("device") or {}).get("kind") == "cuda"


def line_of(row: Mapping[str, Any]) -> str:
    """A cell: its figures, or why it has none."""
    params, backend = row["params"], row.get("backend") or {}
    what = " ".join(f"{name}={params[name]}" for name in SHOWN if params.get(name) is not None)
    where = " (host)" if row.get("device") and not on_device(row) else ""
    start = f"| {row['workload']['name']} | {backend.get('name', '')}{where} | {what} |"
    latency = row.get("latency_ns")
    if not latency:
        return f"{start} {row.get('dtype') or ''} | {row['status']}: {row['reason']} | | |"
    p50, p99 = (latency.get(share) for share in ("p50", "p99"))
    limit = (row.get("roofline") or {}).get("efficiency")
    figures = [f"{value / 1000:.1f}" if value else "" for value in (p50, p99)]
    figures.append("" if limit is None else f"{limit:.2f}")
    return f"{start} {row['dtype']} | {' | '.join(figures)} |"


def ahead(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each length of frame, from how many channels on batches are quicker on the device."""
    times: dict[int, dict[int, dict[bool, float]]] = {}
    for row in rows:
        params, latency = row["params"], row.get("latency_ns")
        if latency and params.get("mode") == "batch" and "nfft" in params:
            sides = times.setdefault(params["nfft"], {}).setdefault(params["channels"], {})
            sides[on_device(row)] = latency["p50"]
    lines = []
    for nfft, channels in sorted(times.items()):
        both = {count: sides for count, sides in channels.items() if len(sides) == 2}  # noqa: PLR2004  # device and host
        behind = [count for count, sides in both.items() if sides[True] >= sides[False]]
        won = [count for count in sorted(both) if count > max(behind, default=0)]
        if both:
            which = f"from {won[0]} channels on" if won else f"up to {max(both)} channels nowhere"
            lines.append(f"Batches of {nfft} samples: the device is ahead {which}.")
    return [*lines, ""] if lines else []


def conditions_of(row: Mapping[str, Any]) -> str:
    """When, with what, of which commit."""
    env = row["env"]
    versions = ", ".join(f"{name} {each}" for name, each in env["packages"].items() if each)
    return (
        f"{row['ts_utc'][:10]}; host {env['cores']} x {env['cpu']}; Python {env['python']}, "
        f"{versions}; commit {(env.get('git_sha') or 'unknown')[:9]}."
    )


def render(name: str, records: Sequence[Mapping[str, Any]]) -> str:
    """The section of one benchmark: the runs on the machine that ran last."""
    if not records:
        return "Not measured yet.\n"
    machine = place(records[-1])
    runs = [record for record in records if place(record) == machine]
    words = WORDS.get(name, {})
    keys = dict.fromkeys(key for record in runs for key in record["figures"])
    ratios = [key for key in keys if "ratio" in key]
    lines = ["| ours is quicker than | by |", "|---|---|"]
    lines += [f"| {words.get(key, key)} | {span(runs, key)} x |" for key in ratios]
    lines += ["", "| also | |", "|---|---|"]
    lines += [f"| {words.get(key, key)} | {span(runs, key)} |" for key in keys if key not in ratios]
    return "\n".join([*lines, "", conditions(runs), ""])


def place(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two runs runs of one machine."""
    env = record["env"]
    return env["cpu"], env["cores"], env["python"]


def span(runs: Sequence[Mapping[str, Any]], key: str) -> str:
    """Median of the runs, and how far they lie apart."""
    texts = [record["figures"][key] for record in runs if key in record["figures"]]
    try:
        values = sorted((float(text), text) for text in texts)
    except ValueError:
        return ", ".join(dict.fromkeys(texts))
    middle = statistics.median_low(values)[1]
    return (
        middle if values[0][1] == values[-1][1] else f"{middle} ({values[0][1]} to {values[-1][1]})"
    )


def conditions(runs: Sequence[Mapping[str, Any]]) -> str:
    """Where and when, under which load, of which commit, and what fell short."""
    env, loads = runs[-1]["env"], [record["env"]["load1"] for record in runs]
    versions = ", ".join(f"{name} {each}" for name, each in env["packages"].items() if each)
    short = sum(not record["passed"] for record in runs)
    commits = dict.fromkeys(
        f"{(record['env'].get('git_sha') or 'unknown')[:9]}"
        f"{'+' if record['env'].get('git_dirty') else ''}"
        for record in runs
    )
    return (
        f"{len(runs)} run{'' if len(runs) == 1 else 's'} to {runs[-1]['ts_utc'][:10]}, one thread "
        f"on {env['cores']} x {env['cpu']} under a load of {min(loads):.0f} to {max(loads):.0f}; "
        f"Python {env['python']}, {versions}; commit {', '.join(commits)}. "
        f"{f'{short} fell short of what was promised.' if short else 'All kept what was promised.'}"
    )


def updated(text: str, folder: Path) -> str:
    """The document with its sections written anew."""

    def section(found: re.Match[str]) -> str:
        if found[2] == "devices":
            return found[1] + devices(folder / "devices") + found[3]
        path = folder / f"{found[2]}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return found[1] + render(found[2], [json.loads(line) for line in lines]) + found[3]

    return SECTION.sub(section, text)


def main() -> int:
    """Write RESULTS.md."""
    path = HERE / "RESULTS.md"
    write_atomic(path, updated(path.read_text(), HERE / "records").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
