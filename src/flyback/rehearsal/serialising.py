"""Answers shaped like botocore's output, and AWS's errors, to bytes in each service's protocol."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.naming import model_of

__all__ = ["emulation_failed", "error_code_of", "serialise", "serialise_error"]

_LOG = logging.getLogger(__name__)

_XML_CODE = re.compile(rb"<Code>([^<]+)</Code>")
_CLIENT_ERROR = 500  # statuses below are the client's fault


def serialise(call: Call, result: Any) -> Response:
    """Give a result in the protocol of its call.

    Args:
        call: What is answered.
        result: A mapping shaped like botocore's output, or one of moto's own objects, whose
            attributes moto maps to the same names.
    """
    from moto.core.serialize import SerializationContext, get_serializer_class

    model = model_of(call.service)
    serializer = get_serializer_class(call.service, _protocol(call))(
        operation_model=model.operation_model(call.operation),
        context=SerializationContext(_request_id(call)),
        value_picker=_picker(call, result),
    )
    answer = serializer.serialize(result)
    body = answer["body"]
    headers = {**answer["headers"], "x-amzn-RequestId": _request_id(call)}
    return Response(
        status=int(answer["status_code"]),
        headers=tuple((name, str(value)) for name, value in headers.items()),
        body=body if isinstance(body, bytes) else str(body).encode(),
    )


def serialise_error(call: Call, error: AwsError) -> Response:
    """Give an error as the service of its call gives its errors."""
    protocol = _protocol(call)
    request_id = _request_id(call)
    headers = [("x-amzn-RequestId", request_id)]
    if "json" in protocol or "cbor" in protocol:
        content_type = (
            "application/json" if protocol == "rest-json" else "application/x-amz-json-1.1"
        )
        body = json.dumps({"__type": error.code, "message": error.message})
        headers.append(("x-amzn-ErrorType", error.code))
    else:
        content_type = "application/xml" if call.service == "s3" else "text/xml"
        body = _xml_error(call.service, protocol, error, request_id)
    headers.append(("Content-Type", content_type))
    return Response(status=error.status, headers=tuple(headers), body=body.encode())


def emulation_failed(call: Call, error: Exception) -> AwsError:
    """The answer where the emulation itself has a fault: loud, and nothing that clients retry."""
    named = f"{call.service}:{call.operation}"
    _LOG.error("the emulation of %s failed", named, exc_info=error)
    return AwsError("EmulationFailed", f"the emulation of {named} failed: {error!r}", 501)


def error_code_of(response: Response) -> str:
    """The error code in an answer, whatever its protocol; empty where it is a success."""
    if response.status < 400:  # noqa: PLR2004  # HTTP: from here on it is an error
        return ""
    for name, value in response.headers:
        if name.lower() == "x-amzn-errortype":
            return value.partition(":")[0].rpartition("#")[2]
    found = _XML_CODE.search(response.body[:4096])
    if found:
        return found[1].decode()
    try:
        code = json.loads(response.body).get("__type", "")
    except (ValueError, AttributeError):
        code = ""
    return str(code).rpartition("#")[2] or str(response.status)


def _protocol(call: Call) -> str:
    model = model_of(call.service) if call.service else None
    if model is None:
        return "rest-xml" if call.service == "s3" else "json"
    if call.environ.get("HTTP_SMITHY_PROTOCOL"):
        return "smithy-rpc-v2-cbor"
    if call.environ.get("HTTP_X_AMZ_TARGET"):
        return "json"
    protocols = model.metadata.get("protocols", [model.protocol])
    return next((name for name in ("ec2", "query") if name in protocols), str(model.protocol))


def _picker(call: Call, result: Any) -> Any:
    from moto.core.serialize import DefaultAttributePicker, XFormedAttributePicker

    if isinstance(result, Mapping):
        return DefaultAttributePicker()
    from moto.ec2.responses._base_response import EC2BaseResponse

    transformers = EC2BaseResponse.RESPONSE_KEY_PATH_TO_TRANSFORMER if call.service == "ec2" else {}
    return XFormedAttributePicker(response_transformers=transformers)


def _request_id(call: Call) -> str:
    """Equal for equal journals: a rehearsal repeats itself byte by byte."""
    return str(uuid.UUID(int=call.number, version=4))


def _xml_error(service: str, protocol: str, error: AwsError, request_id: str) -> str:
    code, message = escape(error.code), escape(error.message)
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    if service == "s3":
        return (
            f"{head}<Error><Code>{code}</Code><Message>{message}</Message>"
            f"<RequestId>{request_id}</RequestId></Error>"
        )
    if protocol == "ec2":
        return (
            f"{head}<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>"
            f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        )
    kind = "Sender" if error.status < _CLIENT_ERROR else "Receiver"
    return (
        f"<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code>"
        f"<Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
