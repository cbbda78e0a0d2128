"""What the market tells through AWS's API, and what launches meet, agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import RehearsalCloud

REGION = "us-east-1"
G_SPOT = "L-3819A6DF"


@pytest.fixture
def quotas(cloud: RehearsalCloud) -> Any:
    """Service Quotas' client."""
    return cloud.clients("service-quotas", REGION)


def spot_fleet(template: str, dlami: str, subnet: str, **fields: Any) -> dict[str, Any]:
    """One spot g4dn.xlarge."""
    return {
        "Type": "instant",
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": 1,
            "DefaultTargetCapacityType": "spot",
        },
        "SpotOptions": {"AllocationStrategy": "price-capacity-optimized"},
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": template,
                    "Version": "$Default",
                },
                "Overrides": [
                    {"InstanceType": "g4dn.xlarge", "ImageId": dlami, "SubnetId": subnet}
                ],
            }
        ],
        **fields,
    }


def test_price_history_by_pages_is_the_whole_history(cloud: RehearsalCloud, ec2: Any) -> None:
    """Filters hold, pages join without loss, the newest price is the market's, product is Linux."""
    now = datetime.fromtimestamp(cloud.clock.now(), UTC)
    asked: dict[str, Any] = {
        "InstanceTypes": ["g4dn.xlarge", "c5.xlarge"],
        "ProductDescriptions": ["Linux/UNIX"],
        "StartTime": now - timedelta(days=2),
        "EndTime": now,
    }
    whole = ec2.describe_spot_price_history(**asked)["SpotPriceHistory"]
    pages = ec2.get_paginator("describe_spot_price_history").paginate(
        **asked, PaginationConfig={"PageSize": 7}
    )
    assert [row for page in pages for row in page["SpotPriceHistory"]] == whole
    newest: dict[tuple[str, str], str] = {}
    for row in whole:
        assert row["ProductDescription"] == "Linux/UNIX"
        newest.setdefault((row["InstanceType"], row["AvailabilityZone"]), row["SpotPrice"])
    assert len(newest) > 6
    for (kind, zone), usd in newest.items():
        assert float(usd) == cloud.market.price(kind, zone, "spot")
    one = ec2.describe_spot_price_history(
        InstanceTypes=["c5.xlarge"], AvailabilityZone="us-east-1a", StartTime=now
    )
    assert {row["AvailabilityZone"] for row in one["SpotPriceHistory"]} == {"us-east-1a"}
    windows = ec2.describe_spot_price_history(ProductDescriptions=["Windows"])
    assert windows["SpotPriceHistory"] == []


def test_a_quota_counts_virtual_processors_of_running_machines(
    cloud: RehearsalCloud, ec2: Any, quotas: Any, template: str, dlami: str, subnets: dict[str, str]
) -> None:
    """Two of four vCPUs fit into 8; the third is refused in Errors[], and fits once one is gone."""
    cloud.quotas.set(G_SPOT, 8)
    value = quotas.get_service_quota(ServiceCode="ec2", QuotaCode=G_SPOT)["Quota"]
    assert (value["Value"], value["QuotaName"]) == (8.0, "All G and VT Spot Instance Requests")
    request = spot_fleet(template, dlami, subnets["us-east-1a"])
    made = [ec2.create_fleet(**request) for _ in range(3)]
    assert [len(answer["Instances"]) for answer in made] == [1, 1, 0]
    assert [item["ErrorCode"] for item in made[2]["Errors"]] == ["MaxSpotInstanceCountExceeded"]
    gone = made[0]["Instances"][0]["InstanceIds"]
    ec2.terminate_instances(InstanceIds=gone)
    assert len(ec2.create_fleet(**request)["Instances"]) == 1


def test_run_instances_meets_the_on_demand_quota(
    cloud: RehearsalCloud, ec2: Any, dlami: str, subnets: dict[str, str]
) -> None:
    """VcpuLimitExceeded as an exception, for a count that is too high as a whole."""
    cloud.quotas.set("L-1216C47A", 8)
    launch = {"ImageId": dlami, "InstanceType": "c5.xlarge", "SubnetId": subnets["us-east-1a"]}
    with pytest.raises(ClientError, match="VcpuLimitExceeded"):
        ec2.run_instances(**launch, MinCount=3, MaxCount=3)
    assert len(ec2.run_instances(**launch, MinCount=2, MaxCount=2)["Instances"]) == 2


