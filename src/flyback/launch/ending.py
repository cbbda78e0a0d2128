"""Ending machines: ask, wait, then press those whose system does not go off, each minute anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from flyback.aws.ec2 import GONE
from flyback.aws.session import Session
from flyback.errors import AccessDeniedError, FlybackError, LeftoversError
from flyback.spec.clock import Clock

__all__ = ["POLL_S", "Ending", "command_for", "said_by", "told_to_end"]

POLL_S = 5.0
"""Seconds between two looks at machines that are ending."""
_PRESS_S = 60.0  # an operating system that shuts down in order is done long before
_UNKNOWN_S = 60.0  # so long EC2 may not know a machine that it has just started
_PATIENCE_S = 900.0


class Ending:
    """Machines that are told to end, whoever tells them: `stop`, `down`, `reap`, the guardian.

    A system that has not gone off after a minute is taken to hang, and its machine is terminated
    without waiting for it. What EC2 refuses is asked again a minute later. None keeps another.

    Args:
        session: The account.
        clock: Says when a minute has passed.
        say: Told what is done beyond the first request, as a sentence.
    """

    def __init__(
        self, session: Session, clock: Clock, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._session = session
        self._clock = clock
        self._say = say
        self._asked: dict[str, float] = {}  # when first
        self._due: dict[str, float] = {}
        self._refused: dict[str, Exception] = {}
        self._unseen: dict[str, Exception] = {}
        self.left: tuple[str, ...] = ()

    @property
    def refused(self) -> Mapping[str, Exception]:
        """Machines that are left → why EC2 did not take, or answer, what it was asked of them."""
        found = {**self._unseen, **self._refused}
        return {name: found[name] for name in self.left if name in found}

    def ask(self, machines: Iterable[str]) -> None:
        """Tell machines to end, each once."""
        for name in machines:
            if name not in self._asked:
                self._asked[name] = self._clock.now()
                self._due[name] = self._asked[name] + _PRESS_S
                self.left = (*self.left, name)
                self._tell(name)

    def look(self) -> tuple[str, ...]:
        """Those that are not terminated; what hangs is pressed on the way."""
        self.left = tuple(name for name in self.left if not self._is_gone(name))
        for name in self.left:
            if self._clock.now() >= self._due[name]:
                self._due[name] = self._clock.now() + _PRESS_S
                self._say(f"{name} has not ended: terminating it without waiting for its system")
                self._tell(name, at_once=True)
        return self.left

    def abandon(self) -> None:
        """Wait for none of them any more."""
        self.left = ()

    def _is_gone(self, name: str) -> bool:
        try:
            machine = self._session.ec2.instance(name)
        except FlybackError as error:
            self._unseen[name] = error
            return False
        self._unseen.pop(name, None)
        if machine is None and self._clock.now() - self._asked[name] < _UNKNOWN_S:
            self._tell(name)
            return False
        return machine is None or machine.state in GONE

    def _tell(self, name: str, *, at_once: bool = False) -> None:
        how = {"at_once": True} if at_once else {}
        try:
            self._session.ec2.terminate((name,), **how)
        except Exception as error:  # noqa: BLE001  # one must not keep the others running
            self._refused[name] = error
            self._say(f"{name} can't be ended: {said_by(error)}")
        else:
            self._refused.pop(name, None)


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
            raise _still_there(left, refused)
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
