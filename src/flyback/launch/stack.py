"""`up`: the core stack as its template says. Makes no mutating call where nothing changed.

Whatever an earlier command left behind, a stack at work, half made, half deleted or half rolled
back, is brought to rest first; so a command that was cut off is completed by running it again.
`down` is in `teardown`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flyback.aws.cloudformation import StackFacts
from flyback.aws.session import Session
from flyback.errors import ConflictError, NotFoundError, ServiceError
from flyback.infra import templates
from flyback.launch.deployment import READY, Deployment, stack_name
from flyback.launch.kept import existing, full_buckets, kept_buckets
from flyback.launch.progress import Report, silent
from flyback.spec.clock import Clock

__all__ = ["Desired", "follow", "is_busy", "up"]

_POLL_S = 10.0
_BUSY = "_IN_PROGRESS"
_UPDATABLE = READY | {"IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE", "UPDATE_FAILED"}
_DEPLOYED = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})
_THINKING = frozenset({"CREATE_PENDING", "CREATE_IN_PROGRESS"})
_ROUNDS = 8  # each brings the stack nearer; only somebody who works against us needs more


@dataclass(frozen=True, kw_only=True)
class Desired:
    """What the core stack should be.

    Args:
        name: The deployment's.
        template: Its text.
        parameters: Values that are named now; a stack keeps its own values of all others.
        defaults: Values for a new stack, instead of the template's own.
        tags: Of the stack, and of everything in it that takes tags.
    """

    name: str
    template: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def for_new(self) -> dict[str, str]:
        """Parameters of a stack that does not exist yet."""
        return {**self.defaults, **self.parameters}

    def unchanged(self, stack: StackFacts) -> frozenset[str]:
        """Parameters that a stack has, the template takes, and nobody names now."""
        return (templates.parameters(self.template) & set(stack.parameters)) - set(self.parameters)

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
        ServiceError: CloudFormation rolled back; the message holds its first reason. Or an earlier
            stack can't be removed.
        AccessDeniedError: a permission is missing.
    """
    name = stack_name(desired.name)
    if not session.iam.has_spot_role():
        report("deploy", "creating EC2 Spot's service-linked role (it stays after `down`)")
        session.iam.create_spot_role()
    for _ in range(_ROUNDS):
        stack = session.cloudformation.describe(name)
        if stack is not None and stack.status in READY and _is_up_to_date(session, desired, stack):
            report("deploy", f"the stack {name} is up to date")
            return Deployment.from_stack(desired.name, stack)
        deployed = _step(session, desired, stack, clock, report)
        if deployed is not None:
            return Deployment.from_stack(desired.name, deployed)
    raise ServiceError(
        f"the stack {name!r} does not come to rest",
        where=f"region {session.region}",
        remedy="somebody else may be changing it; run `flyback up` again when they are done",
    )


def is_busy(status: str) -> bool:
    """Whether CloudFormation works on a stack; one in review waits for a person, for ever."""
    return status.endswith(_BUSY) and status != "REVIEW_IN_PROGRESS"


def follow(session: Session, stack_id: str, clock: Clock, report: Report) -> str:
    """Report a stack's events until it rests; its last status (empty where it is gone)."""
    seen: set[str] | None = None
    while True:
        events = session.cloudformation.events(stack_id)
        if seen is None:
            seen = {event.event_id for event in events[:-1]}
        for event in events:
            if event.event_id in seen:
                continue
            seen.add(event.event_id)
            if not event.status.endswith(_BUSY):
                reason = f" ({event.reason})" if event.reason else ""
                report("deploy", f"{event.logical_id}: {event.status}{reason}")
        stack = session.cloudformation.describe(stack_id)
        if stack is None:
            return ""
        if not is_busy(stack.status):
            return stack.status
        clock.sleep(_POLL_S)


def _is_up_to_date(session: Session, desired: Desired, stack: StackFacts) -> bool:
    return desired.matches(stack, session.cloudformation.template(stack.stack_id))


def _step(
    session: Session, desired: Desired, stack: StackFacts | None, clock: Clock, report: Report
) -> StackFacts | None:
    """One move towards what is desired; the stack once it is there."""
    service, name = session.cloudformation, stack_name(desired.name)
    if stack is None:
        return _new(session, desired, clock, report)
    if is_busy(stack.status):
        report("deploy", f"{name} is in state {stack.status}; waiting")
        follow(session, stack.stack_id, clock, report)
    elif stack.status in _UPDATABLE and not _took_nothing_in(session, stack):
        report("deploy", f"updating the stack {name}")
        if _update(session, desired, stack):
            return _deployed(session, stack.stack_id, clock, report)
        return service.describe(stack.stack_id)
    elif stack.status == "UPDATE_ROLLBACK_FAILED":
        _roll_back(session, stack, clock, report)
    else:
        _clear(session, stack, clock, report)
    return None


