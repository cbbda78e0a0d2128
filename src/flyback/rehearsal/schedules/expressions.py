"""When a schedule fires: `at(…)` once, `rate(…)` again and again.

From the Scheduler user guide, "Schedule types": a rate schedule without a start date begins at
once; times of `at` are wall-clock times of the schedule's time zone.
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from datetime import datetime

from flyback.rehearsal.call import AwsError

__all__ = ["Once", "Rate", "parse"]

_AT = re.compile(r"at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)")
_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)(s?)\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True)
class Once:
    """One firing.

    Args:
        at: Seconds since the epoch.
    """

    at: float

    def due(self, number: int, start: float) -> float | None:
        """When it fires for the `number`-th time, from 0; None: never, also where that is past.

        What AWS does with a time that has passed is not documented; this is the least helpful.
        """
        return self.at if number == 0 and self.at >= start else None


@dataclass(frozen=True)
class Rate:
    """A firing every so many seconds."""

    every: float

    def due(self, number: int, start: float) -> float | None:
        """When it fires for the `number`-th time, from 0."""
        return start + number * self.every


def parse(expression: str, zone: str) -> Once | Rate:
    """Read a schedule expression.

    Raises:
        AwsError: it is none, or a kind that the rehearsal does not have.
    """
    once, rate = _AT.fullmatch(expression), _RATE.fullmatch(expression)
    if once:
        try:
            moment = datetime.fromisoformat(once[1]).replace(tzinfo=_zone(zone))
        except ValueError as error:
            raise _invalid(f"Invalid Schedule Expression {expression}.") from error
        return Once(moment.timestamp())
    if rate:
        if (int(rate[1]) == 1) == bool(rate[3]):
            raise _invalid(f"Invalid Schedule Expression {expression}.")
        return Rate(float(int(rate[1]) * _SECONDS[rate[2]]))
    if expression.startswith("cron("):
        raise AwsError("NotEmulated", "cron expressions are not emulated by the rehearsal", 501)
    raise _invalid(f"Invalid Schedule Expression {expression}.")


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise _invalid(f"Invalid Schedule Expression Timezone {name}.") from error


def _invalid(sentence: str) -> AwsError:
    return AwsError("ValidationException", sentence)
