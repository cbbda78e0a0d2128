"""Client tokens: the same request twice is one launch."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from flyback.rehearsal.call import AwsError

__all__ = ["Tokens"]

T = TypeVar("T")

_MAX_CHARACTERS = 64


class Tokens(Generic[T]):
    """Answers by client token. They are kept for good: AWS keeps those of instances ≥ 24 h."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._kept: dict[tuple[str, str], tuple[str, T]] = {}

    def once(self, scope: str, params: Mapping[str, Any], make: Callable[[], T]) -> T:
        """What a request made, or what it made the first time.

        Args:
            scope: Where tokens may not meet: operation and region.
            params: Of the request; `ClientToken` may be absent, then every request is new.
            make: Carries the request out. If it fails, the token stays unused.

        Raises:
            AwsError: the token came before with other parameters, or it is too long.
        """
        token = str(params.get("ClientToken") or "")
        if not token:
            return make()
        if len(token) > _MAX_CHARACTERS or not token.isascii():
            raise AwsError(
                "InvalidParameterValue",
                f"Value ({token}) for parameter clientToken is invalid. "
                "Invalid client token: at most 64 ASCII characters.",
            )
        asked = {key: params[key] for key in params if key not in ("ClientToken", "DryRun")}
        print_of = json.dumps(asked, sort_keys=True, default=str)
        with self._lock:  # two at once with one token: the second waits for the first
            kept = self._kept.get((scope, token))
            if kept is None:
                kept = self._kept[scope, token] = (print_of, make())
        if kept[0] != print_of:
            raise AwsError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in "
                "previous request(s).",
            )
        return kept[1]
