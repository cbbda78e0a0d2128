"""An unmodified AWS CLI works against `flyback rehearsal serve`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AWS = ROOT / ".tools" / "awscli" / "bin" / "aws"  # `make test-all` installs it there
CORE = ROOT / "src" / "flyback" / "infra" / "templates" / "core.yaml"
AMI = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
Aws = Callable[..., str]


@pytest.fixture
def served() -> Iterator[dict[str, str]]:
    """The environment that a served cloud prints, parsed as a shell would.

    The root user's keys: what any AWS client does is more than a deployer may.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "flyback.cli.main", "rehearsal", "serve", "--port", "0", "--root"],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    environment = {}
    for line in process.stdout:
        name, _, value = line.removeprefix("export ").strip().partition("=")
        environment[name] = value
        if name == "FLYBACK_CLOCK_URL":
            break
    yield environment
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    process.stdout.close()


@pytest.fixture
def aws(served: dict[str, str], tmp_path: Path) -> Aws:
    """Calls the CLI; its standard output."""
    assert AWS.exists(), f"{AWS} is missing: `make test-all` installs it"

    def call(*words: str | Path, refused: bool = False, **environ: str) -> str:
        done = subprocess.run(
            [str(AWS), *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, **served, **environ},
            timeout=120,
        )
        assert (done.returncode != 0) is refused, done.stdout + done.stderr
        return done.stderr if refused else done.stdout

    return call


@pytest.mark.extended
def test_the_aws_cli_works(aws: Aws, tmp_path: Path) -> None:
    """Identity, S3, EC2, SSM, and `cloudformation deploy` of core.yaml, then all of it removed."""
    assert json.loads(aws("sts", "get-caller-identity"))["Account"] == "123456789012"
    (tmp_path / "a b.txt").write_text("hello")
    aws("s3", "mb", "s3://my-bucket")
    aws("s3", "cp", "a b.txt", "s3://my-bucket/x/a b.txt")
    aws("s3", "sync", "s3://my-bucket/x", "down")
    assert (tmp_path / "down" / "a b.txt").read_text() == "hello"
    aws("s3", "rb", "--force", "s3://my-bucket")
    assert "ami-" in aws("ssm", "get-parameter", "--name", AMI)
    deploy = (
        *("cloudformation", "deploy", "--stack-name", "flyback-core"),
        *("--template-file", CORE, "--capabilities", "CAPABILITY_IAM"),
    )
    assert "Successfully created" in aws(*deploy)
    assert "No changes to deploy" in aws(*deploy, "--no-fail-on-empty-changeset")
    stack = aws(
        *("cloudformation", "describe-stacks", "--stack-name", "flyback-core"),
        *("--query", "Stacks[0].StackStatus", "--output", "text"),
    )
    assert stack.strip() == "CREATE_COMPLETE"
    aws("cloudformation", "delete-stack", "--stack-name", "flyback-core")
    aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", "flyback-core")
    assert json.loads(aws("logs", "describe-log-groups"))["logGroups"] == []


@pytest.mark.extended
def test_the_aws_cli_is_told_no(aws: Aws) -> None:
    """Unknown keys are refused and unknown operations are not silently swallowed."""
    answer = aws("s3", "ls", refused=True, AWS_ACCESS_KEY_ID="AKIANOBODYATALL00000")
    assert "InvalidAccessKeyId" in answer
    assert "NotEmulated" in aws("ssm", "describe-sessions", "--state", "Active", refused=True)
