#!/usr/bin/env python3
"""How fast one core copies memory, with Python alone: the job of examples/command.yaml."""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
import time
from pathlib import Path


def main() -> None:
    """Copy a buffer again and again, keep every time, print the median speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, required=True, help="file for the time of every copy")
    path = parser.parse_args().csv
    parameters = json.loads(os.environ.get("FLYBACK_PARAMETERS", "{}"))
    mib = parameters.get("mib", 16)
    source = bytearray(mib << 20)
    target = bytearray(mib << 20)

    times_ns = []
    for _ in range(parameters.get("copies", 10)):
        start = time.perf_counter_ns()
        target[:] = source
        times_ns.append(time.perf_counter_ns() - start)

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["copy_ns"], *([t] for t in times_ns)])

    # A copy reads and writes: two bytes move for each byte of the buffer.
    median_ns = statistics.median(times_ns)
    result = {"mib": mib, "copies": len(times_ns), "gb_per_s": 2 * (mib << 20) / median_ns}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
