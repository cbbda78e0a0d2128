"""`doctor`: this machine and the account, as far as either can be asked."""

from __future__ import annotations

from typing import Any

from flyback.api.verbs import Options
from flyback.audit.iam.footprint import Place, deployer_policy
from flyback.errors import FlybackError
from flyback.launch.doctor import Finding, examine, examine_here, unreachable

__all__ = ["Finding", "doctor", "own_policy"]


def doctor(options: Options | None = None) -> list[Finding]:
    """Check all that a run needs; never raises for what it finds."""
    chosen = options or Options()
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
    return [*here, *examine(cloud.session, chosen.name, cloud.clock)]


def own_policy(options: Options | None = None) -> dict[str, Any]:
    """The smallest policy of whoever runs `up`, `run` and `down`, as a document.

    Where the account can't be reached, `*` stands for its number.
    """
    chosen = options or Options()
    try:
        cloud = chosen.open()
        region, identity = cloud.session.region, cloud.session.identity
    except FlybackError:
        return deployer_policy(
            Place(name=chosen.name, account="*", region=chosen.region or "us-east-1")
        )
    partition = identity.arn.split(":")[1]
    return deployer_policy(
        Place(name=chosen.name, account=identity.account, region=region, partition=partition)
    )
