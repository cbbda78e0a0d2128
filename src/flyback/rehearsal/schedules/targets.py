"""Whom a schedule may call: a Lambda function, or any operation of an AWS API.

Universal targets (`arn:aws:scheduler:::aws-sdk:SERVICE:OPERATION`) take the operation's parameters
as JSON; operations that only read are refused (user guide, "Using universal targets").
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.moto_state import LOCK, backend
from flyback.rehearsal.naming import model_of

__all__ = ["check", "deliver"]

_UNIVERSAL = re.compile(r"arn:aws[a-z-]*:scheduler:::aws-sdk:([a-z0-9-]+):([a-zA-Z0-9]+)")
_FUNCTION = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+")
_READS = re.compile(
    r"^(get|describe|list|poll|receive|search|scan|query|select|read)", re.IGNORECASE
)
_TAKEN = frozenset({"Arn", "Input", "RetryPolicy", "RoleArn"})


def check(target: Mapping[str, Any]) -> None:
    """Whether Scheduler takes a target.

    Raises:
        AwsError: it does not, or the rehearsal has no such target.
    """
    for name, value in target.items():
        if value and name not in _TAKEN:
            raise AwsError("NotEmulated", f"{name} of a schedule's target is not emulated", 501)
    arn = str(target.get("Arn"))
    universal = _UNIVERSAL.fullmatch(arn)
    if universal:
        _operation(universal[1], universal[2])
        _parameters(target)
    elif not _FUNCTION.fullmatch(arn):
        raise AwsError("NotEmulated", f"a schedule's target {arn} is not emulated", 501)
    with LOCK:
        roles = {role.arn: role for role in backend("iam", "global").roles.values()}
    role = roles.get(target.get("RoleArn"))
    if role is None or "scheduler.amazonaws.com" not in str(role.assume_role_policy_document):
        raise AwsError(
            "ValidationException",
            "The execution role you provide must allow AWS EventBridge Scheduler to assume the "
            "role.",
        )


def deliver(
    target: Mapping[str, Any], client: Callable[[str], Any], context: Mapping[str, str]
) -> None:
    """Call a target.

    Args:
        target: Of the schedule.
        client: Service → boto3 client that signs as the schedule's role.
        context: What stands for `<aws.scheduler.NAME>` in the input.

    Raises:
        ClientError: AWS refuses.
        BotoCoreError: the parameters make no request, or there is no answer.
    """
    text = str(target.get("Input") or "{}")
    for name, value in context.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    universal = _UNIVERSAL.fullmatch(str(target["Arn"]))
    if universal is None:
        client("lambda").invoke(
            FunctionName=target["Arn"], InvocationType="Event", Payload=text.encode()
        )
        return
    from botocore import xform_name

    service, operation = universal[1], _operation(universal[1], universal[2])
    getattr(client(service), xform_name(operation))(**json.loads(text))


def _operation(service: str, named: str) -> str:
    """The operation in the API's own spelling.

    Raises:
        AwsError: there is none, or it only reads.
    """
    model = model_of(service)
    names = {name.lower(): name for name in model.operation_names} if model else {}
    found = names.get(named.lower())
    if found is None or _READS.match(named):
        raise AwsError(
            "ValidationException",
            f"Invalid RequestJson provided. Reason: the API action {service}:{named} is not "
            "supported as a target.",
        )
    return str(found)


def _parameters(target: Mapping[str, Any]) -> None:
    try:
        given = json.loads(str(target.get("Input") or "{}"))
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise AwsError("ValidationException", "Input of a universal target must be a JSON object.")
