"""What the cloud refuses is told apart, each with its remedy, and creates nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from flyback import errors
from flyback.api.job import Prepared
from flyback.api.verbs import Options, start
from flyback.api.wiring import Cloud
from flyback.aws.session import Session
from flyback.launch.progress import silent
from flyback.rehearsal.cloud import RehearsalCloud
from flyback.rehearsal.middleware.faults import Fault

G_SPOT, G_ON_DEMAND = "L-3819A6DF", "L-DB2E81BA"
STANDARD_SPOT = "L-34B43A08"
ROLE = "AWSServiceRoleForEC2Spot"

Arrange = Callable[[RehearsalCloud], object]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One thing that is wrong.

    Args:
        name: In a few words.
        arrange: Makes it wrong.
        kind: The error that must come.
        says: Words that the sentence or its remedy must hold.
        asked: CreateFleet calls that are not dry runs.
        stored: Whether the run may have left its request in the bucket.
        stays: Whether the run stays open for whoever gives leave, held by the guardian's schedule.
        access: Fields of the caller's access that are wrong.
        overrides: Of the job.
    """

    name: str
    arrange: Arrange
    kind: type[errors.FlybackError]
    says: tuple[str, ...]
    asked: int = 0
    stored: bool = False
    stays: bool = False
    access: tuple[tuple[str, str | None], ...] = ()
    overrides: tuple[str, ...] = ()


def nothing(cloud: RehearsalCloud) -> None:
    """Nothing is wrong with the account."""
    del cloud


def fails(
    service: str, operation: str, code: str, message: str = "refused", *, call: int = 0
) -> Arrange:
    """An operation is answered with an error: every time, or at one call."""
    fault = Fault(
        service=service,
        operation=operation,
        calls=(call,) if call else (),
        code=code,
        message=message,
        status=400,
    )
    return lambda cloud: cloud.faults.add(fault)


def pools_answer(code: str, market: str = "*") -> Arrange:
    """Every pool of a fleet is answered with an error in `Errors`."""
    return lambda cloud: cloud.capacity.refuse(market=market, code=code)


def quota(code: str, vcpus: int) -> Arrange:
    """A quota has a value."""
    return lambda cloud: cloud.quotas.set(code, vcpus)


def both(*arranges: Arrange) -> Arrange:
    """Several things at once."""

    def arrange(cloud: RehearsalCloud) -> None:
        for each in arranges:
            each(cloud)

    return arrange


def asks_for_more(cloud: RehearsalCloud) -> None:
    """The quota is 0, and a request for 64 vCPUs is pending."""
    cloud.quotas.set(G_SPOT, 0)
    cloud.clients("service-quotas", cloud.region).request_service_quota_increase(
        ServiceCode="ec2", QuotaCode=G_SPOT, DesiredValue=64
    )


def runs_already(cloud: RehearsalCloud) -> None:
    """Somebody's c5.2xlarge takes 8 of 10 vCPUs of standard spot."""
    ec2, ssm = cloud.clients("ec2", cloud.region), cloud.clients("ssm", cloud.region)
    image = ssm.get_parameter(
        Name="/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04"
        "/latest/ami-id"
    )["Parameter"]["Value"]
    cloud.machines.host = Nobody()
    ec2.run_instances(
        ImageId=image,
        InstanceType="c5.2xlarge",
        MinCount=1,
        MaxCount=1,
        InstanceMarketOptions={"MarketType": "spot"},
    )
    cloud.quotas.set(STANDARD_SPOT, 10)


class Nobody:
    """Machines of others need no processes here."""

    def boot(self, instance_id: str, region: str) -> None:
        """Nothing boots."""

    def halt(self, instance_id: str) -> None:
        """Nothing ends."""


DENIED = (
    "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/sam is "
    "not authorized to perform: ec2:CreateFleet. Encoded authorization failure message: qLhDpNmL"
)
CPU = ("resources.any_of=[c5.xlarge,m6i.xlarge]", "+resources.count=0")
STOP = ("spot.then=stop", "spot.attempts=2")
ON_DEMAND = ("spot.attempts=0", "spot.then=on-demand")
NO_LOOK = fails("service-quotas", "GetServiceQuota", "AccessDeniedException")

