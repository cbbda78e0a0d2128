"""One run, from launch to receipt."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self, TypeVar

from flyback.api.wiring import Cloud, local_home
from flyback.errors import FlybackError, LeftoversError, NotFoundError, RefusedError, UserError
from flyback.launch import certify, watch
from flyback.launch.account import cloud_usage, local_usage, machine_uses
from flyback.launch.adopt import Cut, adopt, located, machines_of
from flyback.launch.collect import AT_ONCE, collect
from flyback.launch.daybook import claim, commit, committed, withdraw
from flyback.launch.extend import confirmed, extend, movable
from flyback.launch.lease import release
from flyback.launch.local import is_alive, stop_local
from flyback.launch.progress import Report, silent
from flyback.launch.records import Records
from flyback.launch.status import Status, status_of
from flyback.launch.teardown import terminate_and_wait
from flyback.launch.tries import give_up, let_go
from flyback.plan.planner import DayCap, Lease, ceiling_of, lease_of
from flyback.plan.receipt import MachineUse, make_receipt
from flyback.spec.certificate import Certificate
from flyback.spec.clock import SystemClock
from flyback.spec.event import Marker
from flyback.spec.launch import Launch
from flyback.spec.plan import Plan
from flyback.spec.receipt import Receipt
from flyback.spec.result import Result
from flyback.store.file import FileStore
from flyback.store.open import open_store
from flyback.store.protocol import Store

__all__ = ["Run"]

T = TypeVar("T")
_HOUR_S = 3600.0


class Run:
    """A run that was launched: wait for it, read it, account for it, stop it.

    Args:
        launch: What was launched.
        plan: What it was launched by.
        cloud: The account that it is in; None on the local engine.
        report: Told each step.
        max_usd_per_day: What all runs of a day may cost together, USD; None: no cap.
    """

    def __init__(
        self,
        launch: Launch,
        plan: Plan,
        cloud: Cloud | None,
        report: Report = silent,
        *,
        max_usd_per_day: float | None = None,
    ) -> None:
        self.launch = launch
        self.plan = plan
        self._max_usd_per_day = max_usd_per_day
        self._cloud = cloud
        self._report = report
        self._home = FileStore(local_home())
        remote: Store = (
            self._home
            if cloud is None
            else open_store(launch.store, s3_client=cloud.session.client("s3"))
        )
        self._records = Records(launch.run_id, self._home, remote)

    @property
    def run_id(self) -> str:
        """The run's name everywhere."""
        return self.launch.run_id

    @property
    def folder(self) -> Path:
        """The run's files on this machine."""
        return self._home.root / self._records.paths.prefix

    def attach(self, *, last: bool = True) -> Self:
        """Find or complete the machine of a launch that was cut off; else nothing.

        Args:
            last: Nobody will try elsewhere: a run that gets no machine is marked as failed.

        Raises:
            RefusedError: EC2 refuses the stored request, and the tries after it.
        """
        if self._cloud is None:
            return self
        cut = Cut(
            session=self._cloud.session,
            launch=watch.newer(self.launch, self._records),
            plan=self.plan,
            records=self._records,
            clock=self._cloud.clock,
            report=self._report,
        )
        try:
            self.launch = adopt(cut)
        except RefusedError as refusal:
            self.launch = self._records.written() or self.launch
            let_go(cut.session, self._records, self.launch, refusal)
            if last:
                give_up(self._records, self.launch, refusal, self._cloud.clock)
            raise
        return self

    def marker(self) -> Marker | None:
        """How the run ended, or None while it goes on."""
        return self._records.marker()

    def status(self) -> Status:
        """How it stands just now."""
        clock = SystemClock() if self._cloud is None else self._cloud.clock
        self._look()
        return status_of(self.launch, self.plan, self._records, clock.now())

    def wait(self) -> Marker:
        """Wait for the end, bring everything home, write receipt and certificate."""
        marker = self._watch()
        self._release()
        self._fetch()
        receipt = self._account()
        self._records.write(self._records.paths.receipt, receipt)
        if self._cloud is not None:
            at = self.launch.created_at
            commit(self._records.remote, at, self.run_id, receipt.total_usd)
        if self._cloud is not None:
            self._records.write(self._records.paths.certificate, self._certify())
        return marker

    def collect(self) -> Marker | None:
        """Bring home what there is; where the run is over, account for it and certify too.

        Returns:
            How the run ended, or None while it goes on.
        """
        if self.is_over():
            return self.wait()
        self._fetch()
        return None

    def logs(self, *, follow: bool = False) -> Iterator[str]:
        """The run's output, line by line."""
        if self._cloud is None:
            return watch.local_log(
                self._records, SystemClock(), follow=follow, ended=self._has_ended
            )
        return watch.cloud_log(
            self._cloud.session,
            self.launch,
            self._cloud.clock,
            follow=follow,
            ended=self._has_ended,
        )

    def results(self) -> tuple[Result, ...]:
        """Result lines, one per cell."""
        return self._records.results()

    def receipt(self) -> Receipt:
        """What the run cost.

        Raises:
            NotFoundError: it is not collected yet.
        """
        return self._read(Receipt, self._records.paths.receipt)

    def certificate(self) -> Certificate | None:
        """Proof that nothing of the run is left; None on the local engine."""
        if self._cloud is None and self.launch.engine == "local":
            return None
        return self._read(Certificate, self._records.paths.certificate)

    def stop(self) -> Marker:
        """End the run now; waits until it is over. One that was over already stays as it was."""
        cloud = self._cloud
        if cloud is None:
            stop_local(self._home.root, self.run_id)
            return self.wait()
        if self.marker() is None:
            self._records.declare(
                Marker(
                    run_id=self.run_id,
                    attempt=self.launch.attempts[-1].number,
                    kind="INTERRUPTED",
                    exit_code=None,
                    reason="stopped",
                    log_tail="stopped by its user",
                    at=cloud.clock.now(),
                )
            )
        machines = machines_of(cloud.session, self.launch)
        terminate_and_wait(cloud.session, machines, cloud.clock, self._report)
        return self.wait()

    def extend(self, hours: float) -> str:
        """Move the deadline so many hours later; what stands then, as a sentence.

        Raises:
            UserError: it has none to move, or a cap does not pay for it.
            RefusedError: something could not be moved, and nothing was.
            LeftoversError: nobody knows how much has moved; the guardian makes all agree.
        """
        cloud = self._cloud
        if cloud is None:
            raise UserError(
                "a run on this machine has no lease",
                where=self.run_id,
                remedy="`flyback stop` ends it; max_hours is the agent's own",
            )
        current = movable(self.run_id, self._records, cloud.clock)
        deadline = current.deadline + hours * _HOUR_S
        lease, paid = self._paid_until(deadline, current)
        try:
            self.launch = extend(cloud.session, current, deadline, self._records, cloud.clock)
        except LeftoversError:  # nobody knows where it stands: what it may cost stays claimed
            raise
        except FlybackError:
            with contextlib.suppress(FlybackError):
                withdraw(self._records.remote, current.created_at, self.run_id, paid)
            raise
        left = (self.launch.deadline - cloud.clock.now()) / 60
        return f"{left:.0f} min left; {lease.reason} binds"

    def is_followed(self) -> bool:
        """Whether the machine says that its own timer has taken an extension in.

        It looks every minute: this waits for a minute and a half at most. Until it has, the machine
        may end at the old deadline.
        """
        if self._cloud is None:
            return True
        return confirmed(self.launch, self._records, self._cloud.clock)

    def _paid_until(self, deadline: float, current: Launch) -> tuple[Lease, str]:
        """The lease by a later deadline, and the claim by which what it may cost is written down.

        Raises:
            UserError: a cap does not pay for it.
        """
        wanted = (deadline - current.created_at) / _HOUR_S
        day = None
        if self._max_usd_per_day is not None:
            others = committed(self._records.remote, current.created_at, self.run_id)
            day = DayCap(usd=self._max_usd_per_day, committed_usd=others)
        lease = lease_of(self.plan, wanted, day)
        if lease.hours < wanted:
            raise UserError(
                f"{wanted:.2f} h are not paid for: {lease.reason} pays for {lease.hours:.2f} h",
                where=f"run {self.run_id}",
                remedy="a run keeps the max_usd that it was launched with; extend by less",
            )
        store, cap = self._records.remote, self._max_usd_per_day
        usd = self._ceiling(deadline)
        return lease, claim(store, current.created_at, self.run_id, usd, cap=cap)

    def _ceiling(self, deadline: float) -> float:
        return ceiling_of(self.plan, (deadline - self.launch.created_at) / _HOUR_S)

    def is_over(self) -> bool:
        """Whether the run has its marker, or lost its machine without one."""
        if self.marker() is not None:
            return True
        if self._cloud is None:
            return not is_alive(self._home.root, self.run_id)
        self._look()
        attempt, clock = self.launch.attempts[-1], self._cloud.clock
        name = attempt.instance_id
        instance = self._cloud.session.ec2.instance(name) if name else None
        if not watch.is_gone(instance, self.launch, clock, seen=False):
            return False
        left = self._records.read(Marker, self._records.paths.attempt(attempt.number).marker)
        last = left.at if left is not None else instance.ended_at if instance is not None else None
        return clock.now() - (last or attempt.launched_at or 0.0) > watch.SILENCE_S

    def _look(self) -> None:
        """How it stands by now, and the machine of a lost answer; nothing is written there."""
        if self._cloud is None:
            return
        self.launch = watch.newer(self.launch, self._records)
        if not self.launch.attempts[-1].is_answered:
            found = located(self._cloud.session, self.launch, self._report)
            self.launch = self._records.remember(found)

    def _watch(self) -> Marker:
        if self._cloud is None:
            clock = SystemClock()
            return watch.watch_local(
                self._home.root, self.launch, self._records, clock, self._report
            )
        cloud = self._cloud
        self.launch, marker = watch.watch_cloud(
            cloud.session, self.launch, self._records, cloud.clock, self._report
        )
        return marker

    def _release(self) -> None:
        """The run is over and its machine gone: nothing has to end it any more."""
        if self._cloud is not None and self.launch.place is not None:
            group, count = self.launch.place.group, len(self.launch.attempts)
            release(self._cloud.session, self._records.remote, group, self.run_id, count)

    def _fetch(self) -> None:
        if self._cloud is not None:
            # One after the other in a rehearsal, so that equal seeds give equal orders.
            at_once = 1 if self._cloud.rehearsed else AT_ONCE
            collect(self._records, self._home, self._report, at_once=at_once)

    def _has_ended(self) -> bool:
        if self._cloud is not None:
            return self.is_over()
        return self.marker() is not None and not is_alive(self._home.root, self.run_id)

    def _read(self, kind: type[T], key: str) -> T:
        found = self._records.read(kind, key)
        if found is None:
            raise NotFoundError(
                "not there yet", where=key, remedy=f"run `flyback collect {self.run_id}` first"
            )
        return found

    def _account(self) -> Receipt:
        cloud = self._cloud
        if cloud is None:
            usage = local_usage(self.launch, self._records, SystemClock())
            machines: tuple[MachineUse, ...] = ()
        else:
            facts = (cloud.session, self.launch, self._records, cloud.clock)
            usage, machines = cloud_usage(*facts), machine_uses(*facts)
        return make_receipt(
            run_id=self.run_id,
            plan=self.plan,
            usage=usage,
            rehearsed=cloud is not None and cloud.rehearsed,
            machines=machines,
        )

    def _certify(self) -> Certificate:
        cloud = self._cloud
        assert cloud is not None, "only a cloud run is certified"  # noqa: S101  # our own invariant
        return certify.certify_run(
            cloud.session, self.run_id, cloud.ledger, cloud.clock, store=self.launch.store
        )
