"""Which workloads there are: name → declaration.

Flyback's own, and those of installed packages in the entry-point group ``flyback.workloads``,
each naming a `Declaration`. Nothing here loads NumPy.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from flyback.errors import MissingExtraError, UserError
from flyback.workloads.declaration import Declaration, Locate
from flyback.workloads.parameters import Parameters, resolve, suggestion
from flyback.workloads.plugin import Adapted, Plugin, declare
from flyback.workloads.workload import Workload

__all__ = [
    "GROUP",
    "check_files",
    "check_parameters",
    "create",
    "declared",
    "find",
    "names",
    "parameter_names",
    "preset",
    "presets",
    "resolved",
]

GROUP = "flyback.workloads"
_OWN = {
    "bandwidth": "flyback.workloads.bandwidth:Bandwidth",
    "boot": "flyback.workloads.boot:Boot",
    "disk": "flyback.workloads.disk:Disk",
    "image": "flyback.workloads.image:Image",
    "io": "flyback.workloads.io.declaration:DECLARATION",
    "matmul": "flyback.workloads.matmul:Matmul",
    "spectral": "flyback.workloads.spectral.declaration:DECLARATION",
    "transformer": "flyback.workloads.transformer:Transformer",
}


def names() -> tuple[str, ...]:
    """Every registered workload, sorted."""
    return tuple(sorted({*_OWN, *(entry.name for entry in _installed())}))


def find(name: str) -> Declaration:
    """The declaration of a workload.

    Raises:
        UserError: there is none of that name.
    """
    if name in _OWN:
        declaration = declared(_OWN[name])
    else:
        entries = [entry for entry in _installed() if entry.name == name]
        if not entries:
            raise UserError(
                f"no workload is called {name!r}",
                where="workload",
                remedy=suggestion(name, names()),
            )
        declaration = _as_declaration(entries[0].load(), entries[0].value)
    return declaration


def declared(reference: str) -> Declaration:
    """The declaration that `module:name` names: a `Declaration`, or the class of a `Plugin`."""
    return _as_declaration(_load(reference), reference)


def _as_declaration(found: Any, reference: str) -> Declaration:
    if isinstance(found, type) and issubclass(found, Plugin):
        return declare(found, reference)
    assert isinstance(found, Declaration), f"{reference}: not a Declaration"  # noqa: S101  # a plugin author's error, never a user's
    return found


def presets(name: str) -> Mapping[str, Mapping[str, Any]]:
    """Preset → parameters of a workload."""
    return find(name).presets


def preset(name: str, chosen: str) -> Mapping[str, Any]:
    """Parameters of one preset.

    Raises:
        UserError: the workload has no such preset.
    """
    known = presets(name)
    if chosen not in known:
        raise UserError(
            f"{name} has no preset {chosen!r}", where="preset", remedy=suggestion(chosen, known)
        )
    return known[chosen]


def parameter_names(name: str) -> tuple[str, ...]:
    """Parameters of a workload, in the order that they are declared."""
    return tuple(f.name for f in dataclasses.fields(find(name).parameters))


def resolved(name: str, values: Mapping[str, Any]) -> Parameters:
    """Checked parameters with defaults filled in, typed.

    Raises:
        UserError: the workload is unknown.
        ParameterError: a parameter is unknown or wrong.
    """
    return resolve(find(name).parameters, values)


def check_parameters(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """As `resolved`, as plain data.

    Raises:
        UserError: the workload is unknown.
        ParameterError: a parameter is unknown or wrong; `.parameter` names it.
    """
    return dataclasses.asdict(resolved(name, values))


def check_files(name: str, values: Mapping[str, Any], locate: Locate) -> None:
    """Look at the files that parameters name, where they lie on this machine.

    Args:
        name: The workload.
        values: Its parameters.
        locate: Gives the file here behind a path that a parameter names.

    Raises:
        UserError: a file is missing, truncated, too short, of the wrong shape, or brought by
            nothing.
    """
    declaration = find(name)
    if declaration.check_files is not None:
        declaration.check_files(resolve(declaration.parameters, values), locate)


def create(declaration: Declaration) -> Workload[Any]:
    """Load the implementation of a workload.

    Raises:
        MissingExtraError: a package that it computes with is not installed.
    """
    try:
        implementation = _load(declaration.implementation)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{declaration.name} needs {error.name}, which is not installed",
            where="workload",
            remedy=f"pip install 'flyback[{declaration.needs}]'",
        ) from error
    if isinstance(implementation, type) and issubclass(implementation, Plugin):
        return Adapted(implementation)
    workload = implementation()
    assert isinstance(workload, Workload), f"{declaration.name}: not a Workload"  # noqa: S101  # as in find
    return workload


def _installed() -> importlib.metadata.EntryPoints:
    return importlib.metadata.entry_points(group=GROUP)


def _load(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)
