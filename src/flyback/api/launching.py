"""A run that begins in an account: in the region that was chosen, or in one that stands in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flyback.api.job import Prepared
from flyback.api.runs import Run
from flyback.api.wiring import Cloud, elsewhere, local_home
from flyback.errors import (
    AccountSetupError,
    CapacityError,
    FlybackError,
    ImageError,
    NetworkError,
    NotFoundError,
    PriceError,
    QuotaError,
    RefusedError,
    UserError,
)
from flyback.infra.bundle import build
from flyback.launch.daybook import commit, committed
from flyback.launch.deployment import Deployment, find
from flyback.launch.ec2 import Ec2Executor, Payload
from flyback.launch.progress import Report
from flyback.launch.records import Records
from flyback.launch.tries import give_up, let_go
from flyback.plan.expectation import expect
from flyback.plan.planner import DayCap, make_plan
from flyback.spec.codec import loads
from flyback.spec.launch import Attempt, Launch
from flyback.spec.plan import Plan
from flyback.store.file import FileStore
from flyback.store.open import open_store

__all__ = ["Where", "decide", "launch_in_cloud"]

_NO_MACHINE = (CapacityError, PriceError)  # what another region may mend
# What passes on from a region that only stands in for another; there is no reason to stop for it.
_NOT_HERE = (*_NO_MACHINE, AccountSetupError, ImageError, NetworkError, QuotaError, UserError)


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where a run may be launched.

    Args:
        cloud: The account, in the region that was chosen.
        name: The deployment's name, the same in every region.
        also: Regions to try when the chosen one has no machine.
        max_usd_per_day: What the runs of a day may cost together, USD, in each region.
    """

    cloud: Cloud
    name: str
    also: Sequence[str] = ()
    max_usd_per_day: float | None = None

    def places(self) -> Iterator[Cloud]:
        """The account in each region, the chosen one first."""
        yield self.cloud
        for region in dict.fromkeys(self.also):
            if region != self.cloud.session.region:
                yield elsewhere(self.cloud, region)


def decide(prepared: Prepared, region: str, day: DayCap | None = None) -> Plan:
    """The plan of a checked job."""
    expected = expect(prepared.job, smoke=prepared.preset == "smoke")
    return make_plan(prepared.job, region=region, expected=expected, day=day)


def _within_day(
    prepared: Prepared, where: Where, cloud: Cloud, records: Records, plan: Plan
) -> Plan:
    """The plan within what the day's cap leaves; the most that it may cost is written down."""
    now, run_id = cloud.clock.now(), records.paths.run_id
    if where.max_usd_per_day is not None:
        spoken_for = committed(records.remote, now, run_id)
        cap = DayCap(usd=where.max_usd_per_day, committed_usd=spoken_for)
        plan = decide(prepared, cloud.session.region, cap)
    commit(records.remote, now, run_id, plan.ceiling_usd)
    return plan


def launch_in_cloud(prepared: Prepared, where: Where, run_id: str, report: Report) -> Run:
    """Launch in the chosen region; where it has no machine, in the next that is deployed.

    Raises:
        UserError: something about the job is wrong, or nothing is deployed; nothing was created.
        RefusedError: the cloud said no; what the chosen region said.
    """
    refusal: FlybackError | None = None
    tried: _Tried | None = None
    payload: Payload | None = None
    for cloud in where.places():
        region = cloud.session.region
        records: Records | None = None
        try:
            plan = decide(prepared, region)
            deployment = find(cloud.session, where.name)
            payload = payload or _payload(prepared)
            records = _records(run_id, cloud, deployment)
            plan = _within_day(prepared, where, cloud, records, plan)
            executor = Ec2Executor(
                cloud.session, deployment, cloud.clock, report, rehearsed=cloud.rehearsed
            )
            launch = executor.launch(plan, payload, records, tried.attempts if tried else ())
        except FlybackError as error:
            tried = _written(records) or tried
            mended = isinstance(error, _NO_MACHINE if refusal is None else _NOT_HERE)
            refusal = refusal or error
            open_still = not _let_go(tried, error, cloud)
            if not mended:
                if not open_still:
                    _give_up(tried, error, cloud)
                raise
            if where.also:
                report("launch", f"no machine in {region}: {error.what}")
        else:
            return Run(launch, plan, cloud, report)
    assert refusal is not None, "there is a first region"  # noqa: S101  # ours
    _give_up(tried, refusal, where.cloud)
    raise refusal


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """What a region was asked, in vain."""

    records: Records
    launch: Launch

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return self.launch.attempts


def _payload(prepared: Prepared) -> Payload:
    bundle = build(local_home() / "bundles")
    return Payload(bundle=bundle.path, bundle_sha256=bundle.sha256, archive=prepared.archive())


def _records(run_id: str, cloud: Cloud, deployment: Deployment) -> Records:
    remote = open_store(deployment.store_url, s3_client=cloud.session.client("s3"))
    return Records(run_id, FileStore(local_home()), remote)


def _written(records: Records | None) -> _Tried | None:
    """What was written down of a region's tries; None where it came to none."""
    if records is None:
        return None
    try:
        launch = loads(Launch, records.local.get(records.paths.launch))
    except NotFoundError:
        return None
    return _Tried(records=records, launch=launch) if launch.attempts else None


def _let_go(tried: _Tried | None, error: FlybackError, cloud: Cloud) -> bool:
    if tried is None or not isinstance(error, RefusedError):
        return False
    released = let_go(cloud.session, tried.records, tried.launch, error)
    if released:
        at = tried.launch.created_at
        commit(tried.records.remote, at, tried.launch.run_id, 0.0)
    return released


def _give_up(tried: _Tried | None, error: FlybackError, cloud: Cloud) -> None:
    if tried is not None and isinstance(error, RefusedError):
        give_up(tried.records, tried.launch, error, cloud.clock)
