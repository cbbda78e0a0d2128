"""First process of a simulated machine: run as a script, by path, with the standard library alone.

It starts the machine's commands one after the other behind a fence, is the parent of whatever they
leave behind, and kills all of it when its standard input ends: when the rehearsal halts the
machine, or dies itself. On standard output it reports, one JSON object a line: `fence` (what the
kernel enforces), `main` (exit status, once the last command has ended).

The fence, from the kernel's own descriptions (landlock(7), seccomp(2), capabilities(7)):
Landlock lets the commands reach only the listed paths and TCP ports and signal only each other;
seccomp leaves them no socket but TCP; as root they lose every capability.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import select
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["main"]

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # on every architecture
RULE_PATH, RULE_PORT = 1, 2
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
MAKE_CHAR, MAKE_BLOCK, REFER, TRUNCATE, IOCTL_DEV = 1 << 6, 1 << 11, 1 << 13, 1 << 14, 1 << 15
# Number of file rights by version of Landlock's interface; later versions have no more.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2
VERSION_NETWORK, VERSION_SCOPES = 4, 6
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 22, 24, 36, 38
LAST_CAPABILITY = 63
SECCOMP_MODE_FILTER = 2
# Machine: audit architecture, number of socket(2).
SOCKET_CALL = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
CANNOT_EXECUTE = 126


class Kernel:
    """System calls that Python does not wrap."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def prctl(self, option: int, *arguments: int | bytes) -> bool:
        """One setting of this process; true where the kernel agrees."""
        given = [*map(wide, arguments), *[ctypes.c_long(0)] * (4 - len(arguments))]
        return bool(self._libc.prctl(option, *given) == 0)

    def landlock(self, number: int, *arguments: int | bytes | None) -> int:
        """A Landlock call.

        Raises:
            OSError: the kernel refuses it.
        """
        result = int(self._libc.syscall(ctypes.c_long(number), *map(wide, arguments)))
        if result < 0:
            raise OSError(ctypes.get_errno(), f"landlock call {number}")
        return result


def wide(argument: int | bytes | None) -> Any:
    """A number as long as a register; pointers are so by themselves."""
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def fence_in(fence: dict[str, Any]) -> dict[str, Any]:
    """Put this process and all its children behind the fence; says what the kernel enforces.

    Raises:
        OSError: the kernel has Landlock and refuses its use.
    """
    applied = {"landlock": 0, "sockets": False, "capabilities": False}
    if sys.platform != "linux":
        return applied
    kernel = Kernel()
    kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)
    applied["landlock"] = restrict_paths(kernel, fence)
    applied["capabilities"] = drop_capabilities(kernel)
    applied["sockets"] = fence["ports"] is not None and restrict_sockets(kernel)
    return applied


