"""IAM and STS, where moto differs from AWS: who one is, and roles that a service owns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flyback.audit.iam.needs import as_tags
from flyback.rehearsal.behalf import acted_for
from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.iam.denials import decoded
from flyback.rehearsal.iam.limits import LIMITED, check_length
from flyback.rehearsal.iam.sessions import TAKES, Session
from flyback.rehearsal.moto_state import LOCK, backend

__all__ = ["IamGap", "StsGap"]

_LINKED = "/aws-service-role/"


class StsGap:
    """The principal as the authorizer knows it; roles, session policies and tags that can be.

    Args:
        session: Access key → what the session that holds it began with.
    """

    service = "sts"
    operations = frozenset({"GetCallerIdentity", "DecodeAuthorizationMessage", *TAKES})

    def __init__(self, session: Callable[[str], Session | None]) -> None:
        self._session = session

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        if call.operation == "AssumeRole":
            _check_role(call)
            request = acted_for()
            _check_tags(call, self._session(request.signer.access_key) if request else None)
        if call.operation in TAKES:
            _check_policies(call)
            return forward(call)
        if call.operation == "DecodeAuthorizationMessage":
            return {"DecodedMessage": decoded(str(call.params.get("EncodedMessage", "")))}
        if call.principal.endswith(":root"):
            return {"UserId": call.account, "Account": call.account, "Arn": call.principal}
        return forward(call)


class IamGap:
    """Service-linked roles: made once, and nobody's to delete; policies: only so long."""

    service = "iam"
    operations = frozenset({"CreateServiceLinkedRole", "DeleteRole", *LIMITED})

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        if call.operation in LIMITED:
            check_length(call)
            return forward(call)
        with LOCK:
            roles = list(backend("iam", "global").roles.values())
        if call.operation == "DeleteRole":
            name = call.params.get("RoleName")
            if any(role.name == name and role.path.startswith(_LINKED) for role in roles):
                raise AwsError(
                    "UnmodifiableEntity",
                    f"Cannot perform the operation on the protected role '{name}' - this role is "
                    "only modifiable by AWS",
                )
            return forward(call)
        path = f"{_LINKED}{call.params.get('AWSServiceName')}/"
        for role in roles:
            if role.path == path:
                raise AwsError(
                    "InvalidInput",
                    f"Service role name {role.name} has been taken in this account, please try a "
                    "different suffix.",
                )
        return forward(call)


def _check_policies(call: Call) -> None:
    """Managed session policies that can be read: without one the session would be unlimited."""
    for item in call.params.get("PolicyArns") or ():
        arn = str(item.get("arn"))
        with LOCK:
            known = arn in backend("iam", "global").managed_policies
        if not known and ":iam::aws:" in arn:
            raise AwsError("NotEmulated", f"this rehearsal does not hold AWS's policy {arn}", 501)
        if not known:
            raise AwsError("MalformedPolicyDocument", f"{arn} is no policy of this account")


def _check_tags(call: Call, before: Session | None) -> None:
    """Only tags that are sent can be handed on; none that is handed on can be sent again.

    Source: STS API reference, AssumeRole (Tags, TransitiveTagKeys). Its words are not known.
    """
    sent = {key.lower() for key in as_tags(call.params.get("Tags"))}
    inherited = before.transitive if before else frozenset()
    for key in call.params.get("TransitiveTagKeys") or ():
        if key.lower() not in sent:
            raise AwsError("ValidationError", f"{key} is to be transitive and is not among Tags")
    if sent & inherited:
        names = ", ".join(sorted(sent & inherited))
        raise AwsError("InvalidParameterValue", f"the calling session hands on {names}")


def _check_role(call: Call) -> None:
    arn = str(call.params.get("RoleArn", ""))
    with LOCK:
        known = any(role.arn == arn for role in backend("iam", "global").roles.values())
    if not known:
        raise AwsError(
            "AccessDenied",
            f"User: {call.principal} is not authorized to perform: sts:AssumeRole on resource: "
            f"{arn}",
            403,
        )
