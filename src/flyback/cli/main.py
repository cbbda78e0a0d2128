"""The command line: verbs, loaded one at a time so that `--help` stays quick."""

from __future__ import annotations

import gc
import importlib
import sys
from typing import NoReturn

import click

from flyback import __version__
from flyback.cli.host_errors import explain
from flyback.errors import FlybackError

__all__ = ["VERBS", "cli", "main"]

gc.set_threshold(100_000)  # looking for garbage while modules load is a seventh of a short verb

VERBS = {
    "doctor": "Check credentials, region, quotas, deployment, clock and tools.",
    "up": "Deploy flyback into your AWS account; again is a no-op.",
    "plan": "Show what a job would ask for and cost. Creates nothing.",
    "run": "Launch a job, watch it, bring it home.",
    "rehearse": "Run a job in an emulated cloud on this machine. Needs no account.",
    "attach": "Go on with a run: complete its launch, watch it, bring it home.",
    "ps": "List runs and how they stand.",
    "status": "Show how a run stands: health, time, spend, storage.",
    "logs": "Show a run's output; -f follows it.",
    "extend": "Move a run's deadline: all of its timers or none.",
    "stop": "End a run now and see its machine gone.",
    "collect": "Bring a run's files home, with receipt and certificate.",
    "results": "Show a run's results, receipt and certificate.",
    "reap": "List what bills and belongs to flyback; --yes removes it.",
    "bench": "Measure a workload on this machine, its cells in turns.",
    "crossover": "Measure CPU beside GPU, and from which size on the GPU wins.",
    "compare": "Compare two sets of results: faster, slower, the same, or undecided.",
    "sync": "Make a folder or an S3 prefix like another: parallel, verified, resumable.",
    "down": "Remove flyback from the account and prove that nothing is left.",
    "verify": "Compare your account with the rehearsal, for a few cents.",
    "audit": "Check what is granted, and what is used of it.",
    "rehearsal": "Serve an emulated cloud to any AWS client.",
}


class _Verbs(click.Group):
    """A group whose verbs are modules beside this one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"flyback.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], VERBS, n=1)
            if not close:
                raise
            raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx) from error


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Try it without an account: flyback rehearse examples/spectral.yaml --smoke",
)
@click.version_option(__version__, prog_name="flyback")
def cli() -> None:
    """GPU work out to AWS spot and home again: results, a receipt, nothing left running.

    Exit codes: 0 success, 1 the job failed, 2 your mistake, 3 leftovers, 4 refused (permission,
    quota, price, capacity), 5 regression or findings, 75 interrupted.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        code = cli.main(args=arguments, standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("\nstopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FlybackError as error:
        _end(error)
    except OSError as error:
        explained = explain(error)
        if explained is None:
            raise
        _end(explained)
    sys.exit(code if isinstance(code, int) else 0)


def _end(error: FlybackError) -> NoReturn:
    click.echo(f"{click.style('error', fg='red', bold=True)}: {error}", err=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
