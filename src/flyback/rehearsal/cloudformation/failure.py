"""Why a resource failed, in the sentence that CloudFormation would show."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.names import token
from flyback.rehearsal.cloudformation.refusals import NotEmulatedError

__all__ = ["RefusedPropertiesError", "attempt"]

_SERVICES = {
    "EC2": "Ec2",
    "ECR": "Ecr",
    "IAM": "Iam",
    "Logs": "CloudWatchLogs",
    "S3": "S3",
    "SNS": "Sns",
    "SSM": "Ssm",
}
_HANDLER_CODES: Final = (
    ("AccessDenied|UnauthorizedOperation", "AccessDenied"),
    ("RequestLimitExceeded|SlowDown|Throttl", "Throttling"),
    ("AlreadyExists|ResourceExists", "AlreadyExists"),
    ("NotFound|NoSuch", "NotFound"),
    ("^(Invalid|Validation|Malformed)", "InvalidRequest"),
    ("LimitExceeded", "ServiceLimitExceeded"),
)
"""Services' error codes, first match wins, as the registry's handler error codes."""


class RefusedPropertiesError(Exception):
    """A resource's properties break its schema.

    Args:
        sentence: What is wrong.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def attempt(kind: str, unique: str, call: Callable[[], None]) -> tuple[str, str]:
    """Do something to a resource.

    Args:
        kind: The resource's type.
        unique: What the failure's request token is made of.
        call: What to do.

    Returns:
        Error code and CloudFormation's reason; both empty where it went well.
    """
    try:
        call()
    except ClientError as error:
        response: Any = error.response
        found = response.get("Error", {})
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        fault = (str(found.get("Code", "")), str(found.get("Message", "")))
        return fault[0], _handler_sentence(kind, unique, fault, status)
    except NotEmulatedError as error:
        return error.code, error.message
    except AwsError as error:
        # raised by a handler for something that AWS's service refuses and moto does not
        fault = (error.code, error.message)
        return error.code, _handler_sentence(kind, unique, fault, error.status)
    except RefusedPropertiesError as error:
        return "InvalidRequest", error.sentence
    except BotoCoreError as error:
        return "InternalFailure", f"Internal Failure ({error})"
    return "", ""


def _handler_sentence(kind: str, unique: str, error: tuple[str, str], status: int) -> str:
    code, message = error
    service = _SERVICES.get(kind.split("::")[1], kind.split("::")[1])
    request = token(unique, "request")
    return (
        f'Resource handler returned message: "{message} (Service: {service}, '
        f'Status Code: {status}, Request ID: {request})" '
        f"(RequestToken: {token(unique, 'token')}, HandlerErrorCode: {_handler_code(code)})"
    )


def _handler_code(code: str) -> str:
    """One of the registry's handler error codes."""
    found = (name for pattern, name in _HANDLER_CODES if re.search(pattern, code))
    return next(found, "GeneralServiceException")
