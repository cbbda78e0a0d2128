"""`reap --yes` looks twice where a machine was ended: what was done is reported all the same."""

from __future__ import annotations

from typing import Any

import pytest

from flyback.aws.listing import Found
from flyback.aws.listings import LISTINGS
from flyback.errors import LeftoversError
from flyback.launch import leftovers
from flyback.launch.leftovers import Orphans, clear

CLOCK: Any = None
STACK = "the stack flyback-core is in state DELETE_IN_PROGRESS"


def _thing(kind: str, identifier: str) -> Found:
    listing = next(item for item in LISTINGS if item.kind == kind)
    return Found(listing=listing, identifier=identifier)


class Account:
    """What is found at each look, and what is done about it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *looks: Orphans) -> None:
        self.done: list[str] = []
        self.refuses: set[str] = set()
        seen = iter(looks)
        monkeypatch.setattr(leftovers, "orphans", lambda *_: next(seen))
        monkeypatch.setattr(leftovers, "terminate_and_wait", self._end)
        monkeypatch.setattr(leftovers, "_removed", self._remove)

    def clear(self) -> tuple[Orphans, tuple[str, ...]]:
        account: Any = self
        return clear(account, "flyback", CLOCK)

    def _end(self, _: Any, machines: tuple[str, ...], *__: Any) -> None:
        self.done += machines
        if self.refuses.intersection(machines):
            raise LeftoversError(f"still not terminated: {machines[0]}")

    def _remove(self, _: Any, found: Found, *__: Any, **___: Any) -> list[str]:
        self.done.append(found.identifier)
        return [f"{found.identifier} stays"] if found.identifier in self.refuses else []


def _orphans(*things: Found, machines: tuple[str, ...] = (), **fields: Any) -> Orphans:
    return Orphans(machines=machines, things=things, unfinished=(), refused=(), **fields)


def test_a_stack_that_is_being_deleted_by_then_hides_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was removed is told, and that another go is due; not that nothing was removed."""
    stack = _thing("stack", "flyback-core")
    before = _orphans(stack, machines=("i-1",))
    account = Account(monkeypatch, before, _orphans(unsettled=(STACK,)))
    found, (failed,) = account.clear()
    assert account.done == ["i-1", "flyback-core"]
    assert found == before
    assert failed.startswith(STACK)
    assert "again" in failed


def test_what_cannot_be_removed_is_tried_once_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not end is waited for once; what comes to light goes all the same."""
    topic, disk = _thing("topic", "arn:t"), _thing("volume", "vol-1")
    before = _orphans(topic, machines=("i-1", "i-2"))
    account = Account(monkeypatch, before, _orphans(topic, disk, machines=("i-1",)))
    account.refuses = {"i-1", "arn:t"}
    found, failed = account.clear()
    assert account.done == ["i-1", "i-2", "arn:t", "vol-1"]
    assert found.things == (topic, disk)
    assert failed == ("still not terminated: i-1", "arn:t stays")
