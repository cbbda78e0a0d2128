"""The constant user-data: one bash script, written once, inside the core template.

Run id, deadline and bundle hash reach it through the machine's own tags, so that nothing is ever
interpolated into a script.
"""

from __future__ import annotations

import textwrap

from flyback.infra import templates

__all__ = ["MOST_BYTES", "boot_program", "script"]

MOST_BYTES = 16384
"""EC2's limit on user-data before base64 (EC2 user guide, "Run commands at launch")."""

_BLOCK = "Fn::Base64: |\n"


def script() -> str:
    """The bash script that a machine runs on its first boot."""
    _, _, rest = templates.read("core").partition(_BLOCK)
    depth = len(rest) - len(rest.lstrip(" "))
    lines = []
    for line in rest.splitlines(keepends=True):
        if line.strip() and not line.startswith(" " * depth):
            break
        lines.append(line)
    return textwrap.dedent("".join(lines)).rstrip("\n") + "\n"


def boot_program() -> str:
    """The Python program that the script writes down and runs; it reboots with `rearm`."""
    _, _, rest = script().partition("<<'PYTHON'\n")
    program, _, _ = rest.partition("\nPYTHON\n")
    return program + "\n"
