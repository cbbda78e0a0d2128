"""What is left of a deployment in an account, kind by kind, and its removal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from shlex import quote

from flyback.aws.ec2 import GONE
from flyback.aws.listing import Found, Listing, Owner
from flyback.aws.listings import LISTINGS
from flyback.aws.session import Session
from flyback.errors import (
    AccessDeniedError,
    ConflictError,
    CredentialsError,
    FlybackError,
    RefusedError,
    ServiceError,
)
from flyback.launch.deployment import NAME_TAG, PARTS, READY, bucket_names, stack_name
from flyback.launch.ending import command_for
from flyback.launch.progress import Report, silent
from flyback.launch.teardown import terminate_and_wait
from flyback.spec.certificate import Leftover
from flyback.spec.clock import Clock

__all__ = [
    "Look",
    "Orphans",
    "Upload",
    "as_leftover",
    "buckets_in",
    "clear",
    "look_for",
    "orphans",
    "reap",
    "uploads",
]

_REPLACE = frozenset(
    {"spot request", "spot fleet request", "fleet"}
)  # they launch anew what is only ended
_OLD_S = 86_400.0  # an upload that is younger may be somebody's at work
_OVER = frozenset(  # of stacks that hold nothing any more, or never came to hold anything
    {"DELETE_COMPLETE", "CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}
)
_SETTLED = READY | {"IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}


@dataclass(frozen=True, kw_only=True)
class Look:
    """One question, and what it found.

    Args:
        listing: The kind.
        found: What is there.
        refused: Why the question could not be put, or empty.
        unknown_here: Whether this is a rehearsal that has nothing of the kind.
    """

    listing: Listing
    found: tuple[Found, ...] = ()
    refused: str = ""
    unknown_here: bool = False


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A multipart upload that nobody completed."""

    bucket: str
    key: str
    upload_id: str

    def leftover(self) -> Leftover:
        """How it is reported."""
        return Leftover(
            service="s3",
            kind="multipart upload",
            identifier=f"{self.bucket}/{self.key}#{self.upload_id}",
            remedy=f"aws s3api abort-multipart-upload --bucket {self.bucket} "
            f"--key {quote(self.key)} --upload-id {self.upload_id}",
        )


def look_for(session: Session, name: str) -> Iterator[Look]:
    """Put the question of every kind.

    Raises:
        CredentialsError: nothing can be asked at all.
    """
    tagged: tuple[str, ...] = ()
    untold = ""
    try:
        tagged = session.tagging.arns(NAME_TAG, name)
    except CredentialsError:
        raise
    except RefusedError as error:
        untold = error.what
    owner = Owner(
        name=name,
        account=session.identity.account,
        region=session.region,
        partition=session.identity.arn.split(":")[1],
        tagged=frozenset(tagged),
    )
    for listing in LISTINGS:
        if untold and listing.bearer:
            yield Look(listing=listing, refused=untold)
            continue
        try:
            found = tuple(
                item
                for item in session.lister(listing.service).find(listing, owner)
                # nothing of ours goes into a bucket before its tag does
                if item.tagged or not session.buckets.object_versions(item.identifier)
            )
        except CredentialsError:
            raise
        except RefusedError as error:
            # what the rehearsal does not emulate nobody can have made in it
            unknown = isinstance(error, ServiceError) and error.is_not_emulated
            yield Look(listing=listing, refused="" if unknown else error.what, unknown_here=unknown)
        else:
            yield Look(listing=listing, found=found)


def uploads(session: Session, buckets: Iterable[str], before: float = inf) -> tuple[Upload, ...]:
    """Unfinished uploads in buckets that were begun before a time (seconds since the epoch)."""
    return tuple(
        Upload(bucket=bucket, key=key, upload_id=upload_id)
        for bucket in buckets
        for key, upload_id in session.buckets.uploads(bucket, before=before)
    )


def buckets_in(looks: Iterable[Look]) -> tuple[str, ...]:
    """Names of the buckets that were found."""
    return tuple(item.identifier for look in looks for item in look.found if _is_bucket(item))


