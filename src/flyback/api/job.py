"""A job as the verbs take it: loaded, checked against its workload, with its files at hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyback.errors import UserError
from flyback.launch.archive import Archive, pack
from flyback.spec.job import Engine, JobSpec
from flyback.spec.load import load_job
from flyback.spec.rules import resolve

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """A checked job and the folder that its paths are relative to."""

    job: JobSpec
    folder: Path
    preset: str | None = None

    def locate(self, path: str) -> Path | None:
        """The file here that the job will find at `path`; None where it comes from S3.

        Raises:
            LookupError: neither an input nor the working directory brings it.
        """
        for item in self.job.inputs:
            if path == item.path or path.startswith(f"{item.path}/"):
                if "://" in item.source:
                    return None
                return resolve(self.folder, item.source + path.removeprefix(item.path))
        if self.job.workdir and (resolve(self.folder, self.job.workdir) / path).exists():
            return resolve(self.folder, self.job.workdir) / path
        raise LookupError(path)

    def archive(self) -> Archive | None:
        """The working directory and the inputs that lie on this machine."""
        workdir = resolve(self.folder, self.job.workdir) if self.job.workdir else None
        extra = {
            item.path: resolve(self.folder, item.source)
            for item in self.job.inputs
            if "://" not in item.source
        }
        if self.job.requirements:
            extra[self.job.requirements] = resolve(self.folder, self.job.requirements)
        return pack(workdir, extra)


def prepare(
    job: str | Path | JobSpec,
    *,
    overrides: Sequence[str] = (),
    preset: str | None = None,
    engine: Engine | None = None,
    otherwise: Engine | None = None,
) -> Prepared:
    """Load and check a job; nothing is created.

    Args:
        job: A job file, or a job.
        overrides: `key=value` and its kin, for a job file.
        preset: Name of a preset, for a job file.
        engine: Where it runs, whatever the job says.
        otherwise: Where it runs if neither `engine` nor the job file says.

    Raises:
        JobFileError: with file:line, what is wrong and what to write instead.
        UserError: an input is missing or not readable as what it should be.
    """
    from flyback.workloads import registry

    if isinstance(job, JobSpec):
        if overrides or preset:
            raise UserError("overrides and presets apply to job files", where="job")
        prepared = Prepared(job, Path.cwd())
    else:
        loaded = load_job(
            Path(job),
            overrides=overrides,
            preset=preset,
            check_parameters=registry.check_parameters,
            workload_presets=registry.presets,
            workload_parameters=registry.parameter_names,
        )
        prepared = Prepared(loaded.job, loaded.folder, loaded.preset)
        if engine is None and "engine" not in loaded.given:
            engine = otherwise
    if engine is not None:
        prepared = dataclasses.replace(
            prepared, job=dataclasses.replace(prepared.job, engine=engine)
        )
    if prepared.job.image:
        raise UserError(
            "jobs do not run in container images yet",
            where=f"image: {prepared.job.image}",
            remedy="leave image out; `requirements` and `setup` prepare the machine",
        )
    if prepared.job.workload:
        _check_files(prepared, registry)
    return prepared


def _check_files(prepared: Prepared, registry: Any) -> None:
    """Let the workload look at the files that it will be given, while they are here."""
    for cell in prepared.job.cells():
        registry.check_files(prepared.job.workload, cell, prepared.locate)
