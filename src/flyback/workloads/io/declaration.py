"""What the io workload can be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flyback.workloads.declaration import Declaration
from flyback.workloads.parameters import ParameterError, parameter

__all__ = ["DECLARATION", "PRESETS", "IoParameters"]

_MOST_BYTES = 4 << 30


@dataclass(frozen=True, kw_only=True)
class IoParameters:
    """Parameters of the io workload.

    Raises:
        ParameterError: a value is out of range, or two do not go together.
    """

    source: Literal["local", "single", "parallel", "cached"] = parameter(
        "parallel",
        "local: files; single: one connection; parallel: several; cached: files once fetched",
    )
    objects: int = parameter(200, "objects of the data set")
    object_bytes: int = parameter(100_000, "bytes of each; a multiple of 4 (float32 samples)")
    batch: int = parameter(32, "objects per batch; one latency sample is one batch")
    batches: int = parameter(200, "batches to time, at least")
    warmup: int = parameter(20, "batches loaded before, and not timed")
    connections: int = parameter(32, "connections of the parallel source")
    latency_ms: float = parameter(25.0, "wait that the server puts before each answer")
    rate_mb_s: float = parameter(90.0, "what one connection carries at most, MB of 10^6 bytes/s")
    seed: int = parameter(0, "of the contents")

    def __post_init__(self) -> None:
        for name in ("objects", "batch", "batches", "connections"):
            if getattr(self, name) < 1:
                raise ParameterError(name, f"must be at least 1, not {getattr(self, name)}")
        for name in ("warmup", "latency_ms", "seed"):
            if getattr(self, name) < 0:
                raise ParameterError(name, f"must be at least 0, not {getattr(self, name)}")
        if self.rate_mb_s <= 0:
            raise ParameterError("rate_mb_s", f"must be greater than 0, not {self.rate_mb_s}")
        if self.object_bytes < 4 or self.object_bytes % 4:  # noqa: PLR2004  # bytes of a float32
            raise ParameterError("object_bytes", f"{self.object_bytes} is no multiple of 4")
        if self.objects * self.object_bytes > _MOST_BYTES:
            raise ParameterError(
                "objects", f"{self.objects} x {self.object_bytes} bytes is more than 4 GiB"
            )


PRESETS: Mapping[str, Mapping[str, Any]] = {
    # Seconds: shows that everything works.
    "smoke": {"objects": 40, "batch": 8, "batches": 110, "warmup": 5, "latency_ms": 2.0},
    # Up to a minute: a small-object data set at the latency of S3 within a region.
    "full": {"objects": 1000, "batches": 1000, "warmup": 40},
}

DECLARATION = Declaration(
    name="io",
    version="1.0",
    summary="load batches of objects from disk or over HTTP, one or many connections, cached",
    parameters=IoParameters,
    presets=PRESETS,
    implementation="flyback.workloads.io.workload:Io",
)
