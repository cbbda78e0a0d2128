"""`doctor`: this machine and the account, as far as either can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flyback.api.job import prepare
from flyback.api.verbs import Options, decide
from flyback.audit.iam.footprint import (
    ROLE_POLICY_CHARACTERS,
    Place,
    characters,
    deployer_policy,
    parts,
)
from flyback.errors import FlybackError
from flyback.launch.doctor import Finding, examine, examine_here, unreachable
from flyback.spec.job import JobSpec

__all__ = ["Finding", "doctor", "excess", "in_parts", "own_policy"]


def doctor(
    options: Options | None = None, job: str | Path | JobSpec | None = None
) -> list[Finding]:
    """Check all that a run needs; never raises for what it finds.

    Args:
        options: Account, region and deployment.
        job: What shall run; None: a job with one small GPU that says nothing else.

    Raises:
        UserError: something about the job is wrong, or it fits no machine.
    """
    chosen = options or Options()
    prepared = None if job is None else prepare(job, engine="ec2")
    here = examine_here()
    try:
        cloud = chosen.open()
    except FlybackError as error:
        failed = Finding(
            topic="cloud",
            outcome="fail",
            detail=error.what,
            remedy=error.remedy,
            exit_code=error.exit_code,
        )
        return [*here, failed, *unreachable("the cloud can't be reached")]
    plan = None if prepared is None else decide(prepared, cloud.session.region)
    return [*here, *examine(cloud.session, chosen.name, cloud.clock, plan)]


def own_policy(options: Options | None = None, *, ci: bool = False) -> dict[str, Any]:
    """The policy of whoever runs `up`, `run` and `down`, as a document.

    From recorded calls and the schemas of the templates' resource types; never tried on real AWS.
    Where the account can't be reached, `*` stands for its number.

    Args:
        options: Account, regions and deployment.
        ci: Also for `up --ci`, which makes a role that somebody outside the account may take.
    """
    chosen = options or Options()
    try:
        cloud = chosen.open()
        region, identity = cloud.session.region, cloud.session.identity
    except FlybackError:
        region, account, partition = chosen.region or "us-east-1", "*", "aws"
    else:
        account, partition = identity.account, identity.arn.split(":")[1]
    regions = dict.fromkeys((region, *chosen.also_regions))
    return deployer_policy(
        *(
            Place(name=chosen.name, account=account, region=each, partition=partition)
            for each in regions
        ),
        ci=ci,
    )


def in_parts(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """A policy as managed policies, each no longer than AWS takes it."""
    return list(parts(policy))


def excess(policy: dict[str, Any]) -> str:
    """A sentence where a policy is too long for a role's inline policy; else empty."""
    length = characters(policy)
    if length <= ROLE_POLICY_CHARACTERS:
        return ""
    return (
        f"{length} characters; a role's inline policies hold {ROLE_POLICY_CHARACTERS}: "
        "`flyback doctor --policy --managed` prints it as managed policies"
    )
