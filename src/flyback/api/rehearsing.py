"""`rehearse`: the whole path in an emulated cloud that lives and dies with the call."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyback.api.faults import FaultRequest, parse_fault
from flyback.api.job import prepare
from flyback.api.runs import Run
from flyback.api.verbs import Options, decide, deploy, remove, start
from flyback.api.wiring import Cloud, local_home, start_rehearsal
from flyback.audit.iam import Asked, Attached
from flyback.aws.ec2 import GONE
from flyback.launch.fleet import RUN_TAG
from flyback.launch.progress import Report
from flyback.spec.certificate import Certificate, Leftover
from flyback.spec.codec import encode
from flyback.spec.event import Marker
from flyback.spec.job import JobSpec
from flyback.spec.launch import Attempt
from flyback.spec.receipt import Receipt
from flyback.spec.result import Result
from flyback.spec.settings import DEFAULT_REGION

__all__ = ["Rehearsal", "Setting", "rehearse"]

_EXCEPTION = "iam:service-linked-role"  # as the certificate states


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the emulated cloud is like.

    Args:
        seed: Of all that chance decides.
        faults: What goes wrong, as `--fault` takes it: `throttle:0.1`, `interrupt:at=40s`, ….
        policy: What you may do in it, as an IAM policy document; None: everything.
    """

    seed: int = 0
    faults: tuple[str, ...] = ()
    policy: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a rehearsal showed.

    Args:
        marker: How the run ended.
        results: One per cell.
        receipt: What it would have cost, beside the quote.
        run_certificate: After the run, the deployment still standing.
        certificate: After `down`.
        attempts: Every try at a machine.
        instances_left: Machines of the emulated account that were not terminated at the end.
        changes: What the emulated account holds, by full inventory, that it did not before, or
            the other way round; what the certificate states as an exception is left out.
        folder: The run's files.
        asked: Every question to IAM, and its answer.
        policies: Every policy of the deployed account.
    """

    run_id: str
    marker: Marker
    results: tuple[Result, ...]
    receipt: Receipt
    run_certificate: Certificate
    certificate: Certificate
    instances_left: int
    attempts: tuple[Attempt, ...]
    changes: tuple[str, ...]
    folder: Path
    asked: tuple[Asked, ...] = ()
    policies: tuple[Attached, ...] = ()

    def leftovers(self) -> tuple[Leftover, ...]:
        """What either certificate or the inventory found, each once."""
        found = [*self.run_certificate.leftovers, *self.certificate.leftovers]
        named = {item.identifier for item in found}
        for change in self.changes:
            kind, _, identifier = change.partition(" ")
            if identifier not in named:
                service = kind.partition(":")[0]
                remedy = "an emulated account only; please report this"
                found.append(
                    Leftover(service=service, kind=kind, identifier=identifier, remedy=remedy)
                )
        return tuple({item.identifier: item for item in found}.values())

    def summary(self) -> dict[str, Any]:
        """The one JSON document of `flyback rehearse --json`."""
        leftovers = {item.identifier: encode(item) for item in self.leftovers()}
        return {
            "run_id": self.run_id,
            "marker": self.marker.kind,
            "exit_code": self.marker.exit_code,
            "reason": self.marker.reason,
            "results": [encode(result) for result in self.results],
            "quote_usd": self.receipt.quote_usd,
            "receipt_usd": self.receipt.total_usd,
            "leftovers": [leftovers[key] for key in sorted(leftovers)],
            "instances_left": self.instances_left,
        }


def rehearse(
    job: str | Path | JobSpec,
    *,
    overrides: Sequence[str] = (),
    preset: str | None = None,
    options: Options | None = None,
    setting: Setting | None = None,
) -> Rehearsal:
    """Deploy, launch, run, collect, account, tear down and certify in an emulated cloud.

    Needs no account, no credentials and no network.

    Raises:
        UserError: something about the job or a fault is wrong; nothing was started.
        ServiceError: a machine's user-data failed, or something is not emulated; it is named.
    """
    setting = setting or Setting()
    faults = [parse_fault(text) for text in setting.faults]
    prepared = prepare(job, overrides=overrides, preset=preset, engine="ec2")
    chosen = options or Options(cloud="rehearsal")
    report = chosen.report
    region = chosen.region or DEFAULT_REGION
    decide(prepared, region)  # a job that fits no machine ends here
    parent = local_home() / "rehearsal"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix="cloud-"))
    try:
        report("deploy", "starting an emulated cloud on this machine")
        cloud = start_rehearsal(folder, region=region, seed=setting.seed, policy=setting.policy)
        try:
            assert cloud.emulated is not None, "it was started here"  # noqa: S101  # ours
            report("deploy", cloud.emulated.protection)
            _plant(cloud, prepared.job, setting, report)
            before = _inventory(cloud)
            _arm(cloud, faults, report)
            deploy(cloud, chosen, report)
            chance = random.Random(f"{setting.seed}/run")  # noqa: S311  # a name, no secret
            run = start(prepared, cloud, chosen, report, chance=chance)
            shown = _to_the_end(run, cloud, chosen, report)
            cloud.emulated.faults.clear()
            return dataclasses.replace(shown, changes=_changes(before, _inventory(cloud)))
        finally:
            if cloud.emulated is not None:
                cloud.emulated.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _plant(cloud: Cloud, job: JobSpec, setting: Setting, report: Report) -> None:
    """Give the emulated account stand-ins for what the user's own account holds."""
    from flyback.rehearsal.secrets import plant

    assert cloud.emulated is not None, "a rehearsal holds its cloud"  # noqa: S101  # ours
    for variable, reference in job.secrets.items():
        report("deploy", f"secrets.{variable}: {reference} is a stand-in here")
    plant(cloud.emulated, job.secrets.values(), setting.seed)


