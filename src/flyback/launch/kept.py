"""Buckets that outlive their stack: data that `down --keep-data` left, and `up` takes in again.

A bucket that exists can't be created by a stack. So `up` makes a new stack by a resource import of
what was kept, and then updates it to the whole template. The bucket's TLS-only policy was kept with
it (`DeletionPolicy` in the template) and is imported too.
"""

from __future__ import annotations

from flyback.aws.cloudformation import ExistingResource
from flyback.aws.session import Session
from flyback.launch.deployment import bucket_names

__all__ = ["existing", "full_buckets", "kept_buckets"]

_BUCKET = "AWS::S3::Bucket"
_POLICY = "AWS::S3::BucketPolicy"


def kept_buckets(session: Session, name: str) -> dict[str, str]:
    """Buckets of a deployment that exist, whether it does or not: logical id → name."""
    there = session.buckets.names(f"{name}-")
    ours = bucket_names(name, session.identity.account, session.region)
    return {logical_id: bucket for logical_id, bucket in ours.items() if bucket in there}


def existing(session: Session, buckets: dict[str, str]) -> tuple[ExistingResource, ...]:
    """Buckets and their policies, as an import names them."""
    found = []
    for logical_id, bucket in sorted(buckets.items()):
        name = {"BucketName": bucket}
        found.append(ExistingResource(logical_id=logical_id, kind=_BUCKET, identifier=name))
        if session.buckets.has_policy(bucket):
            found.append(
                ExistingResource(
                    logical_id=f"{logical_id}Policy", kind=_POLICY, identifier={"Bucket": bucket}
                )
            )
    return tuple(found)


def full_buckets(session: Session, stack_id: str) -> dict[str, str]:
    """Buckets of a stack that hold objects: logical id → name."""
    return {
        item.logical_id: item.physical_id
        for item in session.cloudformation.resources(stack_id)
        if item.kind == _BUCKET
        and item.physical_id
        and session.buckets.object_versions(item.physical_id)
    }
