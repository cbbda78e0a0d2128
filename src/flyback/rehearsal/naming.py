"""Which operation of which service a request asks for, and with whose key it is signed.

The service comes from the scope of the SigV4 signature, as moto's own server has it; unsigned
requests are told by their host, `Version` or `X-Amz-Target`. The operation comes from botocore's
service model, whatever the protocol: `Action`, `X-Amz-Target`, or method, path and query keys.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote

__all__ = ["Named", "Scope", "form_of", "model_of", "name_request", "scope_of"]

DEFAULT_REGION = "us-east-1"

# Signing names that are not what botocore calls the service.
_SIGNED_AS = {
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
    "servicequotas": "service-quotas",
    "states": "stepfunctions",
    "elasticloadbalancing": "elbv2",
    "elasticfilesystem": "efs",
    "email": "ses",
}
# How an unsigned request tells its service.
_BY_VERSION = {
    "2016-11-15": "ec2",
    "2010-05-08": "iam",
    "2011-06-15": "sts",
    "2010-05-15": "cloudformation",
    "2010-03-31": "sns",
}
_BY_TARGET = {
    "Logs_20140328": "logs",
    "AmazonSSM": "ssm",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "ResourceGroupsTaggingAPI_20170126": "resourcegroupstaggingapi",
    "GraniteServiceVersion20100801": "cloudwatch",
    "AWSEvents": "events",
    "secretsmanager": "secretsmanager",
}
_CREDENTIAL = re.compile(r"Credential=([^,\s]+)")
_SIGNED_HEADERS = re.compile(r"SignedHeaders=([^,\s]+)")
_SIGNATURE = re.compile(r"Signature=([0-9a-f]+)")
_CBOR = re.compile(r"^/service/[^/]+/operation/(\w+)$")
_BUCKET_HOST = re.compile(
    r"^(?P<bucket>[a-z0-9][a-z0-9.-]+?)\.(?:s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com|localhost)(?::\d+)?$"
)
_SERVICE_HOST = re.compile(r"^(?P<service>[a-z0-9-]+)\.(?:[a-z0-9-]+\.)?amazonaws\.com(?::\d+)?$")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a SigV4 signature says about itself.

    Args:
        access_key: Access key id.
        date: `YYYYMMDD`.
        region: Region of the scope.
        service: Signing name of the scope.
        signed_headers: Lower-case names.
        signature: In hexadecimal digits.
        moment: `X-Amz-Date` (`YYYYMMDDTHHMMSSZ`).
        token: Session token, or empty.
        presigned: The signature stands in the query.
    """

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    moment: str
    token: str = ""
    presigned: bool = False


@dataclass(frozen=True, kw_only=True)
class Named:
    """A request by name.

    Args:
        service: As botocore names it; empty where nothing tells it.
        operation: As the API names it; empty where it is not recognised.
        region: From the scope.
        path_params: Members that stood in the path.
        environ: The WSGI environment, its path in S3's path style.
    """

    service: str
    operation: str
    region: str
    path_params: Mapping[str, Any]
    environ: Mapping[str, Any]


def scope_of(environ: Mapping[str, Any]) -> Scope | None:
    """The signature of a request, from its `Authorization` header or its query; None: unsigned."""
    header = str(environ.get("HTTP_AUTHORIZATION", ""))
    if header.startswith("AWS4-HMAC-SHA256"):
        found = [_CREDENTIAL.search(header), _SIGNED_HEADERS.search(header)]
        signature = _SIGNATURE.search(header)
        if found[0] is None or found[1] is None or signature is None:
            return None
        scope = _scope(found[0][1], found[1][1], signature[1])
        moment = str(environ.get("HTTP_X_AMZ_DATE", ""))
        token = str(environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""))
        return scope and replace(scope, moment=moment, token=token)
    query = dict(parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True))
    if "X-Amz-Credential" not in query:
        return None
    scope = _scope(
        query["X-Amz-Credential"],
        query.get("X-Amz-SignedHeaders", ""),
        query.get("X-Amz-Signature", ""),
    )
    return scope and replace(
        scope,
        moment=query.get("X-Amz-Date", ""),
        token=query.get("X-Amz-Security-Token", ""),
        presigned=True,
    )


