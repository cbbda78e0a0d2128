"""`python -m flyback.workloads NAME --json`: one command on every machine.

Lines for people go to standard output as they come. With `--json` the very last line is the result
as one JSON document. Exit code 0; 1 where the correctness gate failed; 2 for the user's mistakes;
75 where SIGTERM ended it early.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from flyback.errors import FlybackError, UserError
from flyback.spec.clock import clock_from_environment
from flyback.spec.codec import dumps
from flyback.workloads import registry
from flyback.workloads.parameters import describe, parse_words, suggestion
from flyback.workloads.stopping import Stop

__all__ = ["main"]

_STARTED_NS = time.perf_counter_ns()


def main(argv: Sequence[str] | None = None, stop: Stop | None = None) -> int:
    """Run one workload; the exit code.

    Args:
        argv: Arguments; None takes the process's own.
        stop: Asked between two calls whether to end early.
    """
    options = _parser().parse_args(argv)
    try:
        if options.list:
            _list()
            return 0
        return _run(options, stop or Stop())
    except FlybackError as error:
        _say(str(error), file=sys.stderr)
        return error.exit_code


def _run(options: argparse.Namespace, stop: Stop) -> int:
    if options.workload is None:
        raise UserError(
            "no workload is named", remedy=f"name one; {suggestion('', registry.names())}"
        )
    declaration = registry.find(options.workload)
    chosen = registry.preset(options.workload, options.preset) if options.preset else {}
    values = {**chosen, **parse_words(options.parameters)}
    for name, value in values.items():
        if isinstance(value, tuple):
            raise UserError(
                f"the preset {options.preset} sweeps over {name}, and this measures one cell",
                where="preset",
                remedy=f"write --parameters {name}={value[0]}, or use flyback bench",
            )
    parameters = registry.resolved(options.workload, values)
    workload = registry.create(declaration)
    from flyback.workloads.nvml import monitor
    from flyback.workloads.report import render
    from flyback.workloads.runner import Setting, measure

    place = os.environ.get("FLYBACK_CHECKPOINT_DIR")
    setting = Setting(
        samples_dir=options.samples_dir,
        checkpoint_dir=Path(place) if place else None,
        clock=clock_from_environment(os.environ),
        stop=stop,
        report=_say,
        started_ns=_STARTED_NS,
        ceilings=_ceilings,
        control=True,
        monitor=monitor,
    )
    result = measure(declaration, workload, parameters, setting)
    _say("\n".join(render(result)))
    if options.json:
        _say(dumps(result))
    return 0 if result.status in ("ok", "suspect") else 1


def _ceilings(kind: str) -> dict[str, Any] | None:
    from flyback.workloads.ceilings import of_this_boot

    return of_this_boot(kind)


def _list() -> None:
    for name in registry.names():
        declaration = registry.find(name)
        _say(f"{name} {declaration.version}: {declaration.summary}")
        for item in describe(declaration.parameters):
            default = "null" if item.default is None else item.default
            _say(f"  {item.name}={default}  ({item.kind})\n      {item.help}")
        for preset, values in declaration.presets.items():
            words = " ".join(f"{key}={_listed(value)}" for key, value in values.items())
            _say(f"  --preset {preset}: {words}")


def _listed(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _say(text: str, file: TextIO | None = None) -> None:
    """Print at once: whoever follows the log sees each line when it is true."""
    print(text, file=file or sys.stdout, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flyback.workloads",
        description="Run one workload on this machine.",
        allow_abbrev=False,
    )
    parser.add_argument("workload", nargs="?", help="its name")
    parser.add_argument("--list", action="store_true", help="workloads and their parameters")
    parser.add_argument("--json", action="store_true", help="end with the result as one JSON line")
    parser.add_argument("--preset", metavar="NAME", help="start from these parameters")
    parser.add_argument(
        "--samples-dir", type=Path, metavar="DIR", help="keep every latency in this folder"
    )
    parser.add_argument(
        "--parameters",
        nargs="*",
        action="extend",
        default=[],
        metavar="JSON|KEY=VALUE",
        help="parameters, as a JSON object or one by one",
    )
    return parser


if __name__ == "__main__":
    signals = Stop()
    signals.install()
    sys.exit(main(stop=signals))
