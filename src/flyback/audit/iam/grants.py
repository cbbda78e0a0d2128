"""Every single thing that a policy grants or limits, and the policy without it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flyback.audit.iam.asked import Asked, Attached, answer, concerns, keys_of
from flyback.audit.iam.implicit import Implicit, implicit
from flyback.audit.iam.patterns import arn_matches, like
from flyback.audit.iam.tolerated import Tolerated, tolerates
from flyback.audit.iam.trust import too_trusting
from flyback.audit.iam.wildcards import too_much

__all__ = ["Grant", "Verdict", "grants", "judge_grants", "normal", "repeatable", "too_wide"]

_ARN_FIELDS = 6


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One action, resource, principal, condition or condition value of a statement.

    Args:
        policy: Whose.
        statement: Its place there.
        sid: The statement's id; may be empty.
        path: Keys from the statement down to a list or mapping.
        item: Index or key to take away there.
        text: What it says.
    """

    policy: Attached
    statement: int
    sid: str
    path: tuple[str, ...]
    item: int | str
    text: str

    def __str__(self) -> str:
        return f"{self.policy.label}: {self.short}"

    @property
    def short(self) -> str:
        """Without its policy's name."""
        statement = self.sid or str(self.statement)
        return f"{statement}: {'.'.join(self.path)}: {self.text}"

    def without(self) -> Attached | None:
        """The policy without it; None where nothing is left of it."""
        document = normal(self.policy.document)
        statement = document["Statement"][self.statement]
        _remove(statement, self.path, self.item)
        if _is_void(statement, self.policy):
            del document["Statement"][self.statement]
        if not document["Statement"]:
            return None
        return dataclasses.replace(self.policy, document=document)

    def widened(self) -> Iterator[tuple[str, Attached]]:
        """What could stand in its place and says more, with the policy then.

        `*` for an action; for a resource also its ARN with nothing named: without what comes after
        the colons, and with a wildcard for the name alone.
        """
        document = normal(self.policy.document)
        if self.policy.kind != "identity" or len(self.path) > 1:
            return
        if document["Statement"][self.statement]["Effect"] != "Allow":
            return
        for text in dict.fromkeys(("*", *_nameless(self.text))):
            if self.path[0] in ("Action", "Resource") and text != self.text:
                wide = copy.deepcopy(document)
                wide["Statement"][self.statement][self.path[0]][self.item] = text
                yield text, dataclasses.replace(self.policy, document=wide)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a policy without one grant.

    Args:
        grant: Which.
        noticed: The scenario and the question that came out otherwise; empty where none did.
        implicit: Why it is needed all the same, if it is.
        tolerated: Whose refusal alone was noticed: the scenario meets it and goes on; else None.
        by_schema: No call was refused or allowed, only what a resource's schema lists; the table
            of those lists grants it and asks for it, so that it shows no need by itself.
    """

    grant: Grant
    noticed: str = ""
    implicit: Implicit | None = None
    tolerated: Tolerated | None = None
    by_schema: bool = False

    @property
    def survives(self) -> bool:
        """Whether nothing shows that the grant is needed."""
        return not self.noticed and self.implicit is None


def grants(policy: Attached) -> Iterator[Grant]:
    """Everything single in a policy."""
    for index, statement in enumerate(normal(policy.document)["Statement"]):
        for path, item, text in _singles(statement):
            yield Grant(
                policy=policy,
                statement=index,
                sid=statement.get("Sid", ""),
                path=path,
                item=item,
                text=text,
            )


def judge_grants(policies: Iterable[Attached], asked: Iterable[Asked]) -> list[Verdict]:
    """Take away each grant alone and answer every question again.

    Args:
        policies: All of the account, of users too: what is answered otherwise with all of them
            shows nothing, and is left out.
        asked: Recorded questions with their answers, refusals included.
    """
    everything = list(policies)
    questions = repeatable(everything, sorted(asked, key=_weight))
    verdicts: list[Verdict] = []
    for policy in everything:
        affected = [item for item in questions if concerns(policy, item)]
        verdicts += [_verdict(grant, everything, affected) for grant in grants(policy)]
    return verdicts


def repeatable(policies: list[Attached], asked: Iterable[Asked]) -> list[Asked]:
    """Questions that these policies answer as they were answered then, each once."""
    distinct = _distinct(asked, frozenset().union(*(keys_of(policy) for policy in policies)))
    return [item for item in distinct if answer(item, policies).allowed == item.allowed]


def _weight(item: Asked) -> int:
    """In which order changed answers count: what is tolerated later, what no call asks last."""
    return 2 if item.by_schema else int(tolerates(item) is not None)


def _verdict(grant: Grant, policies: list[Attached], affected: list[Asked]) -> Verdict:
    mutant = grant.without()
    left = [item for item in policies if item is not grant.policy]
    left += [mutant] if mutant else []
    for item in _touched(grant, affected):
        if answer(item, left).allowed != item.allowed:
            word = "refused" if item.allowed else "allowed"
            noticed = f"{item.scenario}: {item.action} on {item.resource} is {word}"
            return Verdict(
                grant=grant, noticed=noticed, tolerated=tolerates(item), by_schema=item.by_schema
            )
    return Verdict(grant=grant, implicit=_meant(grant))


def _touched(grant: Grant, asked: Iterable[Asked]) -> Iterator[Asked]:
    """Questions that the statement could be about; no other changes its answer without it."""
    statement = normal(grant.policy.document)["Statement"][grant.statement]
    one = {grant.path: [grant.text]}
    actions = one.get(("Action",), statement.get("Action", ["*"]))
    named = one.get(("Resource",), statement.get("Resource", ["*"]))
    anything = any("${" in text for text in named)
    patterns = [text.lower() for text in actions]
    for item in asked:
        if not any(like(pattern, item.action.lower()) for pattern in patterns):
            continue
        if anything or any(arn_matches(text, item.resource) for text in named):
            yield item


def _meant(grant: Grant) -> Implicit | None:
    """The entry of the implicit list that needs an action, or a resource, of a statement."""
    statement = normal(grant.policy.document)["Statement"][grant.statement]
    for entry in implicit():
        if entry.statement != grant.sid:
            continue
        if grant.path == ("Action",) and entry.action == grant.text:
            wanted = any(entry.on(text) for text in statement.get("Resource", ()))
        else:
            wanted = grant.path == ("Resource",) and entry.on(grant.text)
            wanted = wanted and entry.action in statement.get("Action", ())
        if wanted:
            return entry
    return None


def too_wide(policy: Attached) -> Iterator[str]:
    """Wildcards that say more than is meant.

    An action with one, `*` as the resource of an action that takes resources, an ARN that names
    nothing; in a role's trust and a resource's policy, whatever lets in more than is named.
    """
    for statement in normal(policy.document)["Statement"]:
        if policy.kind != "identity":
            for finding in too_trusting(statement):
                yield f"{policy.label}: {finding}"
        elif statement["Effect"] == "Allow":
            yield from too_much(
                statement, policy.holder, f"{policy.label}: {statement.get('Sid', '')}"
            )


def normal(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which everything that may be a list is one."""
    found: dict[str, Any] = copy.deepcopy(dict(document))
    statements = found["Statement"]
    found["Statement"] = statements if isinstance(statements, list) else [statements]
    for statement in found["Statement"]:
        for key in ("Action", "NotAction", "Resource", "NotResource"):
            if key in statement:
                statement[key] = _listed(statement[key])
        for key in ("Principal", "NotPrincipal"):
            if key in statement:
                named = {"AWS": "*"} if statement[key] == "*" else statement[key]
                statement[key] = {kind: _listed(names) for kind, names in named.items()}
        for keys in statement.get("Condition", {}).values():
            for key in keys:
                keys[key] = _listed(keys[key])
    return found


