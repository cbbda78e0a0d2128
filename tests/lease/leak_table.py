"""What is known to linger in AWS accounts, and in which form each row is planted here.

The rows are known from AWS's price pages and user guides; they are not made from the listings.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ROWS", "Row"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of thing that lingers.

    Args:
        what: In a person's words.
        planted: Names of what `Planter` makes; empty where there is a reason for none.
        why_not: That reason.
    """

    what: str
    planted: tuple[str, ...] = ()
    why_not: str = ""


ROWS = (
    Row(what="instance, running or stopped", planted=("instance",)),
    Row(what="disk of a stopped instance", planted=("disk of a stopped instance",)),
    Row(what="persistent spot request", planted=("spot request",)),
    Row(what="fleet that maintains its capacity", planted=("fleet",)),
    Row(what="spot fleet request", planted=("spot fleet request",)),
    Row(what="volume that hangs on nothing", planted=("volume",)),
    Row(what="snapshot", planted=("snapshot",)),
    Row(what="machine image", planted=("machine image",)),
    Row(what="elastic IP", planted=("elastic IP",)),
    Row(what="network interface", planted=("network interface",)),
    Row(what="security group", planted=("security group",)),
    Row(what="launch template", planted=("launch template",)),
    Row(what="key pair", planted=("key pair",)),
    Row(what="placement group", planted=("placement group",)),
    Row(what="NAT gateway", planted=("NAT gateway",)),
    Row(what="interface endpoint", planted=("VPC endpoint",)),
    Row(what="load balancer", planted=("load balancer",)),
    Row(
        what="network that a stack left",
        planted=("VPC", "subnet", "route table", "internet gateway"),
    ),
    Row(what="log group without retention", planted=("log group",)),
    Row(
        what="log group /aws/… that a service makes by itself, without tags",
        why_not="no function of ours may make one, and each writes to a group of its stack; Batch, "
        "which makes /aws/batch/job, is no engine yet",
    ),
    Row(what="multipart upload", planted=("multipart upload",)),
    Row(what="old versions and delete markers", planted=("bucket",)),
    Row(what="untagged images", planted=("repository",)),
    Row(what="alarm", planted=("alarm",)),
    Row(what="dashboard", planted=("dashboard",)),
    Row(what="SNS topic and subscription", planted=("topic", "subscription")),
    Row(
        what="subscription that nobody confirmed",
        why_not="SNS lets nobody remove it, and does so itself after 48 hours; it costs nothing",
    ),
    Row(what="schedule, schedule group", planted=("schedule", "schedule group")),
    Row(what="rule of EventBridge", planted=("event rule",)),
    Row(
        what="Batch: compute environment, queue, definitions with revisions",
        planted=("compute environment", "job queue", "job definition", "second revision"),
    ),
    Row(what="function, with its versions", planted=("function",)),
    Row(
        what="IAM role, profile, provider",
        planted=("role", "instance profile", "identity provider"),
    ),
    Row(what="secret", planted=("secret",)),
    Row(
        what="secret that is pending deletion",
        why_not="Secrets Manager does not bill it, and deletes it on its day",
    ),
    Row(what="SSM parameter", planted=("parameter",)),
    Row(what="retained stack, stack that could not be deleted", planted=("stack",)),
)
