"""Failures that a user asks a rehearsal for: `--fault KIND:…`, read and checked.

Decided here, acted out by the emulated cloud (`flyback.rehearsal.strict`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from flyback.errors import UserError

__all__ = ["KINDS", "FaultRequest", "parse_fault"]

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh])")
_FORMS = {
    "throttle": "throttle:0.1, throttle:0.1,service=s3",
    "error": "error:0.05, error:0.05,service=ec2,code=InternalError",
    "drop": "drop:0.05, drop:0.05,service=s3",
    "capacity": "capacity:us-east-1a, capacity:g6.xlarge, capacity:spot, capacity:*",
    "expired-credentials": "expired-credentials:at=40s",
    "interrupt": "interrupt:at=40s, interrupt:at=40s,times=1",
    "reboot": "reboot:at=5m",
    "os-hung": "os-hung, os-hung:at=5m",
    "guardian-broken": "guardian-broken",
    "events-lost": "events-lost",
    "schedules-lost": "schedules-lost, schedules-lost:one-time, schedules-lost:recurring",
}
KINDS = tuple(_FORMS)
_OPTIONS = {
    "throttle": frozenset({"service", "operation"}),
    "error": frozenset({"service", "operation", "code"}),
    "drop": frozenset({"service", "operation"}),
    "capacity": frozenset[str](),
    "expired-credentials": frozenset({"at"}),
    "interrupt": frozenset({"at", "times"}),
    "reboot": frozenset({"at"}),
    "os-hung": frozenset({"at"}),
    "guardian-broken": frozenset[str](),
    "events-lost": frozenset[str](),
    "schedules-lost": frozenset[str](),
}
_SCHEDULES = ("one-time", "recurring")


@dataclass(frozen=True, kw_only=True)
class FaultRequest:
    """One failure to act out.

    Args:
        kind: One of `KINDS`.
        rate: Share of the requests that fail; of `throttle`, `error` and `drop`.
        pool: What is not to be had: a zone, an instance type, a market or `*`; of `capacity`.
            Which schedules: `one-time`, `recurring` or, empty, all; of `schedules-lost`.
        at: Simulated seconds: after the rehearsal began (`expired-credentials`), or after a machine
            was launched (`interrupt`, `reboot`, `os-hung`).
        times: How many machines it meets, in the order of their launch; 0: each.
        only: `service`, `operation` and `code`, where given.
    """

    kind: str
    rate: float = 0.0
    pool: str = ""
    at: float = 0.0
    times: int = 0
    only: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        only = "".join(f", {key} {text}" for key, text in sorted(self.only.items()))
        times = f", {self.times} times" if self.times else ""
        what = self.pool or (f"{self.rate:.0%} of requests" if self.rate else "")
        if self.at:
            what = f"at {self.at:g} s"
        return f"{self.kind}, {what}{only}{times}" if what else self.kind


def parse_fault(text: str) -> FaultRequest:
    """Read `KIND:VALUE,key=value,…`.

    Raises:
        UserError: an unknown kind or key, or a value that is none.
    """
    kind, _, rest = text.partition(":")
    if kind not in _FORMS:
        close = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise _mistake(text, f"unknown kind {kind!r}", f"{hint}kinds: {', '.join(KINDS)}")
    words = [word for word in rest.split(",") if word]
    pairs = dict(word.split("=", 1) for word in words if "=" in word)
    values = [word for word in words if "=" not in word]
    for key in pairs:
        if key not in _OPTIONS[kind]:
            raise _mistake(text, f"{kind} takes no {key!r}", f"for example {_FORMS[kind]}")
    return _READERS[kind](text, kind, values, pairs)


def _rated(text: str, kind: str, values: list[str], pairs: dict[str, str]) -> FaultRequest:
    try:
        (rate,) = map(float, values)
    except ValueError:
        raise _mistake(text, "it takes one share of the requests", _form(kind)) from None
    if not 0 < rate <= 1:
        raise _mistake(text, f"a share lies above 0 and up to 1, not at {rate:g}", _form(kind))
    return FaultRequest(kind=kind, rate=rate, only=pairs)


def _pooled(text: str, kind: str, values: list[str], pairs: dict[str, str]) -> FaultRequest:
    del pairs
    if len(values) != 1:
        raise _mistake(text, "it takes one zone, instance type or market", _form(kind))
    return FaultRequest(kind=kind, pool=values[0])


def _timed(text: str, kind: str, values: list[str], pairs: dict[str, str]) -> FaultRequest:
    found = _DURATION.fullmatch(pairs.get("at", ""))
    if values or found is None:
        raise _mistake(text, "it takes a time: at=40s, at=5m or at=2h", _form(kind))
    times = pairs.get("times", "0")
    if not times.isdecimal() or ("times" in pairs and int(times) == 0):
        raise _mistake(text, f"times counts machines, from 1; not {times!r}", _form(kind))
    at = float(found[1]) * _SECONDS[found[2]]
    return FaultRequest(kind=kind, at=at, times=int(times))


def _maybe_timed(text: str, kind: str, values: list[str], pairs: dict[str, str]) -> FaultRequest:
    if not values and not pairs:
        return FaultRequest(kind=kind)
    return _timed(text, kind, values, pairs)


def _plain(text: str, kind: str, values: list[str], pairs: dict[str, str]) -> FaultRequest:
    if values or pairs:
        raise _mistake(text, "it takes nothing", _form(kind))
    return FaultRequest(kind=kind)


def _scheduled(text: str, kind: str, values: list[str], pairs: dict[str, str]) -> FaultRequest:
    del pairs
    if len(values) > 1 or not set(values) <= set(_SCHEDULES):
        raise _mistake(text, f"it takes {' or '.join(_SCHEDULES)}, or nothing", _form(kind))
    return FaultRequest(kind=kind, pool="".join(values))


_READERS: dict[str, Callable[[str, str, list[str], dict[str, str]], FaultRequest]] = {
    "throttle": _rated,
    "error": _rated,
    "drop": _rated,
    "capacity": _pooled,
    "expired-credentials": _timed,
    "interrupt": _timed,
    "reboot": _timed,
    "os-hung": _maybe_timed,
    "guardian-broken": _plain,
    "events-lost": _plain,
    "schedules-lost": _scheduled,
}


def _form(kind: str) -> str:
    return f"for example --fault {_FORMS[kind]}"


def _mistake(text: str, what: str, remedy: str) -> UserError:
    return UserError(what, where=f"--fault {text}", remedy=remedy)