SCENARIOS: tuple[Scenario, ...] = (
    # credentials
    Scenario(
        name="no credentials",
        arrange=nothing,
        kind=errors.CredentialsError,
        says=("no AWS credentials were found", "aws configure sso", "flyback rehearse"),
        access=(("access_key", None), ("secret_key", None)),
    ),
    Scenario(
        name="an unknown key",
        arrange=nothing,
        kind=errors.CredentialsError,
        says=("InvalidClientTokenId", "AWS does not know these credentials"),
        access=(("access_key", "AKIAUNKNOWNUNKNOWN00"),),
    ),
    Scenario(
        name="a wrong secret",
        arrange=nothing,
        kind=errors.CredentialsError,
        says=("SignatureDoesNotMatch", "check the secret key"),
        access=(("secret_key", "wrong"),),
    ),
    Scenario(
        name="an expired token",
        arrange=fails("*", "*", "ExpiredToken"),
        kind=errors.CredentialsError,
        says=("the credentials have expired", "aws sso login"),
    ),
    # permission
    Scenario(
        name="no permission to look at the stack",
        arrange=fails("cloudformation", "DescribeStacks", "AccessDenied"),
        kind=errors.AccessDeniedError,
        says=("cloudformation:DescribeStacks", "ask whoever administers the account"),
    ),
    Scenario(
        name="no permission to launch",
        arrange=fails("ec2", "CreateFleet", "UnauthorizedOperation", DENIED),
        kind=errors.AccessDeniedError,
        says=("allow ec2:CreateFleet", "decode-authorization-message"),
    ),
    Scenario(
        name="no permission to store",
        arrange=fails("s3", "PutObject", "AccessDenied"),
        kind=errors.AccessDeniedError,
        says=("AccessDenied", "allow access to s3://flyback-outputs-"),
    ),
    Scenario(
        name="no permission, in Errors[]",
        arrange=pools_answer("UnauthorizedOperation"),
        kind=errors.AccessDeniedError,
        says=("ask whoever administers the account",),
        asked=1,
        stored=True,
        stays=True,
    ),
    Scenario(
        name="capacity in one pool and permission in another, in Errors[]",
        arrange=both(
            lambda cloud: cloud.capacity.refuse(zone="us-east-1a"),
            pools_answer("UnauthorizedOperation"),
        ),
        kind=errors.AccessDeniedError,
        says=("UnauthorizedOperation",),
        asked=1,
        stored=True,
        stays=True,
    ),
    # quota
    Scenario(
        name="spot quota of 0",
        arrange=quota(G_SPOT, 0),
        kind=errors.QuotaError,
        says=(
            "g4dn.xlarge needs 4 vCPUs",
            f"({G_SPOT}) allows 0 of which 0 are in use",
            f"--quota-code {G_SPOT} --desired-value 4 --region us-east-1",
            "spot.attempts=0 spot.then=on-demand",
        ),
    ),
    Scenario(
        name="on-demand quota of 2",
        arrange=quota(G_ON_DEMAND, 2),
        kind=errors.QuotaError,
        says=(f"({G_ON_DEMAND}) allows 2 of which 0", "--desired-value 4"),
        overrides=ON_DEMAND,
    ),
    Scenario(
        name="spot quota taken by others",
        arrange=runs_already,
        kind=errors.QuotaError,
        says=(f"({STANDARD_SPOT}) allows 10 of which 8 are in use", "--desired-value 12"),
        overrides=CPU,
    ),
    Scenario(
        name="spot quota of 0 with a pending request",
        arrange=asks_for_more,
        kind=errors.QuotaError,
        says=("a request for 64 vCPUs is PENDING", "list-requested-service-quota-change-history"),
    ),
    Scenario(
        name="spot quota that only EC2 knows, in Errors[]",
        arrange=both(NO_LOOK, quota(G_SPOT, 0)),
        kind=errors.QuotaError,
        says=("MaxSpotInstanceCountExceeded", G_SPOT),
        asked=1,
        stored=True,
    ),
    Scenario(
        name="on-demand quota that only EC2 knows, in Errors[]",
        arrange=both(NO_LOOK, quota(G_ON_DEMAND, 0)),
        kind=errors.QuotaError,
        says=("VcpuLimitExceeded", G_ON_DEMAND),
        overrides=ON_DEMAND,
        asked=1,
        stored=True,
    ),
    Scenario(
        name="quota, as an exception",
        arrange=fails("ec2", "CreateFleet", "VcpuLimitExceeded", call=2),
        kind=errors.QuotaError,
        says=("VcpuLimitExceeded", "request an increase"),
        asked=1,
        stored=True,
    ),
    # capacity and price: the only ones that move on
    Scenario(
        name="no capacity in any pool, in Errors[]",
        arrange=pools_answer("InsufficientInstanceCapacity"),
        kind=errors.CapacityError,
        says=("no machine in 3 attempts", "resources.any_of"),
        asked=3,
        stored=True,
        overrides=("spot.attempts=2", "spot.then=on-demand"),
    ),
    Scenario(
        name="no spot capacity and no other way, in Errors[]",
        arrange=pools_answer("UnfulfillableCapacity", "spot"),
        kind=errors.CapacityError,
        says=("UnfulfillableCapacity", "another region"),
        asked=2,
        stored=True,
        overrides=STOP,
    ),
    Scenario(
        name="no capacity, as an exception",
        arrange=both(
            fails("ec2", "CreateFleet", "InsufficientInstanceCapacity", call=2),
            fails("ec2", "CreateFleet", "InsufficientInstanceCapacity", call=3),
        ),
        kind=errors.CapacityError,
        says=("no machine in 2 attempts",),
        asked=2,
        stored=True,
        overrides=STOP,
    ),
    Scenario(
        name="price limit, in Errors[]",
        arrange=pools_answer("SpotMaxPriceTooLow"),
        kind=errors.PriceError,
        says=("SpotMaxPriceTooLow", "raise the price limit"),
        asked=2,
        stored=True,
        overrides=STOP,
    ),
    # image
    Scenario(
        name="no image parameter",
        arrange=fails("ssm", "GetParameter", "ParameterNotFound"),
        kind=errors.ImageError,
        says=("no machine image", "must name an image in this region"),
    ),
    Scenario(
        name="the image is gone",
        arrange=fails("ec2", "DescribeImages", "InvalidAMIID.NotFound"),
        kind=errors.ImageError,
        says=("InvalidAMIID.NotFound", "newest one"),
    ),
    Scenario(
        name="the image is gone, in Errors[]",
        arrange=pools_answer("InvalidAMIID.Unavailable"),
        kind=errors.ImageError,
        says=("InvalidAMIID.Unavailable",),
        asked=1,
        stored=True,
    ),
    # network
    Scenario(
        name="a subnet is gone",
        arrange=fails("ec2", "DescribeSubnets", "InvalidSubnetID.NotFound"),
        kind=errors.NetworkError,
        says=("InvalidSubnetID.NotFound", "flyback up"),
    ),
    Scenario(
        name="no free address, in Errors[]",
        arrange=pools_answer("InsufficientFreeAddressesInSubnet"),
        kind=errors.NetworkError,
        says=("InsufficientFreeAddressesInSubnet", "free addresses"),
        asked=1,
        stored=True,
    ),
    Scenario(
        name="nobody answers",
        arrange=nothing,
        kind=errors.NetworkError,
        says=("check the network and the region",),
        access=(("endpoint", "http://127.0.0.1:9"),),
    ),
    # account set-up
    Scenario(
        name="no service-linked role",
        arrange=fails("iam", "GetRole", "NoSuchEntity"),
        kind=errors.AccountSetupError,
        says=("service-linked role", "flyback up", "create-service-linked-role"),
    ),
    Scenario(
        name="no permission for the service-linked role, in Errors[]",
        arrange=pools_answer("AuthFailure.ServiceLinkedRoleCreationNotPermitted"),
        kind=errors.AccountSetupError,
        says=("create-service-linked-role --aws-service-name spot.amazonaws.com",),
        asked=1,
        stored=True,
    ),
    Scenario(
        name="the account is not subscribed",
        arrange=fails("ec2", "*", "OptInRequired"),
        kind=errors.AccountSetupError,
        says=("OptInRequired", "subscribe the account"),
    ),
    # ours
    Scenario(
        name="nothing is deployed",
        arrange=fails(
            "cloudformation",
            "DescribeStacks",
            "ValidationError",
            "Stack with id flyback-core does not exist",
        ),
        kind=errors.NotDeployedError,
        says=("flyback up",),
    ),
)


