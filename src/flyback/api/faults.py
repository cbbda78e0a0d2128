"""Failures that a user asks a rehearsal for: `--fault KIND:…`, read and checked.

Decided here, acted out by the emulated cloud (`flyback.rehearsal.strict`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flyback.aws.operations import SERVICES, operations
from flyback.errors import UserError
from flyback.plan.catalogue import Catalogue, load_catalogue

__all__ = ["KINDS", "FaultOutcome", "FaultRequest", "never_acted", "read_fault"]

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
_LISTED = 12  # so many words a remedy may name
_MARKETS = ("spot", "on-demand")
_EVERYTHING = "*"
_OTHER_REQUESTS = "a larger share, another --seed, or what the run does call"
_EARLIER = "an earlier time: every machine had ended by then"
_UNDISTURBED = "another fault beside it: where a run goes well, nothing else looks after it"
_NEVER = {  # what would let it act
    "throttle": _OTHER_REQUESTS,
    "error": _OTHER_REQUESTS,
    "drop": _OTHER_REQUESTS,
    "capacity": "a zone, type or market that the run asks for; `flyback plan` shows them",
    "expired-credentials": "an earlier time: the rehearsal was over by then",
    "interrupt": "an earlier time, and a spot machine: others EC2 does not take back",
    "reboot": _EARLIER,
    "os-hung": _EARLIER,
    "guardian-broken": _UNDISTURBED,
    "events-lost": _UNDISTURBED,
    "schedules-lost": _UNDISTURBED,
}
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
        text: As it was given.
        kind: One of `KINDS`.
        rate: Share of the requests that fail; of `throttle`, `error` and `drop`.
        pool: What is not to be had: a zone, an instance type, a market or `*`; of `capacity`.
            Which schedules: `one-time`, `recurring` or, empty, all; of `schedules-lost`.
        at: Simulated seconds: after the rehearsal began (`expired-credentials`), or after a machine
            was launched (`interrupt`, `reboot`, `os-hung`).
        times: How many machines it meets, in the order of their launch; 0: each.
        only: `service`, `operation` and `code`, where given.
    """

    text: str
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


@dataclass(frozen=True, kw_only=True)
class FaultOutcome:
    """What came of a fault.

    Args:
        fault: As it was given.
        acted: Requests that it failed, or machines that it took.
    """

    fault: str
    acted: int


def never_acted(outcomes: Sequence[FaultOutcome]) -> UserError | None:
    """What to say of faults that never acted: the rehearsal shows nothing about them."""
    idle = [outcome.fault for outcome in outcomes if not outcome.acted]
    if not idle:
        return None
    kinds = dict.fromkeys(text.partition(":")[0] for text in idle)
    verb = "it" if len(idle) == 1 else "they"
    return UserError(
        f"never acted, so this rehearsal shows nothing about what {verb} would do",
        where=", ".join(f"--fault {text}" for text in idle),
        remedy="; ".join(f"{kind}: {_NEVER[kind]}" for kind in kinds),
    )


def read_fault(text: str, region: str) -> FaultRequest:
    """Read `KIND:VALUE,key=value,…`, and make sure that such a failure could happen.

    Args:
        text: As it was given.
        region: Of the emulated account.

    Raises:
        UserError: an unknown kind or key, a value that is none; or a zone, an instance type, a
            service or an operation that does not exist, with the nearest that do.
    """
    fault = _parsed(text)
    _check_words(fault, region)
    return fault


def _parsed(text: str) -> FaultRequest:
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
    return FaultRequest(text=text, kind=kind, rate=rate, only=pairs)


def _pooled(text: str, kind: str, values: list[str], pairs: dict[str, str]) -> FaultRequest:
    del pairs
    if len(values) != 1:
        raise _mistake(text, "it takes one zone, instance type or market", _form(kind))
    return FaultRequest(text=text, kind=kind, pool=values[0])


def _timed(text: str, kind: str, values: list[str], pairs: dict[str, str]) -> FaultRequest:
    found = _DURATION.fullmatch(pairs.get("at", ""))
    if values or found is None:
        raise _mistake(text, "it takes a time: at=40s, at=5m or at=2h", _form(kind))
    times = pairs.get("times", "0")
    if not times.isdecimal() or ("times" in pairs and int(times) == 0):
        raise _mistake(text, f"times counts machines, from 1; not {times!r}", _form(kind))
    at = float(found[1]) * _SECONDS[found[2]]
    return FaultRequest(text=text, kind=kind, at=at, times=int(times))


def _maybe_timed(text: str, kind: str, values: list[str], pairs: dict[str, str]) -> FaultRequest:
    if not values and not pairs:
        return FaultRequest(text=text, kind=kind)
    return _timed(text, kind, values, pairs)


def _plain(text: str, kind: str, values: list[str], pairs: dict[str, str]) -> FaultRequest:
    if values or pairs:
        raise _mistake(text, "it takes nothing", _form(kind))
    return FaultRequest(text=text, kind=kind)


def _scheduled(text: str, kind: str, values: list[str], pairs: dict[str, str]) -> FaultRequest:
    del pairs
    if len(values) > 1 or not set(values) <= set(_SCHEDULES):
        raise _mistake(text, f"it takes {' or '.join(_SCHEDULES)}, or nothing", _form(kind))
    return FaultRequest(text=text, kind=kind, pool="".join(values))


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


def _check_words(fault: FaultRequest, region: str) -> None:
    text = fault.text
    if fault.kind == "capacity":
        _check_pool(text, fault.pool, region)
    service, operation = fault.only.get("service"), fault.only.get("operation")
    if service is not None:
        _check_known(text, "service", service, SERVICES)
    if operation is not None:
        asked = SERVICES if service is None else (service,)
        known = {name for each in asked for name in operations(each)}
        of = f"operation of {service}" if service else "operation of what flyback calls"
        _check_known(text, of, operation, sorted(known))


def _check_pool(text: str, pool: str, region: str) -> None:
    catalogue = load_catalogue()
    zones = _zones(catalogue, region)
    if pool in (_EVERYTHING, *_MARKETS, *zones):
        return
    if "." in pool:
        _check_known(text, "instance type", pool, sorted(catalogue.types))
    elif any(pool in _zones(catalogue, other) for other in catalogue.regions):
        here = f"zones of {region}: {', '.join(zones)}"
        raise _mistake(
            text, f"{pool} lies outside {region}, where this rehearsal takes place", here
        )
    else:
        _check_known(text, "zone or market", pool, [*zones, *_MARKETS])


def _zones(catalogue: Catalogue, region: str) -> list[str]:
    return sorted({zone for offer in catalogue.offers(region) for zone in offer.zones})


def _check_known(text: str, what: str, word: str, known: Sequence[str]) -> None:
    if word in known:
        return
    folded = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), folded, n=3)
    if near:
        remedy = f"did you mean {' or '.join(repr(folded[each]) for each in near)}?"
    elif len(known) <= _LISTED:
        remedy = f"known: {', '.join(known)}"
    else:
        remedy = f"for example {', '.join(known[:_LISTED])}"
    raise _mistake(text, f"no {what} is called {word!r}", remedy)


def _form(kind: str) -> str:
    return f"for example --fault {_FORMS[kind]}"


def _mistake(text: str, what: str, remedy: str) -> UserError:
    return UserError(what, where=f"--fault {text}", remedy=remedy)
