"""Raw samples on disk: every latency, in the order that it was taken."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flyback.spec.codec import dumps, write_atomic
from flyback.workloads.timing import Timing

__all__ = ["ARRAY", "save"]

ARRAY = "latency_ns"
"""Name of the array in the file; beside it `block_start`, the index where each block begins."""


def save(
    folder: Path, workload: str, identity: Mapping[str, Any], timing: Timing
) -> dict[str, Any]:
    """Write one cell's samples as .npz.

    The name holds a hash of what was measured and one of what came out: no two cells collide, and
    neither do two repetitions of one.

    Args:
        folder: Made where it is missing.
        workload: Its name.
        identity: Parameters and backend.
        timing: The latencies.

    Returns:
        The record's `samples`.
    """
    latencies = np.frombuffer(timing.latencies, dtype=np.int64)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        **{ARRAY: latencies, "block_start": np.array(timing.starts, np.int64), **_beside(timing)},
    )
    data = buffer.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    what = hashlib.sha256(dumps(identity).encode()).hexdigest()
    file = f"{workload}-{what[:12]}-{sha256[:12]}.npz"
    write_atomic(folder / file, data)
    return {"n": len(latencies), "sha256": sha256, "file": file, "array": ARRAY, "unit": "ns"}


def _beside(timing: Timing) -> dict[str, Any]:
    found = {"device_ns": timing.device_ns, "control_ns": timing.control_ns}
    return {name: np.frombuffer(values, np.int64) for name, values in found.items() if values}
