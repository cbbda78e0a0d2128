"""What flyback may call: service by service, every operation that botocore's models name."""

from __future__ import annotations

from flyback.aws.listings import LISTINGS
from flyback.aws.session import model_loader

__all__ = ["SERVICES", "operations"]

_OF_OURS = (
    "cloudformation",
    "ec2",
    "ecr",
    "iam",
    "logs",
    "resourcegroupstaggingapi",
    "s3",
    "scheduler",
    "secretsmanager",
    "service-quotas",
    "sns",
    "ssm",
    "sts",
)
SERVICES = tuple(sorted({*_OF_OURS, *(listing.service for listing in LISTINGS)}))
"""Services that flyback calls, as botocore names them."""


def operations(service: str) -> tuple[str, ...]:
    """The operations of one of `SERVICES`, as its API names them."""
    return tuple(sorted(model_loader().load_service_model(service, "service-2")["operations"]))
