"""What `replay` says of a mutant, a full rehearsal says too; and the verbs that show policies."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import refusals

from flyback import api
from flyback.audit.iam import Asked
from flyback.audit.iam.footprint import Place, deployer_policy, recorded
from flyback.errors import FlybackError
from flyback.infra import templates
from flyback.rehearsal.cloud import RehearsalCloud

_ACCOUNT = "123456789012"
_LEAST = "a rehearsal of the least job"
# Line of the core template → what is refused without it, and how the run ends.
_LINES = {
    "bundles": (
        '                  - !Sub "${OutputsBucket.Arn}/bundles/*"\n',
        "/bundles/",
        "FAILURE",
    ),
    "logs": ("                  - logs:PutLogEvents\n", "logs:PutLogEvents", "SUCCESS"),
}


def _without(action: str) -> dict[str, Any]:
    """The deployer's own policy less one action."""
    place = Place(name="flyback", account=_ACCOUNT, region="us-east-1")
    policy: dict[str, Any] = copy.deepcopy(deployer_policy(place))
    for statement in policy["Statement"]:
        statement["Action"] = [name for name in statement["Action"] if name != action]
    policy["Statement"] = [item for item in policy["Statement"] if item["Action"]]
    return policy


class RecordedQuestions:
    """Every question of every cloud that stops while this lasts, however the rehearsal ends."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.asked: list[Asked] = []

    def __enter__(self) -> list[Asked]:
        stop = RehearsalCloud.stop

        def recording(cloud: RehearsalCloud) -> None:
            self.asked += cloud.judge.asked()
            stop(cloud)

        self._patch.setattr(RehearsalCloud, "stop", recording)
        return self.asked

    def __exit__(self, *_: object) -> None:
        """The patch ends with the test."""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The least that a machine can do."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "job.sh").write_text("echo done\n")
    path = tmp_path / "job.json"
    document = {"name": "least", "workdir": "work", "command": ["sh", "job.sh"], "engine": "ec2"}
    path.write_text(json.dumps(document))
    return path


def test_the_least_rehearsal_meets_no_refusal(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the shipped policies: what the mutants below are measured by."""
    with RecordedQuestions(monkeypatch) as asked:
        shown = api.rehearse(job)
    assert shown.marker.kind == "SUCCESS"
    refusals.check(_LEAST, asked)


