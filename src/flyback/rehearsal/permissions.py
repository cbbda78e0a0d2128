"""IAM and STS, where moto differs from AWS: who one is, and roles that a service owns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.iam.denials import decoded
from flyback.rehearsal.moto_state import LOCK, backend

__all__ = ["IamGap", "StsGap"]

_LINKED = "/aws-service-role/"


class StsGap:
    """The principal as the authorizer knows it; roles that exist."""

    service = "sts"
    operations = frozenset({"GetCallerIdentity", "AssumeRole", "DecodeAuthorizationMessage"})

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        if call.operation == "AssumeRole":
            _check_role(call)
            return forward(call)
        if call.operation == "DecodeAuthorizationMessage":
            return {"DecodedMessage": decoded(str(call.params.get("EncodedMessage", "")))}
        if call.principal.endswith(":root"):
            return {"UserId": call.account, "Account": call.account, "Arn": call.principal}
        return forward(call)


class IamGap:
    """Service-linked roles: made once, and nobody's to delete."""

    service = "iam"
    operations = frozenset({"CreateServiceLinkedRole", "DeleteRole"})

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
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
