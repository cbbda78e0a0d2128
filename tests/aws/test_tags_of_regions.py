"""What stands in no region says by its tag whose it is."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from flyback.aws.ledger import FileLedger
from flyback.aws.tagging import Tagging
from flyback.spec.clock import SystemClock


@pytest.mark.parametrize(("region", "left"), [("us-east-1", 2), ("eu-west-1", 1)])
def test_another_regions_thing_is_left_out(tmp_path: Path, region: str, left: int) -> None:
    """The Tagging API names IAM's things in one region, whichever deployment they serve."""
    client = boto3.client(
        "resourcegroupstaggingapi",
        region_name=region,
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )
    vpc = "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1"
    provider = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    ours = {"Key": "flyback:name", "Value": "flyback"}
    here = {"Key": "flyback:region", "Value": "us-east-1"}
    mappings = [
        {"ResourceARN": vpc, "Tags": [ours]},
        {"ResourceARN": provider, "Tags": [ours, here]},
    ]
    tagging = Tagging(client, FileLedger(tmp_path / "ledger.jsonl", SystemClock()))
    with Stubber(client) as stubbed:
        stubbed.add_response("get_resources", {"ResourceTagMappingList": mappings})
        assert tagging.arns("flyback:name", "flyback") == (vpc, provider)[:left]
