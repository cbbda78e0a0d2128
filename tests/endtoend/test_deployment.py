"""What `up` deploys and what a run leaves, read back through the API as a user would."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cfnlint.decode import decode_str

from flyback.api.job import prepare
from flyback.api.verbs import Options, deploy, remove, start
from flyback.api.wiring import Cloud, local_home, open_cloud, start_rehearsal
from flyback.infra import templates
from flyback.launch.deployment import stack_name
from flyback.launch.progress import silent

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "spectral.yaml"
TAGS = {"Project": "sonar", "Environment": "test", "Owner": "ada", "CostCenter": "42"}
OPTIONS = Options(cloud="rehearsal", tags=TAGS)


def test_up_deploys_exactly_what_the_template_declares(deployed: Cloud) -> None:
    """Logical ids of the stack are those of core.yaml: nothing skipped, nothing added.

    What only a private network has is left out, and what tells people of alerts.
    """
    template, _ = decode_str(templates.read("core"))
    resources = deployed.session.cloudformation.resources(stack_name("flyback"))
    assert {item.logical_id for item in resources} == {
        name
        for name, resource in template["Resources"].items()
        if resource.get("Condition") not in ("Endpoints", "Alerts")
    }
    assert {item.status for item in resources} == {"CREATE_COMPLETE"}
    assert all(item.physical_id for item in resources)


def test_buckets_are_closed_versioned_and_tls_only(deployed: Cloud) -> None:
    """Every bucket: public access blocked four ways, encrypted, versioned, owner enforced, TLS."""
    s3 = deployed.emulated.clients("s3", "us-east-1")
    names = deployed.session.buckets.names("flyback-")
    code = [name for name in names if "-bootstrap-" in name]  # as S3 makes them, and not public
    assert len(names) == 3
    assert len(code) == 1
    for name in code:
        block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        assert set(block.values()) == {True}
    for name in set(names) - set(code):
        block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        assert set(block.values()) == {True}
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
        rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        owner = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
        assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        (statement,) = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_logs_are_kept_for_thirty_days(deployed: Cloud) -> None:
    """The log groups of jobs and of the guardian expire what they hold."""
    answer = deployed.emulated.clients("logs", "us-east-1").describe_log_groups(
        logGroupNamePrefix="/flyback/"
    )
    assert [group["retentionInDays"] for group in answer["logGroups"]] == [30, 30]


def test_two_regions_hold_two_deployments() -> None:
    """Names hold account and region, so neither a second region nor a second account clashes."""
    names = []
    for region in ("us-east-1", "eu-west-1"):
        folder = local_home() / "rehearsal" / region
        folder.mkdir(parents=True)
        cloud = start_rehearsal(folder, region=region)
        assert cloud.emulated is not None
        try:
            deployment = deploy(cloud, Options(cloud="rehearsal"), silent)
            names += [deployment.bucket, deployment.data_bucket]
            account = cloud.session.identity.account
            assert all(f"{account}-{region}" in name for name in names[-2:])
            remove(cloud, OPTIONS, keep_data=False, report=silent)
        finally:
            cloud.emulated.stop()
    assert len(set(names)) == 4


def test_a_machine_is_as_the_job_asked(cloud: Cloud) -> None:
    """Image pinned in launch.json; disk encrypted, gp3, of the asked size; tags on both."""
    deploy(cloud, OPTIONS, silent)
    run = start(prepare(EXAMPLE, preset="smoke"), cloud, OPTIONS, silent)
    ec2 = cloud.emulated.clients("ec2", "us-east-1")
    instance_id = run.launch.attempts[-1].instance_id
    (reservation,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    (machine,) = reservation["Instances"]
    assert machine["ImageId"] == run.launch.image_id
    assert run.launch.image_id.startswith("ami-")
    assert machine["InstanceLifecycle"] == "spot"
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert machine["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert "KeyName" not in machine
    (volume,) = ec2.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}]
    )["Volumes"]
    assert (volume["Encrypted"], volume["VolumeType"]) == (True, "gp3")
    assert volume["Size"] >= run.plan.job.resources.disk_gib
    (disk,) = machine["BlockDeviceMappings"]
    assert disk["Ebs"]["VolumeId"] == volume["VolumeId"]
    assert disk["Ebs"]["DeleteOnTermination"] is True
    for thing in (machine, volume):
        tags = {item["Key"]: item["Value"] for item in thing["Tags"]}
        assert TAGS.items() <= tags.items()
        assert tags["flyback:run-id"] == run.run_id
        assert tags["flyback:name"] == "flyback"
    run.wait()


def test_everything_taggable_carries_the_tags(cloud: Cloud) -> None:
    """Buckets, role, repository, log group, network and launch template: all four tags."""
    deploy(cloud, OPTIONS, silent)
    session, region = cloud.session, cloud.session.region
    stack = {
        item.logical_id: item.physical_id
        for item in session.cloudformation.resources(stack_name("flyback"))
    }
    group = stack["LogGroup"]
    account = session.identity.account
    tagged: dict[str, Any] = {
        "repository": cloud.emulated.clients("ecr", "us-east-1").list_tags_for_resource(
            resourceArn=f"arn:aws:ecr:{region}:{account}:repository/{stack['Repository']}"
        )["tags"],
        "role": cloud.emulated.clients("iam", "us-east-1").list_role_tags(
            RoleName=stack["InstanceRole"]
        )["Tags"],
    }
    for name in ("DataBucket", "OutputsBucket"):
        tagged[name] = cloud.emulated.clients("s3", "us-east-1").get_bucket_tagging(
            Bucket=stack[name]
        )["TagSet"]
    ec2 = cloud.emulated.clients("ec2", "us-east-1")
    for name in ("Vpc", "SubnetA", "RouteTable", "SecurityGroup", "InternetGateway", "S3Endpoint"):
        filters = [{"Name": "resource-id", "Values": [stack[name]]}]
        tagged[name] = ec2.describe_tags(Filters=filters)["Tags"]
    for name, tags in tagged.items():
        found = {item["Key"]: item["Value"] for item in tags}
        assert TAGS.items() <= found.items(), name
    logs = cloud.emulated.clients("logs", "us-east-1").list_tags_log_group(logGroupName=group)[
        "tags"
    ]
    assert TAGS.items() <= logs.items()


def test_reported_percentiles_come_from_the_samples_that_came_home(deployed: Cloud) -> None:
    """p50 and p99 recomputed from the downloaded raw samples equal what the record says."""
    run = start(prepare(EXAMPLE, preset="smoke"), deployed, OPTIONS, silent)
    run.wait()
    (result,) = run.results()
    assert result.samples is not None
    assert result.latency_ns is not None
    path = run.folder / "attempts" / "1" / "samples" / str(result.samples["file"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == result.samples["sha256"]
    with np.load(path) as stored:
        samples = np.sort(stored[result.samples["array"]])
    assert len(samples) == result.latency_ns["n"] >= 600
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        expected = int(np.quantile(samples, share, method="inverted_cdf"))
        assert result.latency_ns[name] == expected


def test_only_endpoint_and_credentials_differ_from_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--cloud aws`, pointed at an emulated cloud by environment alone, makes the same calls."""
    logs = []
    for name in ("rehearsal", "aws"):
        folder = local_home() / "rehearsal" / name
        folder.mkdir(parents=True)
        cloud = start_rehearsal(folder, region="us-east-1")
        assert cloud.emulated is not None
        reached = cloud
        if name == "aws":
            for key, value in cloud.emulated.environment().items():
                monkeypatch.setenv(key, value)
            real = open_cloud("aws")
            assert not real.rehearsed
            reached = dataclasses.replace(real, clock=cloud.clock)  # so that nobody waits
        try:
            deploy(reached, OPTIONS, silent)
            run = start(prepare(EXAMPLE, preset="smoke"), reached, OPTIONS, silent)
            reached.session.ec2.terminate([run.launch.attempts[-1].instance_id or ""])
            remove(reached, OPTIONS, keep_data=False, report=silent)
            logs.append(
                [
                    (entry.service, entry.operation, entry.principal)
                    for entry in cloud.emulated.journal.entries()
                    if not entry.via and "assumed-role" not in entry.principal
                ]
            )
        finally:
            cloud.emulated.stop()
    assert len(logs[0]) > 50
    assert logs[1] == logs[0]
