"""The agent from its command line to the power switch."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from flyback.agent.attempt import Attempt
from flyback.agent.finish import finish
from flyback.agent.options import Options, parse
from flyback.agent.services import Services, connect
from flyback.agent.workbench import Workbench
from flyback.spec.clock import Clock, clock_from_environment

__all__ = ["main", "run"]

_RECLAIM_S = 300.0  # a notice comes two minutes before EC2 takes the machine


def main(arguments: Sequence[str]) -> int:
    """Run the attempt that the command line names; the process's exit code."""
    options = parse(arguments)
    clock = clock_from_environment(os.environ)
    return run(options, connect(options), clock, listen=_listen)


def run(
    options: Options,
    services: Services,
    clock: Clock,
    listen: Callable[[Callable[[], None]], None] | None = None,
) -> int:
    """Run one attempt and bring it home; 0 success, 1 failure, 75 interrupted.

    Args:
        options: Which one.
        services: The outside world.
        clock: The only one that is waited on.
        listen: Given what to call when the process is asked to end.
    """
    try:
        bench = Workbench.open(options, services, clock)
        if listen is not None:
            listen(bench.supervisor.interrupt)
        attempt = Attempt(bench)
        outcome = attempt.run()
        code = finish(bench, attempt, outcome)
        noticed = attempt.interruption is not None and attempt.interruption.noticed
        if noticed and options.power_off:
            # a machine that EC2 takes in its first hour is free; one that ends itself is not
            clock.sleep(_RECLAIM_S)
    except Exception:  # noqa: BLE001  # whatever it is: the machine goes off
        traceback.print_exc(file=sys.stderr)
        code = 1
    if options.power_off:
        services.power_off()
    return code


def _listen(interrupt: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: interrupt())
