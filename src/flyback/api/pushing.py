"""`up --ci`: let the workflows of one branch push images to the deployment's registry."""

from __future__ import annotations

from flyback.api.verbs import Options
from flyback.api.wiring import Cloud
from flyback.launch import push
from flyback.launch.progress import Report
from flyback.launch.push import Branch, PushAccess

__all__ = ["Branch", "PushAccess", "check_push", "grant_push", "let_push"]


def check_push(options: Options | None = None) -> None:
    """Whether one may let a branch push; asked before `up` makes anything for it.

    Raises:
        AccessDeniedError: one may not.
    """
    chosen = options or Options()
    push.check_rights(chosen.open().session, chosen.name)


def let_push(branch: str | Branch, options: Options | None = None) -> PushAccess:
    """Let one branch of one GitHub repository push images, with no stored key.

    Args:
        branch: `OWNER/REPO@BRANCH`; without a branch it is main.
        options: Region, profile, deployment.

    Raises:
        UserError: `branch` names none.
        NotDeployedError: nothing is deployed that could be pushed to.
        AccessDeniedError: a permission is missing; `own_policy(ci=True)` holds all.
    """
    chosen = options or Options()
    named = Branch.parse(branch) if isinstance(branch, str) else branch
    return grant_push(chosen.open(), chosen, named, chosen.report)


def grant_push(cloud: Cloud, options: Options, branch: Branch, report: Report) -> PushAccess:
    """The same in an account that is reached already."""
    return push.let_push(
        cloud.session, options.name, branch, cloud.clock, tags=options.tags, report=report
    )
