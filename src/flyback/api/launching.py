"""A run that begins in an account: in the region that was chosen, or in one that stands in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flyback.api.job import Prepared
from flyback.api.runs import Run
from flyback.api.wiring import Cloud, elsewhere, local_home
from flyback.errors import (
    AccountSetupError,
    FlybackError,
    ImageError,
    QuotaError,
    RefusedError,
    ServiceError,
    UserError,
)
from flyback.infra.bundle import build
from flyback.launch.daybook import committed
from flyback.launch.deployment import Deployment, find
from flyback.launch.ec2 import AMI_PARAMETER, Ec2Executor, Payload
from flyback.launch.fleet import Site
from flyback.launch.preflight import inspect_site
from flyback.launch.progress import Report
from flyback.launch.records import Records
from flyback.launch.tries import MOVES_ON, give_up, let_go, moves_on
from flyback.plan.expectation import expect
from flyback.plan.planner import DayCap, make_plan
from flyback.spec.launch import Attempt, Launch
from flyback.spec.plan import Plan
from flyback.store.file import FileStore
from flyback.store.open import open_store

__all__ = ["Where", "complete", "decide", "launch_in_cloud"]

# What passes on from a region that only stands in for another; there is no reason to stop for it.
_NOT_HERE = (*MOVES_ON, AccountSetupError, ImageError, QuotaError, ServiceError, UserError)


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


def decide(
    prepared: Prepared, region: str, day: DayCap | None = None, *, root_gib: int = 0
) -> Plan:
    """The plan of a checked job.

    Args:
        prepared: The job.
        region: AWS region.
        day: What may be spent in a day, if anybody has said.
        root_gib: Root volume of the machine image, where it is known.
    """
    expected = expect(prepared.job, smoke=prepared.preset == "smoke")
    expected = dataclasses.replace(expected, root_gib=root_gib)
    return make_plan(prepared.job, region=region, expected=expected, day=day)


def _as_bought(
    prepared: Prepared, where: Where, cloud: Cloud, records: Records, site: Site
) -> Plan:
    """The plan by the image that the machine boots from, within what the day's cap leaves."""
    cap = None
    if where.max_usd_per_day is not None:
        spoken_for = committed(records.remote, cloud.clock.now(), records.paths.run_id)
        cap = DayCap(usd=where.max_usd_per_day, committed_usd=spoken_for)
    return decide(prepared, cloud.session.region, cap, root_gib=site.image.root_gib)


def launch_in_cloud(prepared: Prepared, where: Where, run_id: str, report: Report) -> Run:
    """Launch in the chosen region; where it has no machine, in the next that is deployed.

    Raises:
        UserError: something about the job is wrong, or nothing is deployed; nothing was created.
        RefusedError: the cloud said no; what the chosen region said.
    """
    return _Search(prepared, where, run_id, report).through(where.places())


def complete(prepared: Prepared, where: Where, before: tuple[Launch, Plan], report: Report) -> Run:
    """Go on with a launch that may have been cut off, first where it was made.

    Raises:
        RefusedError: no machine there, nor in the regions that come after.
    """
    launch, plan = before
    places = list(where.places())
    regions = [cloud.session.region for cloud in places]
    here = regions.index(launch.region) if launch.region in regions else len(regions)
    cloud = places[here] if here < len(regions) else elsewhere(where.cloud, launch.region)
    run = Run(launch, plan, cloud, report, max_usd_per_day=where.max_usd_per_day)
    try:
        return run.attach(last=False)
    except RefusedError as error:
        remote = open_store(launch.store, s3_client=cloud.session.client("s3"))
        records = Records(run.run_id, FileStore(local_home()), remote)
        tried = _Tried(records=records, launch=run.launch)
        if not (moves_on(error) and tried.made_nothing):
            _give_up(tried, error, cloud)
            raise
        search = _Search(prepared, where, run.run_id, report, error, tried)
        return search.through(places[here + 1 :])


@dataclass
class _Search:
    """For a region with a machine.

    Args:
        prepared: The job.
        where: Where it may run.
        run_id: The run's.
        report: Told each step.
        refusal: What the first region said.
        tried: What was asked in vain so far.
        repeatable: Whether a region was left because its service failed, not because it said no:
            the same command may do better.
    """

    prepared: Prepared
    where: Where
    run_id: str
    report: Report
    refusal: FlybackError | None = None
    tried: _Tried | None = None
    repeatable: bool = False

    def through(self, places: Iterable[Cloud]) -> Run:
        """Ask region after region.

        Raises:
            FlybackError: what the first said, or what no other region can mend.
        """
        payload: Payload | None = None
        for cloud in places:
            records: Records | None = None
            try:
                decide(self.prepared, cloud.session.region)  # before anything is asked
                deployment = find(cloud.session, self.where.name)
                payload = payload or _payload(self.prepared)
                records = _records(self.run_id, cloud, deployment)
                site = inspect_site(cloud.session, deployment, AMI_PARAMETER)
                plan = _as_bought(self.prepared, self.where, cloud, records, site)
                executor = Ec2Executor(
                    cloud.session,
                    deployment,
                    cloud.clock,
                    self.report,
                    rehearsed=cloud.rehearsed,
                    max_usd_per_day=self.where.max_usd_per_day,
                )
                earlier = self.tried.attempts if self.tried else ()
                launch = executor.launch(plan, site, payload, records, earlier)
            except FlybackError as error:
                self._passed_over(cloud, error, records)
            else:
                return Run(
                    launch, plan, cloud, self.report, max_usd_per_day=self.where.max_usd_per_day
                )
        assert self.refusal is not None, "there is a first region"  # noqa: S101  # ours
        if not self.repeatable:
            _give_up(self.tried, self.refusal, self.where.cloud)
        raise self.refusal

    def _passed_over(self, cloud: Cloud, error: FlybackError, records: Records | None) -> None:
        """Release what the region holds, and remember why, where another may do better.

        A region is left only when it is certain that it made nothing: either it was not asked, or
        it has answered. Else the run stays open, for whoever repeats it finds the machine.

        Raises:
            FlybackError: none can, or there may be a machine here.
        """
        if records is not None:
            _let_go(records, error, cloud)
        self.tried = _written(records) or self.tried
        mended = moves_on(error) if self.refusal is None else isinstance(error, _NOT_HERE)
        self.refusal = self.refusal or error
        if not mended or (self.tried is not None and not self.tried.made_nothing):
            _give_up(self.tried, error, cloud)
            raise error
        self.repeatable |= isinstance(error, ServiceError) and not moves_on(error)
        if self.where.also:
            self.report("launch", f"no machine in {cloud.session.region}: {error.what}")


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """What a region was asked, in vain."""

    records: Records
    launch: Launch

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return self.launch.attempts

    @property
    def made_nothing(self) -> bool:
        """Whether that is certain: the last request was answered, and not with a machine."""
        last = self.launch.attempts[-1]
        return last.is_answered and last.instance_id is None


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
    launch = records.written()
    return _Tried(records=records, launch=launch) if launch and launch.attempts else None


def _let_go(records: Records, error: FlybackError, cloud: Cloud) -> None:
    """Nothing waits in a region that gave no machine: no schedule, no claim on its day's cap."""
    if not isinstance(error, RefusedError):
        return
    written = records.written()
    if written is not None and written.region == cloud.session.region:
        let_go(cloud.session, records, written, error)


def _give_up(tried: _Tried | None, error: FlybackError, cloud: Cloud) -> None:
    if tried is not None and isinstance(error, RefusedError):
        give_up(tried.records, tried.launch, error, cloud.clock)
