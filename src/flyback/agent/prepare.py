"""Everything before the first cell: launch.json, working directory, inputs, packages, set-up."""

from __future__ import annotations

import contextlib
import functools
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from flyback.agent import requirements
from flyback.agent.archive import unpack
from flyback.agent.cells import Surroundings
from flyback.agent.checkpoints import restore
from flyback.agent.child import Command
from flyback.agent.staging import Staging, cache_folder
from flyback.agent.stall import Stall
from flyback.agent.workbench import Workbench
from flyback.errors import (
    AccessDeniedError,
    FlybackError,
    JobFailedError,
    NotFoundError,
    ServiceError,
    UserError,
)
from flyback.spec.codec import loads
from flyback.spec.job import Input
from flyback.spec.launch import Launch
from flyback.spec.paths import workdir_key
from flyback.store.meter import Meter
from flyback.store.protocol import Store
from flyback.store.transfer import each

__all__ = ["fetch_launch", "prepare"]

_THREADS = 16


def fetch_launch(bench: Workbench) -> Launch:
    """Read what the run is.

    Raises:
        FlybackError: launch.json can't be had, or is none.
    """
    try:
        return loads(Launch, bench.store.get(bench.run.launch))
    except ValueError as error:
        raise ServiceError(f"{error}", where=bench.run.launch) from error


def prepare(bench: Workbench, launch: Launch) -> Surroundings:
    """Bring everything to its place; what the cells then run in.

    Raises:
        FlybackError: a step failed; the message says which.
    """
    if launch.job.image is not None:
        raise UserError(
            "this agent runs jobs on the machine image itself, not in a container",
            where="image",
            remedy="leave out `image`, and bring packages through `requirements`",
        )
    staging = Staging(cache_folder(bench.options.root))
    bring = functools.partial(_bring, bench, launch, staging)
    bench.meanwhile("fetching the working directory and inputs", bring)
    _bring_checkpoint(bench, launch)
    if launch.job.stall_minutes is not None:  # what is fetched prints nothing, and does not hang
        stall = Stall(launch.job.stall_minutes, bench.scratch.log, bench.clock.now())
        bench.supervisor.also_watch(stall)
    surroundings = Surroundings(
        launch=launch,
        attempt=bench.options.attempt,
        scratch=bench.scratch,
        environ=bench.services.environ,
        secrets=_secrets(bench, launch.job.secrets),
        machine=_machine(bench, launch),
    )
    _install(bench, surroundings)
    for number, argv in enumerate(launch.job.setup, start=1):
        bench.say(f"set-up {number} of {len(launch.job.setup)}: {' '.join(argv)}")
        _run(bench, surroundings.command(argv), f"set-up command {number}")
    return surroundings


def _machine(bench: Workbench, launch: Launch) -> dict[str, str]:
    """Type and image of the instance; figures of two machines that differ there are not alike."""
    if launch.engine != "ec2":
        return {}
    with contextlib.suppress(FlybackError):
        kind = bench.services.metadata.get("instance-type") or ""
        found = {"FLYBACK_INSTANCE_TYPE": kind, "FLYBACK_IMAGE": launch.image_id}
        return {name: value for name, value in found.items() if value}
    return {}


def _bring(bench: Workbench, launch: Launch, staging: Staging) -> None:
    _bring_workdir(bench, launch, staging)
    for item in launch.job.inputs:
        _bring_input(bench, item, staging)


def _bring_workdir(bench: Workbench, launch: Launch, staging: Staging) -> None:
    if launch.workdir_sha256 is None:
        return
    archive = bench.scratch.folder / "workdir.tar.gz"
    staging.bring_hashed(bench.store, workdir_key(launch.workdir_sha256), archive)
    unpack(archive, launch.workdir_sha256, bench.scratch.work)
    archive.unlink()


def _bring_checkpoint(bench: Workbench, launch: Launch) -> None:
    folder = bench.scratch.checkpoints(launch.job.checkpoint_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if bench.options.attempt > 1:
        newest = functools.partial(restore, bench.store, bench.run.checkpoints, folder)
        name = bench.meanwhile("fetching the checkpoint", newest)
        if name is not None:
            bench.journal.tell("checkpoint-restored", name=name)


def _bring_input(bench: Workbench, item: Input, staging: Staging) -> None:
    """An input from the owner's machine came with the working directory; others are fetched."""
    target = bench.scratch.work / item.path
    if "://" not in item.source:
        if not target.exists():
            raise UserError(f"{item.source} did not come along", where=f"inputs: {item.path}")
        return
    parts = urllib.parse.urlsplit(item.source)
    store = bench.services.open_store(f"{parts.scheme}://{parts.netloc}")
    key = parts.path.lstrip("/")
    try:
        staging.bring(store, key, target)
    except NotFoundError:
        _bring_folder(store, key.rstrip("/") + "/", item, target, staging)


def _bring_folder(store: Store, prefix: str, item: Input, target: Path, staging: Staging) -> None:
    found = [entry.key for entry in store.list(prefix) if not entry.key.endswith("/")]
    if not found:
        raise UserError(
            f"there is nothing at {item.source}",
            where=f"inputs: {item.path}",
            remedy="correct the URL; machines read the deployment's data bucket",
        )
    places = {key: (target / key.removeprefix(prefix)).resolve() for key in found}
    for key, inner in places.items():
        if not inner.is_relative_to(target.resolve()):
            raise UserError(f"the key {key!r} leaves its folder", where=f"inputs: {item.path}")
    actions = (functools.partial(staging.bring, store, key, path) for key, path in places.items())
    each(actions, Meter(), _THREADS)


def _secrets(bench: Workbench, references: Mapping[str, str]) -> dict[str, str]:
    """Fetched before anything long is begun; only the cells get them."""
    found = {}
    for name, reference in references.items():
        where = f"secrets.{name}"
        try:
            found[name] = bench.services.secret(reference)
        except NotFoundError as error:
            raise UserError(
                f"there is no secret {reference}: {error.what}",
                where=where,
                remedy="store it in the run's region under that name, and launch again",
            ) from error
        except AccessDeniedError as error:
            raise UserError(
                f"the machine may not read {reference}: {error.what}",
                where=where,
                remedy="its role reads what lies below ssm:/flyback/ and secretsmanager:flyback/",
            ) from error
        if not found[name].strip():
            raise UserError(f"{reference} is empty", where=where, remedy="store a value there")
    return found


def _install(bench: Workbench, surroundings: Surroundings) -> None:
    job = surroundings.launch.job
    if job.workload is not None:
        lock = requirements.shipped()
    elif job.requirements is not None:
        lock = bench.scratch.work / job.requirements
    else:
        return
    try:
        text = lock.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{error}", where="requirements") from error
    lacking = requirements.missing(text, bench.services.environ)
    if not lacking:
        return
    if surroundings.launch.engine == "local" and job.workload is not None:
        raise UserError(
            f"workload {job.workload} needs {', '.join(lacking)}",
            where="this Python environment",
            remedy="pip install 'flyback[bench]'",
        )
    bench.say(f"installing locked requirements: {', '.join(lacking)} not on the image")
    argv = requirements.install_command(lock, bench.scratch.packages)
    _run(bench, surroundings.command(argv), "installing the locked requirements")


def _run(bench: Workbench, command: Command, what: str) -> None:
    if bench.supervisor.stop is None:
        ended = bench.supervisor.run(command)
        if ended.exit_code == 0:
            return
        raise JobFailedError(f"{what} ended with exit code {ended.exit_code}", where="set-up")
    raise FlybackError(f"{what} was not started: {bench.supervisor.stop.reason}")
