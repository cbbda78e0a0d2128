"""Secrets that a job prints do not travel: they are replaced before a byte reaches the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

__all__ = ["LEAST_CHARS", "Redactor", "forms"]

LEAST_CHARS = 4
"""Shorter values are left alone: hiding `1` everywhere would ruin the log and hide nothing."""

_INSTEAD = b"***"


def forms(values: Iterable[str]) -> tuple[bytes, ...]:
    """What of these values is replaced: each as it stands, line by line, and as JSON writes it.

    The longest first. Encodings that a job makes itself (base64, a hash) are not among them.
    """
    found: set[str] = set()
    for value in values:
        for text in (value, value.strip(), *value.splitlines()):
            found |= {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    kept = {text.encode() for text in found if len(text.strip()) >= LEAST_CHARS}
    return tuple(sorted(kept, key=lambda form: (-len(form), form)))


class Redactor:
    """Replaces secrets in a stream, wherever it is cut.

    Args:
        hidden: What to replace, as `forms` gives it.
    """

    def __init__(self, hidden: tuple[bytes, ...]) -> None:
        self._hidden = hidden
        self._pattern = re.compile(b"|".join(map(re.escape, hidden))) if hidden else None
        self._longest = max(map(len, hidden), default=0)
        self._firsts = frozenset(form[0] for form in hidden)
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What may go on of the stream so far: all but what may be the beginning of a secret."""
        if self._pattern is None:
            return chunk
        self._held += chunk
        done = []
        while True:
            stop = self._doubtful()
            found = self._pattern.search(self._held)
            if found is None or found.start() >= stop:
                done.append(self._held[:stop])
                self._held = self._held[stop:]
                return b"".join(done)
            done += [self._held[: found.start()], _INSTEAD]
            self._held = self._held[found.end() :]

    def finish(self) -> bytes:
        """The rest, at the end of the stream."""
        rest, self._held = self._held, b""
        return self._pattern.sub(_INSTEAD, rest) if self._pattern is not None else rest

    def _doubtful(self) -> int:
        """Where the longest end begins that a secret begins with too, but is longer."""
        size = len(self._held)
        for start in range(max(0, size - self._longest + 1), size):
            if self._held[start] not in self._firsts:
                continue
            end = self._held[start:]
            if any(len(form) > len(end) and form.startswith(end) for form in self._hidden):
                return start
        return size
