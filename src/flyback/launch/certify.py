"""The certificate: independent sources are asked, and all must say that nothing is left.

The ledger knows what was intended, the stack what CloudFormation made, the tags what carries our
name, and the sweep what looks like ours by kind and name. A thing counts as gone only in a terminal
state.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from flyback.aws.cloudformation import StackResource
from flyback.aws.ec2 import GONE, Instance
from flyback.aws.iam import SPOT_ROLE
from flyback.aws.ledger import FileLedger, LedgerEntry
from flyback.aws.listing import bucket_command
from flyback.aws.session import Session
from flyback.launch.deployment import NAME_TAG, PARTS, stack_name
from flyback.launch.ending import command_for
from flyback.launch.existence import is_there
from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.ledger import entries
from flyback.launch.lease import is_of, stem
from flyback.launch.leftovers import Upload, as_leftover, buckets_in, look_for, uploads
from flyback.spec.certificate import Certificate, Check, Leftover
from flyback.spec.clock import Clock
from flyback.spec.paths import RunPaths
from flyback.store.open import open_store

__all__ = ["certify_account", "certify_run"]

_POLL_S = 5.0
_PATIENCE_S = 120.0
_MACHINE = re.compile(r"i-[0-9a-f]+")
_POLICY = "AWS::S3::BucketPolicy"
_SPOT_EXCEPTION = (
    f"IAM role {SPOT_ROLE}: EC2's own service-linked role, free, shared by the whole account"
)


def certify_run(
    session: Session, run_id: str, ledger: FileLedger, clock: Clock, *, store: str = ""
) -> Certificate:
    """Prove that nothing of one run bills any more; the stack stays.

    Args:
        session: The account.
        run_id: The run.
        ledger: Of this machine.
        clock: For waiting.
        store: URL of the bucket that holds the run, and what the guardian wrote down of it.
    """
    bucket = store.removeprefix("s3://").partition("/")[0]
    both = {"": [entry for entry in ledger.entries() if entry.scope == run_id]}
    if store:  # of the guardian's relaunches
        kept = open_store(store, s3_client=session.client("s3"))
        both["the guardian's "] = list(entries(kept, run_id))

    def ask() -> list[Check]:
        return [
            *(_ledger_check(session, made, (RUN_TAG, run_id), who) for who, made in both.items()),
            *_machine_checks(session, RUN_TAG, run_id, "tags"),
            _tagging_check(session, RUN_TAG, run_id),
            _check(
                "sweep",
                "scheduler",
                f"ListSchedules {stem(run_id)}*",
                [
                    f"{group}/{name}"
                    for group, name in session.schedules.everywhere(stem(run_id))
                    if is_of(name, run_id)
                ],
            ),
            *_upload_checks(session, run_id, bucket),
        ]

    return _certificate(session, run_id, _settled(ask, clock), clock, exceptions=())


def _upload_checks(session: Session, run_id: str, bucket: str) -> list[Check]:
    if not bucket:
        return []
    prefix = f"{RunPaths(run_id).prefix}/"
    found = session.buckets.uploads(bucket, prefix)
    left = [f"{bucket}/{key}#{upload}" for key, upload in found]
    return [_check("sweep", "s3", f"ListMultipartUploads {bucket}/{prefix}", left)]


def certify_account(
    session: Session,
    name: str,
    stack_ids: Sequence[str],
    ledger: FileLedger,
    clock: Clock,
    kept: Collection[str] = (),
) -> Certificate:
    """Prove that nothing of the deployment `name` is left in the account and region.

    Args:
        session: The account.
        name: The deployment's.
        stack_ids: Of the stacks that were removed.
        ledger: Of this machine.
        clock: For waiting.
        kept: Buckets that stay by their owner's wish: exceptions, not leftovers.
    """
    stacks = [stack_name(name, part) for part in PARTS]
    remedies: dict[str, Leftover] = {}
    refused: dict[str, str] = {}

    def is_ours(entry: LedgerEntry) -> bool:
        return entry.name in stacks or entry.scope not in ("stack", "account")

    def ask() -> list[Check]:
        checks = [
            _ledger_check(session, list(filter(is_ours, ledger.entries())), (NAME_TAG, name)),
            *(_stack_check(session, stack_id) for stack_id in stack_ids),
            _tagging_check(session, NAME_TAG, name),
            *_machine_checks(session, NAME_TAG, name, "sweep"),
            *_sweep(session, name, remedies, refused),
        ]
        return [_without(check, kept) for check in checks]

    checks = _settled(ask, clock)
    exceptions: tuple[str, ...] = (_SPOT_EXCEPTION,) if session.iam.has_spot_role() else ()
    exceptions += tuple(f"kept on request: {bucket}" for bucket in sorted(kept))
    unknown = sorted(kind for kind, why in refused.items() if not why)
    exceptions += (f"not in a rehearsal: {', '.join(unknown)}",) if unknown else ()
    unasked = tuple(f"{kind}: {why}" for kind, why in sorted(refused.items()) if why)
    made = _certificate(session, "account", checks, clock, exceptions=exceptions, unasked=unasked)
    known = tuple(remedies.get(item.identifier, item) for item in made.leftovers)
    return dataclasses.replace(made, leftovers=known)


def _without(check: Check, kept: Collection[str]) -> Check:
    left = tuple(item for item in check.left if item not in kept)
    return dataclasses.replace(check, left=left)


def _sweep(
    session: Session, name: str, remedies: dict[str, Leftover], refused: dict[str, str]
) -> list[Check]:
    """Every kind of thing that can linger; what each is, for whoever reports it.

    What could not be asked for comes to `refused`, without a reason where there can be none.
    """
    checks = []
    refused.clear()
    looks = tuple(look_for(session, name))
    for look in looks:
        kind = look.listing
        if look.refused or look.unknown_here:
            refused[kind.kind] = look.refused
            continue
        remedies.update({item.identifier: as_leftover(item) for item in look.found})
        question = f"{kind.method} of {name}: {kind.kind}"
        left = [item.identifier for item in look.found]
        checks.append(_check("sweep", kind.service, question, left))
    unfinished = [item.leftover() for item in uploads(session, buckets_in(looks))]
    remedies.update({item.identifier: item for item in unfinished})
    left = [item.identifier for item in unfinished]
    return [*checks, _check("sweep", "s3", f"list_multipart_uploads of {name}", left)]


def _settled(ask: Callable[[], list[Check]], clock: Clock) -> list[Check]:
    """Ask again for two minutes while something is left: deletions take a while to be seen."""
    give_up, pause = clock.now() + _PATIENCE_S, _POLL_S
    while True:
        checks = ask()
        if clock.now() >= give_up or not any(check.left for check in checks):
            return checks
        clock.sleep(pause)
        pause *= 2  # every round asks for everything


def _certificate(
    session: Session,
    scope: str,
    checks: Sequence[Check],
    clock: Clock,
    *,
    exceptions: tuple[str, ...],
    unasked: tuple[str, ...] = (),
) -> Certificate:
    # the source that knows best what a thing is comes last
    leftovers = {
        identifier: _leftover(check.service, identifier)
        for check in checks
        for identifier in check.left
    }
    return Certificate(
        scope=scope,
        account=session.identity.account,
        region=session.region,
        at=clock.now(),
        checks=tuple(checks),
        leftovers=tuple(leftovers[key] for key in sorted(leftovers)),
        exceptions=exceptions,
        clean=not leftovers and not unasked,
        unasked=unasked,
    )


def _check(source: str, service: str, question: str, left: Iterable[str], seen: int = 0) -> Check:
    remaining = tuple(sorted(left))
    return Check(
        source=source,  # type: ignore[arg-type]  # one of the four literals, at every call here
        service=service,
        question=question,
        seen=max(seen, len(remaining)),
        left=remaining,
    )


def _ledger_check(
    session: Session, written: Sequence[LedgerEntry], tag: tuple[str, str], whose: str = ""
) -> Check:
    """Ask for each thing that a create call was made for.

    A call whose answer was lost made a machine that carries its run's tag, which the other sources
    ask for.
    """
    made = {identifier for entry in written for identifier in entry.made}
    left = []
    for identifier in sorted(made):
        if _MACHINE.fullmatch(identifier):
            instance = session.ec2.instance(identifier)
            if instance is not None and _lingers(instance) and _belongs(instance.tags, tag):
                left.append(identifier)
        elif ":stack/" in identifier:
            stack = session.cloudformation.describe(identifier)
            if stack is None or stack.status == "DELETE_COMPLETE":
                continue
            if _belongs(stack.tags, tag):
                left.append(identifier)
    question = f"each of {len(made)} things made by {whose}{len(written)} entries"
    return _check("ledger", "ledger", question, left, len(made))


def _belongs(tags: Mapping[str, str], tag: tuple[str, str]) -> bool:
    """What another's tag is on is another's; what has lost its tags may be ours."""
    key, value = tag
    return tags.get(key, value) == value


def _stack_check(session: Session, stack_id: str) -> Check:
    resources: tuple[StackResource, ...] = ()
    if session.cloudformation.describe(stack_id) is not None:
        resources = session.cloudformation.resources(stack_id)
    buckets = session.buckets.names("")
    left = [
        item.physical_id
        for item in resources
        if item.status != "DELETE_COMPLETE"
        # a bucket's policy is named by the bucket, and goes with it
        and (item.kind != _POLICY or item.physical_id in buckets)
    ]
    return _check("stack", "cloudformation", f"ListStackResources {stack_id}", left, len(resources))


def _machine_checks(session: Session, key: str, value: str, source: str) -> list[Check]:
    """Machines, their disks and their interfaces."""
    instances = session.ec2.instances(key, value)
    filters = f"tag:{key}={value}"
    return [
        _check(
            source,
            "ec2",
            f"DescribeInstances {filters}",
            (item.instance_id for item in instances if _lingers(item)),
            len(instances),
        ),
        _check(source, "ec2", f"DescribeVolumes {filters}", session.ec2.volumes(key, value)),
        _check(
            source,
            "ec2",
            f"DescribeNetworkInterfaces {filters}",
            session.ec2.interfaces(key, value),
        ),
    ]


def _lingers(instance: Instance) -> bool:
    return instance.state not in GONE


def _tagging_check(session: Session, key: str, value: str) -> Check:
    """What the tagging API names; it remembers deleted things for hours, so each is looked up."""
    arns = session.tagging.arns(key, value)
    left = [_plain(arn) for arn in arns if is_there(session, arn)]
    return _check("tags", "tagging", f"GetResources {key}={value}", left, len(arns))


def _plain(arn: str) -> str:
    """The name that other sources have for it: a bucket's, a log group's, or EC2's id."""
    service = arn.split(":")[2]
    if service in ("s3", "logs"):
        return arn.removesuffix(":*").rsplit(":", 1)[1]
    return arn.rsplit("/", 1)[1] if service == "ec2" else arn


