"""The clock itself.

Time stands still while any participant runs. When all of them wait, it goes on: straight to the
next due wait or action where nobody computes, and as measured real time multiplied by `factor`
where somebody does. What is due is handled one at a time, so equal seeds give equal orders.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flyback.rehearsal.clock.agenda import Agenda, ClockError, Handle, Wait
from flyback.rehearsal.clock.computing import Computing
from flyback.rehearsal.clock.participant import Participant
from flyback.spec.clock import Clock

__all__ = ["VirtualClock"]


@dataclass(eq=False)
class _Member:
    """One name that takes part; a guest does so only while it waits."""

    order: int
    guest: bool
    pending: Wait | None = None


class VirtualClock:
    """Simulated time that all processes of a rehearsal share.

    Args:
        start: Simulated time at the beginning, in seconds since the epoch.
        factor: Simulated seconds per measured second of computing; with 0 a job takes as long as
            it says (`worked`), or no time, and all that happens follows from the seed.
        flow_speed: Simulated seconds per real second while nobody takes part (a served cloud
            between two commands); None lets time stand still then.
        real: Source of real time, in seconds.

    Raises:
        ValueError: a speed is not above zero.
    """

    def __init__(
        self,
        start: float,
        factor: float = 1.0,
        flow_speed: float | None = None,
        *,
        real: Callable[[], float] = time.monotonic,
    ) -> None:
        if factor < 0 or (flow_speed is not None and flow_speed <= 0):
            raise ValueError("a clock does not run backwards")
        self._now = start
        self._flow_speed = flow_speed
        self._flow_from: tuple[float, float] | None = None
        self._real = real
        self._members: dict[str, _Member] = {}
        self._orders: dict[str, int] = {}
        self._computing = Computing(factor, real)
        self._agenda = Agenda()
        self._acting = False
        self._broken: ClockError | None = None
        self._changed = threading.Condition(threading.RLock())
        self._thread = threading.Thread(target=self._run, name="flyback-clock", daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Simulated seconds since the epoch."""
        with self._changed:
            self._flow()
            return self._now

    def participant(self, name: str) -> Participant:
        """This clock for one thread of this process; it takes part once it has joined."""
        return Participant(self, name)

    def call_at(self, when: float, action: Callable[[], object]) -> Handle:
        """Run `action` at a simulated time, or as soon as nobody runs if that has passed.

        Actions run one at a time on the clock's own thread while time stands still. One that
        raises breaks the clock: every wait, pending and to come, fails with its error.
        """
        with self._changing():
            handle = Handle(max(when, self._now), action)
            self._agenda.put_action(handle)
            return handle

    def call_after(self, seconds: float, action: Callable[[], object]) -> Handle:
        """Run `action` when that many simulated seconds have passed."""
        with self._changed:
            self._flow()
            return self.call_at(self._now + seconds, action)

    def spawn(self, name: str, target: Callable[[Clock], None]) -> threading.Thread:
        """Run `target` in a thread that takes part, from when everybody else waits till it ends.

        An exception in it breaks the clock, as one in an action does.
        """
        participant = self.participant(name)
        with self._changing():
            member = self._member(name, guest=False)
            turn = member.pending = Wait(self._now)
            self._agenda.put_wait(turn, member.order)

        def body() -> None:
            try:
                if self._broken is None and turn.done.wait() and turn.error is None:
                    target(participant)
            except Exception as error:  # noqa: BLE001  # whatever it is, nobody may wait for it
                self._break(f"{name} failed: {error!r}", error)
            finally:
                participant.leave()

        thread = threading.Thread(target=body, name=name, daemon=True)
        thread.start()
        return thread

    def join(self, name: str) -> None:
        """Let `name` take part, running; does nothing if it does already."""
        with self._changing():
            member = self._member(name, guest=False)
            member.guest = False

    def leave(self, name: str) -> None:
        """Let `name` take part no longer and wake what it still waits for; idempotent."""
        with self._changing():
            member = self._members.pop(name, None)
            if member is not None and member.pending is not None:
                self._release(member, member.pending)
            self._go_on(*self._computing.said(name))
            self._computing.forget(name)

    def wait(
        self, name: str, seconds: float, *, pid: int | None = None, supersede: bool = False
    ) -> float:
        """Block until simulated time has advanced by `seconds`.

        With `pid`, that child of `name` computes meanwhile: time flows as measured, and the wait
        ends when simulated time reaches the child's measured end, which `resume` tells. A name
        that has not joined holds time only while it waits.

        Args:
            name: Who waits.
            seconds: Simulated seconds; may be infinite.
            pid: Process id of the child that computes.
            supersede: End a wait of the same name that is still pending, whose process is gone.

        Returns:
            The simulated time.

        Raises:
            ClockError: the clock is closed or broken, or `name` waits already.
        """
        with self._changing():
            if self._broken is not None:
                raise self._error()
            wait = self._begin(name, seconds, pid)
            if wait.due <= self._now:
                return self._now
            member = self._member(name, guest=True)
            if member.pending is not None:
                if not supersede:
                    raise ClockError(f"{name} waits already: one thread of a participant waits")
                self._release(member, member.pending)
                self._members[name] = member
            member.pending = wait
            self._agenda.put_wait(wait, member.order)
        try:
            wait.done.wait()
        except BaseException:  # Ctrl-C: who was interrupted runs again
            self._give_up(name, wait)
            raise
        if wait.error is not None:
            raise wait.error
        return wait.at

    def resume(self, name: str, pid: int) -> None:
        """The child `pid` of `name` has ended just now."""
        with self._changing():
            work = self._computing.end(name, pid, self._now)
            if work is None:
                return
            self._go_on(*self._computing.said(name))
            member = self._members.get(name)
            if member is not None and member.pending is not None and member.pending.work is work:
                member.pending.due = max(work.end or 0.0, self._now)
                self._agenda.put_wait(member.pending, member.order)

    def worked(self, name: str, seconds: float) -> None:
        """Block until what computes for `name` has worked so many simulated seconds more.

        With a factor of 0 a job takes exactly as long as it says, whatever the computer does.
        """
        with self._changing():
            if self._broken is not None:
                raise self._error()
            wait = self._computing.say(name, seconds, self._now)
            self._agenda.put_wait(wait, self._orders.setdefault(name, len(self._orders)))
        wait.done.wait()
        if wait.error is not None:
            raise wait.error

    def signalled(self, name: str) -> None:
        """The children of `name` were sent a signal; what they said that they work is over."""
        with self._changing():
            self._go_on(*self._computing.said(name))

    def serve(self, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one message of the wire protocol that `RemoteClock` speaks.

        Args:
            verb: `now`, `join`, `leave`, `wait`, `resume`, `worked` or `signalled`.
            body: `participant`, and for `wait` and `worked` also `seconds`; for `wait` also
                `working` and maybe `pid`.

        Raises:
            ClockError: an unknown verb, or the clock is closed or broken.
        """
        name = str(body.get("participant", "process"))
        if verb == "wait":
            pid = int(body["pid"]) if body.get("working") else None
            return {"now": self.wait(name, float(body["seconds"]), pid=pid, supersede=True)}
        if verb == "join":
            self.join(name)
        elif verb == "leave":
            self.leave(name)
        elif verb == "resume":
            self.resume(name, int(body["pid"]))
        elif verb == "worked":
            self.worked(name, float(body["seconds"]))
        elif verb == "signalled":
            self.signalled(name)
        elif verb != "now":
            raise ClockError(f"the clock knows no verb {verb!r}")
        return {"now": self.now()}

    def explain(self) -> str:
        """Who runs, who waits for what: why time goes on or stands still."""
        with self._changed:
            parts = []
            for name, member in self._members.items():
                wait = member.pending
                if wait is None:
                    parts.append(f"{name} runs")
                elif wait.work is not None and wait.work.end is None:
                    parts.append(f"{name} computes")
                else:
                    parts.append(f"{name} waits {wait.due - self._now:g} s")
            if self._acting:
                parts.append("an event is being handled")
            return ", ".join(parts) or "nobody takes part"

    def close(self) -> None:
        """Stop for good: pending waits fail with an error, scheduled actions never run."""
        self._break(f"the rehearsal's clock was closed ({self.explain()})", None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _break(self, sentence: str, cause: BaseException | None) -> None:
        with self._changing():
            if self._broken is None:
                self._broken = ClockError(sentence)
                self._broken.__cause__ = cause
            for member in list(self._members.values()):
                if member.pending is not None:
                    member.pending.error = self._error()
                    self._release(member, member.pending)
            for wait in self._computing.said():
                wait.error = self._error()
                self._go_on(wait)

    def _error(self) -> ClockError:
        """A new exception for each thread that raises it."""
        error = ClockError(str(self._broken))
        error.__cause__ = self._broken.__cause__ if self._broken is not None else None
        return error

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Let time flow up to a change by its old rule, and from it by the new."""
        with self._changed:
            self._flow()
            yield
            self._flow()
            self._changed.notify_all()

    def _member(self, name: str, *, guest: bool) -> _Member:
        order = self._orders.setdefault(name, len(self._orders))
        return self._members.setdefault(name, _Member(order, guest))

    def _begin(self, name: str, seconds: float, pid: int | None) -> Wait:
        if math.isnan(seconds):
            raise ClockError(f"{name} waits for no number of seconds")
        if pid is None:
            return Wait(self._now + seconds)
        work = self._computing.begin(name, pid, self._now)
        # Where the child is over, its own end counts, even where that lies beyond `seconds`.
        return Wait(self._now + seconds if work.end is None else work.end, work)

    def _go_on(self, *waits: Wait) -> None:
        """Let children compute again that have worked as long as they said."""
        for wait in waits:
            self._computing.worked(wait, self._now)
            wait.over = True
            wait.done.set()

    def _release(self, member: _Member, wait: Wait) -> None:
        member.pending = None
        wait.over = True
        wait.at = self._now
        if member.guest:
            self._members = {k: v for k, v in self._members.items() if v is not member}
        wait.done.set()

    def _give_up(self, name: str, wait: Wait) -> None:
        with self._changing():
            member = self._members.get(name)
            if member is not None and member.pending is wait:
                self._release(member, wait)

    def _reach(self) -> tuple[float, float]:
        """How far time may go just now, and how fast that moves (simulated s per real s)."""
        waits = [member.pending for member in self._members.values()]
        computing = [w.work for w in waits if w and w.work and w.work.end is None]
        if self._acting or not all(waits):
            reach = (-math.inf, 0.0)
        elif computing:
            reach = self._computing.reach(computing)
        elif waits:
            reach = (math.inf, 0.0)
        elif self._flow_speed is None or self._broken is not None:
            reach = (self._now, 0.0)
        else:
            real = self._real()
            self._flow_from = self._flow_from or (self._now, real)
            then, since = self._flow_from
            return then + self._flow_speed * (real - since), self._flow_speed
        self._flow_from = None
        return reach

    def _flow(self) -> None:
        """Bring `_now` up to date where time flows, never past what is due."""
        reach, _ = self._reach()
        first = self._agenda.first()
        if first is not None:
            reach = min(reach, first.due)
        if self._now < reach < math.inf:
            self._now = reach

    def _run(self) -> None:
        while True:
            with self._changed:
                handle = self._next_action()
            if handle is None:
                return
            try:
                handle.action()
            except Exception as error:  # noqa: BLE001  # whatever it is, nobody may wait for it
                self._break(f"an event of the rehearsal failed: {error!r}", error)
            finally:
                with self._changing():
                    self._acting = False

    def _next_action(self) -> Handle | None:
        """Go on, releasing waits as they come due, until an action is due; None when closed."""
        while self._broken is None:
            reach, speed = self._reach()
            first = self._agenda.first()
            if first is None or first.due > reach or first.due == math.inf:
                self._flow()
                self._changed.wait(self._real_seconds(first, reach, speed))
                continue
            self._agenda.pop()
            self._now = max(self._now, first.due)
            if isinstance(first, Handle):
                first.over = self._acting = True
                return first
            if first.said_by is None:
                self._release(self._owner(first), first)
            else:
                self._go_on(first)
        return None

    @staticmethod
    def _real_seconds(first: Handle | Wait | None, reach: float, speed: float) -> float | None:
        """Real seconds until flowing time reaches what is due first; None where it never does."""
        if first is None or not speed or first.due == math.inf:
            return None
        return min((first.due - reach) / speed, threading.TIMEOUT_MAX)

    def _owner(self, wait: Wait) -> _Member:
        return next(member for member in self._members.values() if member.pending is wait)
