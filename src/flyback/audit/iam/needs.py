"""What IAM is asked when an operation is called: actions, resources, condition keys.

The table is `data/operations.csv`, each row with its source. AWS asks for more than the operation's
own name where it depends on other permissions (tags at creation, passing a role); those are rows
too. What can't be written as a row is built by `launches` and below.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from flyback.audit.iam.facts import Facts, NoFacts
from flyback.audit.iam.tables import table
from flyback.errors import UserError

__all__ = [
    "Called",
    "Need",
    "Row",
    "UnmappedError",
    "completed",
    "known_operations",
    "needs",
    "rows",
]

REFERENCE = "https://docs.aws.amazon.com/service-authorization/latest/reference/"

# Operations that anybody may call: no policy is asked.
UNASKED = {
    "sts:GetCallerIdentity": "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html",
}

# Services with a key of their own for `aws:ResourceTag` (service authorization reference).
_OWN_TAG_KEY = frozenset(
    {"ec2", "ecr", "elasticloadbalancing", "iam", "secretsmanager", "ssm"},
)

# Actions of IAM that know of the boundary of their role or user (service authorization reference).
_BOUNDED = frozenset(
    {
        *(f"iam:{verb}{kind}Policy" for verb in ("Attach", "Detach") for kind in ("Role", "User")),
        *(f"iam:{verb}{kind}Policy" for verb in ("Delete", "Put") for kind in ("Role", "User")),
        *(
            f"iam:{verb}{kind}PermissionsBoundary"
            for verb in ("Delete", "Put")
            for kind in ("Role", "User")
        ),
        "iam:CreateRole", "iam:CreateUser", "iam:DeleteRole", "iam:GetRole",
        "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
    }
)  # fmt: skip

_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.]+)(?:=([^}]*))?\}")
_MAKES_EC2 = re.compile(r"^(Create|Run|Import|Copy|Register|Allocate|Request)")


class UnmappedError(UserError):
    """An operation of which the table does not know what IAM is asked."""


@dataclass(frozen=True, kw_only=True)
class Called:
    """An operation, as it was called.

    Args:
        service: As botocore names it.
        operation: As the API names it.
        params: Shaped like botocore's input.
        region: Where.
        account: Twelve digits.
    """

    service: str
    operation: str
    params: Mapping[str, Any]
    region: str
    account: str
    partition: str = "aws"

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"

    def arn(self, service: str, rest: str) -> str:
        """An ARN of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{rest}"


