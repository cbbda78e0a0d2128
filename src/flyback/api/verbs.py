"""The verbs, each a function: what the command line says, Python says too."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flyback.api.job import Prepared, prepare
from flyback.api.launching import Where, decide, launch_in_cloud
from flyback.api.runs import Run
from flyback.api.wiring import Cloud, CloudName, local_home, open_cloud, serve_rehearsal
from flyback.errors import UserError
from flyback.infra import templates
from flyback.launch import certify, stack, teardown
from flyback.launch.deployment import NAME_TAG, Deployment
from flyback.launch.local import LocalExecutor
from flyback.launch.progress import Report, silent
from flyback.launch.records import Records
from flyback.launch.runid import new_run_id
from flyback.spec.certificate import Certificate
from flyback.spec.clock import SystemClock
from flyback.spec.codec import write_json
from flyback.spec.job import Engine, JobSpec
from flyback.spec.plan import Plan
from flyback.store.file import FileStore

__all__ = [
    "Options",
    "decide",
    "deploy",
    "down",
    "plan",
    "remove",
    "run",
    "serve",
    "start",
    "stored_objects",
    "up",
]

_DEFAULT_REGION = "us-east-1"
Announce = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the verbs work; flags, then `flyback.toml`, then these defaults.

    Args:
        cloud: `aws`, or `rehearsal` for an emulated cloud that is being served.
        region: AWS region; None takes the profile's, else us-east-1.
        profile: AWS profile; None takes boto3's own choice.
        name: The deployment's; several may share an account.
        tags: Values of the tags Project, Environment, Owner and CostCenter.
        engine: Where jobs run that don't say it; None takes the job's default.
        also_regions: Regions to try, in order, when the chosen one has no machine; one without a
            deployment is passed over.
    """

    cloud: CloudName = "aws"
    region: str | None = None
    profile: str | None = None
    name: str = "flyback"
    tags: Mapping[str, str] = field(default_factory=dict)
    engine: Engine | None = None
    also_regions: tuple[str, ...] = ()

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
    return decide(prepared, region or _DEFAULT_REGION)


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
    chosen = options or Options()
    prepared = prepare(
        job, overrides=overrides, preset=preset, engine=engine, otherwise=chosen.engine
    )
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
        made = decide(prepared, options.region or _DEFAULT_REGION)
        records = Records(run_id, home, home)
        local = LocalExecutor(home.root, clock, report)
        return Run(local.launch(made, prepared.archive(), records), made, None, report)
    where = Where(cloud=cloud, name=options.name, also=options.also_regions)
    return launch_in_cloud(prepared, where, run_id, report)


def stored_objects(options: Options | None = None) -> dict[str, int]:
    """Object versions in each bucket that `down` would delete; empty where nothing is deployed."""
    chosen = options or Options()
    session = chosen.open().session
    return teardown.stored_objects(session, chosen.name)


def serve(
    *, port: int = 0, region: str = _DEFAULT_REGION, speed: float = 1.0, announce: Announce = print
) -> None:
    """Keep an emulated cloud up until SIGINT or SIGTERM.

    Args:
        port: Loopback port; 0 takes a free one.
        region: The emulated account's.
        speed: Simulated seconds per second while no run takes part.
        announce: Given each line of the environment that points AWS clients at it.
    """
    serve_rehearsal(port=port, region=region, speed=speed, announce=announce)
