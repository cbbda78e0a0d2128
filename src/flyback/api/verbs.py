"""The verbs, each a function: what the command line says, Python says too."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flyback.api.job import Prepared, prepare
from flyback.api.launching import Where, complete, decide, launch_in_cloud
from flyback.api.runs import Run
from flyback.api.wiring import Cloud, CloudName, local_home, open_cloud, region_of, serve_rehearsal
from flyback.errors import UserError
from flyback.infra import templates
from flyback.infra.guardian import guardian_bundle
from flyback.launch import certify, stack, teardown
from flyback.launch.bootstrap import bring_code
from flyback.launch.deployment import NAME_TAG, Deployment
from flyback.launch.local import LocalExecutor
from flyback.launch.network import NetworkChoice, settle
from flyback.launch.progress import Report, silent
from flyback.launch.records import Records
from flyback.launch.runid import claimed_run_id
from flyback.spec.certificate import Certificate
from flyback.spec.clock import SystemClock
from flyback.spec.codec import read_json, write_json
from flyback.spec.job import Engine, JobSpec
from flyback.spec.launch import Launch
from flyback.spec.paths import RunPaths
from flyback.spec.plan import Plan
from flyback.spec.settings import DEFAULT_NAME, DEFAULT_REGION
from flyback.store.file import FileStore

__all__ = [
    "NetworkChoice",
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

Announce = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the verbs work; flags, then `flyback.toml`, then these defaults.

    Args:
        cloud: `aws`, or `rehearsal` for an emulated cloud that is being served.
        region: AWS region; None takes the profile's (the served one's in a rehearsal), else
            us-east-1.
        profile: AWS profile; None takes boto3's own choice.
        name: The deployment's; several may share an account.
        tags: Values of the tags Project, Environment, Owner and CostCenter.
        engine: Where jobs run that don't say it; None takes the job's default.
        report: Told each step of what a verb does.
        run_id: Name of the run; None makes one.
        also_regions: Regions to try, in order, when the chosen one has no machine; one without a
            deployment is passed over.
        max_usd_per_day: What all runs of a day (UTC) may cost together, USD; None: no cap.
        network: Where `up` puts machines.
    """

    cloud: CloudName = "aws"
    region: str | None = None
    profile: str | None = None
    name: str = DEFAULT_NAME
    tags: Mapping[str, str] = field(default_factory=dict)
    engine: Engine | None = None
    report: Report = silent
    run_id: str | None = None
    also_regions: tuple[str, ...] = ()
    max_usd_per_day: float | None = None
    network: NetworkChoice = field(default_factory=NetworkChoice)

    def region_for(self, job: JobSpec) -> str:
        """The region that a job is planned for; one that runs here needs no AWS configuration."""
        if job.engine == "local":
            return self.region or DEFAULT_REGION
        return region_of(self.cloud, self.region, self.profile)

    def open(self) -> Cloud:
        """Reach the account."""
        return open_cloud(self.cloud, region=self.region, profile=self.profile)


def up(options: Options | None = None) -> Deployment:
    """Deploy flyback into the account; does nothing where it is deployed already."""
    chosen = options or Options()
    return deploy(chosen.open(), chosen, chosen.report)


def deploy(cloud: Cloud, options: Options, report: Report) -> Deployment:
    """Deploy into an account that is reached already."""
    network = settle(cloud.session, options.name, options.network, report)
    archive = guardian_bundle(local_home() / "bundles")
    code = bring_code(cloud.session, options.name, archive.path, report)
    desired = stack.Desired(
        name=options.name,
        template=templates.read("core"),
        parameters={"Name": options.name, **code, **options.tags, **network},
        defaults={"Project": options.name},
        tags={NAME_TAG: options.name},
    )
    return stack.up(cloud.session, desired, cloud.clock, report)


def down(options: Options | None = None, *, keep_data: bool = False) -> Certificate:
    """Remove flyback from the account and prove that nothing is left."""
    chosen = options or Options()
    return remove(chosen.open(), chosen, keep_data=keep_data, report=chosen.report)


def remove(cloud: Cloud, options: Options, *, keep_data: bool, report: Report) -> Certificate:
    """Remove from an account that is reached already; the certificate is kept at home."""
    stack_ids = teardown.down(
        cloud.session, options.name, cloud.clock, keep_data=keep_data, report=report
    )
    full = teardown.stored_objects(cloud.session, options.name) if keep_data else {}
    kept = [bucket for bucket, objects in full.items() if objects]
    certificate = certify.certify_account(
        cloud.session, options.name, stack_ids, cloud.ledger, cloud.clock, kept
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
    options: Options | None = None,
) -> Plan:
    """What `run` would ask for and cost; nothing is created, no account is needed."""
    chosen = options or Options()
    prepared = prepare(
        job, overrides=overrides, preset=preset, engine=engine, otherwise=chosen.engine
    )
    return decide(prepared, chosen.region_for(prepared.job))


