"""Policies from JSON, refused where they are malformed.

Source: IAM user guide, "Grammar of the IAM JSON policy language" and the pages of its elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from flyback.audit.iam.document import Condition, Kind, Policy, Statement
from flyback.audit.iam.operators import NAMES, PARSERS
from flyback.errors import UserError

__all__ = ["PolicyError", "parse_policy"]

_WITH_VARIABLES = "2012-10-17"
_VERSIONS = (_WITH_VARIABLES, "2008-10-17")
_TOP = {"Version", "Id", "Statement"}
_ELEMENTS = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
    "Condition",
}  # fmt: skip
_PRINCIPALS = {"AWS", "Service", "Federated"}
_ACTION = re.compile(r"^[A-Za-z0-9-]+:[A-Za-z0-9*?-]+$")
_SID = re.compile(r"^[A-Za-z0-9]*$")
_QUALIFIERS = {"forallvalues": "ForAllValues", "foranyvalue": "ForAnyValue"}
_IF_EXISTS = "ifexists"


class PolicyError(UserError):
    """A policy that AWS would refuse, or that says what is not modelled."""


@dataclass(frozen=True)
class _Place:
    """Where in which policy."""

    policy: str
    path: str = ""

    def at(self, step: str | int) -> _Place:
        if isinstance(step, int):
            return _Place(self.policy, f"{self.path}[{step}]")
        return _Place(self.policy, f"{self.path}.{step}" if self.path else step)

    def error(self, what: str, remedy: str) -> PolicyError:
        where = f"{self.policy}: {self.path}" if self.path else self.policy
        return PolicyError(what, where=where, remedy=remedy)


def parse_policy(document: Any, name: str, kind: Kind = "identity") -> Policy:
    """Read a policy.

    Args:
        document: As parsed from JSON.
        name: For decisions and errors.
        kind: What it is attached to.

    Raises:
        PolicyError: it is malformed; where, what and the remedy.
    """
    place = _Place(name)
    if not isinstance(document, Mapping):
        raise place.error("a policy is an object", "write {…} with Version and Statement")
    _known(document, _TOP, place)
    version = document.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        raise place.at("Version").error(
            f"{version!r} is no version of the policy language", f"write {_WITH_VARIABLES!r}"
        )
    if "Id" in document and kind == "identity":
        raise place.at("Id").error("an identity's policy has no Id", "leave it out")
    if "Statement" not in document:
        raise place.error("the policy has no Statement", "add at least one statement")
    found = document["Statement"]
    items = found if isinstance(found, list) else [found]
    statements = tuple(
        _statement(item, place.at("Statement").at(index), kind, (index, version == _WITH_VARIABLES))
        for index, item in enumerate(items)
    )
    _unique_sids(statements, place)
    return Policy(name=name, kind=kind, statements=statements)


def _statement(item: Any, place: _Place, kind: Kind, about: tuple[int, bool]) -> Statement:
    if not isinstance(item, Mapping):
        raise place.error("a statement is an object", "write {…} with Effect, Action, Resource")
    _known(item, _ELEMENTS, place)
    if item.get("Effect") not in ("Allow", "Deny"):
        raise place.at("Effect").error(
            f"{item.get('Effect')!r} is no effect", "write Allow or Deny; case matters"
        )
    actions = _one_of(item, "Action", place)
    for text in actions or ():
        if text != "*" and not _ACTION.match(text):
            raise place.at("Action").error(
                f"{text!r} is no action", "write service:Action; the service takes no wildcard"
            )
    lower = None if actions is None else tuple(text.lower() for text in actions)
    resources = _resources(item, place, kind)
    principals = _principals(item, place, kind)
    sid = _sid(item, place, kind)
    return Statement(
        policy=place.policy,
        index=about[0],
        sid=sid,
        effect=item["Effect"],
        variables=about[1],
        actions=lower if "Action" in item else None,
        not_actions=lower if "NotAction" in item else None,
        resources=resources if "Resource" in item else None,
        not_resources=resources if "NotResource" in item else None,
        principals=principals if "Principal" in item else None,
        not_principals=principals if "NotPrincipal" in item else None,
        conditions=tuple(_conditions(item.get("Condition", {}), place.at("Condition"))),
    )


def _sid(item: Mapping[str, Any], place: _Place, kind: Kind) -> str:
    sid = item.get("Sid", "")
    if not isinstance(sid, str) or (kind == "identity" and not _SID.match(sid)):
        raise place.at("Sid").error(f"{sid!r} is no statement id", "use letters and digits only")
    return sid


def _resources(item: Mapping[str, Any], place: _Place, kind: Kind) -> tuple[str, ...] | None:
    if kind == "trust":
        if "Resource" in item or "NotResource" in item:
            raise place.error("a trust policy names no resource", "leave Resource out")
        return None
    resources = _one_of(item, "Resource", place)
    for text in resources or ():
        if text != "*" and not text.startswith("arn:"):
            raise place.at("Resource").error(f"{text!r} is no ARN", "write an ARN, or *")
    return resources


def _principals(
    item: Mapping[str, Any], place: _Place, kind: Kind
) -> Mapping[str, tuple[str, ...]] | None:
    named = [name for name in ("Principal", "NotPrincipal") if name in item]
    if kind == "identity":
        if named:
            raise place.at(named[0]).error(
                "an identity's policy names no principal", "leave it out: the identity is meant"
            )
        return None
    if len(named) != 1:
        raise place.error("one of Principal and NotPrincipal is needed", "say whom it concerns")
    value, place = item[named[0]], place.at(named[0])
    if value == "*":
        return {"AWS": ("*",)}
    if not isinstance(value, Mapping) or not value:
        raise place.error(f"{value!r} is no principal", 'write "*" or {"AWS": "arn:…"}')
    if "CanonicalUser" in value:  # AWS takes it; here nobody's canonical id is known
        raise place.at("CanonicalUser").error(
            "canonical user ids are not modelled", 'write {"AWS": …} with the account\'s ARN'
        )
    _known(value, _PRINCIPALS, place)
    principals = {key: _texts(names, place.at(key)) for key, names in value.items()}
    for name in principals.get("AWS", ()):
        if "*" in name and name != "*":
            raise place.error(
                f"{name!r} has a wildcard", "name the principal, or use aws:PrincipalArn"
            )
    return principals


def _conditions(block: Any, place: _Place) -> Iterator[Condition]:
    if not isinstance(block, Mapping):
        raise place.error("a condition is an object", "write {operator: {key: value}}")
    for operator, keys in block.items():
        here = place.at(operator)
        name, qualifier, if_exists = _operator(operator, here)
        if not isinstance(keys, Mapping):
            raise here.error("an operator takes keys and values", "write {key: value}")
        for key, values in keys.items():
            texts = _texts(values, here.at(key), plain=True)
            _check_values(name, texts, here.at(key))
            yield Condition(
                operator=name,
                qualifier=qualifier,
                if_exists=if_exists,
                key=key.lower(),
                values=texts,
            )


def _operator(text: str, place: _Place) -> tuple[str, str, bool]:
    """Plain name, qualifier, and whether it ends with IfExists."""
    prefix, colon, rest = text.rpartition(":")
    qualifier = _QUALIFIERS.get(prefix.lower(), "")
    lower = rest.lower()
    if_exists = lower.endswith(_IF_EXISTS)
    name = NAMES.get(lower.removesuffix(_IF_EXISTS))
    if name is None or (colon and not qualifier):
        close = get_close_matches(lower, NAMES, n=1)
        remedy = f"did you mean {NAMES[close[0]]}?" if close else "see IAM's condition operators"
        raise place.error(f"{text!r} is no condition operator", remedy)
    if name == "Null" and (if_exists or qualifier):
        raise place.error("Null takes neither IfExists nor a set operator", "write Null")
    return name, qualifier, if_exists


def _check_values(operator: str, values: tuple[str, ...], place: _Place) -> None:
    parse = next((PARSERS[word] for word in PARSERS if operator.startswith(word)), None)
    for value in values:
        if parse is None or "${" in value:
            continue
        try:
            parse(value)
        except ValueError:
            raise place.error(
                f"{value!r} is no value for {operator}", "see IAM's condition operators"
            ) from None


def _one_of(item: Mapping[str, Any], name: str, place: _Place) -> tuple[str, ...] | None:
    named = [key for key in (name, f"Not{name}") if key in item]
    if len(named) != 1:
        raise place.error(f"one of {name} and Not{name} is needed", f"write exactly one {name}")
    return _texts(item[named[0]], place.at(named[0]))


def _texts(value: Any, place: _Place, *, plain: bool = False) -> tuple[str, ...]:
    """One text or a list of them; booleans and numbers too where a condition is `plain` data."""
    items = value if isinstance(value, list) else [value]
    found = []
    for item in items:
        if plain and isinstance(item, bool):
            found.append(str(item).lower())
        elif plain and isinstance(item, int | float):
            found.append(str(item))
        elif isinstance(item, str):
            found.append(item)
        else:
            raise place.error(f"{item!r} is no text", "write a text, or a list of texts")
    if not found:
        raise place.error("the list is empty", "name at least one")
    return tuple(found)


def _known(item: Mapping[str, Any], names: set[str], place: _Place) -> None:
    for key in item:
        if key not in names:
            close = get_close_matches(str(key), names, n=1)
            remedy = (
                f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(names))}"
            )
            raise place.at(str(key)).error(f"{key!r} is no element of the policy language", remedy)


def _unique_sids(statements: tuple[Statement, ...], place: _Place) -> None:
    seen: set[str] = set()
    for statement in statements:
        if statement.sid and statement.sid in seen:
            raise place.at("Statement").error(
                f"two statements have the Sid {statement.sid!r}", "give each its own"
            )
        seen.add(statement.sid)
