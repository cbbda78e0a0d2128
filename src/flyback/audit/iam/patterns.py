"""Wildcards, policy variables and ARNs.

Sources: IAM user guide, "Variables and tags" (variables, defaults, `${*}` `${?}` `${$}`),
"Resource" (wildcards stay within the colons of an ARN; an ARN with fewer than six fields is
completed with `*`), "Condition operators" (ARN operators compare field by field).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable

__all__ = [
    "UnresolvedError",
    "arn_matches",
    "expand",
    "like",
    "literal",
    "variables_in",
    "without_variables",
]

Lookup = Callable[[str], str | None]

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_DEFAULT = re.compile(r"^(?P<key>[^,]*?)\s*,\s*'(?P<default>[^']*)'$")
_ARN_FIELDS = 6
# A wildcard that stands for itself, between expansion and comparison.
_STAR, _QUESTION = "\x01", "\x02"
_SPECIAL = {"*": _STAR, "?": _QUESTION, "$": "$"}
_MASK = str.maketrans({"*": _STAR, "?": _QUESTION})
_UNMASK = str.maketrans({_STAR: "*", _QUESTION: "?"})


class UnresolvedError(Exception):
    """A variable has no value in this request: its statement does not apply."""


def expand(text: str, lookup: Lookup) -> str:
    """Replace policy variables; wildcards in their values stand for themselves.

    Raises:
        UnresolvedError: a variable has neither a value nor a default.
    """
    if "${" not in text:
        return text

    def value(found: re.Match[str]) -> str:
        name = found[1].strip()
        if name in _SPECIAL:
            return _SPECIAL[name]
        default = _DEFAULT.match(name)
        known = lookup(default["key"] if default else name)
        if known is None and default:
            known = default["default"]
        if known is None:
            raise UnresolvedError(name)
        return known.translate(_MASK)

    return _VARIABLE.sub(value, text)


def variables_in(texts: Iterable[str]) -> frozenset[str]:
    """Keys of the policy variables in some texts, in lower case."""
    return frozenset(_key_of(found) for text in texts for found in _VARIABLE.findall(text))


def without_variables(text: str, keys: Collection[str]) -> str:
    """A text with `*` for the variables of these keys."""
    return _VARIABLE.sub(lambda found: "*" if _key_of(found[1]) in keys else found[0], text)


def _key_of(variable: str) -> str:
    return variable.partition(",")[0].strip().lower()


def literal(expanded: str) -> str:
    """An expanded text in which wildcards mean nothing."""
    return expanded.translate(_UNMASK)


def like(pattern: str, text: str) -> bool:
    """Whether an expanded pattern (`*` any characters, `?` one) matches a whole text."""
    if pattern == "*":
        return True
    return _compiled(pattern).match(text) is not None


def arn_matches(pattern: str, arn: str) -> bool:
    """Whether an expanded ARN pattern matches an ARN, field by field.

    `*` as a resource stands for an action that takes none: only patterns that are all wildcards
    match it.
    """
    if pattern in ("*", arn):
        return True
    patterns = pattern.split(":", _ARN_FIELDS - 1)
    patterns += ["*"] * (_ARN_FIELDS - len(patterns))
    fields = arn.split(":", _ARN_FIELDS - 1)
    if len(fields) < _ARN_FIELDS:
        return False
    return all(like(one, field) for one, field in zip(patterns, fields, strict=True))


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = []
    for character in pattern:
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(".")
        else:
            parts.append(re.escape(literal(character)))
    return re.compile("".join(parts) + r"\Z", re.DOTALL)
