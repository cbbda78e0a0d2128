"""`verify`: the same small scenario in an account and in a rehearsal, and how they differ.

The scenario is under the lease like any run. First a job that ends by itself, whose request is sent
a second time meanwhile; then one that its own schedule ends. Two small machines for a few minutes.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flyback import __version__
from flyback.api.job import prepare
from flyback.api.runs import Run
from flyback.api.verbs import Options, deploy, start
from flyback.api.wiring import Cloud, local_home, start_rehearsal
from flyback.aws.ec2 import GONE
from flyback.errors import CredentialsError, FlybackError, RefusedError
from flyback.launch.evidence import Difference, Evidence, Witness, differences
from flyback.launch.lease import move, names
from flyback.launch.progress import Report
from flyback.launch.teardown import terminate_and_wait
from flyback.spec.codec import write_json
from flyback.spec.job import JobSpec, Resources

__all__ = ["Verification", "seen_in", "verify"]

_TYPES = ("c5.xlarge", "m6i.xlarge", "c6i.xlarge")
_MAX_USD = 0.25
_AHEAD_S = 120.0
_PATIENCE_S = 420.0
_POLL_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was compared; it names no account, bucket or machine.

    Args:
        version: flyback's.
        region: Where.
        differences: What the rehearsal is wrong about, and what it only leaves out.
        cloud: What the account did.
        rehearsal: What the rehearsal did; None as long as it has not ended, or where it broke.
    """

    version: str
    region: str
    cloud: Evidence
    differences: tuple[Difference, ...] = ()
    rehearsal: Evidence | None = None

    @property
    def findings(self) -> tuple[Difference, ...]:
        """What counts."""
        return tuple(item for item in self.differences if item.counts)


def verify(options: Options | None = None) -> Verification:
    """Run the scenario in the account, then in a rehearsal, and compare; the report is kept.

    What the account did is kept before the rehearsal begins. Costs a few cents. What is deployed
    must be deployed already, by `flyback up`.

    Raises:
        UserError: nothing is deployed.
        CredentialsError: nothing can be asked of the account.
    """
    chosen = options or Options()
    cloud = chosen.open()
    region = cloud.session.region
    seen = seen_in(cloud, chosen, chosen.report)
    found = Verification(version=__version__, region=region, cloud=seen)
    path = local_home() / "verify" / f"{region}-{int(cloud.clock.now())}.json"
    write_json(path, found)
    with tempfile.TemporaryDirectory(prefix="flyback-verify-") as folder:
        emulated = start_rehearsal(Path(folder), region=region)
        assert emulated.emulated is not None, "it was just started"  # noqa: S101  # ours
        try:
            deploy(emulated, chosen, chosen.report)
            expected = seen_in(emulated, chosen, chosen.report)
        finally:
            emulated.emulated.stop()
    compared = differences(seen, expected)
    found = dataclasses.replace(found, differences=compared, rehearsal=expected)
    write_json(path, found)
    return found


def seen_in(cloud: Cloud, options: Options, report: Report) -> Evidence:
    """Run the scenario in one cloud, whose deployment stands.

    Whatever becomes of it is a fact as well: an account that differs most tells the most.

    Raises:
        UserError: nothing is deployed.
        CredentialsError: nothing can be asked at all.
    """
    witness = Witness()
    cloud.session.witness = witness
    try:
        scenario = _Scenario(cloud, options, report)
        scenario.ends_by_itself()
        scenario.ended_by_its_schedule()
    finally:
        cloud.session.witness = None
    return witness.evidence(scenario.facts)