@dataclass(frozen=True, kw_only=True)
class Need:
    """One question to IAM.

    Args:
        action: For instance `s3:GetObject`.
        resource: ARN, or `*`.
        context: Condition keys of the call and the resource.
    """

    action: str
    resource: str
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table.

    Args:
        operation: `service:Operation`; may end with `*`.
        when: A parameter that must be there, or `!` and one that must not; empty for always.
        action: The action, or `@` and the name of what builds the questions.
        resource: Template of the ARN.
        keys: Condition key → parameter path, or a text in quotes.
        source: Where AWS says so.
    """

    operation: str
    when: str
    action: str
    resource: str
    keys: Mapping[str, str]
    source: str


Builder = Callable[[Called, Facts, Row], Iterator[Need]]
BUILDERS: dict[str, Builder] = {}


@functools.cache
def rows() -> Mapping[str, tuple[Row, ...]]:
    """The table, by operation."""
    found: dict[str, list[Row]] = {}
    for item in table("operations"):
        source = item["source"]
        row = Row(
            operation=item["operation"],
            when=item["when"],
            action=item["action"],
            resource=item["resource"],
            keys=dict(pair.split("=", 1) for pair in item["keys"].split()),
            source=source if source.startswith("https://") else REFERENCE + source,
        )
        found.setdefault(row.operation, []).append(row)
    return {operation: tuple(items) for operation, items in found.items()}


def known_operations() -> tuple[str, ...]:
    """Every operation of the table, sorted; some end with `*`."""
    return tuple(sorted({*rows(), *UNASKED}))


def needs(called: Called, facts: Facts | None = None) -> tuple[Need, ...]:
    """Every question that IAM is asked about a call; none for what everybody may call.

    Raises:
        UnmappedError: the table does not know the operation.
    """
    if called.name in UNASKED:
        return ()
    known = facts or NoFacts()
    found = [
        need
        for row in _rows_of(called)
        if _applies(row, called.params)
        for need in _built(row, called, known)
    ]
    return tuple(completed(need, called, known) for need in found)


def _rows_of(called: Called) -> tuple[Row, ...]:
    verb = re.match(r"[A-Z][a-z]+", called.operation)
    general = f"{called.service}:{verb[0]}*" if verb else ""
    found = rows().get(called.name) or rows().get(general)
    if not found:
        raise UnmappedError(
            f"nobody has said which permissions {called.name} needs",
            where=called.name,
            remedy="add a row with its source to flyback/audit/iam/data/operations.csv",
        )
    return found


def _applies(row: Row, params: Mapping[str, Any]) -> bool:
    if row.when.startswith("!"):
        return not values_at(params, row.when[1:])
    return not row.when or bool(values_at(params, row.when))


def _built(row: Row, called: Called, facts: Facts) -> Iterator[Need]:
    for name in (row.action, row.resource):
        if name.startswith("@"):
            yield from BUILDERS[name](called, facts, row)
            return
    context = context_of(row, called)
    for resource in _expanded(row.resource, called):
        action = row.action.replace("{Operation}", called.operation)
        yield Need(action=action, resource=resource, context=context)
    if called.service == "ec2" and _MAKES_EC2.match(called.operation) and "tags" in row.keys:
        yield from tags_at_creation(called, called.params.get(row.keys["tags"], ()))


def context_of(row: Row, called: Called) -> dict[str, str | tuple[str, ...]]:
    """Condition keys that a row takes from the parameters."""
    context: dict[str, str | tuple[str, ...]] = {}
    for key, source in row.keys.items():
        if source.startswith("'"):
            context[key] = source.strip("'")
        elif key == "tags":
            context.update(tag_context(_tags_at(called.params, source)))
        elif found := values_at(called.params, source):
            context[key] = found[0] if len(found) == 1 else tuple(found)
    return context


def tag_context(tags: Mapping[str, str]) -> dict[str, str | tuple[str, ...]]:
    """The keys of tags that a request brings."""
    if not tags:
        return {}
    context: dict[str, str | tuple[str, ...]] = {
        f"aws:RequestTag/{key}": value for key, value in tags.items()
    }
    context["aws:TagKeys"] = tuple(sorted(tags))
    return context


def tags_at_creation(called: Called, specifications: Any) -> Iterator[Need]:
    """EC2 asks for CreateTags too where a request brings tags.

    Source: EC2 user guide, "Grant permission to tag resources during creation".
    """
    for item in specifications or ():
        tags = as_tags(item.get("Tags", ()))
        if tags:
            kind = item.get("ResourceType", "*")
            yield Need(
                action="ec2:CreateTags",
                resource=called.arn("ec2", f"{kind}/*"),
                context={**tag_context(tags), "ec2:CreateAction": called.operation},
            )


def as_tags(value: Any) -> dict[str, str]:
    """Tags as a plain mapping, from any of the shapes in which services write them."""
    if isinstance(value, Mapping):
        if "TagSet" in value:
            return as_tags(value["TagSet"])
        return {str(key): str(text) for key, text in value.items()}
    tags: dict[str, str] = {}
    for item in value or ():
        if "Tags" in item:  # EC2's specifications: the first is of what the row is about
            return as_tags(item["Tags"])
        key = item.get("Key", item.get("key", item.get("TagKey", "")))
        tags[str(key)] = str(item.get("Value", item.get("value", item.get("TagValue", ""))))
    return tags


def values_at(params: Any, path: str) -> list[str]:
    """Every value at a path of parameters, as text; lists are gone into."""
    found = [params]
    for step in path.split("."):
        below: list[Any] = []
        for item in found:
            value = item.get(step) if isinstance(item, Mapping) else None
            below += value if isinstance(value, list | tuple) else [value]
        found = [item for item in below if item is not None and item != ""]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in found]


def _tags_at(params: Mapping[str, Any], path: str) -> dict[str, str]:
    value: Any = params
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return as_tags(value)


def _expanded(template: str, called: Called) -> Iterator[str]:
    filled = template.replace("{p}", called.partition).replace("{r}", called.region)
    filled = filled.replace("{a}", called.account)
    names = _PLACEHOLDER.findall(filled)
    choices = [values_at(called.params, name) or [default or "*"] for name, default in names]
    for chosen in product(*choices):
        whole = [value for value in chosen if value.startswith("arn:")]
        if whole and template.count("arn:"):
            yield whole[0]
            continue
        values = iter(chosen)
        yield _PLACEHOLDER.sub(lambda _, each=values: next(each), filled)  # type: ignore[misc]  # one value for each


def completed(need: Need, called: Called, facts: Facts) -> Need:
    """A question with what the account tells of its resource: real path, tags, attributes."""
    resource = facts.canonical(need.resource)
    keeps = (*resource.split(":"), "", "")[2]  # a role is IAM's, also where STS asks
    context: dict[str, str | tuple[str, ...]] = dict(need.context)
    if keeps == "ec2" or need.action in _BOUNDED:
        context = {**facts.attributes(resource), **context}
    if need.action.startswith("ec2:"):
        context["ec2:Region"] = called.region
    for key, value in facts.tags(resource).items():
        context[f"aws:ResourceTag/{key}"] = value
        if keeps in _OWN_TAG_KEY:
            context[f"{keeps}:ResourceTag/{key}"] = value
    return Need(action=need.action, resource=resource, context=context)


# ------------------------------------------------------------------------------- built in code

_BY_PREFIX = {
    "i": "instance", "vol": "volume", "eni": "network-interface", "lt": "launch-template",
    "sg": "security-group", "vpc": "vpc", "subnet": "subnet", "igw": "internet-gateway",
    "rtb": "route-table", "vpce": "vpc-endpoint", "snap": "snapshot", "ami": "image",
    "fleet": "fleet", "sir": "spot-instances-request", "eipalloc": "elastic-ip",
}  # fmt: skip
_OWNERLESS = ("image", "snapshot")  # their ARNs have no account


def ec2_arn(called: Called, identifier: str) -> str:
    """ARN of an EC2 resource by its identifier."""
    kind = _BY_PREFIX.get(identifier.partition("-")[0], "*")
    arn = called.arn("ec2", f"{kind}/{identifier}")
    if kind in _OWNERLESS:
        arn = arn.replace(f":{called.account}:", "::")
    return arn


def _by_ids(called: Called, facts: Facts, row: Row) -> Iterator[Need]:
    del facts
    context = context_of(row, called)
    for identifier in values_at(called.params, "Resources"):
        yield Need(action=row.action, resource=ec2_arn(called, identifier), context=context)


def _by_parameter_name(called: Called, facts: Facts, row: Row) -> Iterator[Need]:
    """Names of parameters begin with a slash that their ARNs do not double; AWS's own are no one's.

    Source: Systems Manager user guide, "Restricting access to parameters using IAM policies".
    """
    del facts
    context = context_of(row, called)
    for name in values_at(called.params, "Name") + values_at(called.params, "Names"):
        if name.startswith("arn:"):
            arn = name
        else:
            arn = called.arn("ssm", f"parameter/{name.lstrip('/')}")
            if name.startswith("/aws/service/"):
                arn = arn.replace(f":{called.account}:", "::")
        yield Need(action=row.action, resource=arn, context=context)


def _deleted_objects(called: Called, facts: Facts, row: Row) -> Iterator[Need]:
    del facts, row
    bucket = called.params.get("Bucket", "*")
    for item in called.params.get("Delete", {}).get("Objects", ()):
        version = "Version" if item.get("VersionId") else ""
        yield Need(
            action=f"s3:DeleteObject{version}",
            resource=f"arn:{called.partition}:s3:::{bucket}/{item.get('Key', '')}",
        )


def _provider_by_url(called: Called, facts: Facts, row: Row) -> Iterator[Need]:
    """An identity provider is named by its URL without the scheme (IAM identifiers)."""
    del facts
    name = str(called.params.get("Url", "*")).removeprefix("https://")
    yield Need(
        action=row.action,
        resource=f"arn:{called.partition}:iam::{called.account}:oidc-provider/{name}",
        context=context_of(row, called),
    )


def _topic_of(called: Called, facts: Facts, row: Row) -> Iterator[Need]:
    """A subscription's ARN is its topic's and an identifier (SNS API reference, Subscribe)."""
    del facts
    topic = str(called.params.get("SubscriptionArn", "")).rpartition(":")[0]
    yield Need(action=row.action, resource=topic or called.arn("sns", "*"))


BUILDERS["@ids"] = _by_ids
BUILDERS["@topic"] = _topic_of
BUILDERS["@oidc-provider"] = _provider_by_url
BUILDERS["@parameter"] = _by_parameter_name
BUILDERS["@delete-objects"] = _deleted_objects
