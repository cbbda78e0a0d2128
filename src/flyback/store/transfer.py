"""Many objects at once, in threads: the first failure or Ctrl-C ends all of it cleanly."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
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
    with _interrupts(meter) as pressed, ThreadPoolExecutor(threads, "flyback-move") as executor:
        try:
            while True:
                for action in itertools.islice(waiting, 2 * threads - len(running)):
                    running.add(executor.submit(action))
                if not running:
                    return
                done, running = wait(running, timeout=_TICK_S, return_when=FIRST_COMPLETED)
                if pressed.is_set():
                    return
                for future in done:
                    future.result()
                    meter.finished()
        finally:
            if running:
                meter.halt()
            for future in running:
                future.cancel()


@contextlib.contextmanager
def _interrupts(meter: Meter) -> Iterator[threading.Event]:
    """Ctrl-C halts the meter, and is raised when the block has ended.

    Raised at once, as Python does, it can hit the executor between starting a thread and knowing
    it. Elsewhere than in the main thread, or where somebody else listens, nothing changes.
    """
    pressed = threading.Event()
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed
        return

    def press(number: int, frame: object) -> None:
        del number, frame
        pressed.set()
        meter.halt()

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if pressed.is_set():
            raise KeyboardInterrupt
