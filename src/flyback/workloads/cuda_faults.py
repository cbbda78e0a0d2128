"""Why a CUDA device can't be used, and what would fit: foreign errors as sentences."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flyback.errors import UserError

__all__ = ["SkippedError", "hidden", "largest", "no_cuda", "out_of_memory"]

_GIB = 2**30


class SkippedError(UserError):
    """This machine lacks what the cell asks for; its row says so."""


def no_cuda(torch: Any) -> SkippedError:
    """Why `torch.cuda.is_available()` says no; each cause has a remedy of its own."""
    where = "parameters.device"
    if torch.version.cuda is None:
        return SkippedError(
            f"torch {torch.__version__} is built without CUDA",
            where=where,
            remedy="install torch for CUDA (pytorch.org/get-started), or write device=cpu",
        )
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        said = str(error)
    else:
        said = "no device is visible"
    if "driver on your system is too old" in said:
        return SkippedError(
            f"the NVIDIA driver is too old for torch's CUDA {torch.version.cuda}",
            where=where,
            remedy="update the driver, or install torch for an older CUDA",
        )
    if "Found no NVIDIA driver" in said:
        return SkippedError(
            "no NVIDIA driver is installed",
            where=where,
            remedy="write device=cpu, or use a machine with an NVIDIA GPU and its driver",
        )
    return SkippedError(
        f"no CUDA device is visible{hidden()}",
        where=where,
        remedy="write device=cpu, or make one visible (nvidia-smi lists them)",
    )


def hidden() -> str:
    """What people forget that they have set."""
    name = "CUDA_VISIBLE_DEVICES"
    return f": {name} is {os.environ[name]!r}" if name in os.environ else ""


def largest(parameters: Any, name: str, bytes_of: Callable[[Any], int], free: int) -> int | None:
    """The greatest value of a parameter that leaves the rest as it is and fits.

    Args:
        parameters: A dataclass.
        name: Of a whole number that memory grows with.
        bytes_of: Memory that parameters need.
        free: Memory that there is.

    Returns:
        None where no valid value fits.
    """

    def fits(value: int) -> bool:
        try:
            return bytes_of(dataclasses.replace(parameters, **{name: value})) <= free
        except UserError:  # such a value is not valid
            return False

    value = getattr(parameters, name)
    while value > 0 and not fits(value):
        value = value * 15 // 16
    return value or None


@contextmanager
def out_of_memory(remedy: Callable[[], str]) -> Iterator[None]:
    """Torch's `OutOfMemoryError` as ours.

    Raises:
        UserError: the device's memory is full.
    """
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; importing torch costs seconds
        if type(error).__name__ != "OutOfMemoryError":
            raise
        raise UserError(
            "the device's memory is full", where="parameters", remedy=remedy()
        ) from error