def run(
    job: str | Path | JobSpec,
    *,
    overrides: Sequence[str] = (),
    preset: str | None = None,
    engine: Engine | None = None,
    cloud: CloudName | None = None,
    options: Options | None = None,
) -> Run:
    """Launch a job and return at once; `Run.wait` waits for it.

    With `options.run_id`, the same again launches nothing twice: it finds the run, or completes its
    launch.

    Args:
        job: A job file, or a job.
        overrides: `key=value` and its kin, for a job file.
        preset: Name of a preset, for a job file.
        engine: Where it runs, whatever the job says.
        cloud: Which cloud, whatever `options` says.
        options: Region, profile, deployment.

    Raises:
        UserError: something about the job is wrong; nothing was created.
        RefusedError: the cloud said no.
    """
    chosen = options or Options()
    prepared = prepare(
        job, overrides=overrides, preset=preset, engine=engine, otherwise=chosen.engine
    )
    if cloud is not None:
        chosen = dataclasses.replace(chosen, cloud=cloud)
    reached = None if prepared.job.engine == "local" else chosen.open()
    return start(prepared, reached, chosen, chosen.report)


def start(
    prepared: Prepared,
    cloud: Cloud | None,
    options: Options,
    report: Report,
    *,
    chance: random.Random | None = None,
) -> Run:
    """Launch a checked job on this machine (`cloud` None) or in an account.

    Args:
        prepared: The job.
        cloud: The account.
        options: The deployment.
        report: Told each step.
        chance: Chooses the end of the run's id; None takes the system's own.
    """
    if prepared.job.engine == "batch":
        raise UserError("the batch engine is not there yet", remedy="use engine ec2 or local")
    home = FileStore(local_home())
    clock = SystemClock() if cloud is None else cloud.clock
    before = _launched(options.run_id, prepared, home) if options.run_id else None
    if before and cloud is None:
        return Run(*before, None, report)
    where = None
    if cloud is not None:
        where = Where(
            cloud=cloud,
            name=options.name,
            also=options.also_regions,
            max_usd_per_day=options.max_usd_per_day,
        )
    if before and where:
        return complete(prepared, where, before, report)
    with contextlib.ExitStack() as stack:
        run_id = options.run_id or stack.enter_context(
            claimed_run_id(
                prepared.job.name, clock.now(), chance or random.SystemRandom(), home.root
            )
        )
        if where is None:
            made = decide(prepared, options.region_for(prepared.job))
            records = Records(run_id, home, home)
            local = LocalExecutor(home.root, clock, report)
            return Run(local.launch(made, prepared.archive(), records), made, None, report)
        return launch_in_cloud(prepared, where, run_id, report)


def _launched(run_id: str, prepared: Prepared, home: FileStore) -> tuple[Launch, Plan] | None:
    """What was launched from here under that id; None where nothing was.

    Raises:
        UserError: the id is none, or another job has it.
    """
    try:
        paths = RunPaths(run_id)
    except ValueError as error:
        raise UserError(f"{error}", where="run id", remedy="choose another") from error
    if not home.path(paths.launch).exists():
        return None
    launch = read_json(Launch, home.path(paths.launch))
    if launch.job != prepared.job:
        raise UserError(
            f"another job has the run id {run_id!r}",
            where=str(home.path(paths.launch)),
            remedy="choose another id, or leave it out",
        )
    return launch, read_json(Plan, home.path(paths.plan))


def stored_objects(options: Options | None = None) -> dict[str, int]:
    """Object versions in each bucket that `down` would delete; empty where nothing is deployed."""
    chosen = options or Options()
    session = chosen.open().session
    return teardown.stored_objects(session, chosen.name)


def serve(
    *,
    port: int = 0,
    region: str = DEFAULT_REGION,
    speed: float = 1.0,
    announce: Announce = print,
    root: bool = False,
    ci: bool = False,
) -> None:
    """Keep an emulated cloud up until SIGINT or SIGTERM.

    Args:
        port: Loopback port; 0 takes a free one.
        region: The emulated account's.
        speed: Simulated seconds per second while no run takes part.
        announce: Given each line of the environment that points AWS clients at it.
        root: Let clients be the account's root user; else they may do what a deployer may.
        ci: Let deployers run `up --ci` too.
    """
    serve_rehearsal(port=port, region=region, speed=speed, announce=announce, root=root, ci=ci)
