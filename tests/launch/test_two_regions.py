"""Deployments of one name in two regions: IAM is shared, and neither takes the other's for its."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from flyback.api.pushing import Branch, grant_push
from flyback.api.verbs import Options, deploy, remove
from flyback.api.wiring import Cloud, elsewhere, local_home, start_rehearsal
from flyback.audit.iam.footprint import Place, deployer_policy
from flyback.cli.reap import command
from flyback.errors import LeftoversError
from flyback.launch.certify import certify_account
from flyback.launch.leftovers import orphans, reap
from flyback.launch.progress import silent
from flyback.rehearsal.inventory import take_inventory
from flyback.rehearsal.moto_state import ACCOUNT

EAST, WEST = "us-east-1", "us-west-2"
OPTIONS = Options(cloud="rehearsal")


@pytest.fixture
def east() -> Iterator[Cloud]:
    """An empty account, for a deployer who may in both regions."""
    places = [Place(name="flyback", account=ACCOUNT, region=region) for region in (EAST, WEST)]
    home = local_home() / "rehearsal" / "cloud"
    cloud = start_rehearsal(home, region=EAST, policy=deployer_policy(*places, ci=True))
    assert cloud.emulated is not None
    yield cloud
    cloud.emulated.stop()


def _inventory(cloud: Cloud, *regions: str) -> str:
    assert cloud.emulated is not None
    return take_inventory(cloud.emulated.clients, regions)


def test_down_and_reap_leave_the_other_region_whole(east: Cloud) -> None:
    """Roles, instance profiles and the provider stay, whoever looks for leftovers."""
    west = elsewhere(east, WEST)
    deploy(west, OPTIONS, silent)
    grant_push(west, OPTIONS, Branch.parse("acme/lab"), silent)
    before = _inventory(east, WEST)
    assert orphans(east.session, "flyback", east.clock).leftovers() == ()
    deploy(east, OPTIONS, silent)
    grant_push(east, OPTIONS, Branch.parse("acme/lab"), silent)
    certificate = remove(east, OPTIONS, keep_data=False, report=silent)
    assert certificate.leftovers == ()
    found = orphans(east.session, "flyback", east.clock)
    assert found.leftovers() == ()
    assert all("NotEmulated" in text for text in found.refused)
    assert reap(east.session, found, east.clock) == ()
    assert _inventory(east, WEST) == before


def test_what_this_region_left_is_found(east: Cloud) -> None:
    """A role that its stack does not hold any more is this region's by its tags, or nobody's."""
    assert east.emulated is not None
    west = elsewhere(east, WEST)
    iam = east.emulated.clients("iam", EAST)
    for name, region in {"Mine": EAST, "Theirs": WEST, "Nobodys": ""}.items():
        tags = {"flyback:name": "flyback", "flyback:region": region} if region else {}
        role, profile = f"flyback-core-{name}Role-X", f"flyback-core-{name}Profile-X"
        iam.create_role(
            RoleName=role,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}),
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        iam.create_instance_profile(InstanceProfileName=profile)
        iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
    iam.create_instance_profile(InstanceProfileName="flyback-core-EmptyProfile-X")
    for cloud, name in ((east, "Mine"), (west, "Theirs")):
        expected = [f"flyback-core-{name}Profile-X", f"flyback-core-{name}Role-X"]
        certificate = certify_account(cloud.session, "flyback", (), cloud.ledger, cloud.clock)
        assert [item.identifier for item in certificate.leftovers] == expected
        found = orphans(cloud.session, "flyback", cloud.clock)
        assert [item.identifier for item in found.leftovers()] == expected
    found = orphans(east.session, "flyback", east.clock)
    assert found.leftovers()[0].remedy == (
        "aws iam remove-role-from-instance-profile --instance-profile-name "
        "flyback-core-MineProfile-X --role-name flyback-core-MineRole-X && "
        "aws iam delete-instance-profile --instance-profile-name flyback-core-MineProfile-X"
    )
    assert reap(east.session, found, east.clock) == ()
    roles = {item["RoleName"] for item in iam.list_roles()["Roles"]}
    assert {"flyback-core-TheirsRole-X", "flyback-core-NobodysRole-X"} <= roles
    assert "flyback-core-MineRole-X" not in roles


def test_a_deployment_whose_name_begins_with_ours_keeps_its_own(east: Cloud) -> None:
    """What `flyback-core` makes begins as what core.yaml of `flyback` makes does: it stays."""
    assert east.emulated is not None
    sns, iam = east.emulated.clients("sns", EAST), east.emulated.clients("iam", EAST)
    sns.create_topic(Name="flyback-core-alerts")
    iam.create_role(
        RoleName="flyback-core-core-GuardianRole-X",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}),
        Tags=[
            {"Key": "flyback:name", "Value": "flyback-core"},
            {"Key": "flyback:region", "Value": EAST},
        ],
    )
    assert orphans(east.session, "flyback", east.clock).leftovers() == ()


def test_what_may_not_be_removed_is_said_with_the_action(
    east: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The missing permission by its name, and the command for somebody who has it."""
    assert east.emulated is not None
    ec2 = east.emulated.clients("ec2", EAST)
    tags = [{"Key": "flyback:name", "Value": "flyback"}]
    volume = ec2.create_volume(
        AvailabilityZone=f"{EAST}a",
        Size=1,
        TagSpecifications=[{"ResourceType": "volume", "Tags": tags}],
    )["VolumeId"]
    monkeypatch.setattr(Options, "open", lambda _: east)
    with pytest.raises(LeftoversError) as told:
        command.main(["--yes"], standalone_mode=False)
    assert told.value.what.startswith(
        f"1 left: volume {volume}: ask whoever administers the account to allow ec2:DeleteVolume"
    )
    assert told.value.what.endswith(f", or to run `aws ec2 delete-volume --volume-id {volume}`")
    assert told.value.remedy == "see to what each says, then `flyback reap --yes` again"
    (left,) = ec2.describe_volumes()["Volumes"]
    assert left["VolumeId"] == volume
