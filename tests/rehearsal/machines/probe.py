"""What a hostile machine tries: runs on it as a script, with the plan on its standard input.

Does no lasting harm where it succeeds: what it makes it removes, and only the files that the test
made for that purpose are destroyed. Leaves what succeeded in `found.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

OWN = Path(os.environ["FLYBACK_ROOT"])
MINE = OWN / "mine"


class Probe:
    """Attempts, and those that succeeded by kind."""

    def __init__(self) -> None:
        self.attempts = 0
        self.found: dict[str, list[Any]] = {"reads": [], "writes": [], "network": [], "own": []}

    def attempt(self, kind: str, what: object, action: Callable[[], object]) -> None:
        """Try something that must fail."""
        self.attempts += 1
        with contextlib.suppress(OSError):
            action()
            self.found[kind].append(what)

    def read(self, path: Path, link: Path) -> None:
        """Read a path: itself, by links, as a program."""
        self.attempt("reads", str(path), lambda: look(path))
        link.symlink_to(path)
        self.attempt("reads", f"a symbolic link to {path}", lambda: look(link))
        self.attempt("reads", f"a hard link to {path}", lambda: os.link(path, f"{link}.hard"))
        self.attempt("reads", f"running {path}", lambda: subprocess.run([path], check=False))

    def write(self, path: Path) -> None:
        """Open a file for writing; make something of each kind in a folder."""
        if not path.is_dir():
            self.attempt("writes", str(path), lambda: path.open("ab").close())
            return
        new = path / "flyback-probe"
        self.make(new, new.mkdir)
        self.make(new, lambda: new.symlink_to("/"))
        self.make(new, lambda: new.touch(exist_ok=False))
        self.make(new, lambda: new.hardlink_to(MINE))
        self.make(new, lambda: MINE.rename(new))

    def make(self, new: Path, action: Callable[[], object]) -> None:
        """Try to make something, and take it away should that succeed."""
        self.attempt("writes", str(new), action)
        for remove in (new.unlink, new.rmdir):
            with contextlib.suppress(OSError):
                remove()

    def destroy(self, path: Path) -> None:
        """Change and remove a file that exists for this."""
        self.attempt("writes", str(path), lambda: os.truncate(path, 0))
        self.attempt("writes", str(path), lambda: MINE.replace(path))
        self.attempt("writes", str(path), lambda: path.rename(OWN / "taken"))
        self.attempt("writes", str(path), path.unlink)

    def connect(self, address: tuple[str, int]) -> None:
        """Reach a port by every kind of socket."""
        self.attempt("network", address, lambda: socket.create_connection(address, 2).close())
        self.attempt("network", ("udp", *address), lambda: datagram(address))
        self.attempt("network", "unix", lambda: socket.socket(socket.AF_UNIX).close())


def look(path: Path) -> None:
    """Read something of a file or a folder."""
    if path.is_dir():
        list(path.iterdir())
    else:
        with path.open("rb") as file:
            file.read(1)


def datagram(address: tuple[str, int]) -> None:
    """Send one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", address)


def main() -> None:
    """Try all of the plan."""
    plan = json.load(sys.stdin)
    probe = Probe()
    MINE.write_text("mine")
    probe.found["own"].append(MINE.read_text())
    for number, path in enumerate(map(Path, plan["paths"])):
        probe.read(path, OWN / f"link{number}")
        probe.write(path)
    for path in map(Path, plan["read_only"]):
        probe.write(path)
    for path in map(Path, plan["victims"]):
        probe.destroy(path)
    for secret in plan["secrets"]:
        probe.attempt("reads", secret, lambda secret=secret: look(Path(secret)))
    for host, port in plan["addresses"]:
        probe.connect((host, port))
    result = {"attempts": probe.attempts, **probe.found}
    (OWN / "found.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
