"""Ctrl-C while a run goes on: once detaches and says how to stop, twice stops and waits."""

from __future__ import annotations

import contextlib

from flyback import api
from flyback.cli.screen import announce
from flyback.spec.clock import SystemClock
from flyback.spec.event import Marker

__all__ = ["wait_or_detach"]

_SECOND_THOUGHTS_S = 3.0


def wait_or_detach(run: api.Run) -> Marker | None:
    """Wait for a run; None where the user detached from it."""
    with contextlib.suppress(KeyboardInterrupt):
        return run.wait()
    try:
        announce(
            f"\ndetaching: the run goes on, and ends at its deadline at the latest\n"
            f"  follow it:  flyback logs -f {run.run_id}\n"
            f"  stop it:    flyback stop {run.run_id}\n"
            f"Ctrl-C again within {_SECOND_THOUGHTS_S:.0f} seconds stops it now"
        )
        SystemClock().sleep(_SECOND_THOUGHTS_S)
    except KeyboardInterrupt:
        announce("stopping; waiting until its machine is gone")
        return run.stop()
    return None
