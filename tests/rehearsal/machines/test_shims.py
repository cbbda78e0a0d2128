"""Privileged commands, decided without a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyback.rehearsal.shims import Gpu, Power, Reply, interpret, parse, render

NOON = 1_700_049_600.0  # 2023-11-15 12:00:00 UTC


@dataclass
class Bare:
    """A machine that a test describes."""

    off_at: float | None = None
    listed: Sequence[Gpu] = ()

    def now(self) -> float:
        return NOON

    def goes_off_at(self) -> float | None:
        return self.off_at

    def gpus(self) -> Sequence[Gpu]:
        return self.listed


def call(line: str, machine: Bare | None = None) -> Reply:
    command, *arguments = line.split()
    return interpret(command, arguments, machine or Bare())


@pytest.mark.parametrize(
    ("line", "power"),
    [
        ("shutdown", Power(kind="off", at=NOON + 60)),
        ("shutdown -h now", Power(kind="off")),
        ("shutdown -P +0", Power(kind="off")),
        ("shutdown +90 going down", Power(kind="off", at=NOON + 5400)),
        ("shutdown --poweroff --no-wall +90", Power(kind="off", at=NOON + 5400)),
        ("shutdown -hP 90", Power(kind="off", at=NOON + 5400)),
        ("shutdown 13:30", Power(kind="off", at=NOON + 5400)),
        ("shutdown 11:00", Power(kind="off", at=NOON + 23 * 3600)),
        ("shutdown -r +5", Power(kind="reboot", at=NOON + 300)),
        ("shutdown -r now", Power(kind="reboot")),
        ("shutdown -c", Power(kind="cancel")),
        ("shutdown -k +5", None),
        ("shutdown --show", None),
        ("poweroff -f", Power(kind="off")),
        ("halt", Power(kind="off")),
        ("reboot", Power(kind="reboot")),
        ("systemctl poweroff -i", Power(kind="off")),
        ("systemctl --no-block reboot", Power(kind="reboot")),
        ("systemctl enable flyback.timer", None),
    ],
)
def test_what_the_power_commands_do(line: str, power: Power | None) -> None:
    """Each form of the commands does what its manual page says."""
    assert call(line).power == power


@pytest.mark.parametrize("when", ["25:00", "12:60", "soon", "+1h", "-1", "+"])
def test_a_time_that_is_none_does_nothing(when: str) -> None:
    """A mistake in `shutdown`'s time is an error, and the machine stays on."""
    reply = call(f"shutdown {when}")
    assert reply.status == 1
    assert reply.power is None
    assert reply.err


def test_show_tells_the_schedule() -> None:
    """`shutdown --show` names the moment, or fails where there is none."""
    assert call("shutdown --show", Bare(off_at=NOON)).out == (
        "Shutdown scheduled for Wed 2023-11-15 12:00:00 UTC."
    )
    assert call("shutdown --show").status == 1


def test_nvidia_smi_without_a_gpu() -> None:
    """A type without a GPU answers as the real command does without a device."""
    reply = call("nvidia-smi -L")
    assert (reply.status, reply.out) == (6, "No devices were found")


def test_nvidia_smi_says_that_its_gpus_are_simulated() -> None:
    """Every answer that names a GPU says that it is simulated."""
    machine = Bare(listed=[Gpu(name="T4", memory_mib=16384)] * 2)
    for line in ("nvidia-smi", "nvidia-smi -L", "nvidia-smi --query-gpu=name --format=csv"):
        assert "simulated" in call(line, machine).out
    queried = call(
        "nvidia-smi --query-gpu=index,memory.total,clocks.sm --format=csv,noheader,nounits", machine
    )
    assert queried.out == "0, 16384, [N/A]\n1, 16384, [N/A]"
    assert call("nvidia-smi --gpu-reset", machine).status == 2


def test_an_unknown_command_is_refused() -> None:
    """A name that has no rule is refused, never a silent success."""
    assert call("mkfs.ext4 /dev/sda").status == 126


@given(st.lists(st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"]))))
def test_arguments_arrive_as_they_were_sent(arguments: list[str]) -> None:
    """Words with blanks, quotes and newlines come through the shim's message whole."""
    body = "".join(f"{word}\x1f" for word in ["shutdown", *arguments]).encode()
    assert parse(body) == ("shutdown", arguments)


def test_a_reply_names_its_stream() -> None:
    """The shim learns exit status, stream and text, in this order."""
    assert render(Reply(status=3, err="no")) == b"3\n2\nno"
    assert render(Reply(out="yes")) == b"0\n1\nyes"
