"""Presets: named variants of a job (`smoke`, `full`), laid over it before the overrides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from flyback.errors import UserError
from flyback.spec.locate import Node, Place, merge, plant, prune
from flyback.spec.problems import Problem, closest, listed

__all__ = ["WorkloadPresets", "choose", "lay_over", "settle", "split"]

WorkloadPresets = Callable[[str], Mapping[str, Mapping[str, Any]]]
"""A workload's own presets: name → parameter → value, or a tuple of values that are swept over.

UserError: there is no such workload.
"""


def split(root: Node) -> tuple[Node, dict[str, Node], list[Problem]]:
    """Take the block `presets:` out of a job.

    Returns:
        The job without it, the presets by name, and what is wrong with the block's form.
    """
    block = root.mapping.get("presets")
    if block is None:
        return root, {}, []
    body = Node({k: node for k, node in root.mapping.items() if k != "presets"}, root.place)
    remedy = "write `presets: {smoke: {parameters: {…}}, full: {…}}`"
    if not isinstance(block.value, dict):
        return body, {}, [Problem(block.place, "presets", "a mapping is expected", remedy)]
    problems = []
    presets = {}
    for name, node in block.value.items():
        if isinstance(node.value, dict):
            presets[name] = node
        else:
            problems.append(Problem(node.place, f"presets.{name}", "a mapping is expected", remedy))
        if "presets" in node.mapping:
            what = "presets don't hold presets"
            place = node.mapping["presets"].place
            problems.append(Problem(place, f"presets.{name}.presets", what, "remove it"))
            presets[name] = prune(node, ("presets",))
    return body, presets, problems


def choose(
    name: str, written: Mapping[str, Node], workload: str | None, own: WorkloadPresets | None
) -> Node | tuple[str, str]:
    """The preset of that name: the job file's, else the workload's.

    Args:
        name: The preset that was asked for.
        written: The job file's presets.
        workload: The job's workload.
        own: Gives a workload's own presets.

    Returns:
        The preset as a part of a job, or what is wrong and the remedy.
    """
    if name in written:
        return written[name]
    shipped: Mapping[str, Mapping[str, Any]] = {}
    if workload is not None and own is not None:
        try:
            shipped = own(workload)
        except (LookupError, UserError):
            shipped = {}  # the workload's name is judged with its parameters
    if name in shipped:
        place = Place(1, 1, 1, f"preset {name} of the workload {workload}")
        swept = {key: list(value) for key, value in shipped[name].items() if type(value) is tuple}
        fixed = {key: value for key, value in shipped[name].items() if key not in swept}
        return plant({"parameters": fixed} | ({"sweep": swept} if swept else {}), place)
    known = sorted({*written, *shipped})
    if not known:
        return f"the job has no presets, so no {name!r}", "add `presets:`, or run without it"
    guess = closest(name, known)
    what = f"there is no preset {name!r}"
    return what, f"did you mean {guess}?" if guess else f"the presets are {listed(known)}"


def lay_over(body: Node, layer: Node) -> Node:
    """Lay a preset over a job: mappings are merged, everything else is replaced."""
    for section in ("parameters", "sweep"):
        body = settle(body, section, layer.mapping.get(section, layer).mapping)
    return merge(body, layer)


def settle(body: Node, section: str, names: Collection[str]) -> Node:
    """Let the later layer decide whether a parameter is set or swept over.

    Args:
        body: The job so far.
        section: Where the later layer has the names: `parameters` or `sweep`.
        names: The parameters.

    Returns:
        The job without them in the other section.
    """
    other = {"parameters": "sweep", "sweep": "parameters"}[section]
    for name in names:
        body = prune(body, (other, name))
    return body
