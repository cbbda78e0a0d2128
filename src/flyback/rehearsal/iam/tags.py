"""The tags of a resource as IAM sees them, wherever a service keeps them.

Source: service authorization reference, "Resource types" of each service: which of them take
`aws:ResourceTag`. A schedule takes none, nor a bucket whose attribute-based access control is not
switched on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flyback.audit.iam.needs import as_tags
from flyback.rehearsal.moto_state import known_backend

__all__ = ["TaggedBy", "Tags", "secret_of", "tags_of"]

Tags = Mapping[str, str]
TaggedBy = Mapping[str, Callable[[str], Tags]]
"""Service, as ARNs name it → ARN → tags of a resource that is not among moto's."""

_FIELDS = 6
_SEPARATOR = re.compile(r"[/:]")
_UNKNOWN_SUFFIX = "-??????"


@dataclass(frozen=True)
class _Arn:
    """An ARN, taken apart."""

    whole: str
    resource: str

    @property
    def name(self) -> str:
        """What follows the type of the resource."""
        return _SEPARATOR.split(self.resource, maxsplit=1)[-1]


def tags_of(arn: str, others: TaggedBy) -> Tags:
    """The tags of a resource; none where it has none, or is not there.

    Args:
        arn: Its ARN, as it is asked about.
        others: Of services that moto does not emulate here.
    """
    fields = arn.split(":", _FIELDS - 1)
    if len(fields) < _FIELDS:
        return {}
    _, _, service, region, _, resource = fields
    if service in others:
        return others[service](arn)
    read = _READERS.get(service)
    state = known_backend(_STATES.get(service, service), region or "global") if read else None
    return read(state, _Arn(arn, resource)) if read and state else {}


def secret_of(arn: str) -> Any:
    """Moto's secret, by an ARN whose last six characters may not be known; None: there is none."""
    fields = arn.split(":", _FIELDS)
    name = fields[-1].removesuffix(_UNKNOWN_SUFFIX)
    state = known_backend("secretsmanager", fields[3])
    return state.secrets.get(name if "?" in arn else arn) if state else None


def _ec2(state: Any, arn: _Arn) -> Tags:
    return dict(state.tags.get(arn.name, {}))


def _iam(iam: Any, arn: _Arn) -> Tags:
    if arn.resource.startswith("user/"):
        found: Tags = iam.tagger.get_tag_dict_for_resource(arn.whole)
        return found
    kinds: tuple[Mapping[str, Any], ...] = (
        iam.roles,
        iam.instance_profiles,
        iam.managed_policies,
        iam.open_id_providers,
    )
    for holders in kinds:
        for holder in holders.values():
            if holder.arn == arn.whole:
                return _listed(holder.tags)
    return {}


def _secret(_: Any, arn: _Arn) -> Tags:
    secret = secret_of(arn.whole)
    return _listed(secret.tags) if secret is not None else {}


def _topic(state: Any, arn: _Arn) -> Tags:
    topic = state.topics.get(arn.whole)
    return dict(topic._tags) if topic is not None else {}  # noqa: SLF001  # moto has no other way


def _parameter(state: Any, arn: _Arn) -> Tags:
    plain = arn.name.partition(":")[0]  # a version or a label may follow
    for name in (f"/{plain}", plain):
        if plain and state.get_parameter(name):
            return dict(state.list_tags_for_resource("Parameter", name))
    return {}


def _log_group(state: Any, arn: _Arn) -> Tags:
    group = state.groups.get(arn.name.partition(":")[0])
    return _tagged(state.tagger, group.arn) if group is not None else {}


def _tagged(tagger: Any, arn: str) -> Tags:
    found: Tags = tagger.get_tag_dict_for_resource(arn)
    return found


def _listed(tags: Any) -> Tags:
    """Tags from a list of pairs, or from a mapping to them."""
    pairs: Iterable[Any] = tags.values() if isinstance(tags, Mapping) else tags or ()
    return as_tags(list(pairs))


_STATES = {"elasticloadbalancing": "elbv2"}  # where moto names the service otherwise
_READERS: Mapping[str, Callable[[Any, _Arn], Tags]] = {
    "cloudwatch": lambda state, arn: _tagged(state.tagger, arn.whole),
    "ec2": _ec2,
    "ecr": lambda state, arn: _tagged(state.tagger, arn.whole),
    "elasticloadbalancing": lambda state, arn: _tagged(state.tagging_service, arn.whole),
    "events": lambda state, arn: _tagged(state.tagger, arn.whole),
    "iam": _iam,
    "logs": _log_group,
    "secretsmanager": _secret,
    "sns": _topic,
    "ssm": _parameter,
}
