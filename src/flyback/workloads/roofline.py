"""Distance to the physical limit: the time that the work needs at least, over the time it took.

The ceilings are measured on the same machine in the same boot, as the best of many short bursts:
what a limit is, a neighbour can only hide. `efficiency` is the bound over the median; above 1.05
the bound or the timing is wrong, and the row is `suspect`, never a record (S. Williams, A.
Waterman & D. Patterson, "Roofline", CACM 52, 2009).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyback.workloads.workload import Work

__all__ = ["SUSPECT", "bound_ns", "roofline"]

SUSPECT = 1.05
"""Efficiency above which a row is no record."""

_CACHED_BYTES = 2**20  # working sets below it stay in a core's own caches


def bound_ns(work: Work, dtype: str, ceilings: Mapping[str, Any]) -> tuple[float, str] | None:
    """Least time of one call, ns, and what limits it; None where no ceiling is known.

    Args:
        work: Of one call.
        dtype: Element type that is computed in.
        ceilings: `flop_s` by element type, `dram_bytes_s`, `cache_bytes_s`, `h2d_bytes_s`,
            `d2h_bytes_s`, `launch_ns`.
    """
    peak = (ceilings.get("flop_s") or {}).get(dtype)
    cached = work.bytes <= _CACHED_BYTES
    memory = ceilings.get("cache_bytes_s" if cached else "dram_bytes_s")
    terms = {
        "compute": work.flops / peak if peak else 0.0,
        "cache" if cached else "memory": work.bytes / memory if memory else 0.0,
        "transfer": sum(
            moved / ceilings[name]
            for moved, name in ((work.bytes_h2d, "h2d_bytes_s"), (work.bytes_d2h, "d2h_bytes_s"))
            if moved and ceilings.get(name)
        ),
    }
    limiter = max(terms, key=terms.__getitem__)
    overhead = work.launches * float(ceilings.get("launch_ns") or 0)
    if terms[limiter] <= 0 and overhead <= 0:
        return None
    if overhead > terms[limiter] * 1e9:
        limiter = "launch"
    return max(terms.values()) * 1e9 + overhead, limiter


def roofline(
    work: Work, dtype: str, p50_ns: int | None, ceilings: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The record's `roofline`; None where no ceiling was measured or there is no median."""
    if ceilings is None or not p50_ns:
        return None
    found = bound_ns(work, dtype, ceilings)
    if found is None:
        return None
    return {
        "bound_ns": round(found[0], 1),
        "limiter": found[1],
        "efficiency": round(found[0] / p50_ns, 4),
        "ceilings_id": ceilings.get("id"),
        "ceilings": {key: value for key, value in ceilings.items() if key != "id"},
        "source": "measured",
    }
