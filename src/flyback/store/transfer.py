"""Many objects at once, in threads: the first failure or Ctrl-C ends all of it cleanly."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from flyback.store.meter import Meter

__all__ = ["THREADS", "each"]

THREADS = 64
"""Small objects in flight: at 25 ms a request, that many are needed to fill a link."""
_TICK_S = 0.5  # so that Ctrl-C is heard while all threads wait for the network


def each(actions: Iterable[Callable[[], object]], meter: Meter, threads: int = THREADS) -> None:
    """Run every action; returns when all have ended.

    Args:
        actions: Drawn from as threads become free, so that there may be millions.
        meter: Told to halt when one fails or the user interrupts.
        threads: How many at once.

    Raises:
        FlybackError: what the first action to fail raised; the others have ended by then.
        KeyboardInterrupt: as it came; no part of a file has its name.
    """
    waiting = iter(actions)
    running: set[Future[object]] = set()
    with ThreadPoolExecutor(threads, "flyback-move") as executor:
        try:
            while True:
                for action in itertools.islice(waiting, 2 * threads - len(running)):
                    running.add(executor.submit(action))
                if not running:
                    return
                done, running = wait(running, timeout=_TICK_S, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    meter.finished()
        except BaseException:
            meter.halt()
            for future in running:
                future.cancel()
            with contextlib.suppress(KeyboardInterrupt):  # pressed twice: it is ending already
                wait(running)
            raise