def _scope(credential: str, signed_headers: str, signature: str) -> Scope | None:
    parts = credential.split("/")
    if len(parts) != 5:  # noqa: PLR2004  # key, date, region, service, aws4_request
        return None
    key, date, region, service, _ = parts
    return Scope(
        access_key=key,
        date=date,
        region=region,
        service=service.lower(),
        signed_headers=tuple(signed_headers.lower().split(";")),
        signature=signature,
        moment="",
    )


def form_of(environ: Mapping[str, Any], body: bytes) -> dict[str, str]:
    """Parameters of a query-protocol request, from its form and its query string."""
    pairs = parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
    if str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded"):
        pairs += parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(pairs)


def name_request(environ: Mapping[str, Any], body: bytes, scope: Scope | None) -> Named:
    """Name a request: service, operation, region."""
    service = _service(environ, body, scope)
    region = scope.region if scope else DEFAULT_REGION
    if service == "s3":
        environ = _path_style(environ)
    operation, path_params = _operation(service, environ, body)
    return Named(
        service=service,
        operation=operation,
        region=region,
        path_params=path_params,
        environ=environ,
    )


@functools.cache
def model_of(service: str) -> Any:
    """Botocore's service model as moto reads it; None where there is no such service."""
    from botocore.exceptions import UnknownServiceError
    from moto.core.utils import get_service_model

    try:
        return get_service_model(service)
    except UnknownServiceError:
        return None


def _service(environ: Mapping[str, Any], body: bytes, scope: Scope | None) -> str:
    if scope:
        return _SIGNED_AS.get(scope.service, scope.service)
    target = str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[0]
    if target:
        return _BY_TARGET.get(target, "")
    form = form_of(environ, body)
    if "Action" in form:
        return _BY_VERSION.get(form.get("Version", ""), "")
    host = str(environ.get("HTTP_HOST", ""))
    named = _SERVICE_HOST.match(host)
    if named and not _BUCKET_HOST.match(host):
        return _SIGNED_AS.get(named["service"], named["service"])
    return "s3"


def _path_style(environ: Mapping[str, Any]) -> Mapping[str, Any]:
    """Move the bucket of a virtual-hosted request from the host to the path."""
    hosted = _BUCKET_HOST.match(str(environ.get("HTTP_HOST", "")))
    if hosted is None:
        return environ
    raw = f"/{hosted['bucket']}{environ.get('RAW_URI', '/')}"
    path = unquote(raw.partition("?")[0]).encode().decode("latin-1")
    signed = environ.get("RAW_URI", "/")
    return {**environ, "RAW_URI": raw, "PATH_INFO": path, "flyback.signed_uri": signed}


def _operation(
    service: str, environ: Mapping[str, Any], body: bytes
) -> tuple[str, Mapping[str, Any]]:
    model = model_of(service) if service else None
    if model is None:
        return "", {}
    cbor = _CBOR.match(str(environ.get("PATH_INFO", "")))
    target = str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]
    if cbor or target:
        return _known(model, cbor[1] if cbor else target), {}
    if model.protocol in ("query", "ec2") or "query" in model.metadata.get("protocols", ()):
        return _known(model, form_of(environ, body).get("Action", "")), {}
    return _routed(service, environ)


def _known(model: Any, operation: str) -> str:
    return operation if operation in model.operation_names else ""


def _routed(service: str, environ: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    from moto.core.request import Request
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import NotFound

    try:
        plain = Request({**environ, "HTTP_HOST": "127.0.0.1"})  # the bucket is in the path
        operation, params = get_service_router(service).match(plain)
    except (NotFound, NotImplementedError):
        return "", {}
    return str(operation.name), params
