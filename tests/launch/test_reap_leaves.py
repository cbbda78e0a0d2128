"""What `reap` leaves alone: a deployment whatever its stack's state, stored data, young uploads."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from flyback.api.verbs import Options, deploy, remove
from flyback.api.wiring import Cloud
from flyback.aws.cloudformation import CloudFormation, StackFacts
from flyback.errors import ConflictError
from flyback.launch.leftovers import Orphans, orphans, reap
from flyback.launch.progress import silent

NAME = "flyback"
OPTIONS = Options(cloud="rehearsal")
UNSETTLED = (
    "CREATE_IN_PROGRESS",
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_IN_PROGRESS",
    "UPDATE_ROLLBACK_FAILED",
    "IMPORT_IN_PROGRESS",
    "REVIEW_IN_PROGRESS",
    "DELETE_IN_PROGRESS",
    "A_STATE_THAT_AWS_INVENTS",
)
SETTLED = ("UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")


def _found(cloud: Cloud) -> Orphans:
    return orphans(cloud.session, NAME, cloud.clock)


def _client(cloud: Cloud, service: str) -> Any:
    assert cloud.emulated is not None
    return cloud.emulated.clients(service, "us-east-1")


def test_a_standing_deployment_stays_in_every_state(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is listed; while CloudFormation works on it, `--yes` refuses and says why."""
    deploy(cloud, OPTIONS, silent)
    describe = CloudFormation.describe
    for state in (*SETTLED, *UNSETTLED):

        def in_state(service: CloudFormation, stack: str, state: str = state) -> StackFacts | None:
            facts = describe(service, stack)
            return dataclasses.replace(facts, status=state) if facts else None

        monkeypatch.setattr(CloudFormation, "describe", in_state)
        found = _found(cloud)
        assert found.leftovers() == (), state
        if state in SETTLED:
            assert reap(cloud.session, found, cloud.clock) == ()
        else:
            with pytest.raises(ConflictError, match=f"flyback-core is in state {state}"):
                reap(cloud.session, found, cloud.clock, data=True)


def test_kept_data_goes_only_when_told(cloud: Cloud) -> None:
    """It is listed, stays with what says how to remove it, and goes with `data`."""
    bucket, s3 = deploy(cloud, OPTIONS, silent).data_bucket, _client(cloud, "s3")
    s3.put_object(Bucket=bucket, Key="sets/one", Body=b"1")
    remove(cloud, OPTIONS, keep_data=True, report=silent)
    found = _found(cloud)
    assert [item.identifier for item in found.leftovers()] == [bucket]
    (failure,) = reap(cloud.session, found, cloud.clock)
    assert failure.startswith(f"bucket {bucket}: it holds 1 object versions; `flyback reap --yes")
    assert s3.get_object(Bucket=bucket, Key="sets/one")["Body"].read() == b"1"
    assert reap(cloud.session, found, cloud.clock, data=True) == ()
    assert _found(cloud).leftovers() == ()


def test_a_bucket_that_fills_meanwhile_stays(cloud: Cloud) -> None:
    """It was empty when it was listed: S3 refuses to delete it, and nothing in it is lost."""
    s3 = _client(cloud, "s3")
    bucket = "flyback-outputs-123456789012-us-east-1"
    s3.create_bucket(Bucket=bucket)
    pairs = [{"Key": "flyback:name", "Value": NAME}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": pairs})
    found = _found(cloud)
    s3.put_object(Bucket=bucket, Key="late", Body=b"1")
    (failure,) = reap(cloud.session, found, cloud.clock)
    assert bucket in failure
    assert s3.get_object(Bucket=bucket, Key="late")["Body"].read() == b"1"


def test_uploads_of_people_and_of_today_stay(cloud: Cloud) -> None:
    """In the data bucket somebody may be at work for days, elsewhere for one."""
    deployment, s3 = deploy(cloud, OPTIONS, silent), _client(cloud, "s3")
    s3.create_multipart_upload(Bucket=deployment.data_bucket, Key="sets/large")
    s3.create_multipart_upload(Bucket=deployment.bucket, Key="workdirs/large")
    age_s = 3600.0

    def began(parsed: Any, **_: Any) -> None:
        at = datetime.fromtimestamp(cloud.clock.now() - age_s, UTC)
        for item in parsed.get("Uploads", []):
            item["Initiated"] = at

    events = cloud.session.client("s3").meta.events
    events.register("after-call.s3.ListMultipartUploads", began)
    assert _found(cloud).leftovers() == ()
    age_s = 86_401.0
    (left,) = _found(cloud).leftovers()
    assert left.identifier.startswith(f"{deployment.bucket}/workdirs/large#")
