"""How a kind of thing that can linger is listed, named and removed.

A thing is flyback's where it carries the deployment's tag: a name proves nothing, as others may
have given it. What stands in no region (IAM's) must also say whose region it serves: another
region's deployment may have the same name. What takes no tags is whose that is to which it belongs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from flyback.aws.tagging import NAME_TAG, REGION_TAG

__all__ = ["MADE", "Found", "Held", "Listing", "Owner", "Signed", "bucket_command"]


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The deployment whose things are looked for.

    Args:
        name: Its own; another deployment's may begin with it.
        account: Twelve digits.
        region: AWS region.
        partition: AWS partition, as in ARNs.
        tagged: ARNs of what carries the deployment's tag, as the tagging API says.
    """

    name: str
    account: str
    region: str
    partition: str = "aws"
    tagged: frozenset[str] = frozenset()

    @property
    def place(self) -> str:
        """Account and region, as they stand in names of buckets."""
        return f"{self.account}-{self.region}"

    @property
    def signature(self) -> dict[str, str]:
        """Tags that say whose a thing is that stands in no region."""
        return {NAME_TAG: self.name, REGION_TAG: self.region}


@dataclass(frozen=True, kw_only=True)
class Signed:
    """How a thing that stands in no region is asked whose it is.

    Args:
        method: boto3's, that names tags.
        argument: Its argument.
        field: Of the listing, that holds the argument's value.
        within: List of the listing whose first item has `field`: what can't carry tags itself is
            whose that is.
    """

    method: str
    argument: str
    field: str
    within: str = ""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a thing holds, which must be taken out of it before it can be removed.

    Args:
        key: Where the answer holds the list.
        field: Of an item that names it; empty where items are plain names.
        remove: boto3's method that takes one out.
        of: Its argument for the thing; empty where it takes none.
        argument: Its argument for what is taken out.
        method: boto3's, that lists them, with `of`; empty where the thing's own listing does.
    """

    key: str
    remove: str
    argument: str
    of: str = ""
    field: str = ""
    method: str = ""


MADE = "{name}-core-[A-Z]"
"""How a name begins that CloudFormation gives to what core.yaml does not name."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One kind of thing.

    Args:
        kind: In a person's words.
        service: As botocore names it, and the AWS CLI.
        method: boto3's, that lists them.
        key: Where the answer holds the list; empty where it is plain names at `identifier`.
        identifier: Field by which it is removed.
        remove: boto3's method that removes one.
        argument: Its argument for the identifier.
        bearer: ARN of what carries the tag, itself or what it belongs to, with the listing's
            fields and `{partition}`, `{region}`, `{account}`; empty where the listing tells tags.
        name: Field that holds the name, of a kind whose name counts too.
        names: Regular expressions of how such a name begins, with `{name}` for the deployment's,
            `{place}` for account and region. Another deployment's name may begin with this one's,
            so nothing shorter than what the templates make will do; CloudFormation's own names go
            on with a logical id, which begins with a capital as no name does.
        gone: Field → values of things that are over, or were never any.
        params: Of the listing call.
        more: Further arguments of the removing call: argument → field.
        switches: Arguments of the removing call that are simply true.
        signed: Of a kind without regions, how one that has our name is asked whose it is.
        first: boto3's method that brings one into a state in which it can be removed, with its
            arguments beside the identifier.
        holds: What must be taken out of one before it is removed.
        by_tag: Whether to let the service choose by the tag: an account may hold thousands.
    """

    kind: str
    service: str
    method: str
    key: str
    identifier: str
    remove: str
    argument: str
    bearer: str = ""
    name: str = ""
    names: tuple[str, ...] = ()
    gone: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    switches: tuple[str, ...] = ()
    signed: Signed | None = None
    first: tuple[str, Mapping[str, str]] | None = None
    holds: Held | None = None
    by_tag: bool = False

    def removals(self, found: Found) -> Iterator[tuple[str, dict[str, str | bool]]]:
        """The calls that remove one, in order: boto3's method and its arguments."""
        if self.holds is not None:
            for item in found.held:
                holder = {self.holds.of: found.identifier} if self.holds.of else {}
                yield self.holds.remove, {**holder, self.holds.argument: item}
        if self.first is not None:
            method, options = self.first
            yield method, {self.argument: found.identifier, **options}
        switches = dict.fromkeys(self.switches, True)
        yield self.remove, {self.argument: found.identifier, **found.more, **switches}

    def command(self, found: Found) -> str:
        """The AWS CLI's command that removes one."""
        if self.kind == "bucket":
            return bucket_command(found.identifier)
        calls = (_words(self.service, *call) for call in self.removals(found))
        return " && ".join(calls)


@dataclass(frozen=True, kw_only=True)
class Found:
    """One thing that is there.

    Args:
        listing: Its kind.
        identifier: By which it is removed.
        more: Further arguments of the removing call.
        held: What must be taken out of it first.
        tagged: Whether the deployment's tag says whose it is, or a name alone.
    """

    listing: Listing
    identifier: str
    more: Mapping[str, str] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    tagged: bool = True


def bucket_command(bucket: str) -> str:
    """The shell's words that remove a bucket with every version and delete marker in it.

    S3 deletes an empty bucket only, and `aws s3 rb --force` leaves old versions.
    """
    query = "[Versions,DeleteMarkers][].[VersionId,Key]"
    return (
        f"aws s3api list-object-versions --bucket {bucket} --query '{query}' --output text"
        " | while read -r version key; do"
        f' aws s3api delete-object --bucket {bucket} --key "$key" --version-id "$version"; done;'
        f" aws s3api delete-bucket --bucket {bucket}"
    )


def _words(service: str, method: str, options: Mapping[str, str | bool]) -> str:
    from botocore import xform_name  # the AWS CLI's options are named by it

    words = ["aws", service, method.replace("_", "-")]
    for key, value in options.items():
        words.append(f"--{xform_name(key, '-')}")
        words += [quote(value)] if isinstance(value, str) else []
    return " ".join(words)
