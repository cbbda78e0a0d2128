"""What AWS answers to those who may not, by service.

Sources: IAM user guide, "Troubleshoot access denied error messages" (the sentences); EC2 API
reference, error codes (UnauthorizedOperation); STS API reference, DecodeAuthorizationMessage; SNS
API reference (AuthorizationError).
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib

from flyback.audit.iam import Decision, Need, Principal
from flyback.rehearsal.call import AwsError

__all__ = ["decoded", "denial"]

_LAYERS = {
    "identity": "identity-based policy",
    "resource": "resource-based policy",
    "boundary": "permissions boundary",
    "session": "session policy",
}
_QUERY = frozenset({"s3", "iam", "sts", "cloudformation", "cloudwatch", "autoscaling"})
_REST_JSON = frozenset({"lambda", "scheduler", "batch", "s3control"})


def denial(service: str, principal: Principal, need: Need, decision: Decision) -> AwsError:
    """The refusal that a service answers.

    Args:
        service: As botocore names it.
        principal: Who asked.
        need: For what.
        decision: Why not.
    """
    sentence = _sentence(service, principal, need, decision)
    if service == "ec2":
        encoded = _encoded(principal, need, decision)
        return AwsError(
            "UnauthorizedOperation",
            f"You are not authorized to perform this operation. {sentence}. "
            f"Encoded authorization failure message: {encoded}",
            403,
        )
    if service == "sns":
        return AwsError("AuthorizationError", sentence, 403)
    if service in _QUERY:
        return AwsError("AccessDenied", sentence, 403)
    return AwsError("AccessDeniedException", sentence, 403 if service in _REST_JSON else 400)


def decoded(message: str) -> str:
    """What `DecodeAuthorizationMessage` shows.

    Raises:
        AwsError: it is no such message.
    """
    try:
        return zlib.decompress(base64.urlsafe_b64decode(message)).decode()
    except (ValueError, binascii.Error, zlib.error) as error:
        raise AwsError("InvalidAuthorizationMessageException", "the message is invalid") from error


def _sentence(service: str, principal: Principal, need: Need, decision: Decision) -> str:
    who = principal.arn or "anonymous"
    resource = f'"{need.resource}"' if service == "s3" else need.resource
    asked = f"User: {who} is not authorized to perform: {need.action} on resource: {resource}"
    layer = _LAYERS[decision.layer]
    article = "an" if layer.startswith("i") else "a"
    if decision.reason == "explicit deny":
        return f"{asked} with an explicit deny in {article} {layer}"
    if need.action == "sts:AssumeRole":
        return asked
    return f"{asked} because no {layer} allows the {need.action} action"


def _encoded(principal: Principal, need: Need, decision: Decision) -> str:
    document = {
        "allowed": False,
        "explicitDeny": decision.reason == "explicit deny",
        "matchedStatement": str(decision.statement or ""),
        "context": {
            "principal": {"arn": principal.arn},
            "action": need.action,
            "resource": need.resource,
            "conditions": {key: need.context[key] for key in sorted(need.context)},
        },
    }
    packed = zlib.compress(json.dumps(document).encode())
    return base64.urlsafe_b64encode(packed).decode()