def _new(session: Session, desired: Desired, clock: Clock, report: Report) -> StackFacts | None:
    service, name = session.cloudformation, stack_name(desired.name)
    kept = kept_buckets(session, desired.name)
    try:
        if kept:
            _take_in(session, desired, kept, clock, report)
            return None  # the rest is an update
        report("deploy", f"creating the stack {name} in {session.region}")
        stack_id = service.create(name, desired.template, desired.for_new(), desired.tags)
    except ConflictError:  # an earlier call made it and its answer was lost, or somebody else
        return None
    return _deployed(session, stack_id, clock, report)


def _take_in(
    session: Session, desired: Desired, kept: dict[str, str], clock: Clock, report: Report
) -> None:
    """A new stack of nothing but the buckets that an earlier `down` kept."""
    service, name = session.cloudformation, stack_name(desired.name)
    report("deploy", f"taking in {', '.join(sorted(kept.values()))}, which an earlier `down` kept")
    resources = existing(session, kept)
    template = templates.resources_only(desired.template, [item.logical_id for item in resources])
    service.prepare_import(name, template, desired.for_new(), resources)
    while (found := service.prepared_import(name)).status in _THINKING:
        clock.sleep(_POLL_S)
    if found.status == "CREATE_COMPLETE":
        service.execute_import(name)
        if follow(session, found.stack_id, clock, report) == "IMPORT_COMPLETE":
            return
    why = found.reason or _first_failure(session, found.stack_id)
    raise ServiceError(
        f"CloudFormation could not take in what was kept: {why}",
        where=name,
        remedy="mend that and run `flyback up` again, or delete the data: `flyback down`",
    )


def _took_nothing_in(session: Session, stack: StackFacts) -> bool:
    """Whether this is what an import that failed left of a new stack."""
    failed = stack.status == "IMPORT_ROLLBACK_COMPLETE"
    return failed and not session.cloudformation.resources(stack.stack_id)


def _update(session: Session, desired: Desired, stack: StackFacts) -> bool:
    return session.cloudformation.update(
        stack.name,
        desired.template,
        desired.parameters,
        desired.tags,
        unchanged=desired.unchanged(stack),
    )


def _deployed(session: Session, stack_id: str, clock: Clock, report: Report) -> StackFacts:
    status = follow(session, stack_id, clock, report)
    facts = session.cloudformation.describe(stack_id)
    if facts is not None and status in _DEPLOYED:
        return facts
    why = _first_failure(session, stack_id) or status or "it vanished"
    raise ServiceError(
        f"CloudFormation could not deploy: {why}",
        where=stack_id.split("/")[1] if "/" in stack_id else stack_id,
        remedy="mend that and run `flyback up` again; it goes on from there",
    )


def _roll_back(session: Session, stack: StackFacts, clock: Clock, report: Report) -> None:
    report("deploy", f"{stack.name} is in state {stack.status}; rolling back again")
    session.cloudformation.continue_rollback(stack.stack_id)
    status = follow(session, stack.stack_id, clock, report)
    if status == "UPDATE_ROLLBACK_FAILED":
        raise ServiceError(
            f"an update could not be rolled back: {_first_failure(session, stack.stack_id)}",
            where=stack.name,
            remedy="mend that and run `flyback up` again, or remove the stack: `flyback down`",
        )


def _clear(session: Session, stack: StackFacts, clock: Clock, report: Report) -> None:
    """Delete what can't be updated: a create that failed, a delete that failed, an empty review.

    Data that is in the way of that stays, and is taken into the new stack.
    """
    report("deploy", f"{stack.name} is in state {stack.status}; deleting it first")
    keep = full_buckets(session, stack.stack_id) if stack.status == "DELETE_FAILED" else ()
    session.cloudformation.delete(stack.stack_id, keep=tuple(sorted(keep)))
    status = follow(session, stack.stack_id, clock, report)
    if status not in ("", "DELETE_COMPLETE"):
        why = _first_failure(session, stack.stack_id)
        raise ServiceError(
            f"the stack is in state {status} and can't be deleted: {why}",
            where=stack.name,
            remedy="`flyback down` empties the buckets; `flyback down --keep-data` keeps them",
        )


def _first_failure(session: Session, stack_id: str) -> str:
    """The first thing that went wrong in the stack's latest operation."""
    found = ""
    try:
        events = session.cloudformation.events(stack_id)
    except NotFoundError:
        return found
    for event in reversed(events):
        if event.status.endswith("_FAILED") and event.reason:
            found = f"{event.logical_id}: {event.reason}"
        if event.reason == "User Initiated":
            break
    return found