def restrict_paths(kernel: Kernel, fence: dict[str, Any]) -> int:
    """Landlock; the version of its interface, 0 where the kernel has none."""
    try:
        version = kernel.landlock(CREATE_RULESET, None, 0, 1)
    except OSError:
        return 0
    handled = (1 << FILE_RIGHTS[min(version, max(FILE_RIGHTS))]) - 1
    ports = fence["ports"] if version >= VERSION_NETWORK else None
    network = 0 if ports is None else BIND_TCP | CONNECT_TCP
    attributes = struct.pack("=Q", handled)
    if version >= VERSION_NETWORK:
        attributes += struct.pack("=Q", network)
    if version >= VERSION_SCOPES:
        attributes += struct.pack("=Q", SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS)
    ruleset = kernel.landlock(CREATE_RULESET, attributes, len(attributes), 0)
    reading = EXECUTE | READ_FILE | READ_DIR
    for path in fence["read"]:
        allow_path(kernel, ruleset, path, reading)
    for path in fence["devices"]:
        allow_path(kernel, ruleset, path, handled & (READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV))
    for path in fence["write"]:
        allow_path(kernel, ruleset, path, handled & ~(MAKE_CHAR | MAKE_BLOCK))
    for port in ports or ():
        kernel.landlock(ADD_RULE, ruleset, RULE_PORT, struct.pack("=QQ", CONNECT_TCP, port), 0)
    kernel.landlock(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return version


def allow_path(kernel: Kernel, ruleset: int, path: str, rights: int) -> None:
    """Let the fence pass a path and what lies below it; one that does not exist is left out."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not Path(path).is_dir():
            rights &= EXECUTE | READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV
        rule = struct.pack("=Qi", rights, handle)
        kernel.landlock(ADD_RULE, ruleset, RULE_PATH, rule, 0)
    finally:
        os.close(handle)


def drop_capabilities(kernel: Kernel) -> bool:
    """Leave nothing that root could gain by exec; true where nothing is left."""
    if os.geteuid() != 0:
        return True
    # The kernel refuses numbers above its last capability.
    dropped = [kernel.prctl(PR_CAPBSET_DROP, number) for number in range(LAST_CAPABILITY)]
    return dropped[0]


def restrict_sockets(kernel: Kernel) -> bool:
    """Allow TCP sockets alone (and netlink, which tells addresses): no UDP, no Unix sockets."""
    if platform.machine() not in SOCKET_CALL:
        return False
    architecture, socket_call = SOCKET_CALL[platform.machine()]
    load, equal, above, mask, give = 0x20, 0x15, 0x35, 0x54, 0x06
    program = [
        (load, 0, 0, 4),  # architecture
        (equal, 0, 15, architecture),
        (load, 0, 0, 0),  # system call
        (above, 13, 0, 0x40000000),  # x32, a second numbering of calls
        (equal, 13, 0, 425),  # io_uring_setup: rings open sockets past this filter
        (equal, 0, 10, socket_call),
        (load, 0, 0, 16),  # family: netlink, IPv4, IPv6
        (equal, 8, 0, 16),
        (equal, 1, 0, 2),
        (equal, 0, 7, 10),
        (load, 0, 0, 24),  # type, without its flags: stream
        (mask, 0, 0, 0xF),
        (equal, 0, 4, 1),
        (load, 0, 0, 32),  # protocol: default or TCP
        (equal, 1, 0, 0),
        (equal, 0, 1, 6),
        (give, 0, 0, 0x7FFF0000),  # allow
        (give, 0, 0, 0x0005000D),  # EACCES
        (give, 0, 0, 0x00050026),  # ENOSYS
    ]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    return kernel.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header)


def report(**fields: Any) -> None:
    """One line to the rehearsal; lost where nobody reads any more."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(fields).encode() + b"\n")


def start(command: list[str], spec: dict[str, Any]) -> int:
    """Start one command behind the fence, in a session of its own; its process id."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        os.umask(0o022)
        log = os.open(spec["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 2)
        report(fence=fence_in(spec["fence"]))
        os.dup2(log, 1)
        os.chdir(spec["directory"])
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execve(command[0], command, spec["environment"])  # noqa: S606  # a list, no shell
    except BaseException as error:  # noqa: BLE001  # a child never returns into its parent's loop
        os.write(2, f"{command[0]}: {error}\n".encode())
    os._exit(CANNOT_EXECUTE)


def descendants() -> Iterator[int]:
    """Process ids of all that descends from this process; empty where /proc is missing."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue  # it has just ended
        parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    for pid in parents:
        ancestor = pid
        while ancestor in parents:
            ancestor = parents[ancestor]
            if ancestor == os.getpid():
                yield pid
                break


def kill_all(groups: list[int]) -> None:
    """Kill and collect every descendant, those born meanwhile included."""
    while True:
        for pid in descendants():
            send(os.kill, pid)
        for group in groups:
            send(os.killpg, group)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def send(how: Callable[[int, int], None], target: int) -> None:
    """SIGKILL to what may have ended."""
    with contextlib.suppress(ProcessLookupError):
        how(target, signal.SIGKILL)


def collect(current: int) -> tuple[bool, int | None]:
    """Take in the children that have ended: whether any is left, and the current one's status."""
    status = None
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False, status
        if pid == 0:
            return True, status
        if pid == current:
            status = os.waitstatus_to_exitcode(code)


def supervise(spec: dict[str, Any]) -> None:
    """Run the commands in order, then stay until nothing is left of them."""
    if sys.platform == "linux":
        Kernel().prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    commands = list(spec["commands"])
    started: list[int] = []
    result, running = 0, False
    while True:
        if not running and commands:
            started.append(start(commands.pop(0), spec))
            running = True
        left, status = collect(started[-1])
        if running and status is not None:
            running, result = False, result or status
            if not commands:
                report(main=result)
        if not left and not running and not commands:
            return
        if running or left:
            ready, _, _ = select.select([0, woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
            if 0 in ready:
                kill_all(started)
                return


def main() -> None:
    """Read the machine's description from the command line and run it."""
    supervise(json.loads(sys.argv[1]))


if __name__ == "__main__":
    main()