@pytest.mark.proof
def test_proof_errors(
    deployed: Cloud, gpu_job: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each scenario: its class, exit code, words, number of fleet requests, and nothing made."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # no role of this computer's own
    wrong = {}
    for scenario in SCENARIOS:
        found = judged(scenario, deployed, gpu_job(*scenario.overrides))
        if found:
            wrong[scenario.name] = found
    print(f"PROOF errors scenarios={len(SCENARIOS)} right={len(SCENARIOS) - len(wrong)}")
    assert not wrong, json.dumps(wrong, indent=1)
    assert len(SCENARIOS) >= 20


def judged(scenario: Scenario, cloud: Cloud, job: Prepared) -> list[str]:
    """What is not as it should be."""
    emulated = cloud.emulated
    assert emulated is not None
    scenario.arrange(emulated)
    faults = emulated.faults.armed
    emulated.faults.clear()
    before, asked = things(emulated), fleets_asked(cloud)
    emulated.faults.add(*faults)
    access = dataclasses.replace(cloud.session._access, **dict(scenario.access))
    caller = dataclasses.replace(cloud, session=Session(access, cloud.ledger))
    told = []
    try:
        start(job, caller, Options(cloud="rehearsal"), silent)
    except errors.FlybackError as error:
        told += mistakes(scenario, error)
    else:
        told.append("nothing was refused")
    emulated.faults.clear()
    if (count := fleets_asked(cloud) - asked) != scenario.asked:
        told.append(f"{count} fleets were asked for, not {scenario.asked}")
    after = things(emulated)
    made = {name for name in after if after[name] != before.get(name)}
    may = {"s3:object ": scenario.stored, "scheduler:schedule ": scenario.stays}
    allowed = tuple(kind for kind, allowed in may.items() if allowed)
    told += [f"made {name}" for name in sorted(made) if not name.startswith(allowed)]
    calm(emulated)
    cloud.clock.sleep(120)  # until what was there is gone
    return told


def mistakes(scenario: Scenario, error: errors.FlybackError) -> list[str]:
    """What is wrong with a refusal."""
    told = [] if type(error) is scenario.kind else [f"is a {type(error).__name__}"]
    told += [f"does not say {text!r}: {error}" for text in scenario.says if text not in f"{error}"]
    code = 2 if scenario.kind is errors.NotDeployedError else 4
    if error.exit_code != code:
        told.append(f"exit code {error.exit_code}, not {code}")
    if not error.remedy:
        told.append("has no remedy")
    return told


def fleets_asked(cloud: Cloud) -> int:
    """CreateFleet calls so far that were meant, by the ledger; dry runs are not."""
    entries = cloud.ledger.entries()
    return len({entry.name for entry in entries if entry.operation == "CreateFleet"})


def things(emulated: RehearsalCloud) -> dict[str, Any]:
    """All that the account holds, by kind and name; objects one by one."""
    found: dict[str, Any] = {}
    for kind, items in json.loads(emulated.inventory()).items():
        for name, item in items.items():
            objects = item.pop("Objects", {}) if kind == "s3:bucket" else {}
            item.pop("DeleteMarkers", None)  # of objects that a released run no longer needs
            found.update({f"s3:object {key}": told for key, told in objects.items()})
            found[f"{kind} {name}"] = item
    return found


def calm(emulated: RehearsalCloud) -> None:
    """Everything is to be had again, and nobody else's machine runs."""
    emulated.capacity._refused.clear()
    emulated.quotas._everywhere.clear()
    emulated.quotas._requests.clear()
    ec2 = emulated.clients("ec2", emulated.region)
    for group in ec2.describe_instances()["Reservations"]:
        for item in group["Instances"]:
            if item["State"]["Name"] in ("pending", "running"):
                ec2.terminate_instances(InstanceIds=[item["InstanceId"]])
