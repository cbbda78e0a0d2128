"""Foreign errors become ours once, here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flyback.errors import (
    AccessDeniedError,
    CapacityError,
    ConflictError,
    FlybackError,
    NotFoundError,
    QuotaError,
    ServiceError,
)

__all__ = ["error_for_code", "translated"]

_DENIED = {
    "403",
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
}
_QUOTA = {"LimitExceeded", "MaxSpotInstanceCountExceeded", "VcpuLimitExceeded"}
_CAPACITY = {
    "InsufficientCapacityOnHost",
    "InsufficientInstanceCapacity",
    "SpotMaxPriceTooLow",
    "UnfulfillableCapacity",
    "Unsupported",
}
_CONFLICT = {
    "AlreadyExistsException",
    "BucketAlreadyExists",
    "BucketAlreadyOwnedByYou",
    "EntityAlreadyExists",
    "PreconditionFailed",
    "ResourceAlreadyExistsException",
}
_NOT_FOUND = {"404", "NoSuchBucket", "NoSuchEntity", "NoSuchKey", "ParameterNotFound"}


def error_for_code(code: str, message: str, where: str) -> FlybackError:
    """Our error for a service's error code; fleets return such codes beside a success."""
    if code in _DENIED:
        remedy = "check the credentials and that they may do this"
        if code.startswith("ExpiredToken"):
            remedy = "the credentials have expired: sign in again and repeat the command"
        return AccessDeniedError(f"{code}: {message}", where=where, remedy=remedy)
    if code in _QUOTA:
        return QuotaError(
            f"{code}: {message}",
            where=where,
            remedy="request an increase of the vCPU quota in Service Quotas, or name other types",
        )
    if code in _CAPACITY:
        return CapacityError(
            f"{code}: {message}",
            where=where,
            remedy="allow more instance types or zones (resources.any_of), or try later",
        )
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
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        raise _answered(error.response, where) from error
    except NoCredentialsError as error:
        raise AccessDeniedError(
            "no AWS credentials were found",
            where=where,
            remedy="run `aws configure sso` or set AWS_PROFILE; `flyback rehearse` needs none",
        ) from error
    except (BotoCoreError, S3TransferFailedError, S3UploadFailedError) as error:
        if isinstance(error.__context__, ClientError):  # boto3's transfers wrap what S3 answered
            raise _answered(error.__context__.response, where) from error
        raise ServiceError(
            f"{error}", where=where, remedy="check the network and the region, then repeat"
        ) from error
