"""Dependency order: who must exist before whom, and the checks that a template's names resolve."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from flyback.rehearsal.cloudformation.references import PSEUDO, Reference, references
from flyback.rehearsal.cloudformation.refusals import invalid
from flyback.rehearsal.cloudformation.template import ResourceDeclaration, Template

__all__ = ["check_names", "inverted", "needs", "ordered"]


def needs(declaration: ResourceDeclaration, among: Collection[str]) -> frozenset[str]:
    """The resources of `among` that this one waits for."""
    named = {item.name for item in references(declaration.properties)}
    return frozenset((named | set(declaration.depends_on)) & set(among)) - {declaration.logical_id}


def ordered(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """Names so that each follows what it needs; ties in the order of their names.

    Raises:
        AwsError: a circular dependency.
    """
    sorter = TopologicalSorter({name: sorted(before) for name, before in edges.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        circle = sorted(set(error.args[1]))
        raise invalid(f"Circular dependency between resources: [{', '.join(circle)}]") from error
    found: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        found.extend(name for name in ready if name in edges)
        sorter.done(*ready)
    return found


def inverted(edges: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """The same edges, for taking things away: each name with those that need it."""
    found: dict[str, set[str]] = {name: set() for name in edges}
    for name, before in edges.items():
        for other in before:
            if other in found:
                found[other].add(name)
    return {name: frozenset(after) for name, after in found.items()}


def check_names(template: Template) -> None:
    """Every Ref, GetAtt, DependsOn and Condition names something, and nothing is circular.

    Raises:
        AwsError: in AWS's words.
    """
    for declaration in template.resources.values():
        missing = [item for item in declaration.depends_on if item not in template.resources]
        _refuse(missing, "Resources")
        _check_references(references(declaration.properties), template, "Resources")
    for output in template.outputs.values():
        _check_references(references([output.value, output.export_name or ""]), template, "Outputs")
    _check_conditions(template)
    ordered({key: needs(item, template.resources) for key, item in template.resources.items()})


def _check_references(found: Iterable[Reference], template: Template, block: str) -> None:
    missing = []
    for item in found:
        if item.attribute:
            if item.name not in template.resources:
                raise invalid(
                    "Template error: instance of Fn::GetAtt references undefined resource "
                    f"{item.name}"
                )
        elif item.name not in (template.parameters.keys() | template.resources.keys() | PSEUDO):
            missing.append(item.name)
    _refuse(missing, block)


def _refuse(missing: Iterable[str], block: str) -> None:
    names = sorted(set(missing))
    if names:
        raise invalid(
            f"Template format error: Unresolved resource dependencies [{', '.join(names)}] "
            f"in the {block} block of the template"
        )


def _check_conditions(template: Template) -> None:
    named = {item.name for item in references(list(template.conditions.values()))}
    beyond = sorted(named - template.parameters.keys() - PSEUDO)
    if beyond:
        raise invalid(
            f"Template error: Unresolved dependencies [{', '.join(beyond)}]. "
            "Cannot reference resources in the Conditions block of the template"
        )
    used = [(item.condition, "Resources") for item in template.resources.values()]
    used += [(item.condition, "Outputs") for item in template.outputs.values()]
    for name, block in used:
        if name and name not in template.conditions:
            raise invalid(
                f"Template format error: Unresolved condition dependency {name} "
                f"in the {block} block of the template"
            )
