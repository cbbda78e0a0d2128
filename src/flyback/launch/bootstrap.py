"""The bootstrap bucket: code that the stack refers to must lie somewhere before the stack is."""

from __future__ import annotations

from pathlib import Path

from flyback.aws.session import Session
from flyback.launch.deployment import NAME_TAG
from flyback.launch.progress import Report, silent
from flyback.store.open import open_store

__all__ = ["bootstrap_bucket", "bring_code", "remove_code"]

_FOLDER = "guardian"


def bootstrap_bucket(session: Session, name: str) -> str:
    """Name of the deployment's bootstrap bucket."""
    return f"{name}-bootstrap-{session.identity.account}-{session.region}"


def bring_code(
    session: Session, name: str, archive: Path, report: Report = silent
) -> dict[str, str]:
    """Have the guardian's archive in the account; the stack's parameters that name it.

    Nothing is written where it is there already.

    Args:
        session: The account.
        name: The deployment's.
        archive: Named after its content.
        report: Told when something is uploaded.
    """
    bucket, key = bootstrap_bucket(session, name), f"{_FOLDER}/{archive.name}"
    if bucket not in session.buckets.names(bucket):
        report("deploy", f"creating the bucket {bucket} for the guardian's code")
        session.buckets.create(bucket)
    store = open_store(f"s3://{bucket}", s3_client=session.client("s3"))
    if not any(item.key == key for item in store.list(key)):
        # again where the bucket is there: whoever made it may have been cut off before this
        session.buckets.settle(bucket, {NAME_TAG: name})
        store.put_file(key, archive)
    return {"GuardianBucket": bucket, "GuardianKey": key}


def remove_code(session: Session, name: str, report: Report = silent) -> None:
    """Remove the bucket, once no stack refers to it."""
    bucket = bootstrap_bucket(session, name)
    if bucket in session.buckets.names(bucket):
        report("teardown", f"deleting the bucket {bucket}")
        session.buckets.remove(bucket)
