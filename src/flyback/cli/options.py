"""Flags that several verbs share, and how they meet `flyback.toml`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from flyback.api import Options
from flyback.cli.screen import reporter
from flyback.spec.settings import Settings, load_settings

__all__ = [
    "account_flags",
    "also_region_flag",
    "chosen_options",
    "job_flags",
    "least_effect_flag",
    "preset_of",
    "profile_flag",
    "workload_flags",
]


_RESTARTS = "Fresh processes per cell."


def _apply(flags: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        return functools.reduce(lambda inner, flag: flag(inner), reversed(flags), function)

    return decorate


also_region_flag = click.option(
    "--also-region",
    "also_regions",
    multiple=True,
    help="Region to try when the chosen one has no machine; may be given again.",
)

least_effect_flag = click.option(
    "--least-effect",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.03,
    show_default=True,
    help="Changes smaller than this share are none.",
)

account_flags = _apply(
    [
        click.option(
            "--cloud",
            type=click.Choice(["aws", "rehearsal"]),
            help="The real cloud, or one that `flyback rehearsal serve` keeps up.",
        ),
        click.option("--region", help="AWS region."),
        click.option("--profile", help="AWS profile."),
        click.option("--name", help="Name of the deployment (default: flyback)."),
    ]
)

profile_flag = click.option("--profile", help="AWS profile that the run was launched with.")

_preset_flags = [
    click.option("--smoke", is_flag=True, help="The preset `smoke`: seconds."),
    click.option("--full", is_flag=True, help="The preset `full`."),
]

job_flags = _apply(
    [
        click.argument("job", type=click.Path(path_type=Path)),
        click.argument("overrides", nargs=-1),
        *_preset_flags,
        click.option("--preset", help="A preset of the job file or of its workload."),
    ]
)

workload_flags = _apply(
    [
        click.argument("workload"),
        click.argument("overrides", nargs=-1),
        *_preset_flags,
        click.option("--preset", help="A preset of the workload."),
        click.option(
            "--restarts", type=click.IntRange(1), default=3, show_default=True, help=_RESTARTS
        ),
        click.option(
            "--lock-clocks", type=int, metavar="MHZ", help="Hold the GPU's clock meanwhile."
        ),
    ]
)


def preset_of(*, smoke: bool, full: bool, preset: str | None) -> str | None:
    """The one preset that the flags name.

    Raises:
        click.UsageError: they name two.
    """
    named = [name for name, given in (("smoke", smoke), ("full", full), (preset, preset)) if given]
    if len(named) > 1:
        raise click.UsageError("give one of --smoke, --full and --preset")
    return named[0] if named else None


def chosen_options(
    flags: dict[str, Any], folder: Path | None = None, *, quiet: bool = False
) -> Options:
    """Flags first, then `flyback.toml` beside the job or here, then defaults."""
    settings: Settings = load_settings(*([folder] if folder else []), Path.cwd())
    return Options(
        cloud=flags.get("cloud") or settings.cloud or "aws",
        region=flags.get("region") or settings.region,
        profile=flags.get("profile") or settings.profile,
        name=flags.get("name") or settings.name or "flyback",
        tags=dict(settings.tags),
        engine=settings.engine,
        report=reporter(quiet=quiet),
        max_usd_per_day=settings.max_usd_per_day,
        also_regions=tuple(flags.get("also_regions") or ()),
    )
