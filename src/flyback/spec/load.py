"""Job files: a YAML or JSON document to a JobSpec, every mistake told with its line.

The file, then the preset, then the overrides: each lies over what came before, and only the
result is checked, so an override can mend a file. The presets that were not asked for are checked
too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flyback.errors import UserError
from flyback.spec import rules
from flyback.spec.document import read
from flyback.spec.job import JobSpec
from flyback.spec.locate import Node, Place, Way, join, nearest
from flyback.spec.overrides import apply_overrides
from flyback.spec.presets import WorkloadPresets, choose, lay_over, split
from flyback.spec.problems import Problem, tell
from flyback.spec.shape import shape
from flyback.spec.shorthands import expand

__all__ = ["CheckParameters", "LoadedJob", "WorkloadParameters", "load_job"]

CheckParameters = Callable[[str, Mapping[str, Any]], object]
"""Workload and parameters. A UserError or ValueError says what is wrong; the parameter is its
attribute `parameter`, or else the one that its sentence names."""

WorkloadParameters = Callable[[str], Collection[str]]
"""The names of a workload's parameters. A UserError says that there is no such workload."""

_MOST_COMPLAINTS = 10


@dataclass(frozen=True, kw_only=True)
class LoadedJob:
    """A job and the file that it came from.

    Args:
        job: The job, preset and overrides applied, every check passed.
        source: The job file, as it was named.
        folder: Its folder, absolute: what the job's paths are relative to.
        given: The top-level keys that the file, the preset or an override wrote; the others of
            `job` hold their defaults, and settings may take their place.
        preset: The preset that was asked for.
    """

    job: JobSpec
    source: Path
    folder: Path
    given: frozenset[str] = field(default_factory=frozenset)
    preset: str | None = None

    def resolve(self, path: str) -> Path:
        """A local path of the job (`workdir`, `requirements`, an input's source), absolute."""
        return rules.resolve(self.folder, path)


@dataclass(frozen=True, kw_only=True)
class _Checks:
    source: Path
    folder: Path
    parameters: Collection[str]
    check_parameters: CheckParameters | None

    def run(self, body: Node) -> tuple[JobSpec | None, list[Problem]]:
        full, problems, broken = expand(body)
        job, faults, misshapen = shape(full, self.source.stem, self.parameters)
        problems += faults
        broken |= misshapen
        if job is None:
            return None, problems
        for way, what, remedy in rules.find(job, self.folder):
            if not broken.intersection(way[:1] or ("workload", "command")):
                problems.append(_problem(full, way, what, remedy))
        if not broken & {"workload", "command", "parameters", "sweep"}:
            problems += self._parameters_of(job, full)
        return job, problems

    def _parameters_of(self, job: JobSpec, full: Node) -> list[Problem]:
        found: dict[str, Problem] = {}
        if self.check_parameters is None or job.workload is None or job.command:
            return []
        if math.prod(map(len, job.sweep.values())) > rules.MOST_CELLS:
            return []
        for cell in job.cells():
            try:
                self.check_parameters(job.workload, cell)
            except (ValueError, LookupError, UserError) as error:
                what = error.what if isinstance(error, UserError) else str(error)
                remedy = error.remedy if isinstance(error, UserError) else ""
                way = _mentioned(getattr(error, "parameter", None), what, job, cell)
                problem = _problem(full, way, what, remedy)
                found.setdefault(f"{problem.field} {what}", problem)
            if len(found) == _MOST_COMPLAINTS:
                break
        return list(found.values())


def load_job(  # the three hooks keep the workloads room out of this one
    path: str | Path,
    overrides: Sequence[str] = (),
    preset: str | None = None,
    *,
    check_parameters: CheckParameters | None = None,
    workload_presets: WorkloadPresets | None = None,
    workload_parameters: WorkloadParameters | None = None,
) -> LoadedJob:
    """Load a job file.

    Args:
        path: A YAML 1.2 or JSON file.
        overrides: `key=value`, `key=a,b`, `key=range(1,5)`, `+key=value`, `~key`, in order.
        preset: Name of the preset to apply before the overrides.
        check_parameters: Judges a shipped workload's parameters, cell by cell of the sweep.
        workload_presets: Gives a shipped workload's own presets, for jobs without that preset.
        workload_parameters: Gives the names of a shipped workload's parameters.

    Raises:
        JobFileError: something is wrong; the message lists all of it, each with file and line.
    """
    source = Path(path)
    root, problems = read(source)
    base, presets, faults = split(root)
    problems += faults
    workload = base.mapping["workload"].value if "workload" in base.mapping else None
    workload = workload if isinstance(workload, str) else None
    known = _known(workload, workload_parameters)
    checks = _Checks(
        source=source,
        folder=source.parent.resolve(),
        parameters=known,
        check_parameters=check_parameters,
    )
    body = base
    if preset is not None:
        chosen = choose(preset, presets, workload, workload_presets)
        if isinstance(chosen, Node):
            body = lay_over(base, chosen)
        else:
            place = root.mapping["presets"].place if "presets" in root.mapping else root.place
            problems.append(Problem(place, "", *chosen))
    body, faults = apply_overrides(body, overrides, known)
    job, more = checks.run(body)
    problems += faults + _unused(base, presets, preset, checks)
    problems += [_named(problem, presets) for problem in more]
    if problems or job is None:
        tell(problems, str(source))
    return LoadedJob(
        job=_ordered(job),
        source=source,
        folder=checks.folder,
        given=frozenset(body.mapping),
        preset=preset,
    )


def _unused(
    base: Node, presets: Mapping[str, Node], preset: str | None, checks: _Checks
) -> list[Problem]:
    """What is wrong with presets that were not asked for, as far as it stands in them."""
    found: list[Problem] = []
    for name, layer in presets.items():
        if name != preset:
            inside: set[Place] = layer.places()
            _, problems = checks.run(lay_over(base, layer))
            found += [_named(p, {name: layer}) for p in problems if p.place in inside]
    return found


def _named(problem: Problem, presets: Mapping[str, Node]) -> Problem:
    """The problem, with the preset that it stands in before the field."""
    for name, layer in presets.items():
        if problem.place in layer.places():
            return replace(problem, field=f"presets.{name}.{problem.field}".rstrip("."))
    return problem


def _known(workload: str | None, names: WorkloadParameters | None) -> Collection[str]:
    if workload is None or names is None:
        return ()
    try:
        return tuple(names(workload))
    except (LookupError, UserError):
        return ()  # check_parameters says that there is no such workload


def _problem(root: Node, way: Way, what: str, remedy: str) -> Problem:
    return Problem(nearest(root, way).place, join(way), what, remedy)


def _mentioned(name: str | None, sentence: str, job: JobSpec, cell: Mapping[str, Any]) -> Way:
    """The parameter that a workload's complaint is about, or else the workload."""
    names = [name] if name is not None else sorted(cell, key=len, reverse=True)
    for candidate in names:
        if name is None and not re.search(rf"(?<![\w-]){re.escape(candidate)}(?![\w-])", sentence):
            continue
        if candidate in job.sweep:
            return ("sweep", candidate, job.sweep[candidate].index(cell[candidate]))
        return ("parameters", candidate)
    return ("workload",)


def _ordered(job: JobSpec) -> JobSpec:
    """The same job with the keys whose order means nothing sorted, so that digests agree."""
    return replace(
        job,
        parameters=_sorted(job.parameters),
        env=_sorted(job.env),
        secrets=_sorted(job.secrets),
    )


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_sorted(item) for item in value]
    return value
