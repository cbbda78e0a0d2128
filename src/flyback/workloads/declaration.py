"""What a workload says about itself before any of its heavy code is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyback.workloads.parameters import Parameters

__all__ = ["Declaration", "FileCheck", "Locate"]

Locate = Callable[[str], Path | None]
"""The file here behind a path that a parameter names; None where it comes from elsewhere (S3).

Raises `LookupError` where nothing brings it.
"""
FileCheck = Callable[[Any, Locate], None]


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """The entry that registers a workload, of flyback's own or of an entry point.

    The module that holds it may import the standard library and `flyback` only.

    Args:
        name: What users write.
        version: Changes whenever figures stop being comparable.
        summary: One line.
        parameters: Frozen dataclass; its `__post_init__` raises `ParameterError` on values that do
            not go together.
        presets: Name → parameters; a tuple holds the values of a sweep.
        implementation: `module:Class`, a `flyback.workloads.workload.Workload` that is called
            without arguments; loaded only to run.
        needs: Extra of flyback that the implementation needs.
        check_files: Looks at files that the parameters name, on the user's machine, before
            anything is launched; takes the resolved parameters and a `Locate`, and raises
            `UserError`.
    """

    name: str
    version: str
    summary: str
    parameters: type[Parameters]
    implementation: str
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    needs: str = "bench"
    check_files: FileCheck | None = None