def _arm(cloud: Cloud, faults: Sequence[FaultRequest], report: Report) -> None:
    """Let go wrong what the user asked for."""
    from flyback.rehearsal.strict import arm

    assert cloud.emulated is not None, "a rehearsal holds its cloud"  # noqa: S101  # ours
    for fault in faults:
        report("deploy", f"fault: {fault}")
        arm(cloud.emulated, fault.kind, dataclasses.asdict(fault))


def _to_the_end(run: Run, cloud: Cloud, options: Options, report: Report) -> Rehearsal:
    marker = run.wait()
    run_certificate = run.certificate()
    receipt, results = run.receipt(), run.results()
    assert cloud.emulated is not None, "a rehearsal holds its cloud"  # noqa: S101  # ours
    policies = cloud.emulated.judge.attached()
    certificate = remove(cloud, options, keep_data=False, report=report)
    machines = cloud.session.ec2.instances(RUN_TAG)
    assert run_certificate is not None, "a cloud run has a certificate"  # noqa: S101  # ours
    return Rehearsal(
        run_id=run.run_id,
        marker=marker,
        results=results,
        receipt=receipt,
        run_certificate=run_certificate,
        certificate=certificate,
        instances_left=sum(1 for item in machines if item.state not in GONE),
        attempts=run.launch.attempts,
        changes=(),
        folder=run.folder,
        asked=cloud.emulated.judge.asked(),
        policies=policies,
    )


def _inventory(cloud: Cloud) -> dict[str, dict[str, Any]]:
    assert cloud.emulated is not None, "a rehearsal holds its cloud"  # noqa: S101  # ours
    found: dict[str, dict[str, Any]] = json.loads(cloud.emulated.inventory())
    return {kind: things for kind, things in found.items() if kind != _EXCEPTION}


def _changes(
    before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]
) -> tuple[str, ...]:
    """Kind and identifier of everything that one inventory holds and the other holds otherwise."""
    changed = {
        f"{kind} {identifier}"
        for kind in before.keys() | after.keys()
        for identifier in before.get(kind, {}).keys() | after.get(kind, {}).keys()
        if before.get(kind, {}).get(identifier) != after.get(kind, {}).get(identifier)
    }
    return tuple(sorted(changed))
