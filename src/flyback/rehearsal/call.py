"""One request to the emulated cloud, and its answer: what the middlewares hand to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["AwsError", "Call", "Gap", "MachineHost", "Response"]


class AwsError(Exception):
    """An error that AWS would answer, in its own words.

    Args:
        code: AWS's error code.
        message: AWS's sentence.
        status: HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, named and parsed.

    Args:
        number: Counts from 1 over the life of the cloud.
        service: As botocore names it (`ec2`, `s3`, `cloudformation`, …).
        operation: As the API names it (`RunInstances`); empty where it is not recognised.
        region: From the signature's scope.
        account: Twelve digits.
        principal: Who signed; an ARN, or `anonymous`.
        via: Empty, or the service that calls on the principal's behalf (`cloudformation`), or in
            its own name for a resource's sake (`events:ARN`).
        params: Parameters shaped like botocore's input.
        environ: The WSGI environment; its body can be read again from `body`.
        body: Raw body.
    """

    number: int
    service: str
    operation: str
    region: str
    account: str
    principal: str
    via: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, Any] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Response:
    """An HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Gap(Protocol):
    """What moto lacks or does differently from AWS, for some operations of one service."""

    service: str
    operations: frozenset[str]

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        """Answer a call: output shaped like botocore's, or a response, maybe moto's (`forward`).

        Raises:
            AwsError: what AWS would say.
        """
        ...


class MachineHost(Protocol):
    """What the emulated EC2 asks of whatever runs its machines."""

    def boot(self, instance_id: str, region: str) -> None:
        """An instance exists and is pending; called once, from a clock event."""
        ...

    def halt(self, instance_id: str) -> None:
        """An instance is being terminated or stopped: its processes end now."""
        ...
