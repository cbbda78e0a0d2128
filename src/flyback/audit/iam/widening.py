"""Every way in which a policy that names principals could say a little more, and who notices."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from flyback.audit.iam.asked import Asked, Attached, answer, concerns
from flyback.audit.iam.grants import grants, normal, repeatable, too_wide

__all__ = ["Widening", "judge_widenings", "widenings"]

_PARTS = re.compile(r"[:/@]")


@dataclass(frozen=True, kw_only=True)
class Widening:
    """A trust or a resource's policy that says more, and what became of it.

    Args:
        policy: Whose.
        text: What it says now.
        noticed: The scenario that came out otherwise; empty where none did.
        flagged: What the audit finds in it; empty where nothing.
    """

    policy: Attached
    text: str
    noticed: str = ""
    flagged: str = ""

    @property
    def survives(self) -> bool:
        """Whether nobody notices."""
        return not self.noticed and not self.flagged


def widenings(policy: Attached) -> Iterator[tuple[str, Attached]]:
    """A policy with any principal, any action, or a wildcard in one condition's value."""
    for grant in grants(policy):
        document = normal(policy.document)
        statement = document["Statement"][grant.statement]
        if policy.kind == "identity" or statement["Effect"] != "Allow":
            continue
        kind = grant.path[0]
        if kind == "Principal":
            statement["Principal"] = {"AWS": ["*"]}
            yield f"{grant}: *", dataclasses.replace(policy, document=document)
        elif kind == "Action":
            every = f"{grant.text.partition(':')[0]}:*"
            statement["Action"][grant.item] = every
            yield f"{grant}: {every}", dataclasses.replace(policy, document=document)
        elif len(grant.path) == 2:  # noqa: PLR2004  # Condition, operator; the item is the key
            yield from _wilder(policy, grant.statement, grant.path[1], str(grant.item))


def judge_widenings(policies: Iterable[Attached], asked: Iterable[Asked]) -> list[Widening]:
    """Widen each such policy alone, audit it, and answer every question that it concerns again.

    Args:
        policies: All of the account.
        asked: Recorded questions with their answers, refusals included.
    """
    everything = list(policies)
    questions = repeatable(everything, asked)
    found = []
    for policy in everything:
        affected = [item for item in questions if concerns(policy, item)]
        others = [item for item in everything if item is not policy]
        for text, mutant in widenings(policy):
            otherwise = (
                item.scenario
                for item in affected
                if answer(item, [*others, mutant]).allowed != item.allowed
            )
            found.append(
                Widening(
                    policy=policy,
                    text=text,
                    noticed=next(otherwise, ""),
                    flagged=next(too_wide(mutant), ""),
                )
            )
    return found


def _wilder(
    policy: Attached, index: int, operator: str, key: str
) -> Iterator[tuple[str, Attached]]:
    values = normal(policy.document)["Statement"][index]["Condition"][operator][key]
    like = "ArnLike" if operator.startswith("Arn") else "StringLike"
    for value in values:
        for pattern in _patterns(value):
            document = normal(policy.document)
            conditions = document["Statement"][index]["Condition"]
            del conditions[operator][key]
            conditions.setdefault(like, {})[key] = [pattern]
            conditions = {name: keys for name, keys in conditions.items() if keys}
            document["Statement"][index]["Condition"] = conditions
            text = f"{policy.label}: {like}: {key}: {pattern}"
            yield text, dataclasses.replace(policy, document=document)


def _patterns(value: str) -> list[str]:
    """The value with a wildcard behind, before, or in place of what stands between separators."""
    cuts = [match.start() for match in _PARTS.finditer(value)]
    edges = [-1, *cuts, len(value)]
    found = ["*", f"{value}*", f"*{value}"]
    found += [f"{value[: cut + 1]}*" for cut in cuts]
    found += [f"{value[: start + 1]}*{value[end:]}" for start, end in pairwise(edges)]
    return list(dict.fromkeys(found))
