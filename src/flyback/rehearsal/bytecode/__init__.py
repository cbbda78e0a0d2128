"""Compiled code for simulated machines, found by the hash of its source.

A machine unpacks its agent into a folder of its own, so its interpreter finds nothing compiled
there; compiling boto3 anew would take longer than all else that the agent does. Takes: the sources
of the bundle. Gives: an image that knows their compiled form. Never: runs anything but what the
machine's own source says, for what has another hash is compiled there.
"""

from __future__ import annotations

import importlib.util
import marshal
from importlib.machinery import SourceFileLoader
from pathlib import Path

from flyback.infra.bundle import contents

__all__ = ["install"]

_FOLDER = "bytecode"  # below the image, where `lookup` looks
_MODULE = "flyback_bytecode"
_BY_HASH = (1).to_bytes(4, "little")  # PEP 552: hash-based, and not to be checked again


def install(image: Path, site: Path) -> None:
    """Give an image the compiled form of all that the agent bundle holds.

    Args:
        image: Its folder; its interpreter is the one that runs this.
        site: Its folder of packages.
    """
    folder = image / _FOLDER
    folder.mkdir()
    for name, path in contents().items():
        if name.endswith(".py"):
            digest = importlib.util.source_hash(path.read_bytes())
            code = SourceFileLoader(name, str(path)).get_code(name)
            header = importlib.util.MAGIC_NUMBER + _BY_HASH + digest
            (folder / f"{digest.hex()}.pyc").write_bytes(header + marshal.dumps(code))
    (site / f"{_MODULE}.py").write_bytes(Path(__file__).with_name("lookup.py").read_bytes())
    (site / f"{_MODULE}.pth").write_text(f"import {_MODULE}\n")
