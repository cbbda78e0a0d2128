"""Many objects at once, in threads: the first failure or Ctrl-C ends all of it cleanly."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator

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
    with _interrupts(meter) as pressed:
        crew = _Crew(iter(actions), meter, pressed)
        crew.work(threads)


class _Crew:
    """Threads that draw actions. No futures: waiting for any of 128 costs more than a request."""

    def __init__(
        self, actions: Iterator[Callable[[], object]], meter: Meter, pressed: threading.Event
    ) -> None:
        self._actions = actions
        self._meter = meter
        self._pressed = pressed
        self._drawing = threading.Lock()
        self._failure: BaseException | None = None
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work(self, threads: int) -> None:
        crew: list[threading.Thread] = []
        try:
            while len(crew) < threads and (action := self._draw()) is not None:
                crew.append(threading.Thread(target=self._run, args=(action,), name="flyback-move"))
                crew[-1].start()
            left = len(crew)
            while left:
                with contextlib.suppress(queue.Empty):
                    self._ended.get(timeout=_TICK_S)
                    left -= 1
        except BaseException:
            self._meter.halt()
            raise
        finally:
            for thread in crew:
                thread.join()
        if self._failure is not None and not self._pressed.is_set():
            raise self._failure

    def _draw(self) -> Callable[[], object] | None:
        with self._drawing:
            if self._failure is not None or self._pressed.is_set():
                return None
            return next(self._actions, None)

    def _run(self, action: Callable[[], object] | None) -> None:
        try:
            while action is not None:
                action()
                self._meter.finished()
                action = self._draw()
        except BaseException as failure:  # noqa: BLE001  # raised again in the caller's thread
            with self._drawing:
                self._failure = self._failure or failure
            self._meter.halt()
        finally:
            self._ended.put(None)


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
