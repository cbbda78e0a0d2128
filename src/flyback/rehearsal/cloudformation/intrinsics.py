"""Intrinsic functions: from a template's values to plain ones."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol

from flyback.rehearsal.cloudformation.references import SUB_VARIABLE, split_attribute
from flyback.rehearsal.cloudformation.refusals import NotEmulatedError, invalid
from flyback.rehearsal.cloudformation.template import Template

__all__ = ["NO_VALUE", "Resolver", "Surroundings", "check_functions"]

NO_VALUE: Final = object()
"""What `!Ref AWS::NoValue` resolves to; it removes the property or list item that holds it."""

_SUPPORTED = (
    "Fn::And",
    "Fn::Base64",
    "Fn::Cidr",
    "Fn::Equals",
    "Fn::FindInMap",
    "Fn::GetAZs",
    "Fn::GetAtt",
    "Fn::If",
    "Fn::ImportValue",
    "Fn::Join",
    "Fn::Not",
    "Fn::Or",
    "Fn::Select",
    "Fn::Split",
    "Fn::Sub",
    "Ref",
)
_DYNAMIC = re.compile(r"\{\{resolve:([a-z-]+):([^{}]+)\}\}")
_PAIR, _TRIPLE, _MOST_TERMS = 2, 3, 10


class Surroundings(Protocol):
    """What a template refers to beyond itself."""

    def ref(self, logical_id: str) -> str:
        """Physical id of a resource."""
        ...

    def attribute(self, logical_id: str, name: str) -> Any:
        """Attribute of a resource."""
        ...

    def zones(self, region: str) -> list[str]:
        """Availability Zones of a region."""
        ...

    def imported(self, name: str) -> str:
        """Value that another stack exports."""
        ...

    def ssm(self, name: str) -> str:
        """Value of an SSM parameter, maybe with `:version`."""
        ...


def check_functions(value: Any) -> None:
    """Refuse functions that do not exist.

    Raises:
        AwsError: in AWS's words.
    """
    if isinstance(value, list):
        for item in value:
            check_functions(item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key.startswith("Fn::") and (key not in _SUPPORTED or len(value) > 1):
                raise invalid(
                    f"Template error: Encountered unsupported function: {key} "
                    f"Supported functions are: [{', '.join(_SUPPORTED)}]"
                )
            check_functions(item)


@dataclass(frozen=True, kw_only=True)
class Resolver:
    """Resolves one template with one set of parameter values.

    Args:
        template: The template.
        parameters: Values by name, pseudo parameters included; text or lists of text.
        surroundings: What the template refers to beyond itself.
    """

    template: Template
    parameters: Mapping[str, Any]
    surroundings: Surroundings
    _known: dict[str, bool] = field(default_factory=dict)
    _pending: set[str] = field(default_factory=set)

    def condition(self, name: str) -> bool:
        """Whether a named condition holds; an empty name always does.

        Raises:
            AwsError: it is not defined, or refers to itself.
        """
        if not name:
            return True
        if name not in self._known:
            if name not in self.template.conditions:
                raise invalid(f"Template error: unresolved condition dependency: {name}")
            if name in self._pending:
                raise invalid(f"Template format error: Circular dependency in condition {name}")
            self._pending.add(name)
            self._known[name] = self._holds(self.template.conditions[name])
        return self._known[name]

    def live(self) -> list[str]:
        """Logical ids of the resources whose condition holds."""
        return [
            key for key, item in self.template.resources.items() if self.condition(item.condition)
        ]

    def resolve(self, value: Any) -> Any:
        """A value without functions; `NO_VALUE` where nothing is left of it.

        Raises:
            AwsError: a function can't be resolved.
        """
        if isinstance(value, list):
            found = [self.resolve(item) for item in value]
            return [item for item in found if item is not NO_VALUE]
        if isinstance(value, str):
            return self._dynamic(value)
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function in self._FUNCTIONS:
                return self._FUNCTIONS[function](self, argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def text(self, value: Any) -> str:
        """A value that must come out as text.

        Raises:
            AwsError: it is a list or a map.
        """
        found = self.resolve(value)
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, (str, int, float)):
            return str(found)
        raise invalid(f"Template error: expected a string, found {_kind(found)}")

    def _holds(self, value: Any) -> bool:
        if isinstance(value, Mapping) and len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if function == "Fn::Equals":
                left, right = self._arguments(function, argument, _PAIR)
                return bool(self._comparable(left) == self._comparable(right))
            if function == "Fn::Not":
                return not self._holds(self._arguments(function, argument, 1)[0])
            if function in ("Fn::And", "Fn::Or"):
                if not isinstance(argument, list) or not _PAIR <= len(argument) <= _MOST_TERMS:
                    raise invalid(
                        f"Template error: every {function} object requires a list of at least 2 "
                        "and at most 10 boolean parameters."
                    )
                return (all if function == "Fn::And" else any)(map(self._holds, argument))
        raise invalid(
            "Template format error: Every Conditions member must be a condition function."
        )

    def _comparable(self, value: Any) -> Any:
        found = self.resolve(value)
        return found if isinstance(found, (list, Mapping)) else self.text(found)

    def _dynamic(self, value: str) -> str:
        def one(match: re.Match[str]) -> str:
            service, key = match.groups()
            if service != "ssm":
                raise NotEmulatedError(f"the dynamic reference to {service}")
            return self.surroundings.ssm(key)

        return _DYNAMIC.sub(one, value)

    @staticmethod
    def _arguments(function: str, argument: Any, count: int) -> list[Any]:
        if not isinstance(argument, list) or len(argument) != count:
            raise invalid(
                f"Template error: every {function} object requires a list of {count} parameters."
            )
        return argument

    def _ref(self, argument: Any) -> Any:
        if argument == "AWS::NoValue":
            return NO_VALUE
        if argument in self.parameters:
            return self.parameters[argument]
        if argument in self.template.resources:
            self._must_live(argument)
            return self.surroundings.ref(argument)
        raise invalid(
            f"Template format error: Unresolved resource dependencies [{argument}] in the "
            "Resources block of the template"
        )

    def _get_att(self, argument: Any) -> Any:
        logical_id, name = split_attribute(argument)
        self._must_live(logical_id)
        return self.surroundings.attribute(logical_id, name)

    def _must_live(self, logical_id: str) -> None:
        declaration = self.template.resources.get(logical_id)
        if declaration is None or not self.condition(declaration.condition):
            raise invalid(
                f"Template format error: Unresolved resource dependencies [{logical_id}] in the "
                "Resources block of the template"
            )

    def _sub(self, argument: Any) -> str:
        own: Mapping[str, Any] = {}
        if isinstance(argument, list):
            argument, own = self._arguments("Fn::Sub", argument, _PAIR)

        def one(match: re.Match[str]) -> str:
            name = match.group(1).strip()
            if name in own:
                return self.text(own[name])
            return self.text({"Fn::GetAtt": name} if "." in name else {"Ref": name})

        return self._dynamic(SUB_VARIABLE.sub(one, argument).replace("${!", "${"))

    def _join(self, argument: Any) -> str:
        delimiter, parts = self._arguments("Fn::Join", argument, _PAIR)
        found = self.resolve(parts)
        if not isinstance(delimiter, str) or not isinstance(found, list):
            raise invalid(
                "Template error: every Fn::Join object requires two parameters, (1) a string "
                "delimiter and (2) a list of strings to be joined"
            )
        return delimiter.join(self.text(item) for item in found)

    def _select(self, argument: Any) -> Any:
        index, parts = self._arguments("Fn::Select", argument, _PAIR)
        number, found = self.text(index), self.resolve(parts)
        if not number.isdigit() or not isinstance(found, list):
            raise invalid(
                "Template error: Fn::Select requires a list argument with two elements: an integer "
                "index and a list"
            )
        if int(number) >= len(found):
            raise invalid(
                f"Template error: Fn::Select cannot select nonexistent value at index {number}"
            )
        return found[int(number)]

    def _split(self, argument: Any) -> list[str]:
        delimiter, source = self._arguments("Fn::Split", argument, _PAIR)
        if not isinstance(delimiter, str) or not delimiter:
            raise invalid("Template error: every Fn::Split object requires a string delimiter")
        return self.text(source).split(delimiter)

    def _base64(self, argument: Any) -> str:
        return base64.b64encode(self.text(argument).encode()).decode()

    def _get_azs(self, argument: Any) -> list[str]:
        return self.surroundings.zones(self.text(argument) or self.parameters["AWS::Region"])

    def _import(self, argument: Any) -> str:
        return self.surroundings.imported(self.text(argument))

    def _if(self, argument: Any) -> Any:
        name, yes, no = self._arguments("Fn::If", argument, _TRIPLE)
        return self.resolve(yes if self.condition(name) else no)

    def _find_in_map(self, argument: Any) -> Any:
        keys = [self.text(item) for item in self._arguments("Fn::FindInMap", argument, _TRIPLE)]
        found: Any = self.template.mappings
        for key in keys:
            if not isinstance(found, Mapping) or key not in found:
                raise invalid(f"Template error: Unable to get mapping for {'::'.join(keys)}")
            found = found[key]
        return found

    def _cidr(self, argument: Any) -> list[str]:
        if not isinstance(argument, list) or len(argument) not in (_PAIR, _TRIPLE):
            raise invalid("Template error: every Fn::Cidr object requires two or three parameters.")
        block, count = self.text(argument[0]), self.text(argument[1])
        bits = self.text(argument[2]) if len(argument) == _TRIPLE else ""
        try:
            network = ipaddress.ip_network(block)
            size = network.max_prefixlen - int(bits or (8 if network.version == 4 else 64))  # noqa: PLR2004  # IPv4
            subnets = network.subnets(new_prefix=size)
            return [str(next(subnets)) for _ in range(int(count))]
        except (ValueError, StopIteration, RuntimeError) as error:
            raise invalid(
                f"Template error: Fn::Cidr cannot make {count} blocks with {bits or 'default'} "
                f"bits from {block}"
            ) from error

    def _misplaced(self, _argument: Any) -> Any:
        raise invalid(
            "Template error: condition functions other than Fn::If stand only in Conditions"
        )

    _FUNCTIONS: ClassVar[Mapping[str, Callable[[Resolver, Any], Any]]] = {
        "Fn::And": _misplaced,
        "Fn::Base64": _base64,
        "Fn::Cidr": _cidr,
        "Fn::Equals": _misplaced,
        "Fn::FindInMap": _find_in_map,
        "Fn::GetAZs": _get_azs,
        "Fn::GetAtt": _get_att,
        "Fn::If": _if,
        "Fn::ImportValue": _import,
        "Fn::Join": _join,
        "Fn::Not": _misplaced,
        "Fn::Or": _misplaced,
        "Fn::Select": _select,
        "Fn::Split": _split,
        "Fn::Sub": _sub,
        "Ref": _ref,
    }


def _kind(value: Any) -> str:
    if value is NO_VALUE:
        return "AWS::NoValue"
    return "a list" if isinstance(value, list) else "a map"
