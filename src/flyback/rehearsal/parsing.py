"""Requests to parameters shaped like botocore's input, whatever the protocol."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from typing import Any

from flyback.rehearsal.naming import Named, form_of, model_of

__all__ = ["parse_params"]


def parse_params(named: Named, body: bytes) -> dict[str, Any]:
    """Parameters of a named request; empty where its operation is not known or it makes no sense.

    moto's parsers do the work: they read the same service models that botocore writes by.
    """
    from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
    from werkzeug.datastructures import EnvironHeaders

    model = model_of(named.service) if named.operation else None
    if model is None:
        return {}
    environ = named.environ
    protocol = _protocol(model, environ)
    if protocol not in PROTOCOL_PARSERS:
        return {}
    request = {
        "method": environ["REQUEST_METHOD"],
        "values": _values(environ, body, protocol),
        "headers": EnvironHeaders(dict(environ)),
        "body": _unzipped(named, body),
        "url_path": environ.get("PATH_INFO", "/"),
        "url_params": named.path_params,
    }
    try:
        parsed = PROTOCOL_PARSERS[protocol](model.operation_model(named.operation)).parse(request)
    except (RequestParserError, ValueError, TypeError, AttributeError, LookupError):
        return {}  # moto, which parses again, gives AWS's error
    return dict(parsed or {})


def _unzipped(named: Named, body: bytes) -> bytes:
    if named.environ.get("HTTP_CONTENT_ENCODING") != "gzip" or named.service == "s3":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return b""


def _protocol(model: Any, environ: Mapping[str, Any]) -> str:
    """The protocol that a request is written in: services speak several."""
    if environ.get("HTTP_SMITHY_PROTOCOL"):
        return "smithy-rpc-v2-cbor"
    spoken = model.metadata.get("protocols", [model.protocol])
    if environ.get("HTTP_X_AMZ_TARGET"):
        return "json"
    if "ec2" in spoken:
        return "ec2"
    if str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded"):
        return "query" if "query" in spoken else str(model.protocol)
    return str(model.protocol)


def _values(environ: Mapping[str, Any], body: bytes, protocol: str) -> Any:
    if protocol in ("query", "ec2"):
        return form_of(environ, body)
    from werkzeug.datastructures import MultiDict
    from werkzeug.wrappers import Request

    return MultiDict(Request(dict(environ)).args)
