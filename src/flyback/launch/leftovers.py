"""What is left of a deployment in an account, kind by kind, and its removal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flyback.aws.ec2 import GONE
from flyback.aws.listing import Found, Listing, Owner
from flyback.aws.listings import LISTINGS
from flyback.aws.session import Session
from flyback.errors import AccessDeniedError, CredentialsError, FlybackError, RefusedError
from flyback.launch.deployment import NAME_TAG, PARTS, READY, stack_name
from flyback.launch.progress import Report, silent
from flyback.launch.teardown import terminate_and_wait
from flyback.spec.certificate import Leftover
from flyback.spec.clock import Clock

__all__ = ["Look", "Orphans", "Upload", "as_leftover", "look_for", "orphans", "reap", "uploads"]

_REPLACE = frozenset({"spot request", "fleet"})  # they launch anew what is only ended
_BUCKETS = ("data", "outputs", "bootstrap")


@dataclass(frozen=True, kw_only=True)
class Look:
    """One question, and what it found.

    Args:
        listing: The kind.
        found: What is there.
        refused: Why the question could not be put, or empty.
    """

    listing: Listing
    found: tuple[Found, ...] = ()
    refused: str = ""


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
            f"--key {self.key} --upload-id {self.upload_id}",
        )


def look_for(session: Session, name: str) -> Iterator[Look]:
    """Put the question of every kind.

    Raises:
        CredentialsError: nothing can be asked at all.
    """
    owner = Owner(name=name, account=session.identity.account, region=session.region)
    for listing in LISTINGS:
        try:
            found = tuple(session.lister(listing.service).find(listing, owner))
        except CredentialsError:
            raise
        except RefusedError as error:
            yield Look(listing=listing, refused=error.what)
        else:
            yield Look(listing=listing, found=found)


def uploads(session: Session, name: str, prefix: str = "") -> tuple[Upload, ...]:
    """Unfinished uploads in the deployment's buckets."""
    place = f"{session.identity.account}-{session.region}"
    return tuple(
        Upload(bucket=bucket, key=key, upload_id=upload_id)
        for bucket in (f"{name}-{use}-{place}" for use in _BUCKETS)
        for key, upload_id in session.buckets.uploads(bucket, prefix)
    )


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
    """

    machines: tuple[str, ...]
    things: tuple[Found, ...]
    unfinished: tuple[Upload, ...]
    refused: tuple[str, ...]

    def leftovers(self) -> tuple[Leftover, ...]:
        """Each with the command that removes it."""
        ends = "aws ec2 terminate-instances --instance-ids"
        return (
            *(
                Leftover(service="ec2", kind="instance", identifier=name, remedy=f"{ends} {name}")
                for name in self.machines
            ),
            *(as_leftover(item) for item in self.things),
            *(item.leftover() for item in self.unfinished),
        )


def orphans(session: Session, name: str, clock: Clock) -> Orphans:
    """Look for what is left.

    What the deployment's stack holds stays, and so do machines before their deadline and the
    schedules of runs; uploads are left alone while a machine lives.
    """
    machines = session.ec2.instances(NAME_TAG, name)
    now = clock.now()
    late = tuple(
        item.instance_id
        for item in machines
        if item.state not in GONE and now >= _deadline(item.tags, item.launched_at)
    )
    living = any(item.state not in GONE and item.instance_id not in late for item in machines)
    held = _held(session, name)
    looks = tuple(look_for(session, name))
    return Orphans(
        machines=late,
        things=tuple(
            item
            for look in looks
            for item in look.found
            if item.identifier not in held and not (held and look.listing.kind == "schedule")
        ),
        unfinished=() if living else uploads(session, name),
        refused=tuple(f"{look.listing.kind}: {look.refused}" for look in looks if look.refused),
    )


def reap(
    session: Session, orphaned: Orphans, clock: Clock, report: Report = silent
) -> tuple[str, ...]:
    """Remove what `orphans` found; what could not be removed, each with the reason."""
    failed: list[str] = []
    first = [item for item in orphaned.things if item.listing.kind in _REPLACE]
    for item in first:
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
        if item not in first:
            failed += _removed(session, item, report)
    return tuple(failed)


def _removed(session: Session, found: Found, report: Report) -> list[str]:
    listing = found.listing
    report("teardown", f"removing the {listing.kind} {found.identifier}")
    try:
        if listing.kind == "bucket":
            session.buckets.remove(found.identifier)
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


def _held(session: Session, name: str) -> frozenset[str]:
    """What the standing deployment is made of, by every name that it is listed under."""
    found: set[str] = set()
    for part in PARTS:
        stack = session.cloudformation.describe(stack_name(name, part))
        if stack is None or stack.status not in READY:
            continue
        found |= {stack.name, stack.stack_id, *_made_beside(session, name)}
        for item in session.cloudformation.resources(stack.stack_id):
            found |= {item.physical_id, item.physical_id.rpartition("/")[2]}
            found.add(item.physical_id.rpartition("|")[2])
    return frozenset(found)


def _made_beside(session: Session, name: str) -> frozenset[str]:
    place = f"{session.identity.account}-{session.region}"
    return frozenset({f"{name}-bootstrap-{place}"})


def _deadline(tags: Mapping[str, str], launched_at: float) -> float:
    try:
        return float(int(tags.get("flyback:deadline", "")))
    except ValueError:
        return launched_at + 86_400.0
