"""An emulated cloud that stays up, for any AWS client on this machine."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from flyback.audit.iam.footprint import Place, deployer_policy
from flyback.rehearsal.cloud import RehearsalCloud, Served
from flyback.rehearsal.moto_state import ACCOUNT
from flyback.spec.codec import write_json
from flyback.spec.settings import DEFAULT_REGION

__all__ = ["serve"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    folder: Path,
    address: Path,
    served: Served,
    *,
    region: str = DEFAULT_REGION,
    announce: Callable[[str], object] = print,
) -> None:
    """Keep a cloud up until SIGINT or SIGTERM.

    While nobody takes part in its clock, simulated time flows.

    Args:
        folder: Its machines live below.
        address: A JSON file with `endpoint`, `pid` and `environment`, there while it is up.
        served: On which port, how time flows between commands, and whose keys it prints.
        region: The emulated account's.
        announce: Told, line by line, how to reach it.

    Raises:
        OSError: the port is taken.
    """
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        ended.set()

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        held = RehearsalCloud(folder, region=region, served=served)
        anywhere = Place(name="*", account=ACCOUNT, region="*")  # its deployments have any name
        held.policy = None if served.root else deployer_policy(anywhere, ci=served.ci)
        with held as cloud:
            environment = cloud.environment()
            write_json(
                address,
                {"endpoint": cloud.endpoint, "pid": os.getpid(), "environment": environment},
            )
            try:
                for name, value in environment.items():
                    announce(f"export {name}={value}")
                ended.wait()
            finally:
                address.unlink(missing_ok=True)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
