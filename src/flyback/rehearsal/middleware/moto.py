"""The state of the emulated account: moto, asked in process, one request at a time.

An operation that moto does not have, or has only in name, is answered `NotEmulated`: never an
empty success, and never moto's HTML page.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.moto_state import LOCK
from flyback.rehearsal.naming import model_of
from flyback.rehearsal.serialising import emulation_failed

__all__ = ["Moto", "not_emulated"]

# moto sorts S3 out by query keys and takes what it does not know for something else, so what it
# really has is listed here (read from moto 5.2.5's s3/responses.py).
_S3 = frozenset(
    f"{verb}{noun}"
    for verbs, nouns in (
        ("Get Put", "BucketAccelerateConfiguration BucketAcl BucketLogging BucketVersioning"),
        ("Get Put", "BucketNotificationConfiguration ObjectAcl ObjectLegalHold"),
        ("Get Put", "ObjectLockConfiguration"),
        ("Get Put Delete", "BucketCors BucketEncryption BucketOwnershipControls BucketPolicy"),
        ("Get Put Delete", "BucketReplication BucketTagging BucketWebsite ObjectTagging"),
        ("Get Put Delete", "PublicAccessBlock Object"),
        ("Get Put", "BucketLifecycleConfiguration"),
        ("Get", "BucketLocation BucketPolicyStatus ObjectAttributes"),
        ("Put", "ObjectRetention"),
        ("Delete", "Bucket BucketLifecycle Objects"),
        ("Create", "Bucket MultipartUpload"),
        ("List", "Buckets MultipartUploads ObjectVersions Objects ObjectsV2 Parts"),
        ("Head Copy", "Object"),
        ("Head", "Bucket"),
        ("Upload", "Part PartCopy"),
        ("Complete Abort", "MultipartUpload"),
    )
    for verb in verbs.split()
    for noun in nouns.split()
)
# Operations that moto answers, but not as AWS does (research: emulators): better no answer.
_PRETENDED = frozenset(
    {
        ("ec2", "DescribeSpotPriceHistory"),  # one constant price of 2006
        ("ec2", "RequestSpotInstances"),  # drops most of the launch specification
        ("ec2", "RequestSpotFleet"),
        ("ec2", "ModifyFleet"),
        ("sts", "AssumeRoleWithSAML"),  # believes any assertion
        ("sts", "GetSessionToken"),  # a constant key that opens nothing
        ("sts", "GetFederationToken"),
        ("ssm", "SendCommand"),  # "Success", and nothing ran
        ("batch", "SubmitJob"),  # needs a container engine, or pretends
        ("lambda", "Invoke"),
    }
)

Handler = Callable[[Any, str, Any], tuple[int, Mapping[str, Any], Any]]


def not_emulated(call: Call) -> AwsError:
    """The answer to what a rehearsal can't do."""
    named = f"{call.service or 'an unknown service'}:{call.operation or 'an unknown operation'}"
    return AwsError("NotEmulated", f"{named} is not emulated by the rehearsal", 501)


class Moto:
    """Hands a request to moto."""

    def __call__(self, call: Call, forward: Callable[[Call], Response]) -> Response:
        del forward  # the last one
        if (call.service, call.operation) in _PRETENDED or not implements(
            call.service, call.operation
        ):
            raise not_emulated(call)
        host, handlers = _handlers(call.service, call.region)
        request, url = _request(call, host)
        handler = _handler(handlers, url)
        if handler is None:
            raise not_emulated(call)
        with LOCK:
            return _answered(call, handler, request, url)


@functools.cache
def implements(service: str, operation: str) -> bool:
    """Whether moto has an operation at all."""
    from moto.core.utils import camelcase_to_underscores

    if not operation or model_of(service) is None:
        return False
    if service == "s3":
        return operation in _S3
    return camelcase_to_underscores(operation) in _methods(service)


@functools.cache
def _methods(service: str) -> frozenset[str]:
    from moto.core import responses

    # Asked once per class instead of once per request, which takes EC2 ten milliseconds.
    responses.method_names_from_class = names = functools.cache(_method_names())
    classes = {getattr(handler, "__self__", None) for _, handler in _handlers(service, "")[1]}
    return frozenset(name for kind in classes if kind is not None for name in names(kind))


@functools.cache
def _method_names() -> Callable[[type], list[str]]:
    from moto.core.utils import method_names_from_class

    return method_names_from_class  # type: ignore[no-any-return]  # moto's own annotation


@functools.cache
def _handlers(service: str, region: str) -> tuple[str, tuple[tuple[re.Pattern[str], Handler], ...]]:
    """Host by which moto knows a service, and its handlers by URL."""
    from moto import backend_index

    region = region or "us-east-1"
    prefix = model_of(service).metadata["endpointPrefix"]
    for host in (f"{prefix}.{region}.amazonaws.com", f"{prefix}.amazonaws.com"):
        for name, pattern in backend_index.backend_url_patterns:
            if pattern.match(f"https://{host}/"):
                urls = _urls(name)
                return host, tuple((re.compile(url), handler) for url, handler in urls.items())
    return "", ()


def _urls(name: str) -> Mapping[str, Handler]:
    from flyback.rehearsal.moto_state import backend

    try:
        urls: Mapping[str, Handler] = backend(name, "us-east-1").urls
    except KeyError:
        urls = backend(name, "global").urls
    return urls


def _handler(handlers: tuple[tuple[re.Pattern[str], Handler], ...], url: str) -> Handler | None:
    clean = url.partition("?")[0]
    return next((handler for pattern, handler in handlers if pattern.match(clean)), None)


def _request(call: Call, host: str) -> tuple[Any, str]:
    """The request as moto takes it: at AWS's own address, its body readable again."""
    from moto.core.request import Request

    environ = {
        **call.environ,
        "HTTP_HOST": host,
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(call.body),
        "CONTENT_LENGTH": str(len(call.body)),
    }
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # it has been undone
    environ.pop("wsgi.input_terminated", None)
    request = Request(environ)
    return request, request.raw_url


def _answered(call: Call, handler: Handler, request: Any, url: str) -> Response:
    from botocore.exceptions import ClientError
    from werkzeug.exceptions import HTTPException

    try:
        status, headers, body = handler(request, url, request.headers)
    except HTTPException as error:
        status, headers = error.code or 500, dict(error.get_headers())
        body = error.get_body()
    except ClientError as error:
        refused = error.response["Error"]
        raise AwsError(refused["Code"], refused["Message"]) from error
    except NotImplementedError as error:
        raise not_emulated(call) from error
    except Exception as error:
        raise emulation_failed(call, error) from error
    return Response(status=int(status), headers=_headers(headers), body=_bytes(body))


def _headers(headers: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    skipped = ("status", "date", "transfer-encoding", "connection")
    return tuple(
        (str(name), str(value)) for name, value in headers.items() if name.lower() not in skipped
    )


def _bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else b"".join(body)