class _Scenario:
    """Two runs, and what they show."""

    def __init__(self, cloud: Cloud, options: Options, report: Report) -> None:
        self._cloud = cloud
        self._options = options
        self._report = report
        self.facts: dict[str, str] = {}

    def ends_by_itself(self) -> None:
        """Boot, tags, replay, own shutdown, what the lease leaves."""
        try:
            run = self._start("verify-short", ("sleep", "20"))
        except CredentialsError:  # nothing was seen, nor will be
            raise
        except RefusedError as error:
            self.facts["run"] = _said(error)
            return
        self._fact("token replay", lambda: self._replayed(run))
        self._fact("run", lambda: self._end_of(run))
        self._fact("events", lambda: self._events(run))
        self._fact("tags at boot", lambda: self._tags(run))
        self._fact("own shutdown", lambda: self._end(run))
        self._fact("certificate", lambda: self._certified(run))

    def ended_by_its_schedule(self) -> None:
        """The universal target alone: nothing else ends the machine so early."""
        try:
            run = self._start("verify-long", ("sleep", "1200"))
        except FlybackError as error:  # the first run's evidence is kept
            self.facts["universal target"] = _said(error)
            return
        try:
            self._fact("universal target", lambda: self._by_schedule(run))
        finally:
            self._fact("stop", lambda: self._stopped(run))

    def _start(self, name: str, command: tuple[str, ...]) -> Run:
        job = JobSpec(
            name=name,
            engine="ec2",
            command=command,
            resources=Resources(count=0, any_of=_TYPES),
            max_hours=0.5,
            max_usd=_MAX_USD,
        )
        return start(prepare(job), self._cloud, self._options, self._report)

    def _fact(self, topic: str, ask: Callable[[], str]) -> None:
        """A question that fails is an answer as well."""
        try:
            self.facts[topic] = ask()
        except FlybackError as error:
            self.facts[topic] = _said(error)

    def _replayed(self, run: Run) -> str:
        """The stored request a second time, with its client token."""
        session, attempt = self._cloud.session, run.launch.attempts[-1]
        answer = session.ec2.create_fleet(attempt.request, run.run_id)
        if not answer.instance_ids:
            return f"no machine: {', '.join(sorted({e.code for e in answer.errors})) or 'no error'}"
        others = tuple(name for name in answer.instance_ids if name != attempt.instance_id)
        if others:
            terminate_and_wait(session, others, self._cloud.clock, self._report)
        return "another machine" if others else "the same machine"

    def _tags(self, run: Run) -> str:
        """What the metadata service showed of the machine's own tags."""
        keys = run.launch.attempts[-1].number
        path = run.folder / "attempts" / str(keys) / "environment.json"
        if not path.exists():  # the agent never came so far
            return "none"
        instance = json.loads(path.read_text())["instance"] or {}
        ours = sorted(name for name in instance.get("tags", ()) if name.startswith("flyback:"))
        return ", ".join(ours) or "none"

    def _end_of(self, run: Run) -> str:
        marker = run.wait()
        return f"{marker.kind} {marker.reason}"

    def _stopped(self, run: Run) -> str:
        run.stop()  # who marks it, this or the guardian, is chance
        return "it ended"

    def _certified(self, run: Run) -> str:
        certificate = run.certificate()
        return "clean" if certificate is not None and certificate.clean else "not clean"

    def _events(self, run: Run) -> str:
        path = run.folder / "attempts" / str(run.launch.attempts[-1].number) / "events.jsonl"
        if not path.exists():
            return "none"
        kinds = [json.loads(line)["kind"] for line in path.read_text().splitlines()]
        return ", ".join(dict.fromkeys(kinds))

    def _end(self, run: Run) -> str:
        """What became of a machine that shut itself down."""
        machine = self._cloud.session.ec2.instance(run.launch.attempts[-1].instance_id or "")
        return "forgotten" if machine is None else f"{machine.state}, {machine.reason}"

    def _by_schedule(self, run: Run) -> str:
        session, clock, place = self._cloud.session, self._cloud.clock, run.launch.place
        assert place is not None, "a run in a cloud has schedules"  # noqa: S101  # ours
        attempt = run.launch.attempts[-1]
        *_, own = names(run.run_id, attempt.number)
        began = clock.now()
        if not move(session, place.group, (own,), began + _AHEAD_S):
            return "no schedule"
        while clock.now() < began + _PATIENCE_S:
            machine = session.ec2.instance(attempt.instance_id or "")
            if machine is not None and machine.state in GONE:
                return f"{machine.state}, {machine.reason}"
            clock.sleep(_POLL_S)
        return f"not ended within {_PATIENCE_S - _AHEAD_S:.0f} s"


def _said(error: FlybackError) -> str:
    """An error without what it names: ids and numbers differ from account to account."""
    return f"{type(error).__name__}: {error.what.partition(':')[0]}"
