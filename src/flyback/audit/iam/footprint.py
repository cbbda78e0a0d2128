"""From questions that were asked to the smallest policy that answers them, and the deployer's own.

A recorded question is about this bucket and that machine; a policy is written before they exist. So
identifiers that AWS makes up become `*`, and names that follow from the deployment's stay.
`data/deployer.csv` holds what rehearsals recorded of the person who deploys and runs: their own
calls, those that CloudFormation makes on their behalf, and what the schemas of the templates'
resource types ask besides (`handlers`); tests record again and compare.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flyback.audit.iam.asked import Asked
from flyback.audit.iam.needs import UnmappedError
from flyback.audit.iam.patterns import like
from flyback.audit.iam.tables import table
from flyback.errors import UserError

__all__ = [
    "MANAGED_POLICY_CHARACTERS",
    "ROLE_POLICY_CHARACTERS",
    "Place",
    "Wanted",
    "characters",
    "deployer_policy",
    "parts",
    "policy_of",
    "recorded",
    "smallest",
]

MANAGED_POLICY_CHARACTERS = 6144
"""Of one managed policy; white space does not count (IAM user guide, "IAM and AWS STS quotas")."""

ROLE_POLICY_CHARACTERS = 10_240
"""Of all inline policies of a role together (as above)."""

_OF_TAGS = ("ec2:CreateTags", "ec2:DeleteTags")
_KEPT = ("iam:PassedToService", "ec2:CreateAction")
_OUR_TAG = "aws:ResourceTag/flyback:name"
_VERSION = "2012-10-17"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which deployment, where; `*` in any part stands for whatever is there.

    Args:
        name: Of the deployment.
        account: Twelve digits.
        region: For instance `us-east-1`.
        partition: For instance `aws`.
    """

    name: str
    account: str
    region: str
    partition: str = "aws"

    @property
    def fields(self) -> dict[str, str]:
        """What templates of resources hold."""
        return {
            "p": self.partition,
            "r": self.region,
            "a": self.account,
            "name": self.name,
        }


@dataclass(frozen=True, kw_only=True, order=True)
class Wanted:
    """One permission, whatever the deployment is called.

    Args:
        action: For instance `s3:GetObject`.
        resource: Template of an ARN, or `*`.
        condition: `key=value`, or empty; the value is a template too.
    """

    action: str
    resource: str
    condition: str = ""


def smallest(asked: Iterable[Asked], place: Place) -> tuple[Wanted, ...]:
    """What was asked and allowed, without what AWS made up; sorted.

    Raises:
        UnmappedError: an operation was called of which nobody has said what it needs.
    """
    found = set()
    for item in asked:
        if not item.action:
            name = f"{item.service}:{item.operation}"
            raise UnmappedError(
                f"nobody has said which permissions {name} needs",
                where=name,
                remedy="add a row with its source to flyback/audit/iam/data/operations.csv",
            )
        if item.allowed:
            resource = _general(item.resource, place)
            condition = _condition(item, resource, place)
            found.add(Wanted(action=item.action, resource=resource, condition=condition))
    free = {item.action for item in found if _is_joint(item) and not item.condition}
    joined = {replace(item, condition="") if item.action in free else item for item in found}
    return tuple(sorted(_covering(joined)))


def recorded(*, ci: bool = False) -> tuple[Wanted, ...]:
    """What the deployer needs, as recorded.

    Args:
        ci: Also what `up --ci` needs, and `down` where there was one.
    """
    found = [(item.pop("for"), Wanted(**item)) for item in table("deployer")]
    return tuple(sorted(wanted for purpose, wanted in found if ci or not purpose))


def deployer_policy(*places: Place, ci: bool = False) -> dict[str, Any]:
    """The policy of whoever runs `up`, `run` and `down` in these places.

    Args:
        places: Where.
        ci: Also of whoever runs `up --ci`, which makes a role and an identity provider.
    """
    return policy_of(recorded(ci=ci), *places)


def characters(document: Mapping[str, Any]) -> int:
    """How long IAM takes a policy to be."""
    return len(_compact(document))


def parts(
    document: Mapping[str, Any], most: int = MANAGED_POLICY_CHARACTERS
) -> tuple[dict[str, Any], ...]:
    """A policy as several that grant the same together, each of at most so many characters.

    A statement that is too long by itself is divided: its actions on each half of its resources
    are its actions on all of them, and the other way round.

    Args:
        document: The policy.
        most: Characters of each, white space left out.

    Raises:
        UserError: a statement can't be divided so far.
    """
    room = most - characters({"Version": _VERSION, "Statement": []})
    found: list[list[dict[str, Any]]] = [[]]
    statements = document["Statement"]
    for whole in statements if isinstance(statements, list) else [statements]:
        for statement in _divided(whole, room):
            if found[-1] and len(_compact([*found[-1], statement])) - 2 > room:
                found.append([])
            found[-1].append(statement)
    version = document.get("Version", _VERSION)
    return tuple({"Version": version, "Statement": part} for part in found)


def _divided(statement: Mapping[str, Any], room: int) -> Iterator[dict[str, Any]]:
    if len(_compact(statement)) <= room:
        yield dict(statement)
        return
    lists = {key: statement[key] for key in ("Action", "Resource") if _many(statement.get(key))}
    if not lists:
        raise UserError(
            f"a statement is longer than {room} characters and can't be divided",
            where=str(statement.get("Sid", "Statement")),
            remedy="write it as several",
        )
    key = max(lists, key=lambda name: len(_compact(lists[name])))
    middle = len(lists[key]) // 2
    for half in (lists[key][:middle], lists[key][middle:]):
        yield from _divided({**statement, key: half}, room)


