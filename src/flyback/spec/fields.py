"""What the keys of a job file are, beside their types: examples, other names for them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from typing import Any

from flyback.spec.job import Input, JobSpec, Resources, SpotPolicy
from flyback.spec.locate import shown
from flyback.spec.problems import closest, listed

__all__ = [
    "EXAMPLES",
    "FREE",
    "NO_VALUE",
    "SECTIONS",
    "TEXTUAL",
    "TOP",
    "expected",
    "meant",
    "number_remedy",
    "slug",
    "unknown_remedy",
]


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


TOP = _names(JobSpec)
SECTIONS = {"resources": _names(Resources), "spot": _names(SpotPolicy), "inputs": _names(Input)}
NO_VALUE = "write a value, or leave the key out"

FREE = ("parameters", "sweep", "env", "secrets")
"""Mappings whose keys the user chooses."""

TEXTUAL = (
    ("name",),
    ("workload",),
    ("command",),
    ("workdir",),
    ("setup",),
    ("inputs",),
    ("outputs",),
    ("env",),
    ("secrets",),
    ("resources", "gpu"),
    ("resources", "any_of"),
    ("image",),
    ("requirements",),
    ("checkpoint_dir",),
)
"""Where text is expected, numbers and true/false are taken as they are written."""

EXAMPLES = {
    "name": "name: spectral-t4",
    "workload": "workload: spectral",
    "command": "command: [python, train.py]",
    "parameters": "parameters: {nfft: 4096}",
    "sweep": "sweep: {nfft: [1024, 4096]}",
    "workdir": "workdir: .",
    "setup": "setup: [[pip, install, -r, requirements.txt]]",
    "inputs": "inputs: [{source: recordings/sea.wav, path: sea.wav}]",
    "outputs": "outputs: ['figures/*.png']",
    "env": "env: {OMP_NUM_THREADS: '4'}",
    "secrets": "secrets: {HF_TOKEN: ssm:/flyback/hf-token}",
    "resources": "resources: {gpu: T4}",
    "resources.gpu": "gpu: T4",
    "resources.gpu_memory_gib": "gpu_memory_gib: 16",
    "resources.count": "count: 1",
    "resources.any_of": "any_of: [g4dn.xlarge, g5.xlarge]",
    "resources.vcpus": "vcpus: 4",
    "resources.memory_gib": "memory_gib: 16",
    "resources.disk_gib": "disk_gib: 100",
    "image": "image: repository@sha256:<64 hexadecimal digits>",
    "requirements": "requirements: requirements.lock",
    "max_hours": "max_hours: 1.5",
    "max_usd": "max_usd: 0.50",
    "stall_minutes": "stall_minutes: 15",
    "spot": "spot: {attempts: 3, then: stop}",
    "spot.attempts": "attempts: 3",
    "spot.then": "then: on-demand",
    "checkpoint_dir": "checkpoint_dir: checkpoints",
    "engine": "engine: ec2",
}

_OTHER_NAMES = {
    "accelerator": "resources.gpu",
    "args": "parameters",
    "params": "parameters",
    "budget": "max_usd",
    "max_cost": "max_usd",
    "checkpoints": "checkpoint_dir",
    "cmd": "command",
    "run": "command",
    "container": "image",
    "cpus": "resources.vcpus",
    "deadline": "max_hours",
    "disk": "resources.disk_gib",
    "environment": "env",
    "file_mounts": "inputs",
    "gpu_count": "resources.count",
    "gpu_model": "resources.gpu",
    "gpu_type": "resources.gpu",
    "gpus": "resources.count",
    "hours": "max_hours",
    "instance_type": "resources.any_of",
    "instance_types": "resources.any_of",
    "timeout": "max_hours",
    "max_minutes": "max_hours",
    "memory": "resources.memory_gib",
    "ram": "resources.memory_gib",
    "spot_attempts": "spot.attempts",
    "vram": "resources.gpu_memory_gib",
    "workspace": "workdir",
}
_NESTED = {
    name: f"{section}.{name}" for section in ("resources", "spot") for name in SECTIONS[section]
}


def meant(
    key: str, section: str, parameters: Collection[str] = (), cutoff: float = 0.65
) -> str | None:
    """The path that an unknown key most likely stands for.

    Args:
        key: The unknown key.
        section: The mapping that it stands in; empty for the top of the job.
        parameters: The workload's parameters, if known.
        cutoff: How like a known word it must be, 0 to 1.
    """
    if section:
        guess = closest(key, SECTIONS.get(section, ()))
        return f"{section}.{guess}" if guess else _elsewhere(key, section)
    folded = key.casefold().replace("-", "_")
    if folded in TOP:
        return folded
    if key in parameters:
        return f"parameters.{key}"
    for names in (_NESTED, _OTHER_NAMES):
        if folded in names:
            return names[folded]
    known = {
        **{name: name for name in TOP},
        **{p: f"parameters.{p}" for p in parameters},
        **_NESTED,
    }
    guess = closest(key, known, cutoff)
    return known[guess] if guess else None


def _elsewhere(key: str, section: str) -> str | None:
    folded = key.casefold().replace("-", "_")
    other = _OTHER_NAMES.get(folded, _NESTED.get(folded, folded if folded in TOP else None))
    return other if other is not None and (other.startswith(section) or other in TOP) else None


def unknown_remedy(key: str, section: str, parameters: Collection[str] = ()) -> str:
    """What to write instead of an unknown key."""
    guess = meant(key, section, parameters)
    if guess is None:
        return f"the keys here are {listed(SECTIONS.get(section, (*TOP, 'presets')))}"
    head, _, tail = guess.partition(".")
    if (tail or head) == key:
        return f"it belongs under `{head}:`" if tail else "it belongs at the top of the job"
    if tail and head != section:
        return f"did you mean {tail}, under {head}?"
    return f"did you mean {tail or head}?"


_DURATION = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)\s*(?:h|hrs?|hours?))?\s*(?:(?P<m>\d+(?:\.\d+)?)\s*(?:m|min|minutes?))?"
    r"\s*(?:(?P<s>\d+(?:\.\d+)?)\s*(?:s|sec|seconds?))?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(?P<h>\d{1,3}):(?P<m>[0-5]\d)")
_AMOUNT = re.compile(
    r"\$?\s*([0-9][0-9_,]*(?:\.\d+)?)\s*(\$|usd|dollars?|g|gb|gib|t|tb|tib)?", re.IGNORECASE
)
_UNITS = {"max_hours": "hours", "stall_minutes": "minutes", "max_usd": "US dollars"}


def number_remedy(field: str, value: Any) -> str:
    """What to write instead of something that is no number: `90m` hours are 1.5."""
    if value is None:
        return NO_VALUE
    leaf = field.rpartition(".")[2]
    unit = _UNITS.get(leaf, "GiB" if leaf.endswith("_gib") else "")
    number = _number_in(leaf, value) if isinstance(value, str) else None
    if number is None:
        return f"write for example `{EXAMPLES[field]}`" if field in EXAMPLES else "write a number"
    return f"write {number}, in {unit}" if unit else f"write {number}, without quotes"


def _number_in(leaf: str, text: str) -> str | None:
    text = text.strip()
    if leaf in ("max_hours", "stall_minutes"):
        match = _CLOCK.fullmatch(text) or _DURATION.fullmatch(text)
        if match and any(match.groupdict().values()):
            found = {key: float(number or 0) for key, number in match.groupdict().items()}
            hours = found["h"] + found["m"] / 60 + found.get("s", 0) / 3600
            return f"{round(hours * (60 if leaf == 'stall_minutes' else 1), 4):g}"
    if match := _AMOUNT.fullmatch(text):
        number = float(re.sub("[_,]", "", match[1]))
        thousandfold = (match[2] or "").casefold().startswith("t")
        return f"{number * (1024 if thousandfold else 1):.10g}"
    return None


def slug(text: str) -> str:
    """The text as a name: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:40].rstrip("-") or "my-job"


def expected(article: str, value: Any) -> str:
    """The sentence for a value of another type."""
    return f"{article} is expected, not {shown(value)}"
