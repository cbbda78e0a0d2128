"""Whether a thing that somebody remembers is still there, as its own service says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flyback.aws.ec2 import GONE
from flyback.aws.listings import LISTINGS
from flyback.aws.network import KINDS
from flyback.aws.session import Session

__all__ = ["is_there"]

_BY_PATH = frozenset(
    {"cloudformation", "ec2", "ecr", "events", "iam", "scheduler"}
)  # KIND/NAME; CloudWatch Logs and Lambda have KIND:NAME


def is_there(session: Session, arn: str) -> bool:
    """Ask the service of an ARN; what we have no question for counts as there."""
    service, _, rest = arn.removeprefix("arn:").partition(":")[2].partition(":")
    name = rest.split(":", 2)[2]
    kind = ""
    if service in _BY_PATH:
        kind, _, name = name.partition("/")
    elif service in ("lambda", "logs"):
        kind, _, name = name.partition(":")
        name = name.removesuffix(":*")
    if service == "cloudformation":
        name = arn  # a stack that is gone is known by its whole id
    if service == "ec2" and kind in KINDS:
        return session.network.exists(kind, name)
    question = _QUESTIONS.get((service, kind))
    return question is None or question(session, name)


def _lingers(session: Session, instance_id: str) -> bool:
    instance = session.ec2.instance(instance_id)
    return instance is not None and instance.state not in GONE


def _is_stack(session: Session, stack_id: str) -> bool:
    stack = session.cloudformation.describe(stack_id)
    return stack is not None and stack.status != "DELETE_COMPLETE"


def _listed(kind: str) -> Callable[[Session, str], bool]:
    """Whether a thing is there, of a kind that lists them all at once."""
    listing = next(item for item in LISTINGS if item.kind == kind)
    return lambda session, name: session.lister(listing.service).has(listing, name)


def _is_provider(session: Session, name: str) -> bool:
    return session.iam.github_provider().endswith(f"/{name}")


_QUESTIONS: Mapping[tuple[str, str], Callable[[Session, str], bool]] = {
    ("cloudformation", "stack"): _is_stack,
    # an instant fleet is a record of a request: it holds nothing once its machines are gone
    ("ec2", "fleet"): lambda _session, _name: False,
    ("ec2", "instance"): _lingers,
    ("ec2", "launch-template"): lambda session, name: session.ec2.template_exists(name),
    ("ec2", "network-interface"): lambda session, name: session.ec2.interface_exists(name),
    ("ec2", "vpc-endpoint"): lambda session, name: session.network.endpoint_exists(name),
    ("ec2", "volume"): lambda session, name: session.ec2.volume_exists(name),
    ("ecr", "repository"): lambda session, name: session.repositories.exists(name),
    ("events", "rule"): _listed("event rule"),
    ("iam", "oidc-provider"): _is_provider,
    ("lambda", "function"): _listed("function"),
    ("logs", "log-group"): lambda session, name: name in session.logs.groups(name),
    ("scheduler", "schedule-group"): _listed("schedule group"),
    ("sns", ""): _listed("topic"),
    ("s3", ""): lambda session, name: name in session.buckets.names(name),
}
