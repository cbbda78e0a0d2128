"""Ending machines: ask, wait, press those whose system does not go off, each minute anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from flyback.aws.ec2 import GONE
from flyback.aws.session import Session
from flyback.errors import AccessDeniedError, FlybackError, LeftoversError
from flyback.spec.clock import Clock

__all__ = ["POLL_S", "Ending", "command_for", "said_by", "told_to_end"]

POLL_S = 5.0
"""Seconds between two looks at machines that are ending."""
_AGAIN_S = 60.0
_SAVING_S = 180.0  # the agent's service has 150 s to bring home what there is
_UNKNOWN_S = 60.0  # so long EC2 may not know a machine that it has just started
_PATIENCE_S = 900.0


@dataclass
class _Machine:
    """How it stands with one: when first asked, when next, and whether EC2 took the request."""

    asked: float
    due: float = 0.0
    told: bool = False
    refused: Exception | None = None
    unseen: Exception | None = None


class Ending:
    """Machines that are told to end, whoever tells them: `stop`, `down`, `reap`, the guardian.

    A system that has not gone off in time is taken to hang, and its machine is terminated without
    waiting for it, each minute anew. What EC2 refuses is asked again a minute later. None keeps
    another.

    Args:
        session: The account.
        clock: Says when it is time.
        say: Told what is done beyond the first request, as a sentence.
        saving_s: Seconds that a system has to go off in.
    """

    def __init__(
        self,
        session: Session,
        clock: Clock,
        say: Callable[[str], None] = lambda _: None,
        saving_s: float = _SAVING_S,
    ) -> None:
        self._session = session
        self._clock = clock
        self._say = say
        self._saving_s = saving_s
        self._machines: dict[str, _Machine] = {}
        self.left: tuple[str, ...] = ()

    @property
    def refused(self) -> Mapping[str, Exception]:
        """Machines that are left → why EC2 did not take what it was asked of them."""
        found = {name: self._machines[name].refused for name in self.left}
        return {name: error for name, error in found.items() if error is not None}

    @property
    def unseen(self) -> Mapping[str, Exception]:
        """Machines that are left → why nobody knows how they stand."""
        found = {name: self._machines[name].unseen for name in self.left}
        return {name: error for name, error in found.items() if error is not None}

    def ask(self, machines: Iterable[str]) -> None:
        """Tell machines to end, each once."""
        for name in machines:
            if name not in self._machines:
                self._machines[name] = _Machine(asked=self._clock.now())
                self.left = (*self.left, name)
                self._tell(name)

    def look(self) -> tuple[str, ...]:
        """Those that are not terminated; what hangs is pressed on the way."""
        self.left = tuple(name for name in self.left if not self._is_gone(name))
        for name in self.left:
            machine = self._machines[name]
            if self._clock.now() < machine.due:
                continue
            if machine.told:
                self._say(f"{name} has not ended: terminating it without waiting for its system")
            self._tell(name, at_once=machine.told)
        return self.left

    def abandon(self) -> None:
        """Wait for none of them any more."""
        self.left = ()

    def _is_gone(self, name: str) -> bool:
        machine = self._machines[name]
        try:
            seen = self._session.ec2.instance(name)
        except FlybackError as error:
            machine.unseen = error
            return False
        machine.unseen = None
        if seen is None and self._clock.now() - machine.asked < _UNKNOWN_S:
            self._tell(name)
            return False
        return seen is None or seen.state in GONE

    def _tell(self, name: str, *, at_once: bool = False) -> None:
        machine = self._machines[name]
        machine.due = self._clock.now() + _AGAIN_S
        try:
            self._session.ec2.terminate((name,), at_once=at_once)
        except Exception as error:  # noqa: BLE001  # one must not keep the others running
            machine.refused = error
            self._say(f"{name} can't be ended: {said_by(error)}")
            return
        machine.refused = None
        if not at_once:
            machine.told, machine.due = True, self._clock.now() + self._saving_s


def told_to_end(
    session: Session, machines: Sequence[str], clock: Clock, say: Callable[[str], None]
) -> None:
    """End machines and see them ended.

    Raises:
        LeftoversError: one is not terminated after 15 minutes; at once, where we may end none of
            those that are left. It names each, and the command that ends them.
    """
    ending = Ending(session, clock, say)
    ending.ask(machines)
    give_up = clock.now() + _PATIENCE_S
    while left := ending.look():
        refused = ending.refused
        denied = all(isinstance(refused.get(name), AccessDeniedError) for name in left)
        if denied or clock.now() > give_up:
            raise _still_there(left, {**ending.unseen, **refused})
        clock.sleep(POLL_S)


def command_for(machines: Iterable[str]) -> str:
    """What ends machines by hand."""
    return f"aws ec2 terminate-instances --instance-ids {' '.join(machines)}"


def said_by(error: Exception) -> str:
    """What an error says, in a sentence."""
    return error.what if isinstance(error, FlybackError) else f"{type(error).__name__}: {error}"


def _still_there(left: Sequence[str], refused: Mapping[str, Exception]) -> LeftoversError:
    told = [
        f"{name} ({said_by(refused[name])})" if name in refused else name for name in sorted(left)
    ]
    remedies = [error.remedy for error in refused.values() if isinstance(error, FlybackError)]
    return LeftoversError(
        f"still not terminated: {', '.join(told)}",
        where="ec2:TerminateInstances",
        remedy="; ".join([*dict.fromkeys(text for text in remedies if text), command_for(left)]),
    )
