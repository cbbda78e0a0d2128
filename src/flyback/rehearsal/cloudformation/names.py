"""Ids and generated names: the same every time that the same things happen in the same order."""

from __future__ import annotations

import hashlib
import string
import uuid
from datetime import UTC, datetime

__all__ = ["change_set_arn", "moment", "partition_of", "stack_arn", "suffix", "token"]

_LETTERS = string.digits + string.ascii_uppercase
_SUFFIX_LENGTH = 12


def partition_of(region: str) -> str:
    """The partition that a region is in."""
    for start, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if region.startswith(start):
            return partition
    return "aws"


def token(*parts: object) -> str:
    """A UUID made of its parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(str(part) for part in parts)))


def suffix(*parts: object) -> str:
    """Twelve upper-case letters and digits made of their parts, as CloudFormation appends them."""
    number = int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest())
    found = ""
    for _ in range(_SUFFIX_LENGTH):
        number, digit = divmod(number, len(_LETTERS))
        found += _LETTERS[digit]
    return found


def stack_arn(account: str, region: str, name: str, number: int) -> str:
    """A stack's id; `number` tells stacks of one name apart."""
    unique = token("stack", account, region, name, number)
    return f"arn:{partition_of(region)}:cloudformation:{region}:{account}:stack/{name}/{unique}"


def change_set_arn(account: str, region: str, name: str, number: int) -> str:
    """A change set's id."""
    unique = token("changeSet", account, region, name, number)
    return f"arn:{partition_of(region)}:cloudformation:{region}:{account}:changeSet/{name}/{unique}"


def moment(seconds: float) -> datetime:
    """A simulated time as botocore's outputs hold it."""
    return datetime.fromtimestamp(seconds, UTC)
