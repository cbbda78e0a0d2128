"""Ctrl-C while a run goes on: once detaches and says how to stop, twice stops and waits.

While something is measured here it ends that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from flyback import api
from flyback.cli.screen import announce
from flyback.errors import InterruptedRunError, RefusedError
from flyback.spec.clock import SystemClock
from flyback.spec.event import Marker

__all__ = ["measuring", "wait_or_detach"]

_SECOND_THOUGHTS_S = 3.0


def cut_off(launched: frozenset[str]) -> None:
    """Say what Ctrl-C during a launch may have left running.

    Raises:
        InterruptedRunError: a run was asked for already.
    """
    for run_id in sorted(launched):
        raise InterruptedRunError(
            "the launch was cut off; its machine may be running",
            where=run_id,
            remedy=f"flyback stop {run_id}",
        )


@contextlib.contextmanager
def measuring(folder: Path) -> Iterator[None]:
    """While a benchmark goes on: Ctrl-C ends it, and says where what was finished is.

    Raises:
        InterruptedRunError: Ctrl-C came.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            "interrupted while measuring",
            where=str(folder),
            remedy="what had been finished by then is kept there",
        ) from error


def wait_or_detach(run: api.Run) -> Marker | None:
    """Wait for a run; None where the user detached from it.

    Raises:
        RefusedError: the account can't be asked any more; the run goes on all the same.
    """
    try:
        return run.wait()
    except KeyboardInterrupt:
        pass
    except RefusedError as error:
        error.remedy = f"the run goes on; later: flyback collect {run.run_id}"
        raise
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
