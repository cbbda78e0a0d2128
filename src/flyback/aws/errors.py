"""Foreign errors become ours once, here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flyback.aws.refusals import refusal_for_code
from flyback.errors import (
    ConflictError,
    CredentialsError,
    FlybackError,
    NetworkError,
    NotFoundError,
    ServiceError,
)

__all__ = ["error_for_code", "translated"]

_CONFLICT = {
    "AlreadyExistsException",
    "BucketAlreadyExists",
    "BucketAlreadyOwnedByYou",
    "ConditionalRequestConflict",
    "ConflictException",
    "EntityAlreadyExists",
    "PreconditionFailed",
    "ResourceAlreadyExistsException",
}
_NOT_FOUND = {
    "404",
    "NoSuchBucket",
    "NoSuchBucketPolicy",
    "NoSuchEntity",
    "NoSuchKey",
    "NoSuchResourceException",
    "ParameterNotFound",
}
_NO_CREDENTIALS = "run `aws configure sso` or set AWS_PROFILE; `flyback rehearse` needs none"


def error_for_code(code: str, message: str, where: str) -> FlybackError:
    """Our error for a service's error code; fleets return such codes beside a success."""
    refusal = refusal_for_code(code, message, where)
    if refusal is not None:
        return refusal
    if code in _CONFLICT:
        return ConflictError(f"{code}: {message}", where=where)
    if code in _NOT_FOUND or code.endswith(
        (".NotFound", "NotFoundException", ".NotFoundException")
    ):
        return NotFoundError(f"{code}: {message}", where=where, code=code)
    return ServiceError(f"{code}: {message}", where=where, code=code)


def _answered(response: Mapping[str, Any], where: str) -> FlybackError:
    answer = response.get("Error", {})
    return error_for_code(str(answer.get("Code", "Unknown")), str(answer.get("Message", "")), where)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Translate what botocore raises inside the block.

    Raises:
        RefusedError: always one of its kinds, from the foreign error.
    """
    from boto3.exceptions import S3TransferFailedError, S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _answered(error.response, where) from error
    except (BotoCoreError, S3TransferFailedError, S3UploadFailedError) as error:
        if isinstance(error.__context__, ClientError):  # boto3's transfers wrap what S3 answered
            raise _answered(error.__context__.response, where) from error
        raise _unanswered(error, where) from error


def _unanswered(error: Exception, where: str) -> FlybackError:
    """Our error for a request that never got an answer."""
    from botocore import exceptions

    if isinstance(error, exceptions.NoCredentialsError):
        return CredentialsError(
            "no AWS credentials were found", where=where, remedy=_NO_CREDENTIALS
        )
    credentials = (
        exceptions.CredentialRetrievalError,
        exceptions.PartialCredentialsError,
        exceptions.ProfileNotFound,
        exceptions.SSOError,
        exceptions.TokenRetrievalError,
    )
    if isinstance(error, credentials):
        return CredentialsError(
            f"{error}",
            where=where,
            remedy="sign in again (`aws sso login`), or name another profile",
        )
    if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError)):
        return NetworkError(
            f"{error}", where=where, remedy="check the network and the region, then repeat"
        )
    return ServiceError(
        f"{error}", where=where, remedy="check the network and the region, then repeat"
    )
