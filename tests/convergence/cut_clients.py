"""Processes of the command line whose k-th call fails, in a cloud that others share."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from botocore.exceptions import ConnectionClosedError
from copies import Line
from dying import Killed, KilledThread

from flyback.api.wiring import Cloud
from flyback.aws.ledger import FileLedger
from flyback.rehearsal.middleware.faults import Armed, Fault

MODES = (
    "refused",  # the call is denied
    "lost",  # it takes effect, and neither its answer nor any of its retries' comes back
    "repeated",  # it takes effect, its answer does not come back, and botocore asks again
    "killed-before",  # the client's process ends before the call
    "killed-after",  # it ends before it has seen the answer
)
_ASKED_ALIKE = 3
_QUESTION = re.compile(r"^(GET|HEAD) |[.=](Describe|Get|List)[A-Z]")


@dataclass
class Client:
    """One process of the command line: a session of its own in a cloud that others share.

    Args:
        mode: How its call `k` fails; empty: none does.
        k: Which of its calls, from 1; 0: none.
    """

    mode: str = ""
    k: int = 0
    asked: list[str] = field(default_factory=list, init=False)
    dead: bool = field(default=False, init=False)
    _cut: str = field(default="", init=False)  # botocore's name of call `k`, the same for retries
    _lost: int = field(default=0, init=False)
    _armed: tuple[Armed, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        """How many it has made."""
        return len(self.asked)

    def telling(self, alike: int) -> dict[int, tuple[str, ...]]:
        """How each of its calls may fail, by number; ways that come to the same are left out.

        Args:
            alike: Calls that say what so many before them said are left out.
        """
        said: Counter[str] = Counter()
        found = {}
        for number, words in enumerate(self.asked, start=1):
            said[words] += 1
            if said[words] <= alike:
                found[number] = _modes(words, said[words])
        return found

    @property
    def cut_off(self) -> bool:
        """Whether its call `k` has failed as it was to."""
        return self.dead or self._lost > 0 or any(armed.acted for armed in self._armed)

    def enter(self, cloud: Cloud) -> Cloud:
        """The cloud as this client sees it."""
        assert cloud.emulated is not None
        if self.mode == "refused":
            self._armed = cloud.emulated.faults.add(
                Fault(
                    service="*",
                    operation="*",
                    calls=(self.k,),
                    via="",
                    code="AccessDenied",
                    status=403,
                )
            )
        ledger = FileLedger(cloud.ledger.path, cloud.clock)
        session = line_of(cloud).session(self, ledger)
        return dataclasses.replace(cloud, session=session, ledger=ledger)

    def before(self, request: Any) -> None:
        """A request is about to be sent."""
        with self._lock:
            self.asked.append(_words(request))
            number = self.calls
            if number == self.k:
                self._cut = _call_of(request)
        if self.dead or (self.mode == "killed-before" and number == self.k):
            self._die()

    def sent(self, request: Any) -> None:
        """A request has taken effect; its answer is on the way."""
        with self._lock:
            lost = self._cut == _call_of(request) and (
                self.mode == "lost" or (self.mode == "repeated" and not self._lost)
            )
            self._lost += lost
        if lost:
            raise ConnectionClosedError(endpoint_url=request.url)

    def after(self) -> None:
        """A request has been answered."""
        with self._lock:
            number = self.calls
        if self.dead or (self.mode == "killed-after" and number == self.k):
            self._die()

    def _die(self) -> None:
        self.dead = True
        if threading.current_thread() is threading.main_thread():
            raise Killed
        raise KilledThread


def _modes(words: str, time: int) -> tuple[str, ...]:
    """How a call may fail that says something for the `time`-th time.

    A question has no effect, so it is all one whether one dies before or after it is answered, and
    another answer to the same question is like the first. Whoever asks it over and over asks from
    the same line of code: only how the cloud stands when they die is another each time.
    """
    if not _QUESTION.search(words):
        return MODES
    return ("refused", "lost", "killed-after") if time <= _ASKED_ALIKE else ("killed-after",)


def _words(request: Any) -> str:
    """What a request says, without its signature."""
    target = request.headers.get("X-Amz-Target")
    body = request.body if isinstance(request.body, (bytes, str)) else ""
    return f"{request.method} {request.url} {target} {body!r}"


def _call_of(request: Any) -> str:
    name = request.headers["amz-sdk-invocation-id"]
    return name.decode() if isinstance(name, bytes) else str(name)


def line_of(cloud: Cloud) -> Any:
    """The clients of a cloud, made once."""
    assert cloud.emulated is not None
    if cloud.emulated not in _LINES:
        _LINES[cloud.emulated] = Line(cloud)
    return _LINES[cloud.emulated]


_LINES: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
