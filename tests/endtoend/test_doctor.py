"""What `doctor` says of an account, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flyback.api.job import prepare
from flyback.api.verbs import decide
from flyback.api.wiring import Cloud, local_home, start_rehearsal
from flyback.launch.doctor import Finding, examine
from flyback.plan.quotas import quota_of
from flyback.rehearsal.moto_state import backend
from flyback.spec.plan import Plan


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An account with nothing in it."""
    started = start_rehearsal(local_home() / "rehearsal" / "cloud", region="us-east-1")
    assert started.emulated is not None
    yield started
    started.emulated.stop()


def allow(cloud: Cloud, instance_type: str, *, spot: int, on_demand: int) -> None:
    """Set a type's quotas of both markets, in vCPUs."""
    assert cloud.emulated is not None
    for market, vcpus in (("spot", spot), ("on-demand", on_demand)):
        quota = quota_of(instance_type, market)
        assert quota is not None
        cloud.emulated.quotas.set(quota.code, vcpus)


def line(cloud: Cloud, topic: str, plan: Plan | None = None) -> Finding:
    """One finding."""
    (found,) = [
        item for item in examine(cloud.session, "flyback", cloud.clock, plan) if item.topic == topic
    ]
    return found


def planned(tmp_path: Path, *overrides: str) -> Plan:
    """The plan of a job on g5."""
    path = tmp_path / "job.json"
    resources = {"any_of": ["g5.2xlarge"]}
    path.write_text(json.dumps({"name": "j", "command": ["true"], "resources": resources}))
    return decide(prepare(path, overrides=overrides, engine="ec2"), "us-east-1")


def test_quotas_are_told_for_each_market_and_spot_decides(cloud: Cloud) -> None:
    """On-demand does not make up for spot; the remedy asks for spot, and names the other way."""
    allow(cloud, "g4dn.xlarge", spot=0, on_demand=8)
    found = line(cloud, "quotas")
    assert (found.outcome, found.exit_code) == ("fail", 4)
    spot, on_demand = found.detail.split("; ")
    assert "(L-3819A6DF) allows 0" in spot
    assert "(L-DB2E81BA) allows 8" in on_demand
    assert "--quota-code L-3819A6DF --desired-value 4" in found.remedy
    assert "spot.then=on-demand" in found.remedy
    allow(cloud, "g4dn.xlarge", spot=4, on_demand=0)
    found = line(cloud, "quotas")
    assert (found.outcome, found.remedy) == ("pass", "")
    assert "(L-DB2E81BA) allows 0" in found.detail


def test_a_job_says_which_quota_it_needs(cloud: Cloud, tmp_path: Path) -> None:
    """Its own market and its own vCPUs decide; a request that is pending is told."""
    allow(cloud, "g5.2xlarge", spot=4, on_demand=8)
    assert line(cloud, "quotas").outcome == "pass"  # one small GPU would do
    found = line(cloud, "quotas", planned(tmp_path))
    assert found.outcome == "fail"
    assert "g5.2xlarge needs 8 vCPUs" in found.detail
    assert "on-demand: room for g5.2xlarge" in found.detail
    assert "--desired-value 8" in found.remedy
    on_demand = planned(tmp_path, "spot.attempts=0", "spot.then=on-demand")
    assert line(cloud, "quotas", on_demand).outcome == "pass"
    assert cloud.emulated is not None
    cloud.emulated.clients("service-quotas", "us-east-1").request_service_quota_increase(
        ServiceCode="ec2", QuotaCode="L-3819A6DF", DesiredValue=64
    )
    assert "a request for 64 vCPUs is PENDING" in line(cloud, "quotas", planned(tmp_path)).remedy


@pytest.mark.parametrize(
    ("state", "remedy"), [("pending", "when it is available"), ("failed", "must name an image")]
)
def test_an_image_that_is_not_available_fails(cloud: Cloud, state: str, remedy: str) -> None:
    """With its state, and with what to do in that state."""
    passed = line(cloud, "image")
    assert passed.outcome == "pass"
    image_id = passed.detail.partition(",")[0]
    backend("ec2", "us-east-1").amis[image_id].state = state
    found = line(cloud, "image")
    assert (found.outcome, found.exit_code) == ("fail", 4)
    assert found.detail == f"the machine image {image_id} is {state}"
    assert remedy in found.remedy
