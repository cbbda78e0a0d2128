"""`doctor`: this machine and the account, as far as either can be asked."""

from __future__ import annotations

from flyback.api.verbs import Options
from flyback.errors import FlybackError
from flyback.launch.doctor import Finding, examine, examine_here, unreachable

__all__ = ["Finding", "doctor"]


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
