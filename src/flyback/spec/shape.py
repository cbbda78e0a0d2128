"""The shape of a job: its tree of nodes to a JobSpec, by pydantic over the same dataclasses."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from flyback.spec.fields import EXAMPLES, NO_VALUE, expected, number_remedy, slug, unknown_remedy
from flyback.spec.job import JobSpec
from flyback.spec.locate import Node, Way, join, nearest, plain, shown
from flyback.spec.problems import Problem, closest, listed

__all__ = ["shape"]


def shape(
    root: Node, stem: str, parameters: Collection[str]
) -> tuple[JobSpec | None, list[Problem], set[str]]:
    """Check the types of a job.

    Args:
        root: The job, shorthands expanded.
        stem: The job file's name, for the remedy of a missing name.
        parameters: The workload's parameters, if known, for "did you mean".

    Returns:
        The job (None if nothing can be made of it), what is wrong, and the top-level keys that
        are: the job holds defaults in their place.
    """
    data = plain(root)
    job, faults = _validated(data)
    problems = [_problem(fault, root, stem, parameters) for fault in faults]
    broken = {str(fault["way"][0]) for fault in faults if fault["way"]}
    if job is None and broken:
        sound = {key: value for key, value in data.items() if key not in broken}
        job, _ = _validated({"name": "unnamed", **sound})
    return job, problems, broken


def _validated(data: Mapping[str, Any]) -> tuple[JobSpec | None, list[dict[str, Any]]]:
    from pydantic import ValidationError

    try:
        # JSON, because pydantic's strict mode takes a list for a tuple only there.
        (job,) = _adapter().validate_json(json.dumps([data]))
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=True)
        return None, [{**e, "way": tuple(e["loc"][1:])} for e in errors]
    return job, []


@functools.cache
def _adapter() -> Any:
    from pydantic import ConfigDict, TypeAdapter

    # pydantic takes no configuration for a dataclass itself, and hands on that of a list around it.
    return TypeAdapter(list[JobSpec], config=ConfigDict(extra="forbid", strict=True))


def _problem(
    fault: Mapping[str, Any], root: Node, stem: str, parameters: Collection[str]
) -> Problem:
    way: Way = fault["way"]
    field = join(way)
    what, remedy = _sentences(fault["type"], way, fault.get("input"), stem)
    if fault["type"] == "unexpected_keyword_argument":
        section = next((str(step) for step in way[:-1]), "")
        what, remedy = "unknown key", unknown_remedy(str(way[-1]), section, parameters)
    return Problem(nearest(root, way).place, field, what, remedy)


def _sentences(kind: str, way: Way, value: Any, stem: str) -> tuple[str, str]:
    field = join(way)
    if kind == "missing":
        if way == ("name",):
            return "is missing", f"write `name: {slug(stem)}`"
        return "is missing", f"write `{way[-1]}: …`"
    if kind == "literal_error":
        return _choice(field, value)
    if kind.startswith(("int_", "float_")):
        article = "a whole number" if kind.startswith("int_") else "a number"
        return expected(article, value), number_remedy(field, value)
    articles = {"string": "text", "tuple": "a list", "dict": "a mapping", "dataclass": "a mapping"}
    article = articles.get(kind.partition("_")[0], "something else")
    if value is None and way == ("name",):
        return expected(article, value), f"write `name: {slug(stem)}`"
    return expected(article, value), _type_remedy(field, way, value, article)


def _choice(field: str, value: Any) -> tuple[str, str]:
    choices = list(_choices(field))
    guess = closest(value, choices) if isinstance(value, str) else None
    remedy = f"did you mean {guess}?" if guess else f"write {listed(choices, 'or')}"
    return f"{shown(value)} is none of {listed(choices)}", remedy


def _choices(field: str) -> Iterator[str]:
    from typing import get_args, get_type_hints

    kind: Any = JobSpec
    for step in field.split("."):
        kind = get_type_hints(kind)[step]
    yield from get_args(kind)


def _type_remedy(field: str, way: Way, value: Any, article: str) -> str:
    if value is None:
        return NO_VALUE
    example = EXAMPLES.get(field) or EXAMPLES.get(str(way[0]) if way else "")
    if article == "a list" and isinstance(value, (str, int, float)):
        return f"write [{value}]"
    return f"write for example `{example}`" if example else ""
