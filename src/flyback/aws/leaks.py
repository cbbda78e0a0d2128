"""What each create call can leave behind: the certificate must have a question for every kind.

A create call that is not listed here is a bug, and raises before it is made.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["LEAK_KINDS", "leak_kind"]

LEAK_KINDS: Mapping[tuple[str, str], str] = {
    ("cloudformation", "CreateChangeSet"): "stack",  # of an import: a stack in review
    ("cloudformation", "CreateStack"): "stack",
    ("cloudformation", "ExecuteChangeSet"): "stack",
    ("cloudformation", "UpdateStack"): "stack",
    ("ec2", "CreateFleet"): "instance",
    ("iam", "CreateServiceLinkedRole"): "service-linked role",
    ("s3", "CreateBucket"): "bucket",
    ("s3", "CreateMultipartUpload"): "multipart upload",
    ("scheduler", "CreateSchedule"): "schedule",
}
"""Service and operation, as botocore names them → the kind of thing that may be left."""


def leak_kind(service: str, operation: str) -> str:
    """The kind of thing that a create call may leave.

    Raises:
        AssertionError: nobody has said; the certificate would not know what to ask for.
    """
    kind = LEAK_KINDS.get((service, operation))
    if kind is None:
        raise AssertionError(f"{service}:{operation} has no leak kind: add it to LEAK_KINDS")
    return kind
