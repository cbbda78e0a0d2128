"""The round: every run that may have a machine, and every machine past its deadline.

Nothing waits for anything else: all machines that are to end are asked first, then all runs are
looked after, then all machines are waited for together, and their runs go on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.guard import Guard
from flyback.launch.guardian.notify import note
from flyback.launch.guardian.reap import Ends, overdue
from flyback.launch.guardian.tend import tend
from flyback.launch.lease import held_runs

__all__ = ["Done", "at_deadline", "sweep", "tend_each"]

Done = dict[str, tuple[str, ...]]

_ROUNDS = 3  # what follows an end is due when it is over


def sweep(guard: Guard) -> Done:
    """Look after every run, and end what is past its deadline and belongs to none of them.

    Machines go first: what bills is ended even where a run's files can't be read.

    Raises:
        Exception: something could not be done; everything else was.
    """
    return _Round(guard).of(lambda: held_runs(guard.store), "*")


def at_deadline(guard: Guard, run_id: str) -> Done:
    """Look after a run whose deadline it is; its machines go by their tags, whatever is written.

    Raises:
        Exception: something could not be done; everything else was.
    """
    return _Round(guard).of(lambda: (run_id,), run_id)


def tend_each(guard: Guard, run_ids: Iterable[str]) -> Done:
    """Look after each of these runs.

    Raises:
        Exception: the first failure, after all have had their turn.
    """
    return _Round(guard).of(lambda: run_ids)


class _Round:
    """One call of the guardian.

    A failure keeps nobody else waiting, whatever it is: a machine can write its run's marker, and
    a newer client what an older guardian can't read.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._ends = Ends(guard)
        self._failures: list[Exception] = []
        self._done: Done = {}

    def of(self, runs: Callable[[], Iterable[str]], reaped: str = "") -> Done:
        """Tend these runs.

        Args:
            runs: Gives them.
            reaped: Whose machines go by their tags alone: a run id, `*`, or empty for nobody's.
        """
        if reaped:
            self._gathered("", lambda: self._reap(reaped))
        found: list[str] = []
        self._gathered("", lambda: found.extend(runs()))
        for _ in range(_ROUNDS):
            for run_id in found:
                self._tend(run_id)
            found = [run_id for run_id in found if run_id in self._ends.runs]
            self._gathered("", self._wait)
            if not found:
                break
        failures = (*self._failures, *self._ends.failures)
        if failures:
            raise failures[0]
        return self._done

    def _reap(self, run_id: str) -> None:
        for machine in overdue(self._guard, run_id):
            whose, machines = machine.tags.get(RUN_TAG, ""), (machine.instance_id,)
            ask = functools.partial(self._ends.ask, whose, machines, "past the deadline on its tag")
            self._gathered(whose, ask)

    def _tend(self, run_id: str) -> None:
        self._gathered(run_id, lambda: self._add({run_id: tend(self._guard, run_id, self._ends)}))

    def _wait(self) -> None:
        self._add(self._ends.wait())

    def _add(self, done: Done) -> None:
        for subject, words in done.items():
            if words:
                self._done[subject] = (*self._done.get(subject, ()), *words)

    def _gathered(self, run_id: str, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001  # raised at the end: nobody waits for it
            note(run_id, f"{type(error).__name__}: {error}")
            self._failures.append(error)