def _many(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def policy_of(wanted: Iterable[Wanted], *places: Place) -> dict[str, Any]:
    """A policy document: one statement for each set of resources and each condition key.

    Actions of EC2 share one statement: each takes resources of its own types only, so that their
    joint list grants no more, and a role's policy holds 10,240 characters. Those of tags take any.
    """
    granted: dict[tuple[str, str], _Granted] = {}
    for item in wanted:
        key, _, value = item.condition.partition("=")
        holder = "ec2" if _is_joint(item) else item.action
        found = granted.setdefault((holder, key), _Granted())
        found.actions.add(item.action)
        found.resources.update(item.resource.format_map(place.fields) for place in places)
        if value:
            found.values.update(value.format_map(place.fields) for place in places)
    merged: dict[tuple[frozenset[str], str, frozenset[str]], set[str]] = {}
    for (_, key), found in granted.items():
        alike = (frozenset(found.resources), key, frozenset(found.values))
        merged.setdefault(alike, set()).update(found.actions)
    statements = [
        _statement(actions, found, key, values) for (found, key, values), actions in merged.items()
    ]
    statements.sort(key=lambda statement: (statement["Action"], statement["Resource"]))
    return {"Version": _VERSION, "Statement": statements}


def _is_joint(item: Wanted) -> bool:
    """Whether a permission shares the statement of EC2's, so that no type of its own limits it."""
    service = item.action.partition(":")[0]
    return service == "ec2" and item.resource != "*" and item.action not in _OF_TAGS


@dataclass
class _Granted:
    actions: set[str] = field(default_factory=set)
    resources: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)


def _statement(
    actions: Iterable[str], found: Iterable[str], key: str, values: Iterable[str]
) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": sorted(found),
    }
    if key:
        texts = sorted(values)
        operator = "StringLike" if any("*" in text for text in texts) else "StringEquals"
        statement["Condition"] = {operator: {key: texts}}
    return statement


def _condition(item: Asked, resource: str, place: Place) -> str:
    """What a permission is limited by, besides its resource.

    An ARN without the deployment's name is limited by the tag of that name, where what was asked
    about held it; each resource type of EC2 takes `aws:ResourceTag` (service authorization
    reference). Not so through CloudFormation: whether its handlers tag in the call that makes a
    thing is said nowhere, and what they made and could not tag must be removed again. An action
    that is free on one type of resource is free on all, as EC2's share a statement.
    """
    for key in _KEPT:
        if key in item.context:
            return f"{key}={item.context[key]}"
    ours = item.context.get(_OUR_TAG) == place.name
    if ours and not item.via and "{name}" not in resource:
        return f"{_OUR_TAG}={{name}}"
    return ""


_EC2 = re.compile(r"^(arn:[^:]+:ec2:[^:]*:[^:]*:[a-z-]+)/.*$")
_DATA = re.compile(r"^(arn:[^:]+:s3:::[^/]+-data-\d{12}-[a-z0-9-]+)/.+$")
_FOLDER = re.compile(r"^(arn:[^:]+:s3:::[^/]+/[^/]+)/.+$")
_STACK = re.compile(r"^(arn:[^:]+:cloudformation:[^:]+:[^:]+:stack/[^/]+)/.*$")
_MADE_UP = re.compile(r"^(.*:(?:role|instance-profile)/[A-Za-z0-9-]+?-(?:core|ci))-[A-Za-z0-9-]+$")
_LOGS = re.compile(r"^(arn:[^:]+:logs:[^:]+:[^:]+:log-group:/flyback/[^/]+)/[^:]*(:.*)?$")
_SCHEDULE = re.compile(r"^(arn:[^:]+:scheduler:[^:]+:[^:]+:schedule/[^/]+)/.*$")
_SECRET = re.compile(r"^(arn:[^:]+:secretsmanager:[^:]+:[^:]+:secret:flyback)/.*$")
_QUOTA = re.compile(r"^(arn:[^:]+:servicequotas:[^:]+:[^:]+:[^/]+)/.*$")
_AMI = re.compile(r"^(arn:[^:]+:ssm:[^:]+::parameter/aws/service/deeplearning/ami)/.*$")


def _general(resource: str, place: Place) -> str:
    """A resource without identifiers that AWS or a run made up, as a template."""
    if resource == "*":
        return resource
    for pattern, replacement in (
        (_EC2, r"\1/*"),
        (_DATA, r"\1/*"),
        (_FOLDER, r"\1/*"),
        (_STACK, r"\1/*"),
        (_MADE_UP, r"\1-*"),
        (_LOGS, r"\1/*"),
        (_SCHEDULE, r"\1/*"),
        (_SECRET, r"\1/*"),
        (_QUOTA, r"\1/*"),
        (_AMI, r"\1/*"),
    ):
        resource = pattern.sub(replacement, resource)
    resource = resource.replace(f"arn:{place.partition}:", "arn:{p}:", 1)
    resource = resource.replace(place.account, "{a}").replace(place.region, "{r}")
    ours = rf"(?<=[:/])(flyback-)?{re.escape(place.name)}(?=[-/]|$)"
    return re.sub(ours, r"\1{name}", resource)


def _covering(found: set[Wanted]) -> Iterator[Wanted]:
    """Without what another one covers."""
    for item in found:
        wider = (
            other
            for other in found
            if other != item
            and other.action == item.action
            and other.condition in (item.condition, "")
            and like(other.resource, item.resource)
        )
        if next(wider, None) is None:
            yield item