def test_a_request_for_more_is_pending_then_granted(
    quotas: Any, passing: Callable[[float], None]
) -> None:
    """One request at a time; after its review the quota has the value, here and not elsewhere."""
    named = {"ServiceCode": "ec2", "QuotaCode": G_SPOT}
    default = quotas.get_aws_default_service_quota(**named)["Quota"]["Value"]
    assert default == 0
    before = quotas.get_service_quota(**named)["Quota"]["Value"]
    asked = quotas.request_service_quota_increase(**named, DesiredValue=before + 64)
    assert asked["RequestedQuota"]["Status"] == "PENDING"
    with pytest.raises(ClientError, match="ResourceAlreadyExistsException"):
        quotas.request_service_quota_increase(**named, DesiredValue=before + 65)
    told = quotas.list_requested_service_quota_change_history_by_quota(**named)["RequestedQuotas"]
    assert [(item["Status"], item["DesiredValue"]) for item in told] == [("PENDING", before + 64)]
    passing(3600)
    assert quotas.get_service_quota(**named)["Quota"]["Value"] == before + 64
    told = quotas.list_requested_service_quota_change_history_by_quota(**named)["RequestedQuotas"]
    assert [item["Status"] for item in told] == ["APPROVED"]
    every = quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]
    assert {item["QuotaCode"]: item["Value"] for item in every}[G_SPOT] == before + 64
    with pytest.raises(ClientError, match="IllegalArgumentException"):
        quotas.request_service_quota_increase(**named, DesiredValue=1)
    with pytest.raises(ClientError, match="NoSuchResource"):
        quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-00000000")
    with pytest.raises(ClientError, match="NotEmulated"):
        quotas.get_service_quota(ServiceCode="lambda", QuotaCode="L-B99A9384")


def test_the_price_list_has_the_on_demand_price(cloud: RehearsalCloud) -> None:
    """GetProducts by type and region gives one product with the market's own price."""
    pricing = cloud.clients("pricing", REGION)
    fields = {"instanceType": "g4dn.xlarge", "regionCode": REGION, "operatingSystem": "Linux"}
    filters = [{"Type": "TERM_MATCH", "Field": key, "Value": fields[key]} for key in fields]
    (text,) = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    (term,) = json.loads(text)["terms"]["OnDemand"].values()
    (rate,) = term["priceDimensions"].values()
    usd = float(rate["pricePerUnit"]["USD"])
    assert usd == cloud.market.price("g4dn.xlarge", "us-east-1a", "on-demand")
    filters[0]["Value"] = "g9.huge"
    assert pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"] == []
    with pytest.raises(ClientError, match="NotEmulated"):
        pricing.get_products(ServiceCode="AmazonS3")


def test_a_reclaimed_machine_ends_as_ec2_ends_it(  # fixtures
    cloud: RehearsalCloud,
    ec2: Any,
    template: str,
    dlami: str,
    subnets: dict[str, str],
    passing: Callable[[float], None],
) -> None:
    """Notice two minutes before, then terminated by EC2 itself."""
    warned: list[tuple[str, str, float]] = []
    cloud.machines.host.notice = (  # type: ignore[attr-defined]  # the host of these tests has none
        lambda machine, action, at: warned.append((machine, action, at))
    )
    request = spot_fleet(template, dlami, subnets["us-east-1a"])
    machine = ec2.create_fleet(**request)["Instances"][0]["InstanceIds"][0]
    instance = cloud.machines._find(machine)
    at = cloud.clock.now() + 600
    cloud.reclaims.take(instance, at)
    passing(481)
    assert warned == [(machine, "terminate", at)]
    assert instance.state == "running"
    passing(200)
    assert instance.state == "terminated"
    (told,) = ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"]
    assert told["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_short_pools_come_after_deep_ones(  # fixtures
    cloud: RehearsalCloud,
    ec2: Any,
    template: str,
    dlami: str,
    subnets: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Price-capacity-optimized passes over the cheapest pool while it is almost empty."""
    prices = {"us-east-1a": 0.1, "us-east-1b": 0.3, "us-east-1c": 0.2}
    monkeypatch.setattr(cloud.market, "price", lambda _type, zone, _market: prices[zone])
    monkeypatch.setattr(
        cloud.market, "depth", lambda _type, zone, _market: float(zone != "us-east-1a")
    )
    request = spot_fleet(template, dlami, subnets["us-east-1a"])
    request["LaunchTemplateConfigs"][0]["Overrides"] = [
        {"InstanceType": "g4dn.xlarge", "ImageId": dlami, "SubnetId": subnet}
        for subnet in subnets.values()
        if subnet in {subnets[zone] for zone in prices}
    ]
    group = ec2.create_fleet(**request)["Instances"][0]
    assert group["LaunchTemplateAndOverrides"]["Overrides"]["AvailabilityZone"] == "us-east-1c"
