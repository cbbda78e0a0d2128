"""The truth table, read: one case per answer that AWS documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from flyback.audit.iam import Decision, Policies, Principal, Request, evaluate, parse_policy

_GUIDE = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
_EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
_SOMEBODY = "arn:aws:iam::123456789012:user/somebody"
_ANSWERS = {"allowed": "allow", "explicit deny": "deny", "implicit deny": "none"}


@dataclass(frozen=True)
class Case:
    """One documented answer."""

    group: Mapping[str, Any]
    fields: Mapping[str, Any]
    expected: str

    def __str__(self) -> str:
        shown = {key: value for key, value in self.fields.items() if key != "is"}
        return f"{self.group['title']}: {shown}"

    @property
    def page(self) -> str:
        page = str(self.group["page"])
        return page if page.startswith("https://") else _GUIDE + page

    def field(self, name: str, default: str) -> str:
        return str(self.fields.get(name, self.group.get(name, default)))

    @property
    def request(self) -> Request:
        context = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in {
                **self.group.get("context", {}),
                **self.fields.get("context", {}),
            }.items()
        }
        return Request(
            principal=Principal.from_arn(self.field("principal", _SOMEBODY)),
            action=self.field("action", "svc:Do"),
            resource=self.field("resource_arn", "*"),
            context=context,
        )

    @property
    def documents(self) -> dict[str, dict[str, Any]]:
        """Each policy of the group, as JSON, by layer."""
        group = self.group
        statements: dict[str, list[dict[str, Any]]] = {
            layer: group[layer]
            for layer in ("identity", "resource", "boundary", "session", "trust")
            if layer in group
        }
        if "condition" in group:
            statements["identity"] = [{**_EVERYTHING, "Condition": group["condition"]}]
        elif "allow" in group:
            statements["identity"] = [{"Effect": "Allow", **group["allow"]}]
        elif "deny" in group:
            statements["identity"] = [_EVERYTHING, {"Effect": "Deny", **group["deny"]}]
        version = group.get("version", "2012-10-17")
        head = {"Version": version} if version else {}
        return {layer: {**head, "Statement": found} for layer, found in statements.items()}

    @property
    def policies(self) -> Policies:
        read: dict[str, tuple[Any, ...]] = {}
        needs = self.group.get("needs", "either")
        for layer, document in self.documents.items():
            if layer == "trust":
                needs = "resource"
                read["resource"] = (parse_policy(document, layer, "trust"),)
            else:
                kind = "resource" if layer == "resource" else "identity"
                read[layer] = (parse_policy(document, layer, kind),)  # type: ignore[arg-type]  # as above
        return Policies(needs=needs, **read)

    def decide(self) -> Decision:
        return evaluate(self.request, self.policies)

    @property
    def answer(self) -> str:
        return _ANSWERS[self.decide().reason]


def read_cases() -> tuple[Case, ...]:
    """Every case of the table."""
    table = yaml.safe_load(Path(__file__).with_name("truth_table.yaml").read_text())
    return tuple(case for group in table for case in _cases(group))


def _cases(group: Mapping[str, Any]) -> Iterator[Case]:
    for item in group["cases"]:
        if isinstance(item, list):
            value, expected = item
            context = {} if value is None else {group["key"]: value}
            yield Case(group, {"context": context}, expected)
        else:
            yield Case(group, item, item["is"])


@pytest.fixture(scope="session")
def truth_table() -> tuple[Case, ...]:
    """Every documented case."""
    return read_cases()
