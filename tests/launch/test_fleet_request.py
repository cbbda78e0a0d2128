"""The request for a machine, as it will be stored and sent."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import botocore.session
import pytest
from botocore.validate import ParamValidator

from flyback.aws.ec2 import Image, Subnet
from flyback.errors import CapacityError
from flyback.launch.deployment import Deployment
from flyback.launch.fleet import Site, Ticket, fleet_request
from flyback.plan.planner import make_plan
from flyback.spec.job import JobSpec, Resources
from flyback.spec.launch import Place

GOLDEN = Path(__file__).parent / "golden" / "fleet.json"
SITE = Site(
    deployment=Deployment(
        name="flyback",
        stack_id="arn:aws:cloudformation:us-east-1:123456789012:stack/flyback-core/1",
        bucket="flyback-outputs-123456789012-us-east-1",
        data_bucket="flyback-data-123456789012-us-east-1",
        log_group="/flyback/flyback/runs",
        launch_template="lt-0123456789abcdef0",
        launch_template_version="1",
        subnets=("subnet-a", "subnet-b"),
        tags={"flyback:name": "flyback"},
        place=Place(group="flyback-flyback", terminate_role="arn:aws:iam::123456789012:role/end"),
    ),
    subnets=(
        Subnet(subnet_id="subnet-a", zone="us-east-1a"),
        Subnet(subnet_id="subnet-e", zone="us-east-1e"),
    ),
    image=Image(image_id="ami-0123456789abcdef0", root_device="/dev/sda1", root_gib=75),
)
TICKET = Ticket(
    run_id="spectral-20260105t120000-abcd",
    attempt=1,
    token="spectral-20260105t120000-abcd-1",
    market="spot",
    deadline=1767616200,
    bundle_sha256="0" * 64,
)
JOB = JobSpec(
    name="spectral",
    workload="spectral",
    resources=Resources(count=0, any_of=("c5.xlarge", "m6i.xlarge"), disk_gib=50),
)


def test_a_spot_request_is_this_document() -> None:
    """Zones that offer no type are left out; the disk is the AMI's root, and at least its size."""
    request = fleet_request(make_plan(JOB, region="us-east-1"), TICKET, SITE)
    text = json.dumps(request, indent=2, sort_keys=True) + "\n"
    assert text == GOLDEN.read_text()


@pytest.mark.parametrize("market", ["spot", "on-demand"])
def test_botocore_accepts_the_request(market: str) -> None:
    """Every member exists in EC2's own model, with the right type; the token is short enough."""
    ticket = dataclasses.replace(TICKET, market=market)
    request = fleet_request(make_plan(JOB, region="us-east-1"), ticket, SITE)
    model = botocore.session.get_session().get_service_model("ec2")
    shape = model.operation_model("CreateFleet").input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    assert len(request["ClientToken"]) <= 64


def test_tags_can_be_served_by_the_metadata_service() -> None:
    """No key holds a slash or a space, and no value is longer than 256 characters."""
    for key, value in TICKET.tags(SITE.deployment).items():
        assert "/" not in key
        assert " " not in key
        assert len(value) <= 256


def test_no_zone_in_common_is_said_before_anything_is_asked() -> None:
    """Subnets only in zones that offer none of the types: refused, with both named."""
    site = Site(
        deployment=SITE.deployment,
        subnets=(Subnet(subnet_id="subnet-e", zone="us-east-1e"),),
        image=SITE.image,
    )
    with pytest.raises(CapacityError, match=r"us-east-1e.*c5\.xlarge"):
        fleet_request(make_plan(JOB, region="us-east-1"), TICKET, site)


def test_a_zone_is_asked_for_once() -> None:
    """Two subnets of one zone are duplicate pools to EC2: the one with more addresses is named."""
    site = dataclasses.replace(
        SITE,
        subnets=(
            Subnet(subnet_id="subnet-full", zone="us-east-1a", free_addresses=3),
            Subnet(subnet_id="subnet-wide", zone="us-east-1a", free_addresses=200),
            Subnet(subnet_id="subnet-b", zone="us-east-1b", free_addresses=3),
        ),
    )
    request = fleet_request(make_plan(JOB, region="us-east-1"), TICKET, site)
    (config,) = request["LaunchTemplateConfigs"]
    pools = [(item["InstanceType"], item["SubnetId"]) for item in config["Overrides"]]
    assert {subnet for _, subnet in pools} == {"subnet-wide", "subnet-b"}
    assert len(pools) == len(set(pools))
