"""GetResources remembers what was deleted, as AWS's does, and a certificate is not misled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flyback.api.verbs import Options, deploy, remove
from flyback.api.wiring import Cloud, local_home, start_rehearsal
from flyback.launch import certify
from flyback.launch.progress import silent
from flyback.rehearsal.tagging import MEMORY_S

OPTIONS = Options(cloud="rehearsal")


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An emulated cloud with nothing in it."""
    started = start_rehearsal(local_home() / "rehearsal" / "cloud", region="us-east-1")
    assert started.emulated is not None
    yield started
    started.emulated.stop()


@pytest.fixture
def vpc(cloud: Cloud) -> str:
    """ARN of a VPC that carries a tag."""
    ec2: Any = cloud.session.client("ec2")
    made = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[made], Tags=[{"Key": "color", "Value": "red"}])
    return f"arn:aws:ec2:us-east-1:123456789012:vpc/{made}"


def _resources(cloud: Cloud, **filters: Any) -> list[str]:
    client = cloud.session.client("resourcegroupstaggingapi")
    return [
        item["ResourceARN"] for item in client.get_resources(**filters)["ResourceTagMappingList"]
    ]


def test_a_deleted_thing_is_named_for_a_while(cloud: Cloud, vpc: str) -> None:
    """Named with its tags while it is there, named after, by the same filters, and then no more."""
    red = {"TagFilters": [{"Key": "color", "Values": ["red"]}]}
    blue = {"TagFilters": [{"Key": "color", "Values": ["blue"]}]}
    assert _resources(cloud, **red) == [vpc]
    cloud.session.client("ec2").delete_vpc(VpcId=vpc.rpartition("/")[2])
    assert _resources(cloud, **red) == [vpc]
    assert _resources(cloud, **blue) == []
    assert _resources(cloud, ResourceTypeFilters=["ec2:subnet"], **red) == []
    assert _resources(cloud, ResourceTypeFilters=["ec2"], **red) == [vpc]
    cloud.clock.sleep(MEMORY_S + 1)
    assert _resources(cloud, **red) == []


def test_a_certificate_looks_behind_what_is_remembered(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `down` every ARN of the stack is still named; each is looked up, and none is left."""
    deploy(cloud, OPTIONS, silent)
    deployed = set(cloud.session.tagging.arns("flyback:name", "flyback"))
    kinds = {arn.split(":", 2)[2] for arn in deployed}
    assert any("repository/" in kind for kind in kinds)
    certificate = remove(cloud, OPTIONS, keep_data=False, report=silent)
    assert set(cloud.session.tagging.arns("flyback:name", "flyback")) >= deployed
    (check,) = [check for check in certificate.checks if check.source == "tags"]
    assert check.seen >= len(deployed)
    assert certificate.clean
    monkeypatch.setattr(certify, "is_there", lambda _session, _arn: True)
    assert not remove(cloud, OPTIONS, keep_data=False, report=silent).clean


def test_a_bucket_is_named_where_it_stands(cloud: Cloud) -> None:
    """By its own region alone, as every other resource."""
    assert cloud.emulated is not None
    for region, constraint in {
        "us-east-1": {},
        "eu-west-1": {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}},
    }.items():
        s3 = cloud.emulated.clients("s3", region)
        s3.create_bucket(Bucket=f"red-{region}", **constraint)
        tags = [{"Key": "color", "Value": "red"}]
        s3.put_bucket_tagging(Bucket=f"red-{region}", Tagging={"TagSet": tags})
    for region in ("us-east-1", "eu-west-1"):
        client = cloud.emulated.clients("resourcegroupstaggingapi", region)
        answer = client.get_resources(TagFilters=[{"Key": "color"}])["ResourceTagMappingList"]
        assert [item["ResourceARN"] for item in answer] == [f"arn:aws:s3:::red-{region}"]
