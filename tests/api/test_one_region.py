"""`plan` quotes for the region that `run` launches in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flyback.api import Options, plan
from flyback.api.wiring import open_cloud

JOB = {"name": "small", "command": ["true"], "resources": {"any_of": ["g4dn.xlarge"]}}
KEYS = "aws_access_key_id = nobody\naws_secret_access_key = nothing\n"
CONFIG = (
    f"[default]\nregion = eu-west-1\n{KEYS}"
    f"[profile west]\nregion = us-west-2\n{KEYS}"
    f"[profile bare]\n{KEYS}"
)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job for one small GPU."""
    path = tmp_path / "job.json"
    path.write_text(json.dumps(JOB))
    return path


@pytest.mark.parametrize(
    ("options", "region"),
    [
        (Options(), "eu-west-1"),
        (Options(profile="west"), "us-west-2"),
        (Options(profile="west", region="eu-central-1"), "eu-central-1"),
        (Options(profile="bare"), "us-east-1"),
        (Options(cloud="rehearsal"), "us-east-1"),
    ],
)
def test_plan_and_run_mean_one_region(
    job: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: Options,
    region: str,
) -> None:
    """A flag, else the profile's, else boto3's own choice, else us-east-1: the same for both."""
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    made = plan(job, options=options, engine="ec2")
    assert made.region == region
    if options.cloud == "aws":
        reached = open_cloud("aws", region=options.region, profile=options.profile)
        assert reached.session.region == region


def test_a_local_job_needs_no_aws_configuration(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile that does not exist is no reason to refuse what runs here."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "missing"))
    assert plan(job, options=Options(profile="nobody"), engine="local").market == "local"
