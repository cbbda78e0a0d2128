"""For gaps that answer a whole service: nothing of it reaches moto, nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from flyback.rehearsal.call import AwsError, Call

__all__ = ["check_given", "operations_of"]


def operations_of(service: str) -> frozenset[str]:
    """Every operation of a service."""
    from botocore.loaders import Loader

    return frozenset(Loader().load_service_model(service, "service-2")["operations"])


def check_given(
    call: Call, answered: Collection[str], taken: Mapping[str, Collection[str]]
) -> None:
    """Whether a call is one that the rehearsal acts out in full.

    Args:
        call: The call.
        answered: Operations that there are.
        taken: For some of them, every parameter that they act on.

    Raises:
        AwsError: the operation, or a parameter that is given, is not emulated.
    """
    named = f"{call.service}:{call.operation}"
    if call.operation not in answered:
        raise AwsError("NotEmulated", f"{named} is not emulated by the rehearsal", 501)
    if call.operation in taken:
        for name, value in sorted(call.params.items()):
            if value not in (None, "", [], {}) and name not in taken[call.operation]:
                raise AwsError("NotEmulated", f"{name} of {named} is not emulated", 501)
