"""The ci stack: which branch of which GitHub repository may push images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from flyback.aws.session import Session
from flyback.errors import AccessDeniedError, CredentialsError, ServiceError, UserError
from flyback.infra import templates
from flyback.launch.deployment import NAME_TAG, find, stack_name
from flyback.launch.progress import Report, silent
from flyback.launch.stack import Desired, converge
from flyback.spec.clock import Clock

__all__ = ["Branch", "PushAccess", "check_rights", "let_push", "own_rights"]

_OWNER, _REPO = r"[A-Za-z0-9-]{1,39}", r"[A-Za-z0-9._-]{1,100}"
_BRANCH = r"(?:@(?P<branch>[A-Za-z0-9._/#+=@-]{1,255}))?"
_FORMS = (  # as ci.yaml's parameters Repository and Branch
    re.compile(rf"(?P<repository>{_OWNER}@[0-9]{{1,20}}/{_REPO}@[0-9]{{1,20}}){_BRANCH}"),
    re.compile(rf"(?P<repository>{_OWNER}/{_REPO}){_BRANCH}"),
)


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One branch of a GitHub repository.

    Args:
        repository: `OWNER/REPO`; `OWNER@ID/REPO@ID` where GitHub's tokens name it so, as they do
            for repositories that were made, renamed or transferred after 2026-07-15.
        name: The branch's.
    """

    repository: str
    name: str = "main"

    @classmethod
    def parse(cls, text: str) -> Branch:
        """Read `OWNER/REPO`, `OWNER/REPO@BRANCH`, or either with the ids that GitHub's tokens hold.

        Raises:
            UserError: it is neither.
        """
        for form in _FORMS:
            found = form.fullmatch(text)
            if found:
                return cls(repository=found["repository"], name=found["branch"] or "main")
        raise UserError(
            f"{text!r} names no branch of a GitHub repository",
            where="--ci",
            remedy="write OWNER/REPO@BRANCH, or OWNER@ID/REPO@ID@BRANCH",
        )


@dataclass(frozen=True, kw_only=True)
class PushAccess:
    """What a workflow needs to push.

    Args:
        role: ARN of the role that it takes.
        repository: URI of the registry's repository.
        region: AWS region of both.
        subject: Whose tokens the role takes.
    """

    role: str
    repository: str
    region: str
    subject: str


def check_rights(session: Session, name: str) -> None:
    """Whether we may deploy the ci stack, as far as one look at it tells; makes nothing.

    Raises:
        AccessDeniedError: we may not; the remedy names the policy that is asked for by itself.
    """
    try:
        with own_rights():
            session.cloudformation.template(stack_name(name, "ci"))
    except ServiceError as error:
        if "does not exist" not in error.what:
            raise


@contextmanager
def own_rights() -> Iterator[None]:
    """Say of a refusal inside that these rights are asked for by themselves.

    Raises:
        AccessDeniedError: the same refusal with that remedy.
    """
    try:
        yield
    except CredentialsError:
        raise
    except AccessDeniedError as error:
        raise AccessDeniedError(
            error.what,
            where=error.where,
            remedy="making a role that GitHub may take is asked for by itself: have whoever "
            "administers the account allow what `flyback doctor --policy --ci` prints",
        ) from error


def let_push(
    session: Session,
    name: str,
    branch: Branch,
    clock: Clock,
    *,
    tags: Mapping[str, str] | None = None,
    report: Report = silent,
) -> PushAccess:
    """Deploy the ci stack beside the core stack, for this branch instead of any other.

    Raises:
        UserError: the stack's name is taken.
        NotDeployedError: there is no core stack, whose registry is pushed to.
        AccessDeniedError: we may not; nothing was made.
        ServiceError: CloudFormation rolled back.
    """
    find(session, name)
    check_rights(session, name)
    _check_ours(session, name)
    desired = Desired(
        name=name,
        part="ci",
        template=templates.read("ci"),
        parameters={
            "Name": name,
            "Repository": branch.repository,
            "Branch": branch.name,
            "ProviderArn": _others_provider(session, name, report),
            **(tags or {}),
        },
        defaults={"Project": name},
        tags={NAME_TAG: name},
    )
    with own_rights():
        outputs = converge(session, desired, clock, report).outputs
    return PushAccess(
        role=outputs["PushRoleArn"],
        repository=outputs["RepositoryUri"],
        region=session.region,
        subject=outputs["Subject"],
    )


def _check_ours(session: Session, name: str) -> None:
    """Whether a stack of that name is the deployment's.

    Raises:
        UserError: it is somebody else's.
    """
    stack = session.cloudformation.describe(stack_name(name, "ci"))
    if stack is not None and stack.tags.get(NAME_TAG) != name:
        raise UserError(
            f"there is a stack of that name without the tag {NAME_TAG}={name}",
            where=stack.name,
            remedy=f"if it is yours to give, tag the stack {NAME_TAG}={name}; else use another "
            "--name",
        )


def _others_provider(session: Session, name: str, report: Report) -> str:
    """The account's provider for GitHub where this stack did not make it; empty to make it."""
    found = session.iam.github_provider()
    if not found:
        return ""
    stack = session.cloudformation.describe(stack_name(name, "ci"))
    if stack is not None:
        held = session.cloudformation.resources(stack.stack_id)
        own = {item.physical_id for item in held if item.status != "DELETE_COMPLETE"}
        if found in own:
            return ""
    report("deploy", f"using the account's identity provider {found}")
    return found
