"""Figures as people read them: rounded here, when they are printed, and nowhere before."""

from __future__ import annotations

import math
from typing import Any

__all__ = [
    "NOT_AVAILABLE",
    "format_count",
    "format_db",
    "format_duration",
    "format_margin",
    "format_microseconds",
    "format_quantity",
    "format_usd",
    "format_value",
]

NOT_AVAILABLE = "n/a"
_LEAST_USD = 0.0001
_MINUTE_S, _HOUR_S = 60, 3600


def format_usd(usd: float, *, signed: bool = False) -> str:
    """Dollars: cents from one dollar on, ten-thousandths below, where runs cost cents."""
    size = abs(usd)
    sign = "-" if usd < 0 else "+" if signed and usd > 0 else ""
    if size == 0:
        return "$0"
    if size < _LEAST_USD / 2:
        return f"{sign}<${_LEAST_USD}"
    return f"{sign}${size:,.2f}" if round(size, 4) >= 1 else f"{sign}${size:.4f}"


def format_microseconds(nanoseconds: float | None) -> str:
    """A time in microseconds, one decimal."""
    return NOT_AVAILABLE if nanoseconds is None else f"{nanoseconds / 1000:,.1f}"


def format_margin(margin: float | None) -> str:
    """Signal time consumed per wall time; below 1 the signal is lost.

    Three digits, cut off and not rounded, so that 0.999 does not read as enough.
    """
    if margin is None:
        return NOT_AVAILABLE
    places = 0 if margin >= 100 else 1 if margin >= 10 else 2  # noqa: PLR2004  # three digits
    return f"{math.floor(margin * 10**places) / 10**places:,.{places}f}x"


def format_count(count: int, noun: str) -> str:
    """So many of them: `1 cell`, `2 cells`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def format_db(decibels: float | None) -> str:
    """A ratio in dB, one decimal."""
    return NOT_AVAILABLE if decibels is None else f"{decibels:.1f}"


def format_duration(hours: float) -> str:
    """Hours as h and min, or as seconds where they are short."""
    seconds = round(hours * _HOUR_S)
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, _MINUTE_S)
    if minutes < 10 and rest:  # noqa: PLR2004  # a boot of 2 min 40 s is not 3 min
        return f"{minutes} min {rest} s"
    whole, left = divmod(round(seconds / _MINUTE_S), 60)
    return f"{whole} h {left} min" if whole and left else f"{whole} h" if whole else f"{left} min"


def format_quantity(quantity: float) -> str:
    """A quantity, four digits, never in powers of ten."""
    if quantity == 0:
        return "0"
    text = f"{quantity:,.4f}" if abs(quantity) < 1000 else f"{quantity:,.0f}"  # noqa: PLR2004  # four digits
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_value(value: Any) -> str:
    """A value that a user's own command reported."""
    if value is None:
        return NOT_AVAILABLE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value)
