"""ci.yaml and its workflow: one branch of one repository pushes to one registry, without a key."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from cfnlint.api import lint_all
from cfnlint.decode import decode_str
from ruamel.yaml import YAML

from flyback.audit.template import lint_template
from flyback.infra import templates, workflows
from flyback.launch.push import Branch

TAGS = {"Project", "Environment", "Owner", "CostCenter"}


@pytest.fixture(scope="module")
def ci() -> dict[str, Any]:
    """The template, decoded."""
    template, problems = decode_str(templates.read("ci"))
    assert not problems
    return dict(template)


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    """The workflow, parsed; `on` is a word, as GitHub reads it."""
    found: dict[str, Any] = YAML(typ="safe").load(workflows.path("push-image").read_text())
    return found


def test_the_ci_template_is_sound(ci: dict[str, Any]) -> None:
    """Neither cfn-lint nor our own rules find anything; everything that can be is tagged."""
    found = lint_all(templates.read("ci"))
    assert [str(match) for match in found if match.rule.id != "I4010"] == []
    assert lint_template(ci) == ()
    for resource in ci["Resources"].values():  # IAM's things have no region
        assert {tag["Key"] for tag in resource["Properties"]["Tags"]} == TAGS | {"flyback:region"}


def test_the_trust_is_exact(ci: dict[str, Any]) -> None:
    """Audience and subject are both compared for equality, and parameters hold no wildcard."""
    (statement,) = ci["Resources"]["PushRole"]["Properties"]["AssumeRolePolicyDocument"][
        "Statement"
    ]
    (operator,) = statement["Condition"]
    issuer = "token.actions.githubusercontent.com"
    assert operator == "StringEquals"
    assert set(statement["Condition"][operator]) == {f"{issuer}:aud", f"{issuer}:sub"}
    for name in ("Repository", "Branch"):
        assert "*" not in ci["Parameters"][name]["AllowedPattern"]


@pytest.mark.parametrize("name", workflows.NAMES)
def test_workflows_are_valid(name: str) -> None:
    """By the schema of GitHub's workflows."""
    words = ("check_jsonschema", "--builtin-schema", "vendor.github-workflows")
    done = subprocess.run(
        [sys.executable, "-m", *words, str(workflows.path(name))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_stores_no_key(workflow: dict[str, Any]) -> None:
    """No secret is read; the token is asked for; actions are pinned by commit; the branch fits."""
    text = workflows.path("push-image").read_text()
    assert "secrets." not in text
    assert "access-key" not in text
    assert workflow["on"]["push"]["branches"] == [Branch(repository="acme/lab").name]
    (job,) = workflow["jobs"].values()
    assert workflow["permissions"] == {}
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    used = [step["uses"].rpartition("@")[2] for step in job["steps"] if "uses" in step]
    assert [len(commit) for commit in used] == [40, 40]
    for variable in ("AWS_REGION", "FLYBACK_PUSH_ROLE", "FLYBACK_REPOSITORY"):
        assert f"vars.{variable}" in text
    with pytest.raises(KeyError):
        workflows.path("../push-image")
