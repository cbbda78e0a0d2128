"""Ranges of a sweep: `range(1, 5)`, `range(0.1, 0.5, 0.1)`, as Python counts them."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["MOST_VALUES", "RANGE", "expand_range"]

MOST_VALUES = 10_000
RANGE = re.compile(r"range\s*\((.*)\)", re.DOTALL)
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][-+]?[0-9]{1,2})?"
)
_MOST_ARGUMENTS = 3


def expand_range(text: str) -> tuple[int | float, ...]:
    """The values of `range(start, stop)` or `range(start, stop, step)`; `stop` is not among them.

    Whole numbers give whole numbers. Fractions are counted in decimal, so `range(0.1, 0.4, 0.1)`
    is 0.1, 0.2, 0.3 and not 0.30000000000000004.

    Raises:
        ValueError: no such range; what and remedy, with a newline between them.
    """
    match = RANGE.fullmatch(text.strip())
    written = [part.strip() for part in match[1].split(",")] if match else []
    if not 1 <= len(written) <= _MOST_ARGUMENTS or not all(map(_NUMBER.fullmatch, written)):
        raise ValueError(
            f"{text.strip()!r} is no range\nwrite range(start, stop) or range(start, stop, step)"
        )
    start, stop, step = _bounds(written)
    if step == 0:
        raise ValueError("a range can't have step 0\nwrite a step above or below 0")
    count = max(0, -int((start - stop) // step))
    if count == 0:
        raise ValueError(
            f"{text.strip()} holds no value\nthe stop is not part of a range: range(1, 3) is 1, 2"
        )
    if count > MOST_VALUES:
        raise ValueError(f"{text.strip()} holds more than {MOST_VALUES} values\ntake a larger step")
    whole = all(map(_INTEGER.fullmatch, written))
    values = (start + step * i for i in range(count))
    return tuple(int(value) if whole else float(value) for value in values)


def _bounds(written: list[str]) -> tuple[Fraction, Fraction, Fraction]:
    numbers = [Fraction(part) for part in written]
    if len(numbers) == 1:
        return Fraction(0), numbers[0], Fraction(1)
    return numbers[0], numbers[1], numbers[2] if len(numbers) == _MOST_ARGUMENTS else Fraction(1)