def as_leftover(found: Found) -> Leftover:
    """How a thing is reported."""
    return Leftover(
        service=found.listing.service,
        kind=found.listing.kind,
        identifier=found.identifier,
        remedy=found.listing.command(found),
    )


@dataclass(frozen=True, kw_only=True)
class Orphans:
    """What belongs to flyback and is held by nothing.

    Args:
        machines: Past their deadline.
        things: Everything else, by kind.
        unfinished: Uploads.
        refused: Kinds that could not be asked for, each with the reason.
        unsettled: Stacks of which nobody can say what they hold, each with its state.
        data: Buckets among `things` that hold something → number of object versions.
    """

    machines: tuple[str, ...]
    things: tuple[Found, ...]
    unfinished: tuple[Upload, ...]
    refused: tuple[str, ...]
    unsettled: tuple[str, ...] = ()
    data: Mapping[str, int] = field(default_factory=dict)

    def leftovers(self) -> tuple[Leftover, ...]:
        """Each with the command that removes it, in the order in which they can be run."""
        return (
            *(as_leftover(item) for item in self.first),
            *(
                Leftover(
                    service="ec2", kind="instance", identifier=name, remedy=command_for((name,))
                )
                for name in self.machines
            ),
            *(item.leftover() for item in self.unfinished),
            *(as_leftover(item) for item in self.things if item not in self.first),
        )

    @property
    def first(self) -> tuple[Found, ...]:
        """Things that launch machines anew, and go before those."""
        return tuple(item for item in self.things if item.listing.kind in _REPLACE)


def orphans(session: Session, name: str, clock: Clock) -> Orphans:
    """Look for what is left.

    What the deployment's stacks hold stays, and so do machines before their deadline and the
    schedules of runs. While a stack is at work, or in a state in which nobody knows what it holds,
    everything but a late machine stays. Uploads are left alone while a machine lives, for their
    first day, and in the bucket that people bring their data to.
    """
    machines = session.ec2.instances(NAME_TAG, name)
    now = clock.now()
    late = tuple(
        item.instance_id
        for item in machines
        if item.state not in GONE and now >= _deadline(item.tags, item.launched_at)
    )
    living = any(item.state not in GONE and item.instance_id not in late for item in machines)
    looks = tuple(look_for(session, name))
    held, unsettled = _held(session, name)  # last: what an `up` makes meanwhile is its stack's
    refused = tuple(f"{look.listing.kind}: {look.refused}" for look in looks if look.refused)
    if unsettled:
        return Orphans(
            machines=late, things=(), unfinished=(), refused=refused, unsettled=unsettled
        )
    things = tuple(
        item
        for look in looks
        for item in look.found
        if item.identifier not in held and not (held and look.listing.kind == "schedule")
    )
    holds = {
        item.identifier: session.buckets.object_versions(item.identifier)
        for item in things
        if _is_bucket(item)
    }
    brought = bucket_names(name, session.identity.account, session.region)["DataBucket"]
    ours = [bucket for bucket in buckets_in(looks) if bucket != brought]
    return Orphans(
        machines=late,
        things=things,
        unfinished=() if living else uploads(session, ours, now - _OLD_S),
        refused=refused,
        data={bucket: count for bucket, count in holds.items() if count},
    )


def clear(
    session: Session, name: str, clock: Clock, report: Report = silent, *, data: bool = False
) -> tuple[Orphans, tuple[str, ...]]:
    """Look for what is left and remove it; what was found, and what could not be removed.

    What hung on a machine and outlives it, like a disk that is not deleted with it, comes to light
    only once that has ended; nobody can say so while a stack that was found is being deleted.

    Raises:
        ConflictError: a stack is not settled, so that nobody can say what it holds.
    """
    found = orphans(session, name, clock)
    failed = reap(session, found, clock, report, data=data)
    if not found.machines:
        return found, failed
    freed = orphans(session, name, clock)
    if freed.unsettled:
        again = (
            "what hung on a machine is not known yet; `flyback reap` again when it has come to rest"
        )
        return found, (*failed, *(f"{text}: {again}" for text in freed.unsettled))
    known = {(item.listing.kind, item.identifier) for item in found.things}
    further = tuple(i for i in freed.things if (i.listing.kind, i.identifier) not in known)
    freed = dataclasses.replace(freed, machines=(), things=further, unfinished=())
    failed += reap(session, freed, clock, report, data=data)
    return dataclasses.replace(found, things=(*found.things, *further)), failed


