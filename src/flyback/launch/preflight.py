"""What can be known before anything is created: image, network, account set-up, quota, permission.

Everything here only asks. What can't be asked (a permission to look is missing) is said and passed
over: EC2 has the last word anyway.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from flyback.aws.ec2 import Instance
from flyback.aws.session import Session
from flyback.errors import (
    AccountSetupError,
    CredentialsError,
    ImageError,
    NetworkError,
    NotFoundError,
    QuotaError,
    RefusedError,
)
from flyback.launch.deployment import Deployment
from flyback.launch.fleet import Site
from flyback.launch.progress import Report, silent
from flyback.plan.catalogue import load_catalogue
from flyback.plan.quotas import Quota, Use, quota_of
from flyback.spec.launch import Refusal
from flyback.spec.plan import Candidate, Plan

__all__ = [
    "Allowed",
    "allowed_by_quota",
    "check_spot_role",
    "explained",
    "inspect_site",
    "warn_of_private_network",
]


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What the quotas leave of a plan in one market.

    Args:
        plan: With the candidates that fit.
        left_out: Why the others do not.
        uses: The quotas that stand in the way.
    """

    plan: Plan
    left_out: tuple[Refusal, ...] = ()
    uses: tuple[Use, ...] = ()


def inspect_site(session: Session, deployment: Deployment, parameter: str) -> Site:
    """Image and subnets as they are now.

    Raises:
        ImageError: there is no such image, or it can't be launched.
        NetworkError: a subnet is gone, or none has an address left.
    """
    where = f"region {session.region}"
    try:
        image = session.ec2.image(session.parameters.get(parameter))
    except NotFoundError as error:
        raise ImageError(
            f"no machine image: {error.what}",
            where=where,
            remedy=f"the parameter {parameter} must name an image in this region",
        ) from error
    if image.state != "available":
        raise ImageError(
            f"the machine image {image.image_id} is {image.state}",
            where=where,
            remedy="launch again when it is available",
        )
    subnets = session.ec2.subnets(deployment.subnets)
    free = tuple(subnet for subnet in subnets if subnet.free_addresses > 0)
    if not free:
        named = ", ".join(subnet.subnet_id for subnet in subnets)
        raise NetworkError(
            f"no subnet of the deployment has a free address ({named})",
            where=where,
            remedy="free addresses in them, or deploy with larger ones",
        )
    return Site(deployment=deployment, subnets=free, image=image)


def warn_of_private_network(deployment: Deployment, plan: Plan, report: Report) -> None:
    """Say what a job may miss where machines have no way to the internet."""
    job = plan.job
    if deployment.private and (job.workload or job.requirements or job.setup):
        report(
            "launch",
            "machines are private: without a NAT gateway nothing can be installed or downloaded "
            "from the internet, so packages must be on the image",
        )


def check_spot_role(session: Session, report: Report) -> None:
    """EC2 Spot's service-linked role must be there: a fresh account lacks it.

    Raises:
        AccountSetupError: it is not.
    """
    try:
        there = session.iam.has_spot_role()
    except CredentialsError:
        raise
    except RefusedError as error:
        report("launch", f"EC2 Spot's role could not be checked: {error.what}")
        return
    if not there:
        raise AccountSetupError(
            "the account lacks EC2 Spot's service-linked role",
            where="iam:AWSServiceRoleForEC2Spot",
            remedy="run `flyback up`: it creates it. Or: "
            "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
        )


def allowed_by_quota(
    session: Session, plan: Plan, markets: Sequence[str], report: Report
) -> dict[str, Allowed]:
    """What the account's vCPU quotas leave of a plan, for each market.

    Raises:
        QuotaError: nothing is left in the first market.
    """
    try:
        running = session.ec2.running()
        found = {market: _allowed(session, plan, market, running) for market in set(markets)}
    except CredentialsError:
        raise
    except RefusedError as error:
        report("launch", f"quotas could not be checked: {error.what}")
        return {market: Allowed(plan=plan) for market in markets}
    first = found[markets[0]]
    if not first.plan.candidates:
        other_way = ""
        if markets[0] == "spot":
            other_way = _other_way(session, found.get("on-demand"), plan, running)
        raise _quota_error(session, first.uses, other_way)
    for market in dict.fromkeys(markets):
        for refusal in found[market].left_out:
            report("launch", f"{market} without {refusal.instance_type}: {refusal.message}")
    return found


