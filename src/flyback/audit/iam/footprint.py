"""From questions that were asked to the smallest policy that answers them, and the deployer's own.

A recorded question is about this bucket and that machine; a policy is written before they exist. So
identifiers that AWS makes up become `*`, and names that follow from the deployment's stay.
`data/deployer.csv` holds what rehearsals recorded of the person who deploys and runs,
CloudFormation on their behalf included; tests record again and compare.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from flyback.audit.iam.asked import Asked
from flyback.audit.iam.needs import UnmappedError

__all__ = ["Place", "Wanted", "deployer_policy", "policy_of", "recorded", "smallest"]

_KEPT = ("iam:PassedToService", "iam:AWSServiceName", "ec2:CreateAction")
_VERSION = "2012-10-17"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which deployment, where.

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
        condition: `key=value`, or empty.
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
            found.add(
                Wanted(
                    action=item.action,
                    resource=_general(item.resource, place),
                    condition=_condition(item.context),
                )
            )
    return tuple(sorted(_covering(found)))


def recorded() -> tuple[Wanted, ...]:
    """What the deployer needs, as recorded."""
    text = resources.files(__package__).joinpath("data/deployer.csv").read_text()
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(sorted(Wanted(**item) for item in csv.DictReader(lines)))


def deployer_policy(place: Place) -> dict[str, Any]:
    """The policy of whoever runs `up`, `run` and `down`."""
    return policy_of(recorded(), place)


def policy_of(wanted: Iterable[Wanted], place: Place) -> dict[str, Any]:
    """A policy document: one statement for each set of resources and each condition key.

    Actions of EC2 share one statement: each takes resources of its own types only, so that their
    joint list grants no more, and a role's policy holds 10,240 characters. CreateTags takes any.
    """
    granted: dict[tuple[str, str], _Granted] = {}
    for item in wanted:
        service = item.action.partition(":")[0]
        joint = service == "ec2" and item.resource != "*" and item.action != "ec2:CreateTags"
        key, _, value = item.condition.partition("=")
        found = granted.setdefault(("ec2" if joint else item.action, key), _Granted())
        found.actions.add(item.action)
        found.resources.add(item.resource.format_map(place.fields))
        if value:
            found.values.add(value)
    merged: dict[tuple[frozenset[str], str, frozenset[str]], set[str]] = {}
    for (_, key), found in granted.items():
        alike = (frozenset(found.resources), key, frozenset(found.values))
        merged.setdefault(alike, set()).update(found.actions)
    statements = [
        _statement(actions, found, key, values) for (found, key, values), actions in merged.items()
    ]
    statements.sort(key=lambda statement: (statement["Action"], statement["Resource"]))
    return {"Version": _VERSION, "Statement": statements}


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
        statement["Condition"] = {"StringEquals": {key: sorted(values)}}
    return statement


def _condition(context: Mapping[str, Any]) -> str:
    for key in _KEPT:
        if key in context:
            return f"{key}={context[key]}"
    return ""


_EC2 = re.compile(r"^(arn:[^:]+:ec2:[^:]*:[^:]*:[a-z-]+)/.*$")
_DATA = re.compile(r"^(arn:[^:]+:s3:::[^/]+-data-\d{12}-[a-z0-9-]+)/.+$")
_FOLDER = re.compile(r"^(arn:[^:]+:s3:::[^/]+/[^/]+)/.+$")
_STACK = re.compile(r"^(arn:[^:]+:cloudformation:[^:]+:[^:]+:stack/[^/]+)/.*$")
_MADE_UP = re.compile(r"^(.*:(?:role|instance-profile)/[A-Za-z0-9-]+?-core)-[A-Za-z0-9-]+$")
_LOGS = re.compile(r"^(arn:[^:]+:logs:[^:]+:[^:]+:log-group:/flyback/[^/]+)/[^:]*(:.*)?$")
_SCHEDULE = re.compile(r"^(arn:[^:]+:scheduler:[^:]+:[^:]+:schedule/[^/]+)/.*$")
_SECRET = re.compile(r"^(arn:[^:]+:secretsmanager:[^:]+:[^:]+:secret:flyback)/.*$")
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
            and (other.action, other.condition) == (item.action, item.condition)
            and other.resource.endswith("*")
            and item.resource.startswith(other.resource[:-1])
        )
        if next(wider, None) is None:
            yield item
