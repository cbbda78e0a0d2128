"""`down`: machines first, then what the buckets hold, then the stack; then the proof."""

from __future__ import annotations

from collections.abc import Mapping

from flyback.aws.ec2 import GONE
from flyback.aws.session import Session
from flyback.errors import LeftoversError
from flyback.launch.bootstrap import remove_code
from flyback.launch.deployment import NAME_TAG, stack_name
from flyback.launch.ending import told_to_end
from flyback.launch.kept import full_buckets, kept_buckets
from flyback.launch.lease import held, held_runs
from flyback.launch.progress import Report, silent
from flyback.launch.push import own_rights
from flyback.launch.records import Records
from flyback.launch.stack import follow, is_busy
from flyback.launch.stuck import stuck_in
from flyback.spec.clock import Clock
from flyback.spec.event import Marker
from flyback.store.open import open_store

__all__ = ["down", "stored_objects", "terminate_and_wait"]

_ROUNDS = 5  # waiting for another command, a delete that fails, and one that keeps what holds it


def down(
    session: Session, name: str, clock: Clock, *, keep_data: bool = False, report: Report = silent
) -> tuple[str, ...]:
    """Remove the deployment.

    Args:
        session: Account and region.
        name: The deployment's.
        clock: For waiting.
        keep_data: Leave buckets that hold objects.
        report: Told each step.

    Returns:
        Ids of the stacks that were removed.

    Raises:
        LeftoversError: CloudFormation could not delete something.
        AccessDeniedError: a permission is missing, maybe one of the push role's stack alone.
    """
    # what bills goes first: nothing of the others may keep it
    core = _core(session, name, clock, keep_data=keep_data, report=report)
    with own_rights():
        beside = _beside(session, name, "ci", clock, report)
    return tuple(stack_id for stack_id in (beside, core) if stack_id)


def _beside(session: Session, name: str, part: str, clock: Clock, report: Report) -> str:
    """Remove a stack that holds no data; its id, or empty where there was none."""
    stack_id = ""
    for _ in range(_ROUNDS):
        stack = session.cloudformation.describe(stack_id or stack_name(name, part))
        if stack is None or stack.status == "DELETE_COMPLETE":
            return stack_id
        if stack.tags.get(NAME_TAG) != name:
            report("teardown", f"leaving the stack {stack.name}: it has no tag {NAME_TAG}={name}")
            return stack_id
        stack_id = stack.stack_id
        if not is_busy(stack.status):
            report("teardown", f"deleting the stack {stack.name}")
            session.cloudformation.delete(stack_id)
        follow(session, stack_id, clock, report)
    raise _stuck(session, name, part, stack_id)


def _core(
    session: Session, name: str, clock: Clock, *, keep_data: bool, report: Report
) -> str | None:
    stack_id = None
    for _ in range(_ROUNDS):
        _stop_runs(session, name, clock, report)
        terminate_and_wait(session, _running(session, name), clock, report)
        stack = session.cloudformation.describe(stack_id or stack_name(name))
        if stack is None or stack.status == "DELETE_COMPLETE":
            if stack_id is None:
                report("teardown", f"there is no stack {stack_name(name)}")
            remove_code(session, name, report)
            if not keep_data:
                _remove_kept(session, name, report)
            return stack_id
        stack_id = stack.stack_id
        if is_busy(stack.status):
            report("teardown", f"{stack.name} is in state {stack.status}; waiting")
            follow(session, stack_id, clock, report)
            continue
        full = full_buckets(session, stack_id)
        if not keep_data:
            _purge(session, full, report)
            full = {}
        keep = tuple(sorted(full)) if stack.status == "DELETE_FAILED" else ()
        kept = f", keeping the data in {', '.join(sorted(full.values()))}" if full else ""
        report("teardown", f"deleting the stack {stack.name}{kept}")
        session.cloudformation.delete(stack_id, keep=keep)
        follow(session, stack_id, clock, report)
    raise _stuck(session, name, "core", stack_id or "")


def _stuck(session: Session, name: str, part: str, stack_id: str) -> LeftoversError:
    stuck = stuck_in(session, stack_id)
    why = "".join(f"; {each}" for each in stuck)
    remedies = [each.remedy for each in stuck]
    return LeftoversError(
        f"the stack is still not deleted after {_ROUNDS} attempts{why}",
        where=stack_name(name, part),
        remedy="\n    ".join([*remedies, "then run `flyback down` again"]),
    )


def stored_objects(session: Session, name: str) -> dict[str, int]:
    """Object versions in each of the deployment's buckets, kept ones of an earlier one included."""
    return {
        bucket: session.buckets.object_versions(bucket)
        for bucket in kept_buckets(session, name).values()
    }


def terminate_and_wait(
    session: Session, instance_ids: tuple[str, ...], clock: Clock, report: Report = silent
) -> None:
    """End machines and see them ended; one whose system hangs is pressed after a minute.

    Raises:
        LeftoversError: a machine is not terminated after 15 minutes, or may not be by us.
    """
    if instance_ids:
        report("teardown", f"terminating {', '.join(instance_ids)}")
        told_to_end(session, instance_ids, clock, lambda text: report("teardown", text))


def _stop_runs(session: Session, name: str, clock: Clock, report: Report) -> None:
    """Say of each run that is held that it was stopped: the guardian must not go on with it."""
    bucket = kept_buckets(session, name).get("OutputsBucket")
    if bucket is None:
        return
    store = open_store(f"s3://{bucket}", s3_client=session.client("s3"))
    for run_id in held_runs(store):
        launch, records = held(store, run_id), Records(run_id, store, store)
        if launch is None or records.marker() is not None:
            continue
        report("teardown", f"stopping the run {run_id}")
        records.declare(
            Marker(
                run_id=run_id,
                attempt=launch.attempts[-1].number if launch.attempts else 1,
                kind="INTERRUPTED",
                exit_code=None,
                reason="stopped",
                log_tail="stopped by `flyback down`",
                at=clock.now(),
            )
        )


def _running(session: Session, name: str) -> tuple[str, ...]:
    """Machines of this deployment; others may share the account."""
    found = session.ec2.instances(NAME_TAG, name)
    return tuple(item.instance_id for item in found if item.state not in GONE)


def _purge(session: Session, buckets: Mapping[str, str], report: Report) -> None:
    for bucket in buckets.values():
        count = session.buckets.purge(bucket)
        report("teardown", f"deleted {count} object versions in {bucket}")


def _remove_kept(session: Session, name: str, report: Report) -> None:
    """Buckets that an earlier `down --keep-data` left; they have no stack any more."""
    there = kept_buckets(session, name)
    arns = session.tagging.arns(NAME_TAG, name) if there else ()
    tagged = {arn.rpartition(":")[2] for arn in arns}
    kept = {key: bucket for key, bucket in there.items() if bucket in tagged}
    for bucket in sorted(set(there.values()) - set(kept.values())):
        report("teardown", f"leaving the bucket {bucket}: it has no tag {NAME_TAG}={name}")
    _purge(session, kept, report)
    for bucket in kept.values():
        report("teardown", f"deleting {bucket}, which an earlier `down` kept")
        session.buckets.delete(bucket)
