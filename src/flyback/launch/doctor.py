"""`doctor`: what a run needs, asked one by one; each answer stands alone.

A question that can't be put (no credentials, a service that does not answer) is told as such: it is
no failure, and no pass either.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from flyback.aws.session import Session
from flyback.errors import AccessDeniedError, FlybackError, NotFoundError
from flyback.launch.deployment import READY, stack_name
from flyback.launch.ec2 import AMI_PARAMETER
from flyback.spec.clock import Clock

__all__ = ["Finding", "examine", "examine_here", "unreachable"]

Outcome = Literal["pass", "fail", "could not check"]

_SKEW_S = 240.0  # AWS refuses signatures that are five minutes off (IAM user guide, SigV4)
# Codes of EC2's vCPU quotas (Service Quotas console; aws_facts, "Templates and services").
_QUOTAS = {
    "L-3819A6DF": "G and VT spot",
    "L-DB2E81BA": "G and VT on-demand",
}
_LEAST_VCPUS = 4  # the smallest GPU machine, g4dn.xlarge
_TOOLS = {
    "git": "install git; without it `.gitignore` is not heeded when a workdir is packed",
    "aws": "optional: the AWS CLI, for the commands that certificates name",
    "session-manager-plugin": "optional: for a shell on a machine through Session Manager",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of `flyback doctor`.

    Args:
        topic: What was asked about.
        outcome: `pass`, `fail` or `could not check`.
        detail: What was found, or why it could not be asked.
        remedy: What to do where it failed; empty elsewhere.
        exit_code: What a failure ends the command with: 2 where the user mends it here, 4 where
            the account must.
    """

    topic: str
    outcome: Outcome
    detail: str
    remedy: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class _Account:
    session: Session
    name: str
    clock: Clock


Question = Callable[[_Account], Finding]


def examine_here() -> list[Finding]:
    """What this machine has."""
    found = [_passed("python", f"{sys.version.split()[0]}")]
    for tool, remedy in _TOOLS.items():
        path = shutil.which(tool)
        if path is not None:
            found.append(_passed(f"tool {tool}", path))
        elif remedy.startswith("optional"):
            found.append(_unknown(f"tool {tool}", f"not installed ({remedy})"))
        else:
            found.append(_failed(f"tool {tool}", "not installed", remedy, 2))
    return found


def examine(session: Session, name: str, clock: Clock) -> list[Finding]:
    """What the account has; without credentials nothing else can be asked."""
    account = _Account(session, name, clock)
    first = _ask("credentials", _credentials, account)
    if first.outcome != "pass":
        return [first, *unreachable("no credentials", tuple(_QUESTIONS))]
    return [first, *(_ask(topic, question, account) for topic, question in _QUESTIONS.items())]


def unreachable(why: str, topics: tuple[str, ...] = ()) -> list[Finding]:
    """Every question to an account that can't be reached."""
    return [_unknown(topic, why) for topic in topics or ("credentials", *_QUESTIONS)]


def _ask(topic: str, question: Question, account: _Account) -> Finding:
    try:
        return question(account)
    except AccessDeniedError as error:
        if topic == "credentials":
            return _failed(topic, error.what, error.remedy, 4)
        return _unknown(topic, f"{error.where}: {error.what}")
    except FlybackError as error:
        return _unknown(topic, f"{error.where}: {error.what}" if error.where else error.what)


def _credentials(account: _Account) -> Finding:
    identity = account.session.identity
    return _passed("credentials", f"{identity.arn} in account {identity.account}")


def _region(account: _Account) -> Finding:
    from flyback.plan.catalogue import load_catalogue

    region = account.session.region
    known = load_catalogue().regions
    if region in known:
        return _passed("region", region)
    remedy = f"choose one of {', '.join(known)} with --region"
    return _failed("region", f"no prices are known for {region}", remedy, 2)


def _skew(account: _Account) -> Finding:
    there, here = account.session.server_time(), account.clock.now()
    off = here - there
    if abs(off) < _SKEW_S:
        return _passed("clock", f"{abs(off):.0f} s from AWS's")
    ahead = "ahead of" if off > 0 else "behind"
    detail = f"{abs(off):.0f} s {ahead} AWS's"
    return _failed("clock", detail, "set this machine's clock; AWS refuses signatures 5 min off", 2)


def _role(account: _Account) -> Finding:
    if account.session.iam.has_spot_role():
        return _passed("spot role", "EC2 Spot's service-linked role is there")
    return _failed("spot role", "EC2 Spot's service-linked role is missing", _UP, 2)


def _image(account: _Account) -> Finding:
    try:
        image_id = account.session.parameters.get(AMI_PARAMETER)
    except NotFoundError:
        remedy = "choose a region that has the Deep Learning Base AMI"
        return _failed("image", f"no parameter {AMI_PARAMETER}", remedy, 4)
    image = account.session.ec2.image(image_id)
    return _passed("image", f"{image.image_id}, {image.root_gib} GiB")


def _stack(account: _Account) -> Finding:
    name = stack_name(account.name)
    stack = account.session.cloudformation.describe(name)
    if stack is None:
        return _failed("stack", f"no stack {name}", _UP, 2)
    if stack.status in READY:
        return _passed("stack", f"{name} is {stack.status}")
    if stack.status.endswith("_IN_PROGRESS"):
        return _unknown("stack", f"{name} is {stack.status}: ask again when it rests")
    return _failed("stack", f"{name} is {stack.status}", "`flyback up` goes on from there", 2)


def _quotas(account: _Account) -> Finding:
    limits: Mapping[str, int] = {
        label: account.session.quotas.value(code) for code, label in _QUOTAS.items()
    }
    told = ", ".join(f"{label} {value:g} vCPUs" for label, value in limits.items())
    if max(limits.values()) >= _LEAST_VCPUS:
        return _passed("quotas", told)
    remedy = "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code "
    return _failed("quotas", told, f"{remedy}{next(iter(_QUOTAS))} --desired-value 8", 4)


_UP = "run `flyback up`"
_QUESTIONS: Mapping[str, Question] = {
    "region": _region,
    "clock": _skew,
    "stack": _stack,
    "spot role": _role,
    "image": _image,
    "quotas": _quotas,
}


def _passed(topic: str, detail: str) -> Finding:
    return Finding(topic=topic, outcome="pass", detail=detail)


def _unknown(topic: str, reason: str) -> Finding:
    return Finding(topic=topic, outcome="could not check", detail=reason)


def _failed(topic: str, detail: str, remedy: str, exit_code: int) -> Finding:
    return Finding(topic=topic, outcome="fail", detail=detail, remedy=remedy, exit_code=exit_code)
