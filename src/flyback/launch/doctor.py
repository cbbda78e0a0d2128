"""`doctor`: what a run needs, asked one by one; each answer stands alone.

A question that can't be put (no credentials, a service that does not answer) is told as such: it is
no failure, and no pass either.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flyback.aws.ec2 import Instance
from flyback.aws.session import Session
from flyback.errors import AccessDeniedError, FlybackError, ImageError, QuotaError
from flyback.launch.deployment import READY, stack_name
from flyback.launch.ec2 import AMI_PARAMETER
from flyback.launch.preflight import (
    allowed_in,
    arithmetic,
    ask_for_more,
    usable_image,
    vcpus_in_use,
)
from flyback.launch.tries import markets_of
from flyback.plan.catalogue import load_catalogue
from flyback.plan.quotas import Use, quota_of
from flyback.spec.clock import Clock
from flyback.spec.job import SpotPolicy
from flyback.spec.plan import Plan

__all__ = ["Finding", "examine", "examine_here", "unreachable"]

Outcome = Literal["pass", "fail", "could not check"]

_SKEW_S = 240.0  # AWS refuses signatures that are five minutes off (IAM user guide, SigV4)
_LEAST = "g4dn.xlarge"  # the smallest machine with a GPU
_MARKETS = ("spot", "on-demand")
_SWITCH = {
    "spot": "leave spot.attempts above 0",
    "on-demand": "spot.attempts=0 spot.then=on-demand",
}
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
    plan: Plan | None


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


def examine(session: Session, name: str, clock: Clock, plan: Plan | None = None) -> list[Finding]:
    """What the account has; without credentials nothing else can be asked.

    Args:
        session: The account.
        name: The deployment's.
        clock: This machine's.
        plan: What shall run; None: the smallest machine with a GPU, by the default spot policy.
    """
    account = _Account(session, name, clock, plan)
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
        image = usable_image(account.session, AMI_PARAMETER)
    except ImageError as error:
        return _failed("image", error.what, error.remedy, error.exit_code)
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
    """Told market by market; the one that a launch asks first decides, as it does there."""
    first = _markets(account)[0]
    running = account.session.ec2.running()
    found = {market: _room(account, market, running) for market in _MARKETS}
    told = "; ".join(f"{market}: {room.told}" for market, room in found.items())
    if found[first].fits:
        return _passed("quotas", told)
    each = {use.quota.code: use for use in reversed(found[first].uses)}.values()
    remedies = [ask_for_more(account.session, use) for use in each]
    remedies += [
        f"or use {market} instead: {_SWITCH[market]}"
        for market, room in found.items()
        if market != first and room.fits
    ]
    return _failed("quotas", told, "\n".join(remedies), QuotaError.exit_code)


def _markets(account: _Account) -> list[str]:
    """What a launch asks, in order: of the job, or of one that says nothing about it."""
    if account.plan is not None:
        return markets_of(account.plan) or [account.plan.market]
    return ["spot"] if SpotPolicy().attempts else ["on-demand"]


@dataclass(frozen=True, kw_only=True)
class _Room:
    """What the quotas leave in one market.

    Args:
        fits: Whether there is room for a machine.
        told: Why, in numbers.
        uses: The quotas that stand in the way.
    """

    fits: bool
    told: str
    uses: tuple[Use, ...]


def _room(account: _Account, market: str, running: Sequence[Instance]) -> _Room:
    if account.plan is None:
        return _least_room(account, market, running)
    allowed = allowed_in(account.session, account.plan, market, running)
    types = ", ".join(item.instance_type for item in allowed.plan.candidates)
    fitting = [f"room for {types}"] if types else []
    reasons = dict.fromkeys(arithmetic(use) for use in allowed.uses)
    return _Room(fits=bool(types), told="; ".join([*fitting, *reasons]), uses=allowed.uses)


def _least_room(account: _Account, market: str, running: Sequence[Instance]) -> _Room:
    """Room for the smallest machine with a GPU."""
    quota = quota_of(_LEAST, market)
    assert quota is not None, "the catalogue's smallest GPU machine has one"  # noqa: S101  # ours
    use = Use(
        quota=quota,
        allowed=account.session.quotas.value(quota.code),
        used=vcpus_in_use(running, quota),
        asked=load_catalogue().types[_LEAST].vcpus,
        instance_type=_LEAST,
    )
    return _Room(fits=use.fits, told=arithmetic(use), uses=() if use.fits else (use,))


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
