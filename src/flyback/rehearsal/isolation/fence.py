"""Which paths a simulated machine may reach: an allow-list, computed for this computer."""

from __future__ import annotations

import os
import pwd
import site
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Fence", "private_paths", "system_paths"]

# Tools and libraries that every Linux system has; a machine image does not bring its own.
_SYSTEM = (
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libx32",
    "/usr/libexec",
    "/usr/share",
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
)
# What the dynamic linker, the resolver, TLS and Python read.
_ETC = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.preload",
    "passwd",
    "group",
    "nsswitch.conf",
    "hosts",
    "host.conf",
    "resolv.conf",
    "gai.conf",
    "localtime",
    "timezone",
    "locale.alias",
    "mime.types",
    "protocols",
    "services",
    "os-release",
    "debian_version",
    "bash.bashrc",
    "inputrc",
    "terminfo",
    "ssl/certs",
    "ssl/openssl.cnf",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "pki/ca-trust",
    "crypto-policies",
)
_DEVICES = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
)
# Python packages of the system's own interpreter are this computer's, not the image's.
_HIDDEN = ("/usr/lib*/python3*", "/usr/lib*/pypy3*", "/usr/share/pyshared")


@dataclass(frozen=True, kw_only=True)
class Fence:
    """What a machine's processes may reach; everything else is refused to them.

    Args:
        read: Files and folders to read, list and execute.
        write: Folders to do anything in.
        devices: Device files to read and write.
        ports: TCP ports to connect to; None leaves the network as it is.
    """

    read: tuple[str, ...]
    write: tuple[str, ...]
    devices: tuple[str, ...] = _DEVICES
    ports: tuple[int, ...] | None = ()


def private_paths() -> frozenset[Path]:
    """What belongs to the developer: home, scratch, this checkout, every place of packages."""
    checkout = Path(__file__).resolve().parents[4]
    places = [str(Path.home()), pwd.getpwuid(os.getuid()).pw_dir, str(checkout)]
    places += [tempfile.gettempdir(), "/tmp", "/var/tmp"]  # noqa: S108  # hidden, not used
    places += [entry for entry in sys.path if entry]
    places += [*site.getsitepackages(), site.getusersitepackages()]
    places += [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    for major in ("/usr/local/lib", "/usr/lib"):
        places += map(str, Path(major).glob("python3*"))
    return frozenset(Path(place).resolve() for place in places)


def system_paths(hidden: Iterable[Path]) -> tuple[str, ...]:
    """The system's tools and libraries, without what is hidden, as the fewest paths.

    Args:
        hidden: Resolved paths; one that holds a whole folder of the system hides nothing of it.
    """
    patterns = [path for pattern in _HIDDEN for path in Path("/").glob(pattern.lstrip("/"))]
    away = frozenset(hidden) | frozenset(patterns)
    roots = sorted({Path(root).resolve() for root in _SYSTEM if Path(root).exists()})
    etc = [Path("/etc", name).resolve() for name in _ETC]
    carved = [path for root in roots for path in _carve(root, away)]
    return tuple(map(str, [*carved, *(path for path in etc if path.exists())]))


def _carve(root: Path, hidden: frozenset[Path]) -> Iterator[Path]:
    """`root`, or where something hidden lies below it, everything beside that."""
    inside = frozenset(path for path in hidden if root in path.parents)
    if not inside:
        yield root
        return
    for child in sorted(root.iterdir()):
        # A link grants what it points to, which is granted under its own name or not at all.
        if child not in inside and not child.is_symlink():
            yield from _carve(child, inside)
