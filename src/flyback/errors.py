"""Every error that flyback raises on purpose, and the exit code it ends with.

    FlybackError
    ├── UserError (2)             the command, the job file or the set-up is wrong
    │   ├── JobFileError          a document that a person wrote; carries file:line
    │   ├── MissingExtraError     an optional part is not installed
    │   └── NotDeployedError      the account has no flyback stack: `flyback up` first
    ├── JobFailedError (1)        the job ran and failed
    ├── LeftoversError (3)        something that bills is still there
    ├── RefusedError (4)          the cloud said no
    │   ├── AccessDeniedError     a permission is missing
    │   │   └── CredentialsError  no credentials, or none that are valid
    │   ├── AccountSetupError     the account is not ready for this
    │   ├── ImageError            the machine image can't be launched
    │   ├── QuotaError            the account may not run this much
    │   ├── PriceError            no offer within the stated limit
    │   ├── CapacityError         nobody has such a machine free just now
    │   ├── ServiceError          the service failed or could not be reached
    │   │   ├── NetworkError      a network, here or in the account, stands in the way
    │   │   └── NotFoundError     the thing asked for does not exist
    │   └── ConflictError         it exists already, or a precondition failed
    ├── RegressionError (5)       a comparison or an audit found something
    └── InterruptedRunError (75)  the run was interrupted and can be resumed

A person reads *where*, *what* and the *remedy*; foreign exceptions are translated once, at the
boundary, with ``raise … from``.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AccessDeniedError",
    "AccountSetupError",
    "CapacityError",
    "ConflictError",
    "CredentialsError",
    "FlybackError",
    "ImageError",
    "InterruptedRunError",
    "JobFailedError",
    "JobFileError",
    "LeftoversError",
    "MissingExtraError",
    "NetworkError",
    "NotDeployedError",
    "NotFoundError",
    "PriceError",
    "QuotaError",
    "RefusedError",
    "RegressionError",
    "ServiceError",
    "UserError",
]


class FlybackError(Exception):
    """Base of all deliberate errors.

    Args:
        what: One sentence that says what is wrong.
        where: File and line, resource or command that it concerns; may be empty.
        remedy: What the reader can do now; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  → {self.remedy}" if self.remedy else head


class UserError(FlybackError):
    """The user's mistake: nothing was created, nothing is lost."""

    exit_code = 2


class JobFileError(UserError):
    """A document that a person wrote does not say what it must."""


class MissingExtraError(UserError):
    """An optional part of flyback is not installed."""


class NotDeployedError(UserError):
    """The account has no flyback stack in this region."""


class JobFailedError(FlybackError):
    """The job ran to its end and failed."""


class LeftoversError(FlybackError):
    """Something that belongs to flyback is still there after it should be gone."""

    exit_code = 3


class RefusedError(FlybackError):
    """The cloud said no; `kind` says in one word why, wherever attempts are listed."""

    exit_code = 4
    kind: ClassVar[str] = "refused"


class AccessDeniedError(RefusedError):
    """A permission is missing."""

    kind = "permission"


class CredentialsError(AccessDeniedError):
    """There are no credentials, or they are expired, unknown or wrong."""

    kind = "credentials"


class AccountSetupError(RefusedError):
    """The account is not ready: a service-linked role, a subscription or a verification lacks."""

    kind = "account"


class ImageError(RefusedError):
    """The machine image does not exist, is not ready, or does not fit the machine."""

    kind = "image"


class QuotaError(RefusedError):
    """The account's quota does not allow it."""

    kind = "quota"


class PriceError(RefusedError):
    """No offer within the stated price limit."""

    kind = "price"


class CapacityError(RefusedError):
    """No such machine is free just now."""

    kind = "capacity"


class ServiceError(RefusedError):
    """The service failed, or could not be reached.

    Args:
        what: One sentence.
        where: Service and operation.
        remedy: What to do.
        code: The service's own error code, kept for callers that decide by it.
    """

    kind = "service"

    def __init__(self, what: str, *, where: str = "", remedy: str = "", code: str = "") -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.code = code

    @property
    def is_not_emulated(self) -> bool:
        """Whether a rehearsal said so of itself: no account would."""
        return self.code == "NotEmulated"


class NetworkError(ServiceError):
    """The service can't be reached, or a subnet or security group stands in the way."""

    kind = "network"


class NotFoundError(ServiceError):
    """The thing asked for does not exist."""

    kind = "missing"


class ConflictError(RefusedError):
    """It exists already, or a precondition of the request failed."""


class RegressionError(FlybackError):
    """A comparison found a regression, or an audit has findings."""

    exit_code = 5


class InterruptedRunError(FlybackError):
    """The run was interrupted; what it saved is kept and it can be resumed."""

    exit_code = 75