def _nameless(text: str) -> Iterator[str]:
    """An ARN whose last field is a wildcard, or has one in each place of its name."""
    fields = text.split(":", _ARN_FIELDS - 1)
    if len(fields) < _ARN_FIELDS:
        return
    *start, last = fields
    yield ":".join((*start, "*"))
    kind, separator, _ = last.partition("/") if "/" in last else last.partition(":")
    if separator and start[2] != "s3":
        yield ":".join((*start, f"{kind}{separator}*"))
    elif separator:
        yield ":".join((*start, last.replace(kind, "*", 1)))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _singles(statement: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], int | str, str]]:
    for key in ("Action", "NotAction", "Resource", "NotResource"):
        for index, text in enumerate(statement.get(key, ())):
            yield (key,), index, text
    for key in ("Principal", "NotPrincipal"):
        for kind, names in statement.get(key, {}).items():
            for index, text in enumerate(names):
                yield (key, kind), index, text
    for operator, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            yield ("Condition", operator), key, f"{key}"
            if len(values) > 1:
                for index, text in enumerate(values):
                    yield ("Condition", operator, key), index, str(text)


def _remove(statement: dict[str, Any], path: tuple[str, ...], item: int | str) -> None:
    """Take an item away, and what is empty then, upwards."""
    inner: Any = statement
    for step in path:
        inner = inner[step]
    del inner[item]
    for depth in range(len(path) - 1, -1, -1):
        holder: Any = statement
        for step in path[:depth]:
            holder = holder[step]
        if not holder[path[depth]]:
            del holder[path[depth]]


def _is_void(statement: Mapping[str, Any], policy: Attached) -> bool:
    """Whether what is left says nothing any more: no action, no resource or no principal."""
    wanted = [{"Action", "NotAction"}]
    if policy.kind != "trust":
        wanted.append({"Resource", "NotResource"})
    if policy.kind != "identity":
        wanted.append({"Principal", "NotPrincipal"})
    return not all(names & set(statement) for names in wanted)


def _distinct(asked: Iterable[Asked], seen_keys: frozenset[str]) -> list[Asked]:
    """Questions that differ in what policies look at: these condition keys, in lower case."""
    seen: dict[Any, Asked] = {}
    for item in asked:
        if not item.action:
            continue
        keys = sorted((k, v) for k, v in item.context.items() if k.lower() in seen_keys)
        identity = (item.principal, item.role, item.action, item.resource, repr(keys), item.allowed)
        seen.setdefault(identity, item)
    return list(seen.values())