@pytest.mark.parametrize("mutant", list(_LINES))
def test_a_rehearsal_without_a_grant_of_the_machines_fails(
    mutant: str, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The template without one line: the scenario fails by name, even where the run succeeds."""
    line, named, end = _LINES[mutant]
    text = templates.read("core")
    assert text.count(line) == 1
    monkeypatch.setattr(templates, "read", lambda name: text.replace(line, "") if name else "")
    with RecordedQuestions(monkeypatch) as asked:
        assert api.rehearse(job).marker.kind == end
    with pytest.raises(refusals.ScenarioFailedError, match=f"{_LEAST}: refused .*{named}"):
        refusals.check(_LEAST, asked)


@pytest.mark.parametrize(
    "action",
    ["iam:ListRoles", pytest.param("servicequotas:GetServiceQuota", marks=pytest.mark.extended)],
)
def test_a_rehearsal_without_a_grant_of_yours_fails(
    action: str, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that flyback goes on without: the run succeeds, and the scenario fails by its name."""
    with RecordedQuestions(monkeypatch) as asked:
        shown = api.rehearse(job, setting=api.Setting(policy=_without(action)))
    assert shown.marker.kind == "SUCCESS"
    with pytest.raises(refusals.ScenarioFailedError, match=f"{_LEAST}: refused .*{action}"):
        refusals.check(_LEAST, asked)


def test_a_deployer_who_lacks_one_permission_reads_which(job: Path) -> None:
    """Without ec2:CreateFleet nothing is launched; the sentence names the action."""
    with pytest.raises(FlybackError, match="ec2:CreateFleet") as refused:
        api.rehearse(job, setting=api.Setting(policy=_without("ec2:CreateFleet")))
    assert refused.value.exit_code == 4


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flyback.cli.main", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_doctor_prints_the_deployers_policy() -> None:
    """`flyback doctor --policy` prints one document with every recorded action, account or not."""
    done = _run("doctor", "--policy", "--cloud", "rehearsal", "--name", "lab")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    actions = {name for statement in document["Statement"] for name in statement["Action"]}
    assert actions == {item.action for item in recorded()}
    assert "arn:aws:s3:::lab-outputs-*-us-east-1" in done.stdout
    assert "`flyback doctor --policy --managed`" in done.stderr
    reads = {"cloudformation:ListStackResources", "iam:ListRolePolicies", "iam:ListRoleTags"}
    of_ci = [statement for statement in document["Statement"] if "lab-ci" in json.dumps(statement)]
    assert {name for statement in of_ci for name in statement["Action"]} == reads
    assert "iam:CreateOpenIDConnectProvider" not in actions
    more = _run("doctor", "--policy", "--ci", "--managed", "--cloud", "rehearsal", "--name", "lab")
    found = [statement for part in json.loads(more.stdout) for statement in part["Statement"]]
    both = {name for statement in found for name in statement["Action"]}
    assert both == {item.action for item in recorded(ci=True)}
    assert "iam:CreateOpenIDConnectProvider" in both


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--ci",), "--ci goes with --policy"),
        (("--managed",), "--managed goes with --policy"),
        (("job.json", "--ci"), "--ci goes with --policy"),
        (("job.json", "--policy"), "--policy takes no JOB"),
    ],
)
def test_doctor_refuses_what_would_do_nothing(words: tuple[str, ...], named: str) -> None:
    """A flag of --policy without it prints no policy instead of the checks that were asked for."""
    done = _run("doctor", "--cloud", "rehearsal", *words)
    assert done.returncode == 2
    assert named in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("action", ["iam:GetRolePolicy", "lambda:GetPolicy", "s3:GetBucketAbac"])
def test_a_deployer_who_lacks_what_only_a_schema_lists_reads_which(action: str, job: Path) -> None:
    """No call of a rehearsal needs it; the emulated CloudFormation asks all the same."""
    with pytest.raises(FlybackError, match=action):
        api.rehearse(job, setting=api.Setting(policy=_without(action)))


def test_a_rehearsal_under_a_policy_of_ones_own(job: Path, tmp_path: Path) -> None:
    """`rehearse --policy FILE` refuses a malformed one with its place, and enforces a sound one."""
    mine = tmp_path / "policy.json"
    mine.write_text('{"Version": "2012-10-17", "Statement": [{"Effect": "allow"}]}')
    done = _run("rehearse", str(job), "--policy", str(mine))
    assert done.returncode == 2
    assert "policy.json: Statement[0].Effect: 'allow' is no effect" in done.stderr
    mine.write_text("{")
    assert "is no JSON" in _run("rehearse", str(job), "--policy", str(mine)).stderr
    statement = {"Effect": "Allow", "Action": "iam:*", "Resource": "*"}
    mine.write_text(json.dumps({"Version": "2012-10-17", "Statement": statement}))
    done = _run("rehearse", str(job), "--policy", str(mine))
    assert done.returncode == 4
    assert "not authorized to perform: cloudformation:DescribeStacks" in done.stderr


def test_the_footprint_sets_used_against_granted(job: Path) -> None:
    """`flyback audit footprint` names what a job uses, what it does not, and what others need."""
    done = _run("audit", "footprint", str(job), "--json")
    assert done.returncode == 0, done.stderr
    you, *roles = json.loads(done.stdout)["principals"]
    assert you["principal"] == "you"
    (machine,) = [role for role in roles if "-core-InstanceRole-" in role["principal"]]
    assert "WriteLogs: Action: logs:PutLogEvents" in machine["used"]
    assert "ReadSecrets: Action: secretsmanager:GetSecretValue" in machine["unused"]
    assert any("SSM agent" in text for text in machine["implicit"])
    assert machine["findings"] == []
