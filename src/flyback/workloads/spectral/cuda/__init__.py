"""Engines of the spectral workload on a CUDA device; nothing here is imported unless asked for."""

from __future__ import annotations

__all__: list[str] = []
