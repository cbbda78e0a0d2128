"""What makes a scenario fail: one refusal more than it expects, or one less."""

from __future__ import annotations

from collections.abc import Iterable

from flyback.audit.iam import Asked

__all__ = ["ScenarioFailedError", "check", "refused"]


class ScenarioFailedError(AssertionError):
    """A scenario met other refusals than it expects; its name begins the message."""


def refused(asked: Iterable[Asked]) -> list[str]:
    """Every refusal: the action, and the resource within its service."""
    return [
        f"{item.action} {item.resource.split(':', 5)[-1]}" for item in asked if not item.allowed
    ]


def check(scenario: str, asked: Iterable[Asked], expected: Iterable[str] = ()) -> None:
    """Fail a scenario by its name, unless exactly what it expects was refused.

    Args:
        scenario: Its name.
        asked: Every question to IAM while it ran.
        expected: `action resource` of each; the whole resource may be left out.

    Raises:
        ScenarioFailedError: what was refused, and what was to be.
    """
    found, wanted = set(refused(asked)), set(expected)
    actions = {text.partition(" ")[0] for text in wanted if " " not in text}
    unexpected = {
        text for text in found if text not in wanted and text.partition(" ")[0] not in actions
    }
    missing = wanted - found - {text.partition(" ")[0] for text in found}
    if unexpected or missing:
        raise ScenarioFailedError(
            f"{scenario}: refused {sorted(found)}, to be refused {sorted(wanted)}"
        )
