"""Data that `down --keep-data` leaves, and the next `up` takes in again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flyback.api.verbs import Options, deploy, remove
from flyback.api.wiring import Cloud
from flyback.errors import ServiceError
from flyback.infra import templates
from flyback.launch import stack as stacks
from flyback.launch import teardown
from flyback.launch.progress import silent
from flyback.rehearsal.middleware.faults import Fault

NAME = "flyback-core"
OPTIONS = Options(cloud="rehearsal", tags={"Owner": "ada"})
KEY = "sets/one"


@pytest.fixture
def kept(cloud: Cloud) -> str:
    """The bucket that is all that is left after `down --keep-data`."""
    bucket = deploy(cloud, OPTIONS, silent).data_bucket
    cloud.emulated.clients("s3", "us-east-1").put_object(Bucket=bucket, Key=KEY, Body=b"1")
    certificate = remove(cloud, OPTIONS, keep_data=True, report=silent)
    assert certificate.clean
    assert f"kept on request: {bucket}" in certificate.exceptions
    # what the rehearsal does not know nobody can have made in it: said, and no open question
    assert certificate.unasked == ()
    (unknown,) = (text for text in certificate.exceptions if text.startswith("not in a rehearsal"))
    assert "placement group" in unknown
    assert cloud.session.buckets.names("flyback-") == (bucket,)
    return bucket


def _only_tls(cloud: Cloud, bucket: str) -> bool:
    policy = json.loads(
        cloud.emulated.clients("s3", "us-east-1").get_bucket_policy(Bucket=bucket)["Policy"]
    )
    conditions = [item["Condition"] for item in policy["Statement"] if item["Effect"] == "Deny"]
    return {"Bool": {"aws:SecureTransport": "false"}} in conditions


def _tags(cloud: Cloud, bucket: str) -> dict[str, str]:
    found = cloud.emulated.clients("s3", "us-east-1").get_bucket_tagging(Bucket=bucket)["TagSet"]
    return {item["Key"]: item["Value"] for item in found}


def test_up_takes_in_what_was_kept(cloud: Cloud, kept: str) -> None:
    """The object is still there, the bucket is the stack's again, and goes with it in the end."""
    assert _only_tls(cloud, kept)  # also while no stack holds it
    deployment = deploy(cloud, OPTIONS, silent)
    assert deployment.data_bucket == kept
    assert (
        cloud.emulated.clients("s3", "us-east-1").get_object(Bucket=kept, Key=KEY)["Body"].read()
        == b"1"
    )
    assert _only_tls(cloud, kept)
    assert _tags(cloud, kept)["flyback:name"] == "flyback"
    held = {item.logical_id: item for item in cloud.session.cloudformation.resources(NAME)}
    assert held["DataBucket"].physical_id == held["DataBucketPolicy"].physical_id == kept
    assert remove(cloud, OPTIONS, keep_data=False, report=silent).clean
    assert cloud.session.buckets.names("flyback-") == ()


def test_a_second_up_changes_nothing(cloud: Cloud, kept: str) -> None:
    """What was taken in counts as deployed."""
    del kept
    deploy(cloud, OPTIONS, silent)
    assert cloud.emulated is not None
    before = len(cloud.emulated.journal.mutating())
    deploy(cloud, OPTIONS, silent)
    assert len(cloud.emulated.journal.mutating()) == before


def test_a_policy_that_somebody_took_away_is_restored(cloud: Cloud, kept: str) -> None:
    """Only what exists can be imported; the rest is made."""
    cloud.emulated.clients("s3", "us-east-1").delete_bucket_policy(Bucket=kept)
    deploy(cloud, OPTIONS, silent)
    assert _only_tls(cloud, kept)


def test_down_removes_what_an_earlier_one_kept(cloud: Cloud, kept: str) -> None:
    """It is told beforehand how much is there; then it is gone, without a stack in between."""
    assert teardown.stored_objects(cloud.session, "flyback") == {kept: 1}
    assert remove(cloud, OPTIONS, keep_data=False, report=silent).clean
    assert cloud.session.buckets.names("flyback-") == ()


def test_down_leaves_a_bucket_that_only_has_the_name(cloud: Cloud) -> None:
    """Where flyback is not deployed, a bucket called so is somebody's: it stays as it is."""
    bucket, s3 = "flyback-data-123456789012-us-east-1", cloud.emulated.clients("s3", "us-east-1")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"1")
    assert remove(cloud, OPTIONS, keep_data=False, report=silent).clean
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"1"


def test_keeping_twice_keeps(cloud: Cloud, kept: str) -> None:
    """A second `down --keep-data` finds no stack and leaves the bucket alone."""
    remove(cloud, OPTIONS, keep_data=True, report=silent)
    assert (
        cloud.emulated.clients("s3", "us-east-1").get_object(Bucket=kept, Key=KEY)["Body"].read()
        == b"1"
    )


def test_an_import_that_fails_says_why_and_is_mended_by_the_same_command(
    cloud: Cloud, kept: str
) -> None:
    """The data stays where it is; the next `up` takes it in."""
    assert cloud.emulated is not None
    cloud.emulated.faults.add(
        Fault(
            service="s3",
            operation="HeadBucket",
            via="cloudformation",
            code="403",
            message="planted",
            status=403,
        )
    )
    with pytest.raises(ServiceError, match=r"could not take in what was kept: DataBucket"):
        deploy(cloud, OPTIONS, silent)
    cloud.emulated.faults.clear()
    assert deploy(cloud, OPTIONS, silent).data_bucket == kept


def _parameters(cloud: Cloud) -> dict[str, str]:
    found = cloud.session.cloudformation.describe(NAME)
    assert found is not None
    return dict(found.parameters)


def _change(cloud: Cloud, **values: str) -> None:
    """As somebody does with the console."""
    client: Any = cloud.session.client("cloudformation")
    others = set(_parameters(cloud)) - set(values)
    client.update_stack(
        StackName=NAME,
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[
            *({"ParameterKey": key, "ParameterValue": text} for key, text in values.items()),
            *({"ParameterKey": key, "UsePreviousValue": True} for key in others),
        ],
    )
    stacks.follow(cloud.session, NAME, cloud.clock, silent)


def test_parameters_that_nobody_names_keep_their_values(cloud: Cloud) -> None:
    """What was set earlier, by flag or console, outlives an `up` that names other things."""
    deploy(cloud, Options(cloud="rehearsal", tags={"Owner": "ada", "Project": "sonar"}), silent)
    _change(cloud, LogRetentionDays="7", RootVolumeGiB="80")
    deploy(cloud, Options(cloud="rehearsal", tags={"Owner": "grace"}), silent)
    found = _parameters(cloud)
    assert (found["Owner"], found["Project"]) == ("grace", "sonar")
    assert (found["LogRetentionDays"], found["RootVolumeGiB"]) == ("7", "80")


def test_a_parameter_that_the_new_template_lacks_is_left_out(cloud: Cloud) -> None:
    """Only what the template takes is sent; a parameter that is new has the template's default."""
    deploy(cloud, OPTIONS, silent)
    renamed = templates.read("core").replace("RootVolumeGiB", "DiskGiB")
    tags = {"flyback:name": "flyback", "team": "blue"}  # a renamed parameter alone is no update
    desired = stacks.Desired(name="flyback", template=renamed, tags=tags)
    stacks.up(cloud.session, desired, cloud.clock)
    found = _parameters(cloud)
    assert "RootVolumeGiB" not in found
    assert (found["DiskGiB"], found["Owner"]) == ("50", "ada")
