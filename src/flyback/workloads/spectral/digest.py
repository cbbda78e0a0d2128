"""The hash of all spectra of a signal, in one pass that can be interrupted and gone on with.

The hash is a chain: each block's spectra are hashed with the hash so far. So the place to go on
from is a number and a hash, and a pass that was interrupted ends with the hash of one that was not.
It is a hash of bits: equal on machines whose FFT library and processor round alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flyback.errors import InterruptedRunError
from flyback.spec.codec import write_atomic
from flyback.workloads.workload import Journey

__all__ = ["chained"]

Array = npt.NDArray[Any]
_FILE = "place.json"
_EVERY = 8  # blocks between two times that the place is kept


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
    place = None if journey.folder is None else journey.folder / _FILE
    begun, chain = _kept(place, identity)
    if begun:
        journey.report(f"digest: going on at block {begun} of {blocks}")
    for number in range(begun, blocks):
        if journey.stop.requested:
            _keep(place, identity, number, chain)
            raise InterruptedRunError(
                f"interrupted at block {number} of {blocks}", remedy="run it again; it goes on"
            )
        block = hashlib.sha256(np.ascontiguousarray(spectra(number)).data).digest()
        chain = hashlib.sha256(chain + block).digest()
        if number % _EVERY == _EVERY - 1:
            _keep(place, identity, number + 1, chain)
        if number * 10 // blocks != (number + 1) * 10 // blocks:
            journey.report(f"digest: {number + 1} of {blocks} blocks")
    _keep(place, identity, blocks, chain)
    return {"digest": chain.hex(), "blocks": blocks, "resumed_at_block": begun}


def _kept(place: Path | None, identity: str) -> tuple[int, bytes]:
    try:
        found = json.loads(place.read_bytes()) if place is not None else {}
        if found.get("identity") == identity:
            return int(found["block"]), bytes.fromhex(found["chain"])
    except (OSError, ValueError, KeyError):
        pass  # none, or none that can be read: from the beginning
    return 0, b""


def _keep(place: Path | None, identity: str, block: int, chain: bytes) -> None:
    if place is None:
        return
    text = json.dumps({"identity": identity, "block": block, "chain": chain.hex()})
    write_atomic(place, text.encode() + b"\n")
