"""The hash of all spectra of a signal, in one pass that can be interrupted and gone on with.

The hash is a chain: each block's spectra are hashed with the hash so far. So the place to go on
from is a number and a hash, and a pass that was interrupted ends with the hash of one that was not.
It is a hash of bits: equal on machines whose FFT library and processor round alike.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flyback.errors import InterruptedRunError
from flyback.spec.codec import write_atomic
from flyback.spec.paths import COMPLETE
from flyback.workloads.workload import Journey

__all__ = ["chained"]

Array = npt.NDArray[Any]
_FILE = "place.json"
_NAME = re.compile(r"block-(\d{9})-[0-9a-f]{8}")
_EVERY_S = 30.0  # between two times that the place is kept


def chained(
    spectra: Callable[[int], Array], blocks: int, identity: str, journey: Journey
) -> dict[str, Any]:
    """Hash block after block.

    Args:
        spectra: Number of a block, from 0 → its spectra.
        blocks: How many there are.
        identity: What the place belongs to; one of other parameters is not gone on from.
        journey: Where the place is kept, and who may end the pass.

    Raises:
        InterruptedRunError: the pass was asked to end; its place is kept.
    """
    begun, chain = _kept(journey.folder, identity)
    kept_at = time.monotonic()
    where = f"going on at block {begun} of {blocks}" if begun else f"{blocks} blocks"
    journey.report(f"digest: {where}")
    for number in range(begun, blocks):
        if journey.stop.requested:
            _keep(journey.folder, identity, number, chain)
            raise InterruptedRunError(
                f"interrupted at block {number} of {blocks}", remedy="run it again; it goes on"
            )
        block = hashlib.sha256(np.ascontiguousarray(spectra(number)).data).digest()
        chain = hashlib.sha256(chain + block).digest()
        if time.monotonic() >= kept_at + _EVERY_S:
            kept_at = time.monotonic()
            _keep(journey.folder, identity, number + 1, chain)
        if number * 10 // blocks != (number + 1) * 10 // blocks:
            journey.report(f"digest: {number + 1} of {blocks} blocks")
    _keep(journey.folder, identity, blocks, chain)
    return {"digest": chain.hex(), "blocks": blocks, "resumed_at_block": begun}


def _kept(folder: Path | None, identity: str) -> tuple[int, bytes]:
    """The newest whole place of this identity; the beginning where there is none."""
    for place in reversed(_places(folder)):
        try:
            found = json.loads((place / _FILE).read_bytes())
            if found["identity"] == identity and (place / COMPLETE).exists():
                return int(found["block"]), bytes.fromhex(found["chain"])
        except (OSError, ValueError, KeyError):
            continue  # none that can be read
    return 0, b""


def _keep(folder: Path | None, identity: str, block: int, chain: bytes) -> None:
    """A checkpoint in a folder of its own; the one before stays, it may be on its way."""
    if folder is None:
        return
    for old in _places(folder)[:-1]:
        shutil.rmtree(old)
    place = folder / f"block-{block:09d}-{identity[:8]}"
    if (place / COMPLETE).exists():
        return  # nothing was done since it was brought here
    place.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"identity": identity, "block": block, "chain": chain.hex()})
    write_atomic(place / _FILE, text.encode() + b"\n")
    write_atomic(place / COMPLETE, b"")


def _places(folder: Path | None) -> list[Path]:
    if folder is None or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
