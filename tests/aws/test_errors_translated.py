"""Foreign errors become ours, once."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from flyback.aws.errors import error_for_code, translated
from flyback.errors import (
    AccessDeniedError,
    AccountSetupError,
    CapacityError,
    ConflictError,
    CredentialsError,
    FlybackError,
    ImageError,
    NetworkError,
    NotFoundError,
    PriceError,
    QuotaError,
    ServiceError,
)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("UnauthorizedOperation", AccessDeniedError),
        ("AccessDeniedException", AccessDeniedError),
        ("ExpiredToken", CredentialsError),
        ("AuthFailure", CredentialsError),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", AccountSetupError),
        ("OptInRequired", AccountSetupError),
        ("SpotMaxPriceTooLow", PriceError),
        ("InvalidSubnetID.NotFound", NetworkError),
        ("VcpuLimitExceeded", QuotaError),
        ("MaxSpotInstanceCountExceeded", QuotaError),
        ("InsufficientInstanceCapacity", CapacityError),
        ("UnfulfillableCapacity", CapacityError),
        ("PreconditionFailed", ConflictError),
        ("NoSuchKey", NotFoundError),
        ("InvalidAMIID.NotFound", ImageError),
        ("ResourceNotFoundException", NotFoundError),
        ("InternalError", ServiceError),
    ],
)
def test_codes_become_kinds(code: str, kind: type[FlybackError]) -> None:
    """Each of AWS's codes that we decide by has one kind of ours, with place and sentence."""
    error = error_for_code(code, "because", "ec2:CreateFleet")
    assert type(error) is kind
    assert str(error).startswith(f"ec2:CreateFleet: {code}: because")
    assert error.exit_code == 4


def test_what_botocore_raises_is_translated_with_its_cause() -> None:
    """ClientError, a network failure and missing credentials: ours outside, theirs as cause."""
    answer = {"Error": {"Code": "AccessDenied", "Message": "no"}}
    with pytest.raises(AccessDeniedError) as denied, translated("s3:GetObject"):
        raise ClientError(answer, "GetObject")  # type: ignore[arg-type]  # a partial answer will do
    assert isinstance(denied.value.__cause__, ClientError)
    with pytest.raises(ServiceError, match="check the network"), translated("s3"):
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    with pytest.raises(AccessDeniedError, match="flyback rehearse` needs none"), translated("s3"):
        raise NoCredentialsError


def test_our_own_errors_pass_untouched() -> None:
    """What is ours already is not wrapped again."""
    with pytest.raises(QuotaError, match="mine"), translated("x"):
        raise QuotaError("mine")