def explained(session: Session, plan: Plan, market: str, refusal: RefusedError) -> RefusedError:
    """A refusal of EC2; one by quota with its numbers, where they can be had now."""
    if not isinstance(refusal, QuotaError):
        return refusal
    try:
        allowed_by_quota(session, plan, [market], silent)
    except QuotaError as exact:
        what, remedy = f"{refusal.what}: {exact.what}", exact.remedy
    except RefusedError:
        return refusal
    else:
        found = {quota_of(item.instance_type, market) for item in plan.candidates}
        named = ", ".join(sorted(f"{quota.name} ({quota.code})" for quota in found if quota))
        what, remedy = refusal.what, f"{refusal.remedy}. It is: {named}"
    return QuotaError(what, where=refusal.where, remedy=remedy)


def _quota_error(session: Session, uses: Sequence[Use], other_way: str) -> QuotaError:
    """What a person must know: exact numbers, the command that asks for more, open requests."""
    each = {use.quota.code: use for use in reversed(uses)}.values()
    remedies = [_ask_for_more(session, use) for use in each]
    remedies += [other_way] if other_way else []
    return QuotaError(
        "; ".join(dict.fromkeys(_arithmetic(use) for use in uses)),
        where=f"vCPU quota, region {session.region}",
        remedy="\n    ".join(remedies),
    )


def _allowed(session: Session, plan: Plan, market: str, running: Sequence[Instance]) -> Allowed:
    values: dict[str, int] = {}
    fitting: list[Candidate] = []
    uses: list[Use] = []
    left_out: list[Refusal] = []
    for candidate in plan.candidates:
        quota = quota_of(candidate.instance_type, market)
        if quota is None:
            fitting.append(candidate)
            continue
        if quota.code not in values:
            values[quota.code] = session.quotas.value(quota.code)
        use = Use(
            quota=quota,
            allowed=values[quota.code],
            used=_vcpus_in_use(running, quota),
            asked=candidate.vcpus,
            instance_type=candidate.instance_type,
        )
        if use.fits:
            fitting.append(candidate)
            continue
        uses.append(use)
        left_out.append(
            Refusal(
                kind=QuotaError.kind,
                code="",
                message=_arithmetic(use),
                instance_type=candidate.instance_type,
            )
        )
    kept = dataclasses.replace(plan, candidates=tuple(fitting))
    return Allowed(plan=kept, left_out=tuple(left_out), uses=tuple(uses))


def _vcpus_in_use(running: Sequence[Instance], quota: Quota) -> int:
    types = load_catalogue().types
    return sum(
        types[item.instance_type].vcpus if item.instance_type in types else item.vcpus
        for item in running
        if quota_of(item.instance_type, item.market) == quota
    )


def _arithmetic(use: Use) -> str:
    quota = use.quota
    return (
        f"{use.instance_type} needs {use.asked} vCPUs, and {quota.name} ({quota.code}) allows "
        f"{use.allowed} of which {use.used} are in use"
    )


def _ask_for_more(session: Session, use: Use) -> str:
    try:
        request = session.quotas.open_request(use.quota.code)
    except RefusedError:
        request = None
    if request is not None:
        return (
            f"a request for {request.desired:g} vCPUs is {request.status}; when it is granted, run "
            f"again: {use.quota.pending_command(session.region)}"
        )
    return use.quota.increase_command(session.region, use.needed)


def _other_way(
    session: Session, other: Allowed | None, plan: Plan, running: Sequence[Instance]
) -> str:
    """Whether the quotas of the on-demand market would do."""
    try:
        other = other or _allowed(session, plan, "on-demand", running)
    except RefusedError:
        return ""
    fitting = [candidate.instance_type for candidate in other.plan.candidates]
    if not fitting:
        return ""
    fits = f"the on-demand quota has room for {', '.join(fitting)}"
    return f"or, at the on-demand price: spot.attempts=0 spot.then=on-demand ({fits})"
