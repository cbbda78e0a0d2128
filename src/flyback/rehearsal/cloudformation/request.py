"""From a request to what the stack is asked to be."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from flyback.rehearsal.call import AwsError, Call
from flyback.rehearsal.cloudformation.account import Account
from flyback.rehearsal.cloudformation.checks import check_capabilities, checked
from flyback.rehearsal.cloudformation.engine import Engine
from flyback.rehearsal.cloudformation.parameters import resolve_parameters
from flyback.rehearsal.cloudformation.refusals import invalid
from flyback.rehearsal.cloudformation.stack import Stack, Target
from flyback.rehearsal.cloudformation.template import MAX_BODY_BYTES, Template

__all__ = ["check_stack_name", "is_true", "requested_target", "requested_template"]

_STACK_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")
_MAX_URL_BODY_BYTES = 1_000_000
_MOST_TAGS = 50


def requested_template(engine: Engine, call: Call, stack: Stack | None = None) -> Template:
    """The request's template, from TemplateBody, TemplateURL or the stack as it is.

    Raises:
        AwsError: none is given, it is too long, can't be fetched or is refused.
    """
    body, url = call.params.get("TemplateBody"), call.params.get("TemplateURL")
    if is_true(call.params.get("UsePreviousTemplate")):
        if stack is None or stack.target is None:
            raise invalid("Template format error: there is no previous template")
        return stack.target.template
    if body and url:
        raise invalid("You cannot specify both TemplateBody and TemplateURL.")
    if body:
        _limit(str(body), MAX_BODY_BYTES, "templateBody")
        return checked(str(body), call.region)
    if url:
        return checked(_fetched(engine, call, str(url)), call.region)
    raise invalid("Either Template URL or Template Body must be specified.")


def requested_target(engine: Engine, call: Call, stack: Stack | None = None) -> Target:
    """What a create, update or change-set request asks for.

    Args:
        engine: For look-ups in the account.
        call: The request.
        stack: The stack as it is, where there is one with a template.

    Raises:
        AwsError: the request is refused.
    """
    template = requested_template(engine, call, stack)
    old = stack.target if stack is not None else None
    account = Account(engine, call.region)
    parameters = resolve_parameters(
        template.parameters,
        call.params.get("Parameters") or (),
        old.parameters if old else {},
        ssm=account.ssm,
        exists=account.exists,
    )
    given = tuple(call.params.get("Capabilities") or ())
    check_capabilities(template, given)
    tags = dict(old.tags) if old else {}
    if call.params.get("Tags") is not None:
        tags = _tags(call.params["Tags"])
    return Target(template=template, parameters=parameters, tags=tags, capabilities=given)


def check_stack_name(name: str) -> None:
    """Refuse a name that CloudFormation would.

    Raises:
        AwsError: `ValidationError`.
    """
    if not _STACK_NAME.fullmatch(name):
        raise invalid(
            f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )


def is_true(value: Any) -> bool:
    """A boolean parameter, parsed or still text."""
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _limit(body: str, most: int, member: str) -> None:
    if len(body.encode()) > most:
        raise invalid(
            f"1 validation error detected: Value at '{member}' failed to satisfy constraint: "
            f"Member must have length less than or equal to {most}"
        )


def _fetched(engine: Engine, call: Call, url: str) -> str:
    bucket, key = _s3_object(url)
    body = Account(engine, call.region).stored_text(bucket, key)
    _limit(body, _MAX_URL_BODY_BYTES, "template")
    return body


def _s3_object(url: str) -> tuple[str, str]:
    """Bucket and key of a template's address: path style, virtual-hosted or on an endpoint."""
    parts = urllib.parse.urlsplit(url)
    host, path = parts.hostname or "", urllib.parse.unquote(parts.path.lstrip("/"))
    hosted = re.fullmatch(r"(.+)\.s3[.-][a-z0-9.-]*amazonaws\.com(\.cn)?", host)
    hosted = hosted or re.fullmatch(r"(.+)\.s3\.amazonaws\.com(\.cn)?", host)
    if hosted:
        return hosted.group(1), path
    bucket, _, key = path.partition("/")
    if not bucket or not key:
        raise invalid("TemplateURL must be a supported URL.")
    return bucket, key


def _tags(given: Any) -> dict[str, str]:
    if len(given) > _MOST_TAGS:
        raise invalid(f"Tags: at most {_MOST_TAGS} tags")
    found: dict[str, str] = {}
    for item in given:
        _refuse_bad_tag(item, found)
        found[str(item["Key"])] = str(item["Value"])
    return found


def _refuse_bad_tag(item: Mapping[str, Any], found: Mapping[str, str]) -> None:
    key = str(item.get("Key", ""))
    if key.lower().startswith("aws:"):
        raise invalid("aws: prefixed tag key names are not allowed for external use.")
    if key in found:
        raise invalid(f"Duplicate tag keys found: {key}")
    if "Value" not in item:
        raise AwsError("ValidationError", f"Tag {key} has no value")
