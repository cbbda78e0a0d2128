"""What each privileged command of a simulated machine answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from flyback.rehearsal.shims.power import Reply, shutdown, switch

__all__ = ["COMMANDS", "Gpu", "Machine", "interpret"]

_REFUSED = 126  # the shell's status for a command that may not be executed
_NO_DEVICE = 6  # nvidia-smi(1): a query to find an object was unsuccessful
_INVALID = 2  # nvidia-smi(1): a supplied argument is invalid


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU that the instance type would have.

    Args:
        name: As NVIDIA names it.
        memory_mib: Memory in MiB.
    """

    name: str
    memory_mib: int


class Machine(Protocol):
    """What the commands ask of the machine they run on."""

    def now(self) -> float:
        """Simulated time, in seconds since the epoch."""
        ...

    def goes_off_at(self) -> float | None:
        """When it goes off or reboots; None: not at all."""
        ...

    def gpus(self) -> Sequence[Gpu]:
        """The GPUs that its type has."""
        ...


def interpret(command: str, arguments: Sequence[str], machine: Machine) -> Reply:
    """What a command prints and does; the caller acts it out.

    Args:
        command: Its name.
        arguments: What follows the name.
        machine: Where it runs.
    """
    answer = COMMANDS.get(command)
    if answer is None:
        return _refuse(command)
    return answer(arguments, machine)


def _refuse(command: str) -> Reply:
    sentence = f"{command}: refused: a simulated machine has no privileges on this computer"
    return Reply(status=_REFUSED, err=sentence)


def _shutdown(arguments: Sequence[str], machine: Machine) -> Reply:
    return shutdown(arguments, machine.now(), machine.goes_off_at())


def _systemctl(arguments: Sequence[str], machine: Machine) -> Reply:
    words = [argument for argument in arguments if not argument.startswith("-")]
    verb, units = (words[0], words[1:]) if words else ("list-units", [])
    if verb in ("poweroff", "halt"):
        return switch("off")
    if verb == "reboot":
        return switch("reboot")
    if verb in ("is-active", "status", "is-failed"):
        return Reply(status=3, out="\n".join("inactive" for _ in units))
    if verb == "is-enabled":
        return Reply(status=1, out="\n".join("disabled" for _ in units))
    if verb in ("list-units", "list-timers"):
        return Reply(out="0 loaded units listed.")
    del machine
    sentence = (
        f"systemctl: recorded: a simulated machine has no services to {verb} {' '.join(units)}"
    )
    return Reply(err=sentence.rstrip())


def _docker(arguments: Sequence[str], machine: Machine) -> Reply:
    del arguments, machine
    return Reply(
        status=1, err="docker: a simulated machine runs no containers; the call is recorded"
    )


def _nvidia_smi(arguments: Sequence[str], machine: Machine) -> Reply:
    gpus = machine.gpus()
    if not gpus:
        return Reply(status=_NO_DEVICE, out="No devices were found")
    if "-L" in arguments or "--list-gpus" in arguments:
        return Reply(out="\n".join(_listed(i, gpu) for i, gpu in enumerate(gpus)))
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if "--query-gpu" in options:
        return _query(options, gpus)
    if arguments:
        return Reply(
            status=_INVALID,
            err=f"nvidia-smi: simulated: knows -L and --query-gpu, not {arguments[0]}",
        )
    lines = [f"{_listed(i, gpu)} {gpu.memory_mib} MiB" for i, gpu in enumerate(gpus)]
    return Reply(out="\n".join(["NVIDIA-SMI (simulated; no GPU is behind this)", *lines]))


def _listed(index: int, gpu: Gpu) -> str:
    return f"GPU {index}: NVIDIA {gpu.name} (simulated) (UUID: GPU-simulated-{index})"


def _query(options: dict[str, str], gpus: Sequence[Gpu]) -> Reply:
    fields = options["--query-gpu"].split(",")
    format_ = options.get("--format", "csv").split(",")
    unit = "" if "nounits" in format_ else " MiB"
    lines = [] if "noheader" in format_ else [", ".join(fields)]
    for index, gpu in enumerate(gpus):
        known = {
            "name": f"NVIDIA {gpu.name} (simulated)",
            "gpu_name": f"NVIDIA {gpu.name} (simulated)",
            "index": str(index),
            "count": str(len(gpus)),
            "uuid": f"GPU-simulated-{index}",
            "gpu_uuid": f"GPU-simulated-{index}",
            "memory.total": f"{gpu.memory_mib}{unit}",
        }
        lines.append(", ".join(known.get(field.strip(), "[N/A]") for field in fields))
    return Reply(out="\n".join(lines))


def _refusal(command: str) -> Callable[[Sequence[str], Machine], Reply]:
    return lambda _arguments, _machine: _refuse(command)


COMMANDS: dict[str, Callable[[Sequence[str], Machine], Reply]] = {
    "shutdown": _shutdown,
    "poweroff": lambda _arguments, _machine: switch("off"),
    "halt": lambda _arguments, _machine: switch("off"),
    "reboot": lambda _arguments, _machine: switch("reboot"),
    "systemctl": _systemctl,
    "systemd-run": lambda _arguments, _machine: Reply(),  # the shim starts what it names
    "docker": _docker,
    "nvidia-smi": _nvidia_smi,
    **{
        name: _refusal(name)
        for name in (
            *("sudo", "su", "pkexec", "chroot", "unshare", "nsenter"),
            *("mount", "umount", "swapon", "swapoff", "mkfs", "losetup", "dmsetup"),
            *("apt", "apt-get", "aptitude", "dpkg", "yum", "dnf", "rpm", "snap", "apk"),
            *("modprobe", "insmod", "rmmod", "sysctl", "kexec", "dmesg"),
            *("iptables", "nft", "tc"),
            *("useradd", "usermod", "userdel", "passwd", "chpasswd", "visudo", "crontab"),
            *("hostnamectl", "timedatectl", "loginctl", "journalctl", "service", "init"),
            *("podman", "ctr", "nerdctl", "nvidia-persistenced"),
        )
    },
}
