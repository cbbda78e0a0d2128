"""AWS's error codes, sorted by what a person can do about them.

Codes: botocore's service models, EC2's user guide ("Error codes for the Amazon EC2 API", "Spot
request status", fleets), and what others who launch fleets handle. A code that is not here stays a
failure of the service, with its own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from flyback.errors import (
    AccessDeniedError,
    AccountSetupError,
    CapacityError,
    CredentialsError,
    FlybackError,
    ImageError,
    NetworkError,
    PriceError,
    QuotaError,
    ServiceError,
)

__all__ = ["refusal_for_code"]

_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:\w+)")
_ENCODED = "Encoded authorization failure message"
_SIGN_IN = "sign in (`aws sso login` or `aws configure`) or set AWS_PROFILE, then repeat"
_SPOT_ROLE = (
    "run `flyback up` as somebody who may create roles, or: "
    "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
)
_REDEPLOY = "run `flyback up`: it makes what its stack lacks"


@dataclass(frozen=True)
class _Class:
    """One thing to do.

    Args:
        kind: Our error.
        codes: AWS's codes.
        remedy: The sentence; or what makes it from AWS's message and the place.
    """

    kind: type[FlybackError]
    codes: frozenset[str]
    remedy: str | Callable[[str, str], str]


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _ask_for_permission(message: str, where: str) -> str:
    found = _ACTION.search(message)
    action = found[1] if found else f"access to {where}" if "://" in where else where
    remedy = f"ask whoever administers the account to allow {action}"
    if _ENCODED in message:
        remedy += "; `aws sts decode-authorization-message` tells which policy denies it"
    return remedy


_CLASSES = (
    _Class(
        CredentialsError,
        _codes("ExpiredToken ExpiredTokenException RequestExpired"),
        f"the credentials have expired: {_SIGN_IN}",
    ),
    _Class(
        CredentialsError,
        _codes(
            "AuthFailure InvalidAccessKeyId InvalidClientTokenId UnrecognizedClientException "
            "MissingAuthenticationToken MissingAuthenticationTokenException"
        ),
        f"AWS does not know these credentials: {_SIGN_IN}",
    ),
    _Class(
        CredentialsError,
        _codes(
            "SignatureDoesNotMatch InvalidSignatureException IncompleteSignature "
            "RequestTimeTooSkewed"
        ),
        "check the secret key, and that this machine's clock is right",
    ),
    _Class(
        AccessDeniedError,
        _codes(
            "403 AccessDenied AccessDeniedException AuthorizationError UnauthorizedOperation "
            "UnauthorizedAccess"
        ),
        _ask_for_permission,
    ),
    _Class(
        AccountSetupError,
        _codes("AuthFailure.ServiceLinkedRoleCreationNotPermitted"),
        _SPOT_ROLE,
    ),
    _Class(
        AccountSetupError,
        _codes("OptInRequired SubscriptionRequiredException"),
        "subscribe the account to the service, or enable the region, in the AWS console",
    ),
    _Class(
        AccountSetupError,
        _codes("PendingVerification Blocked AccountDisabled"),
        "AWS holds the account back: finish its verification in the console, or ask AWS Support",
    ),
    _Class(
        QuotaError,
        _codes("MaxSpotInstanceCountExceeded VcpuLimitExceeded InstanceLimitExceeded"),
        "request an increase of the vCPU quota in Service Quotas, or name other types",
    ),
    _Class(
        QuotaError,
        _codes("LimitExceeded LimitExceededException VolumeLimitExceeded VpcLimitExceeded"),
        "remove what is not needed, or request an increase in Service Quotas",
    ),
    _Class(
        PriceError,
        _codes("SpotMaxPriceTooLow"),
        "raise the price limit, allow more instance types, or set spot.then: on-demand",
    ),
    _Class(
        CapacityError,
        _codes(
            "InsufficientCapacity InsufficientCapacityOnHost InsufficientHostCapacity "
            "InsufficientInstanceCapacity UnfulfillableCapacity Unsupported"
        ),
        "allow more instance types or zones (resources.any_of), another region, or try later",
    ),
    _Class(
        ImageError,
        _codes("InvalidAMIID.NotFound InvalidAMIID.Unavailable InvalidAMIID.Malformed"),
        "the image is gone or was never shared with this account: launch again with the newest one",
    ),
    _Class(
        NetworkError,
        _codes("InsufficientFreeAddressesInSubnet"),
        "free addresses in the subnet, or deploy with larger ones",
    ),
    _Class(
        NetworkError,
        _codes("InvalidSubnetID.NotFound InvalidSubnet InvalidGroup.NotFound VPCIdNotSpecified"),
        _REDEPLOY,
    ),
    _Class(
        ServiceError,
        _codes(
            "RequestLimitExceeded Throttling ThrottlingException TooManyRequestsException SlowDown"
        ),
        "AWS asks to slow down: repeat in a minute",
    ),
)


def refusal_for_code(code: str, message: str, where: str) -> FlybackError | None:
    """Our error for a code that a person can do something about; None for all others."""
    for each in _CLASSES:
        if code not in each.codes:
            continue
        remedy = each.remedy if isinstance(each.remedy, str) else each.remedy(message, where)
        what = f"{code}: {message}"
        if issubclass(each.kind, ServiceError):
            return each.kind(what, where=where, remedy=remedy, code=code)
        return each.kind(what, where=where, remedy=remedy)
    return None
