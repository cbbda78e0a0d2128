"""The verbs, each a function: what the command line says, Python says too."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flyback.api.job import Prepared, prepare
from flyback.api.runs import Run
from flyback.api.wiring import Cloud, CloudName, local_home, open_cloud
from flyback.errors import UserError
from flyback.infra import templates
from flyback.infra.bundle import build
from flyback.launch import certify, stack, teardown
from flyback.launch.deployment import NAME_TAG, Deployment, find
from flyback.launch.ec2 import Ec2Executor, Payload
from flyback.launch.local import LocalExecutor
from flyback.launch.progress import Report, silent
from flyback.launch.records import Records
from flyback.launch.runid import new_run_id
from flyback.plan.planner import make_plan
from flyback.spec.certificate import Certificate
from flyback.spec.clock import SystemClock
from flyback.spec.codec import read_json, write_json
from flyback.spec.job import Engine, JobSpec
from flyback.spec.launch import Launch
from flyback.spec.paths import RunPaths
from flyback.spec.plan import Plan
from flyback.store.file import FileStore
from flyback.store.open import open_store

__all__ = ["Options", "down", "open_run", "plan", "run", "run_ids", "start", "up"]

_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the verbs work; flags, then `flyback.toml`, then these defaults.

    Args:
        cloud: `aws`, or `rehearsal` for an emulated cloud that is being served.
        region: AWS region; None takes the profile's, else us-east-1.
        profile: AWS profile; None takes boto3's own choice.
        name: The deployment's; several may share an account.
        tags: Values of the tags Project, Environment, Owner and CostCenter.
    """

    cloud: CloudName = "aws"
    region: str | None = None
    profile: str | None = None
    name: str = "flyback"
    tags: Mapping[str, str] = field(default_factory=dict)

    def open(self) -> Cloud:
        """Reach the account."""
        return open_cloud(self.cloud, region=self.region, profile=self.profile)


def up(options: Options | None = None, *, report: Report = silent) -> Deployment:
    """Deploy flyback into the account; does nothing where it is deployed already."""
    chosen = options or Options()
    return deploy(chosen.open(), chosen, report)


def deploy(cloud: Cloud, options: Options, report: Report) -> Deployment:
    """Deploy into an account that is reached already."""
    desired = stack.Desired(
        name=options.name,
        template=templates.read("core"),
        parameters={"Name": options.name, "Project": options.name, **options.tags},
        tags={NAME_TAG: options.name},
    )
    return stack.up(cloud.session, desired, cloud.clock, report)


def down(
    options: Options | None = None, *, keep_data: bool = False, report: Report = silent
) -> Certificate:
    """Remove flyback from the account and prove that nothing is left."""
    chosen = options or Options()
    return remove(chosen.open(), chosen, keep_data=keep_data, report=report)


def remove(cloud: Cloud, options: Options, *, keep_data: bool, report: Report) -> Certificate:
    """Remove from an account that is reached already; the certificate is kept at home."""
    stack_id = teardown.down(
        cloud.session, options.name, cloud.clock, keep_data=keep_data, report=report
    )
    certificate = certify.certify_account(
        cloud.session, options.name, stack_id, cloud.ledger, cloud.clock
    )
    at = int(certificate.at)
    write_json(local_home() / "certificates" / f"{options.name}-{at}.json", certificate)
    return certificate


def plan(
    job: str | Path | JobSpec,
    *,
    overrides: Sequence[str] = (),
    preset: str | None = None,
    engine: Engine | None = None,
    region: str | None = None,
) -> Plan:
    """What a job would ask for and cost; nothing is created, no account is needed."""
    prepared = prepare(job, overrides=overrides, preset=preset, engine=engine)
    return make_plan(prepared.job, region=region or _DEFAULT_REGION)


def run(
    job: str | Path | JobSpec,
    *,
    overrides: Sequence[str] = (),
    preset: str | None = None,
    engine: Engine | None = None,
    options: Options | None = None,
    report: Report = silent,
) -> Run:
    """Launch a job and return at once; `Run.wait` waits for it.

    Raises:
        UserError: something about the job is wrong; nothing was created.
        RefusedError: the cloud said no.
    """
    prepared = prepare(job, overrides=overrides, preset=preset, engine=engine)
    chosen = options or Options()
    cloud = None if prepared.job.engine == "local" else chosen.open()
    return start(prepared, cloud, chosen, report)


def start(prepared: Prepared, cloud: Cloud | None, options: Options, report: Report) -> Run:
    """Launch a checked job on this machine (`cloud` None) or in an account."""
    if prepared.job.engine == "batch":
        raise UserError("the batch engine is not there yet", remedy="use engine ec2 or local")
    home = FileStore(local_home())
    clock = SystemClock() if cloud is None else cloud.clock
    run_id = new_run_id(prepared.job.name, clock.now(), random.SystemRandom())
    if cloud is None:
        made = make_plan(prepared.job, region=options.region or _DEFAULT_REGION)
        records = Records(run_id, home, home)
        local = LocalExecutor(home.root, clock, report)
        return Run(local.launch(made, prepared.archive(), records), made, None, report)
    made = make_plan(prepared.job, region=cloud.session.region)
    archive = prepared.archive()
    deployment = find(cloud.session, options.name)
    executor = Ec2Executor(cloud.session, deployment, clock, report, rehearsed=cloud.rehearsed)
    bundle = build(local_home() / "bundles")
    payload = Payload(bundle=bundle.path, bundle_sha256=bundle.sha256, archive=archive)
    remote = open_store(deployment.store_url, s3_client=cloud.session.client("s3"))
    launch = executor.launch(made, payload, Records(run_id, home, remote))
    return Run(launch, made, cloud, report)


def run_ids() -> tuple[str, ...]:
    """Runs that this machine knows, oldest first."""
    found = sorted((local_home() / "runs").glob("*/launch.json"))
    launches = [read_json(Launch, path) for path in found]
    return tuple(item.run_id for item in sorted(launches, key=lambda item: item.created_at))


def open_run(
    run_id: str | None = None, *, options: Options | None = None, report: Report = silent
) -> Run:
    """A run that was launched before, from this machine; None takes the latest.

    Raises:
        UserError: there is no such run.
    """
    known = run_ids()
    if not known:
        raise UserError("no run was launched from here", remedy="`flyback run JOB` launches one")
    if run_id is not None and run_id not in known:
        raise UserError(
            f"no run {run_id!r}", where=f"{local_home() / 'runs'}", remedy="`flyback ps` lists runs"
        )
    paths = RunPaths(run_id or known[-1])
    launch = read_json(Launch, local_home() / paths.launch)
    made = read_json(Plan, local_home() / paths.plan)
    return Run(launch, made, _cloud_of(launch, options or Options()), report)


def _cloud_of(launch: Launch, options: Options) -> Cloud | None:
    if launch.engine == "local":
        return None
    name: CloudName = "rehearsal" if launch.rehearsed else "aws"
    return open_cloud(name, region=launch.region, profile=options.profile)
