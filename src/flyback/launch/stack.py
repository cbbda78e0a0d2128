"""`up`: the core stack as its template says. Makes no mutating call where nothing changed.

`down` is in `teardown`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flyback.aws.cloudformation import StackFacts
from flyback.aws.session import Session
from flyback.errors import ServiceError
from flyback.launch.deployment import READY, Deployment, stack_name
from flyback.launch.progress import Report, silent
from flyback.spec.clock import Clock

__all__ = ["Desired", "follow", "up"]

_POLL_S = 5.0
_BUSY = "_IN_PROGRESS"


@dataclass(frozen=True, kw_only=True)
class Desired:
    """What the core stack should be."""

    name: str
    template: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def matches(self, stack: StackFacts, template: str) -> bool:
        """Whether the account holds exactly this."""
        return (
            template == self.template
            and all(stack.parameters.get(key) == text for key, text in self.parameters.items())
            and dict(stack.tags) == dict(self.tags)
        )


def up(session: Session, desired: Desired, clock: Clock, report: Report = silent) -> Deployment:
    """Deploy the core stack, or find it deployed.

    Raises:
        ServiceError: CloudFormation rolled back; the message holds its first reason.
        AccessDeniedError: a permission is missing.
    """
    name = stack_name(desired.name)
    if not session.iam.has_spot_role():
        report("deploy", "creating EC2 Spot's service-linked role (it stays after `down`)")
        session.iam.create_spot_role()
    stack = session.cloudformation.describe(name)
    if stack is not None and stack.status.endswith(_BUSY):
        report("deploy", f"{name} is in state {stack.status}; waiting")
        follow(session, stack.stack_id, clock, report)
        stack = session.cloudformation.describe(name)
    if stack is not None and stack.status not in READY:
        # a create that rolled back, or a delete that failed, leaves nothing to update
        report("deploy", f"{name} is in state {stack.status}; deleting it first")
        session.cloudformation.delete(stack.stack_id)
        follow(session, stack.stack_id, clock, report)
        stack = None
    stack_id = _create_or_update(session, desired, stack, report)
    if stack_id is not None:
        _expect_ready(session, stack_id, clock, report)
    facts = session.cloudformation.describe(name)
    if facts is None:
        raise ServiceError(f"the stack {name!r} vanished while it was deployed")
    return Deployment.from_stack(desired.name, facts)


def follow(session: Session, stack_id: str, clock: Clock, report: Report) -> str:
    """Report a stack's events until it rests; its last status (empty where it is gone)."""
    seen = {event.event_id for event in session.cloudformation.events(stack_id)[:-1]}
    while True:
        for event in session.cloudformation.events(stack_id):
            if event.event_id in seen:
                continue
            seen.add(event.event_id)
            if not event.status.endswith(_BUSY):
                reason = f" ({event.reason})" if event.reason else ""
                report("deploy", f"{event.logical_id}: {event.status}{reason}")
        stack = session.cloudformation.describe(stack_id)
        if stack is None:
            return ""
        if not stack.status.endswith(_BUSY):
            return stack.status
        clock.sleep(_POLL_S)


def _create_or_update(
    session: Session, desired: Desired, stack: StackFacts | None, report: Report
) -> str | None:
    name = stack_name(desired.name)
    service = session.cloudformation
    if stack is None:
        report("deploy", f"creating the stack {name} in {session.region}")
        return service.create(name, desired.template, desired.parameters, desired.tags)
    if desired.matches(stack, service.template(name)):
        report("deploy", f"the stack {name} is up to date")
        return None
    report("deploy", f"updating the stack {name}")
    changed = service.update(name, desired.template, desired.parameters, desired.tags)
    return stack.stack_id if changed else None


def _expect_ready(session: Session, stack_id: str, clock: Clock, report: Report) -> None:
    status = follow(session, stack_id, clock, report)
    if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        return
    failed = [
        event
        for event in session.cloudformation.events(stack_id)
        if event.status.endswith("_FAILED") and event.reason
    ]
    why = f"{failed[0].logical_id}: {failed[0].reason}" if failed else status
    raise ServiceError(
        f"CloudFormation could not deploy: {why}",
        where=stack_id.split("/")[1] if "/" in stack_id else stack_id,
        remedy="mend that and run `flyback up` again; nothing was left half made",
    )
