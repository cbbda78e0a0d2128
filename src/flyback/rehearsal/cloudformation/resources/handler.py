"""What a resource handler is given and must give: one small class per resource type."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from flyback.rehearsal.cloudformation.refusals import NotEmulatedError

__all__ = [
    "Desired",
    "Handler",
    "Made",
    "Pace",
    "Site",
    "as_document",
    "code_of",
    "pairs",
    "renamed",
    "tag_changes",
    "unless",
]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Simulated seconds that a resource takes.

    Every figure in this package is an order of magnitude from experience with CloudFormation
    consoles, unverified; `flyback verify` on a real account is to replace them.
    """

    create: float
    update: float
    delete: float


@dataclass(frozen=True, kw_only=True)
class Desired:
    """What a resource should be.

    Args:
        properties: Resolved, checked against the schema and converted to its types.
        tags: Everything that it should carry: the stack's tags, its own (which win) and
            CloudFormation's.
    """

    properties: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:
        """A property."""
        return self.properties.get(name, default)

    def differs(self, other: Desired, *names: str) -> bool:
        """Whether any of these properties is another there."""
        return any(self.get(name) != other.get(name) for name in names)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What exists.

    Args:
        physical_id: What `Ref` gives.
        attributes: What `Fn::GetAtt` gives beyond the declared properties.
    """

    physical_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Site:
    """Where a handler works: one resource of one stack.

    Args:
        clients: A boto3 client for a service, in the stack's region.
        region: The stack's.
        account: Twelve digits.
        partition: `aws`, `aws-cn`, …
        stack_name: The stack's name.
        logical_id: The resource's.
        suffix: Twelve letters and digits that make a generated name unique.
    """

    clients: Callable[[str], Any]
    region: str
    account: str
    partition: str
    stack_name: str
    logical_id: str
    suffix: str
    claimed: Made | None = None

    def client(self, service: str) -> Any:
        """A boto3 client."""
        return self.clients(service)

    def claim(self, made: Made) -> Made:
        """Say what exists as soon as it does, so that a failure later on leaves no orphan."""
        self.claimed = made
        return made

    def name(self, given: str | None, *, most: int, lower: bool = False) -> str:
        """The name that the template gives, or a generated one of at most `most` characters."""
        if given:
            return given
        stem = f"{self.stack_name}-{self.logical_id}"[: most - len(self.suffix) - 1]
        found = f"{stem}-{self.suffix}"
        return found.lower() if lower else found


class Handler(ABC):
    """Makes, changes and removes resources of one type through the emulated AWS's own APIs.

    Creation calls `site.claim` as soon as something exists. Deletion takes a half-made resource.
    """

    type: ClassVar[str]
    applies: ClassVar[frozenset[str]]
    not_emulated: ClassVar[frozenset[str]] = frozenset()
    pace: ClassVar[Pace]
    name_property: ClassVar[str] = ""
    system_tags: ClassVar[bool] = False
    gone: ClassVar[frozenset[str]] = frozenset()
    """Error codes that mean "there is no such thing", which deletion takes for success."""

    @abstractmethod
    def create(self, site: Site, desired: Desired) -> Made:
        """Make it."""

    def find(self, site: Site, desired: Desired) -> Made:
        """What exists already, for an import; an error of its service where it does not.

        Raises:
            NotEmulatedError: the rehearsal does not import this type.
        """
        del site, desired
        raise NotEmulatedError(f"the import of {self.type}")

    @abstractmethod
    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        """Change it in place; called only where no create-only property changed."""

    @abstractmethod
    def delete(self, site: Site, made: Made, last: Desired) -> None:
        """Remove it."""


def renamed(value: Mapping[str, Any], names: Mapping[str, str], where: str) -> dict[str, Any]:
    """A nested property in the API's words.

    Raises:
        NotEmulatedError: it holds a key that is not in `names`; nothing is dropped silently.
    """
    for key in value:
        if key not in names:
            raise NotEmulatedError(f"the property {where}.{key}")
    return {names[key]: item for key, item in value.items()}


def pairs(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Tags as most APIs take them, in a stable order."""
    return [{key: name, value: tags[name]} for name in sorted(tags)]


def tag_changes(old: Desired, new: Desired) -> tuple[dict[str, str], list[str]]:
    """Tags to set, and the names of tags to take off."""
    changed = {key: text for key, text in new.tags.items() if old.tags.get(key) != text}
    return changed, sorted(set(old.tags) - set(new.tags))


def unless(codes: Collection[str], call: Callable[..., object], **arguments: Any) -> None:
    """Call; these error codes are no errors.

    Changes are also made backwards, when an update is undone that failed half-way; then what is to
    be taken off may never have been put on.
    """
    try:
        call(**arguments)
    except ClientError as error:
        if code_of(error) not in codes:
            raise


def as_document(value: Any) -> str:
    """A policy as text; templates give text or a map."""
    return value if isinstance(value, str) else json.dumps(value)


def code_of(error: BaseException) -> str:
    """The error code of a botocore ClientError; empty for anything else."""
    response = getattr(error, "response", None)
    return str(response["Error"].get("Code", "")) if isinstance(response, Mapping) else ""
