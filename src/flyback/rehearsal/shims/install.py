"""Putting the shims on a machine's PATH, and reading what they send."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flyback.rehearsal.shims.commands import COMMANDS
from flyback.rehearsal.shims.power import Reply
from flyback.spec.codec import write_atomic

__all__ = ["install", "parse", "render"]

_SEPARATOR = "\x1f"  # ends each word that a shim sends


def install(folder: Path) -> None:
    """Fill a folder with one shim per privileged command."""
    shim = folder / "flyback-shim"
    write_atomic(shim, Path(__file__).with_name("shim.bash").read_bytes())
    shim.chmod(0o755)
    for name in COMMANDS:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(shim.name)


def parse(body: bytes) -> tuple[str, Sequence[str]]:
    """Name and arguments from what a shim sent."""
    words = body.decode("utf-8", "replace").split(_SEPARATOR)
    return words[0], words[1:-1]


def render(reply: Reply) -> bytes:
    """A reply as the shim reads it: exit status, stream, text."""
    stream, text = (2, reply.err) if reply.err else (1, reply.out)
    return f"{reply.status}\n{stream}\n{text}".encode()
