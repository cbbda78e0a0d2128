"""The round: every run that may have a machine, and every machine past its deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flyback.errors import FlybackError
from flyback.launch.fleet import RUN_TAG
from flyback.launch.guardian.guard import Guard
from flyback.launch.guardian.notify import tell
from flyback.launch.guardian.reap import end, overdue
from flyback.launch.guardian.tend import tend
from flyback.launch.lease import held_runs

__all__ = ["Done", "sweep", "tend_each"]

Done = dict[str, tuple[str, ...]]


def sweep(guard: Guard) -> Done:
    """Look after every run, then end what is past its deadline and belongs to none of them.

    Machines go first: what bills is ended even where a run's files can't be read.

    Raises:
        FlybackError: something could not be done; everything else was.
    """
    failures: list[FlybackError] = []
    done: Done = {}
    _gathered(failures, lambda: done.update(_reap(guard)))
    _gathered(failures, lambda: done.update(tend_each(guard, held_runs(guard.store))))
    if failures:
        raise failures[0]
    return done


def tend_each(guard: Guard, run_ids: Iterable[str]) -> Done:
    """Look after each of these runs; one that fails does not keep the others waiting.

    Raises:
        FlybackError: the first failure, after all have had their turn.
    """
    failures: list[FlybackError] = []
    done: Done = {}

    def one(run_id: str) -> None:
        words = tend(guard, run_id)
        if words:
            done[run_id] = words

    for run_id in run_ids:
        _gathered(failures, lambda run_id=run_id: one(run_id))  # type: ignore[misc]  # bound now
    if failures:
        raise failures[0]
    return done


def _reap(guard: Guard) -> Done:
    done: Done = {}
    for machine in overdue(guard, guard.clock.now()):
        run_id = machine.tags.get(RUN_TAG, "")
        left = end(guard, (machine.instance_id,))
        words = f"ended {machine.instance_id}: past the deadline on its tag"
        if left:
            words += "; it is still not terminated, the next sweep tries again"
        tell(guard, run_id, words)
        done[f"machine {machine.instance_id}"] = (words,)
    return done


def _gathered(failures: list[FlybackError], act: Callable[[], object]) -> None:
    try:
        act()
    except FlybackError as error:
        failures.append(error)