def reap(
    session: Session,
    orphaned: Orphans,
    clock: Clock,
    report: Report = silent,
    *,
    data: bool = False,
) -> tuple[str, ...]:
    """Remove what `orphans` found; what could not be removed, each with the reason.

    Args:
        session: The account.
        orphaned: What was found.
        clock: For waiting.
        report: Told each step.
        data: Remove buckets with what they hold too; without it, only empty ones.

    Raises:
        ConflictError: a stack is not settled, so that nobody can say what it holds.
    """
    if orphaned.unsettled:
        raise ConflictError(
            f"nothing is removed: {'; '.join(orphaned.unsettled)}",
            where="flyback reap",
            remedy="wait for whoever changes it, or bring it to rest with `flyback up` or "
            "`flyback down`; then `flyback reap` again",
        )
    failed: list[str] = []
    for item in orphaned.first:
        failed += _removed(session, item, report)
    try:
        terminate_and_wait(session, orphaned.machines, clock, report)
    except FlybackError as error:
        failed.append(str(error))
    for upload in orphaned.unfinished:
        report("teardown", f"dropping the upload of {upload.key}")
        try:
            session.buckets.abort(upload.bucket, upload.key, upload.upload_id)
        except FlybackError as error:
            failed.append(_failure(upload.leftover(), error))
    for item in orphaned.things:
        if item.identifier in orphaned.data and _is_bucket(item) and not data:
            count = orphaned.data[item.identifier]
            failed.append(
                f"bucket {item.identifier}: it holds {count} object versions; "
                f"`flyback reap --yes --data` removes them with it"
            )
        elif item not in orphaned.first:
            failed += _removed(session, item, report, data=data)
    return tuple(failed)


def _is_bucket(found: Found) -> bool:
    return found.listing.kind == "bucket"


def _removed(session: Session, found: Found, report: Report, *, data: bool = False) -> list[str]:
    listing = found.listing
    report("teardown", f"removing the {listing.kind} {found.identifier}")
    try:
        if _is_bucket(found):
            # S3 refuses to delete a bucket that has come to hold something meanwhile
            (session.buckets.remove if data else session.buckets.delete)(found.identifier)
        else:
            session.lister(listing.service).remove(found)
    except FlybackError as error:
        return [_failure(as_leftover(found), error)]
    return []


def _failure(left: Leftover, error: FlybackError) -> str:
    """Why a thing is still there, and what somebody who may more can do."""
    if isinstance(error, AccessDeniedError):
        return f"{left.kind} {left.identifier}: {error.remedy}, or to run `{left.remedy}`"
    return f"{left.kind} {left.identifier}: {error.what}; `{left.remedy}`"


def _held(session: Session, name: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """What the standing deployment is made of, by every name that it is listed under.

    Also the stacks that are at work or in a state in which their resources say too little.
    """
    found: set[str] = set()
    unsettled: list[str] = []
    for part in PARTS:
        stack = session.cloudformation.describe(stack_name(name, part))
        if stack is None or stack.status in _OVER:
            continue
        if stack.status not in _SETTLED:
            unsettled.append(f"the stack {stack.name} is in state {stack.status}")
            continue
        found |= {stack.name, stack.stack_id, *_made_beside(session, name)}
        for item in session.cloudformation.resources(stack.stack_id):
            found |= {item.physical_id, item.physical_id.rpartition("/")[2]}
            found.add(item.physical_id.rpartition("|")[2])
    return frozenset(found), tuple(unsettled)


def _made_beside(session: Session, name: str) -> frozenset[str]:
    place = f"{session.identity.account}-{session.region}"
    return frozenset({f"{name}-bootstrap-{place}"})


def _deadline(tags: Mapping[str, str], launched_at: float) -> float:
    try:
        return float(int(tags.get("flyback:deadline", "")))
    except ValueError:
        return launched_at + 86_400.0
