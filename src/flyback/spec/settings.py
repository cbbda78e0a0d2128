"""Settings: `flyback.toml`, what holds for every job of a project.

engine = "ec2"
region = "eu-central-1"
[tags]
project = "sonar"
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from flyback.errors import JobFileError
from flyback.spec.job import Engine
from flyback.spec.locate import Place, shown
from flyback.spec.problems import Problem, closest, listed, tell

__all__ = ["DEFAULT_NAME", "DEFAULT_REGION", "SETTINGS_FILE", "Cloud", "Settings", "load_settings"]

SETTINGS_FILE = "flyback.toml"

DEFAULT_NAME = "flyback"
"""Of a deployment that nobody names."""

DEFAULT_REGION = "us-east-1"
"""Where nobody names a region: neither a flag nor a settings file nor the AWS configuration."""

Cloud = Literal["aws", "rehearsal"]

_REGION = re.compile(r"[a-z]{2}(-[a-z]+){1,3}-\d")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,18}[a-z0-9]")  # as core.yaml's parameter Name
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
_TAG = re.compile(r"[\w .:/=+@-]{1,256}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What holds for every job; None leaves the choice to the job, a flag or the default.

    Args:
        engine: Where jobs run that don't say it.
        region: AWS region.
        cloud: `aws`, or `rehearsal` for the emulated one.
        profile: Profile of the AWS configuration files.
        name: Name of the deployment in the account.
        tags: Tags on everything that is created, for the bill: Project, Environment, Owner and
            CostCenter, as far as the file sets them.
        max_usd_per_day: What all runs of a day (UTC) may cost together, USD.
        source: The file; None where there is none.
    """

    engine: Engine | None = None
    region: str | None = None
    cloud: Cloud | None = None
    profile: str | None = None
    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    max_usd_per_day: float | None = None
    source: Path | None = None


_KEYS = tuple(f.name for f in fields(Settings) if f.name != "source")
_PER_DAY = "max_usd_per_day"
_TAG_NAMES = {
    "project": "Project",
    "environment": "Environment",
    "owner": "Owner",
    "cost_center": "CostCenter",
}
_CHOICES: Mapping[str, tuple[str, ...]] = {"engine": get_args(Engine), "cloud": get_args(Cloud)}
_GRAMMARS = {
    "region": (_REGION, "no AWS region", "write for example eu-central-1"),
    "name": (
        _NAME,
        "no name",
        "write 2 to 20 lower-case letters, digits and inner hyphens, a letter first",
    ),
}


def load_settings(*folders: Path) -> Settings:
    """Read `flyback.toml` from the first of the folders that has one.

    Args:
        folders: The job file's folder first, then the current one.

    Returns:
        The settings; all None where no folder has the file.

    Raises:
        JobFileError: the file is wrong; the message lists all of it, each with file and line.
    """
    for folder in folders:
        path = folder / SETTINGS_FILE
        if path.is_file():
            return _load(path)
    return Settings()


def _load(path: Path) -> Settings:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise JobFileError(
            "the file is no UTF-8 text", where=str(path), remedy="save it as UTF-8"
        ) from error
    except OSError as error:
        raise JobFileError(
            f"the file can't be read: {error.strerror or error}", where=str(path)
        ) from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _malformed(path, text, str(error)) from error
    problems = list(_problems(document, path, text))
    if problems:
        tell(problems, str(path))
    tags = {_TAG_NAMES[key]: value for key, value in document.get("tags", {}).items()}
    return Settings(**{**document, "tags": tags}, source=path)


def _malformed(path: Path, text: str, message: str) -> JobFileError:
    """Name the line as our other errors do; tomllib has it inside its sentence."""
    place = r" \(at (?:line (\d+), column \d+|end of document)\)"
    match = re.fullmatch(rf"(.*?){place}", message, re.DOTALL)
    what, line = (match[1], match[2]) if match else (message, None)
    where = f"{path}:{line or max(1, len(text.splitlines()))}"
    what = what[:1].lower() + what[1:]
    return JobFileError(f"no TOML: {what}", where=where, remedy='write `key = "value"`')


def _problems(document: Mapping[str, Any], path: Path, text: str) -> Iterator[Problem]:
    def problem(key: str, what: str, remedy: str) -> Problem:
        line = _line(text, key)
        return Problem(Place(0, line, 1, f"{path}:{line}"), key, what, remedy)

    for key, value in document.items():
        if key == "tags" and isinstance(value, Mapping):
            for name, tag in value.items():
                field_path = f"tags.{name}"
                if name not in _TAG_NAMES:
                    yield problem(field_path, "unknown key", _unknown(name, tuple(_TAG_NAMES)))
                elif not (isinstance(tag, str) and _TAG.fullmatch(tag)):
                    what = f"{shown(tag)} is no tag value"
                    remedy = "write 1 to 256 letters, digits, spaces and any of _ . : / = + - @"
                    yield problem(field_path, what, remedy)
        elif key not in _KEYS:
            yield problem(key, "unknown key", _unknown(key, _KEYS))
        elif fault := _fault(key, value):
            yield problem(key, *fault)


def _unknown(key: str, known: tuple[str, ...]) -> str:
    if known == _KEYS and key in _TAG_NAMES:
        return f"did you mean {key}, under [tags]?"
    guess = closest(key, known)
    return f"did you mean {guess}?" if guess else f"the keys here are {listed(known)}"


def _fault(key: str, value: Any) -> tuple[str, str] | None:
    if key == "tags":
        return f"a table is expected, not {shown(value)}", "write `[tags]` and the tags below it"
    if key == _PER_DAY:
        return _no_amount(value)
    if key in _CHOICES:
        return _no_choice(key, value)
    if not isinstance(value, str) or not value:
        return f"text is expected, not {shown(value)}", f'write `{key} = "…"`'
    if key in _GRAMMARS:
        grammar, what, remedy = _GRAMMARS[key]
        if not grammar.fullmatch(value):
            return f"{value!r} is {what}", remedy
    return None


def _no_choice(key: str, value: Any) -> tuple[str, str] | None:
    if value in _CHOICES[key]:
        return None
    guess = closest(value, _CHOICES[key]) if isinstance(value, str) else None
    remedy = f"did you mean {guess}?" if guess else f"write {listed(_CHOICES[key], 'or')}"
    return f"{shown(value)} is none of {listed(_CHOICES[key])}", remedy


def _no_amount(value: Any) -> tuple[str, str] | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 < value < math.inf:
        return None
    return f"{shown(value)} is no amount above 0", "write USD as a number, for example 5.0"


def _line(text: str, key: str) -> int:
    """The line that sets a key; tomllib doesn't keep it."""
    table, _, leaf = key.rpartition(".")
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([\w.\"'-]+)\s*\]", line):
            inside = header[1].strip("\"'")
            if inside == key:
                return number
        written = re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if written and f"{inside}.{written[1]}".strip(".").replace('"', "") == key:
            return number
        if inside == "" and table and written and written[1] == table and leaf in line:
            return number
    return 1
