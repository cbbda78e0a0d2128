"""The lock of the shipped workloads: by hash, for both architectures, from anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import flyback

LOCK = Path(flyback.__file__).parent / "workloads" / "requirements.txt"
PURE = {"pycparser", "typing-extensions"}


def _blocks() -> dict[str, list[str]]:
    """Pinned name → hashes."""
    found: dict[str, list[str]] = {}
    for line in LOCK.read_text().splitlines():
        if pinned := re.match(r"([a-z-]+)==[0-9.]+ \\$", line):
            name = pinned.group(1)
            found[name] = []
        elif digest := re.search(r"--hash=sha256:([0-9a-f]{64})(?: \\)?$", line):
            found[name].append(digest.group(1))
    return found


def test_each_distribution_is_pinned_by_hash() -> None:
    """Compiled ones have a wheel for x86_64 and one for aarch64, pure ones a single wheel."""
    blocks = _blocks()
    assert {name: len(set(hashes)) for name, hashes in blocks.items()} == {
        name: 1 if name in PURE else 2 for name in blocks
    }
    assert set(blocks) == {"cffi", "numpy", "scipy", "soundfile"} | PURE


def test_the_lock_names_no_place() -> None:
    """Which index it comes from is the machine's business: no host, no URL, no option."""
    text = LOCK.read_text()
    assert "://" not in text
    assert not [line for line in text.splitlines() if line.startswith("-")]