def _leftover(service: str, identifier: str) -> Leftover:
    kind, remedy = "resource", "open it in the console and delete it"
    for prefix, name, command in _REMEDIES:
        if identifier.startswith(prefix):
            kind, remedy = name, command.format(identifier)
            break
    else:
        if service == "s3" and "#" in identifier:
            bucket, _, key = identifier.partition("/")
            key, _, upload = key.rpartition("#")
            made = Upload(bucket=bucket, key=key, upload_id=upload).leftover()
            kind, remedy = made.kind, made.remedy
        elif service == "s3":
            kind, remedy = "bucket", bucket_command(identifier)
        elif service == "logs":
            kind = "log group"
            remedy = f"aws logs delete-log-group --log-group-name {identifier}"
        elif service == "scheduler":
            kind = "schedule"
            group, _, schedule = identifier.rpartition("/")
            place = f"--group-name {group} " if group else ""
            remedy = f"aws scheduler delete-schedule {place}--name {schedule}"
        elif ":stack/" in identifier:
            kind, remedy = "stack", f"aws cloudformation delete-stack --stack-name {identifier}"
    return Leftover(service=service, kind=kind, identifier=identifier, remedy=remedy)


_REMEDIES = (
    ("i-", "instance", command_for(("{}",))),
    ("vol-", "volume", "aws ec2 delete-volume --volume-id {}"),
    ("eni-", "network interface", "aws ec2 delete-network-interface --network-interface-id {}"),
    ("lt-", "launch template", "aws ec2 delete-launch-template --launch-template-id {}"),
    ("sg-", "security group", "aws ec2 delete-security-group --group-id {}"),
    ("subnet-", "subnet", "aws ec2 delete-subnet --subnet-id {}"),
    ("rtb-", "route table", "aws ec2 delete-route-table --route-table-id {}"),
    ("vpce-", "VPC endpoint", "aws ec2 delete-vpc-endpoints --vpc-endpoint-ids {}"),
    ("igw-", "internet gateway", "aws ec2 delete-internet-gateway --internet-gateway-id {}"),
    ("vpc-", "VPC", "aws ec2 delete-vpc --vpc-id {}"),
)
