"""What a cloud was seen to do, without ids and times, so that two clouds can be compared.

Takes: the answers of a session's calls, and facts that a scenario found out. Gives: the differences
between two clouds. A field that only the real cloud answers is noted; one that only the rehearsal
answers may be one that we rely on, and counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CallSeen", "Difference", "Evidence", "Witness", "differences"]

_SUCCESS = 300  # HTTP statuses below it
# What the client and the guardian meet where the other was first.
_RACES = frozenset(
    {"404", "ConflictException", "NoSuchKey", "PreconditionFailed", "ResourceNotFoundException"}
)
_OURS = "ResponseMetadata"  # botocore's own


@dataclass(frozen=True, kw_only=True)
class CallSeen:
    """All answers to one operation.

    Args:
        errors: Error codes.
        fields: Paths of what successful answers held, for instance `Fleets[].FleetId`.
    """

    errors: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one cloud did.

    Args:
        facts: Topic → what was seen, in words that hold for every account.
        calls: Service and operation → its answers.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    calls: Mapping[str, CallSeen] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that one cloud did and the other did not.

    Args:
        topic: The fact, or the operation.
        cloud: What the account did.
        rehearsal: What the rehearsal did.
        counts: Whether the rehearsal was wrong about something that we may rely on.
    """

    topic: str
    cloud: str
    rehearsal: str
    counts: bool = True


class Witness:
    """Remembers the answers that sessions get: their `witness`."""

    def __init__(self) -> None:
        self._errors: dict[str, set[str]] = {}
        self._fields: dict[str, set[str]] = {}

    def __call__(self, service: str, operation: str, status: int, answer: Any) -> None:
        """One answer."""
        name = f"{service}.{operation}"
        errors, fields = self._errors.setdefault(name, set()), self._fields.setdefault(name, set())
        if status >= _SUCCESS:
            errors.add(str(answer.get("Error", {}).get("Code") or status))
        else:
            fields.update(_paths({k: v for k, v in answer.items() if k != _OURS}, ""))

    def evidence(self, facts: Mapping[str, str]) -> Evidence:
        """What it has seen by now, with the facts of a scenario."""
        calls = {
            name: CallSeen(errors=tuple(sorted(errors)), fields=tuple(sorted(self._fields[name])))
            for name, errors in sorted(self._errors.items())
        }
        return Evidence(facts=dict(facts), calls=calls)


def differences(cloud: Evidence, rehearsal: Evidence) -> tuple[Difference, ...]:
    """What the clouds did differently, facts first."""
    return (*_of_facts(cloud.facts, rehearsal.facts), *_of_calls(cloud.calls, rehearsal.calls))


def _of_facts(cloud: Mapping[str, str], rehearsal: Mapping[str, str]) -> Iterator[Difference]:
    for topic in dict.fromkeys((*rehearsal, *cloud)):
        ours, theirs = cloud.get(topic, "not seen"), rehearsal.get(topic, "not seen")
        if ours != theirs:
            yield Difference(topic=topic, cloud=ours, rehearsal=theirs)


def _of_calls(
    cloud: Mapping[str, CallSeen], rehearsal: Mapping[str, CallSeen]
) -> Iterator[Difference]:
    for name in sorted(cloud.keys() | rehearsal.keys()):
        ours, theirs = cloud.get(name), rehearsal.get(name)
        if ours is None or theirs is None:
            seen = ("not called", "called")
            yield Difference(
                topic=name,
                cloud=seen[ours is not None],
                rehearsal=seen[theirs is not None],
                counts=False,  # whether the client or the guardian is first is chance
            )
            continue
        if ours.errors != theirs.errors:
            yield Difference(
                topic=f"{name} errors",
                cloud=_listed(ours.errors),
                rehearsal=_listed(theirs.errors),
                counts=not set(ours.errors) ^ set(theirs.errors) <= _RACES,
            )
        if not ours.fields or not theirs.fields:
            continue  # nothing came back from one of them: its errors say why
        for path in sorted(set(theirs.fields) - set(ours.fields)):
            yield Difference(topic=f"{name} {path}", cloud="not answered", rehearsal="answered")
        for path in sorted(set(ours.fields) - set(theirs.fields)):
            yield Difference(
                topic=f"{name} {path}", cloud="answered", rehearsal="not answered", counts=False
            )


def _listed(codes: tuple[str, ...]) -> str:
    return ", ".join(codes) or "none"


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _paths(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _paths(inner, f"{path}[]")
    elif value is not None:
        yield path
