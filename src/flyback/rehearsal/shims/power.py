"""`shutdown` and its relatives: from arguments to what happens to the power, and when.

The command's rules are those of shutdown(8) and systemctl(1) of systemd.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

__all__ = ["Power", "Reply", "shutdown", "switch"]

_CLOCK_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_LONG = {
    "--poweroff": "P",
    "--halt": "H",
    "--reboot": "r",
    "--no-wall": "",
    "--show": "s",
    "--kexec": "r",
}


@dataclass(frozen=True, kw_only=True)
class Power:
    """What a command does to the machine's power.

    Args:
        kind: Off, off and on again, or neither after all.
        at: Simulated time, in seconds since the epoch; None is at once.
    """

    kind: Literal["off", "reboot", "cancel"]
    at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a command answers.

    Args:
        status: Exit status.
        out: Standard output.
        err: Standard error; at most one of the two has text.
        power: What it does besides.
    """

    status: int = 0
    out: str = ""
    err: str = ""
    power: Power | None = None


def switch(kind: Literal["off", "reboot"]) -> Reply:
    """`poweroff`, `halt`, `reboot` without more."""
    return Reply(power=Power(kind=kind))


def shutdown(arguments: Sequence[str], now: float, scheduled: float | None) -> Reply:
    """`shutdown [options] [time] [wall message]`.

    Args:
        arguments: Without the command's name.
        now: Simulated time, in seconds since the epoch.
        scheduled: When the machine goes off already; None: not at all.
    """
    flags, rest = _flags(arguments)
    if flags is None:
        return Reply(status=1, err=f"shutdown: unrecognized option '{rest[0]}'")
    if "s" in flags:
        text = (
            f"Shutdown scheduled for {_date(scheduled)}." if scheduled else "No scheduled shutdown."
        )
        return Reply(status=0 if scheduled else 1, out=text)
    if "c" in flags:
        return Reply(power=Power(kind="cancel"))
    when = rest[0] if rest else "+1"
    at = _moment(when, now)
    if at is None:
        return Reply(status=1, err=f"Failed to parse time specification: {when}")
    if "k" in flags:
        return Reply()  # only warns those logged in: nobody is
    return _schedule("reboot" if "r" in flags else "off", at, now)


def _schedule(kind: Literal["off", "reboot"], at: float, now: float) -> Reply:
    if at <= now:
        return switch(kind)
    what = "Reboot" if kind == "reboot" else "Shutdown"
    sentence = f"{what} scheduled for {_date(at)}, use 'shutdown -c' to cancel."
    return Reply(err=sentence, power=Power(kind=kind, at=at))


def _flags(arguments: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The options' letters and what follows; None with the first that is unknown."""
    flags = ""
    rest = []
    for argument in arguments:
        if argument in _LONG:
            flags += _LONG[argument]
        elif re.fullmatch("-[HPrhkct]+", argument):
            flags += argument[1:]
        elif argument.startswith("-"):
            return None, [argument]
        else:
            rest.append(argument)
    return flags, rest


def _moment(when: str, now: float) -> float | None:
    if when == "now":
        return now
    if re.fullmatch(r"\+?\d+", when):
        return now + 60 * int(when)
    clock_time = _CLOCK_TIME.fullmatch(when)
    if clock_time is None or int(clock_time[1]) > 23 or int(clock_time[2]) > 59:  # noqa: PLR2004  # hh:mm
        return None
    today = datetime.fromtimestamp(now, UTC)
    at = today.replace(hour=int(clock_time[1]), minute=int(clock_time[2]), second=0, microsecond=0)
    return (at if at > today else at + timedelta(days=1)).timestamp()


def _date(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds or 0, UTC).strftime("%a %Y-%m-%d %H:%M:%S UTC")
