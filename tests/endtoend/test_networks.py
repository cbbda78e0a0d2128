"""Machines in a VPC of flyback's own or one that is there, with and without the internet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from flyback.api.job import Prepared
from flyback.api.runs import Run
from flyback.api.verbs import NetworkChoice, Options, deploy, remove, start
from flyback.api.wiring import Cloud
from flyback.cli.up import command as up_command
from flyback.errors import FlybackError, NetworkError, UserError
from flyback.launch.deployment import Deployment, stack_name
from flyback.launch.network import OPTIONAL
from flyback.launch.progress import Report, silent
from flyback.rehearsal.ec2.machines import NoHost

REGION = "us-east-1"
# Run on the machine: which services answer it, be it with an error. boto3 is the agent's, whose
# models are pruned to what the agent calls, so requests are signed but not modelled.
PROBE = """
import http.client, json, os, pathlib, sys, urllib.error, urllib.request
home = next(p for p in pathlib.Path.cwd().parents if (p / "bundle" / "botocore").is_dir())
sys.path.insert(0, str(home / "bundle"))
import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
credentials = botocore.session.get_session().get_credentials()
answers = {}
for service in ("s3", "logs", "ssm", "secretsmanager", "ssmmessages", "ec2", "sns"):
    request = AWSRequest("GET", os.environ["AWS_ENDPOINT_URL"] + "/", headers={})
    SigV4Auth(credentials, service, os.environ["AWS_REGION"]).add_auth(request)
    prepared = urllib.request.Request(request.url, headers=dict(request.headers.items()))
    try:
        urllib.request.urlopen(prepared, timeout=20).read()
        answers[service] = "answered"
    except urllib.error.HTTPError:
        answers[service] = "answered"
    except (OSError, http.client.HTTPException):
        answers[service] = "no connection"
print(json.dumps(answers))
"""


def options(**network: Any) -> Options:
    """`up` with these choices."""
    return Options(cloud="rehearsal", network=NetworkChoice(**network))


def up(cloud: Cloud, report: Report = silent, **network: Any) -> Deployment:
    """Deploy with these choices."""
    return deploy(cloud, options(**network), report)


@pytest.fixture
def ec2(cloud: Cloud) -> Any:
    """The account's EC2."""
    return cloud.emulated.clients("ec2", "us-east-1")


@pytest.fixture
def office(ec2: Any) -> dict[str, str]:
    """A VPC that was there before: a public subnet, one behind a NAT gateway, and a closed one."""
    vpc = ec2.create_vpc(CidrBlock="172.20.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    made = {"vpc": vpc}
    for number, name in enumerate(("public", "nat", "closed")):
        subnet = ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"172.20.{number}.0/24", AvailabilityZone=f"{REGION}a"
        )["Subnet"]["SubnetId"]
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        made[name], made[f"{name}-table"] = subnet, table
    everywhere = {"DestinationCidrBlock": "0.0.0.0/0"}
    ec2.create_route(RouteTableId=made["public-table"], GatewayId=gateway, **everywhere)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=made["public"], AllocationId=address)["NatGateway"]
    ec2.create_route(RouteTableId=made["nat-table"], NatGatewayId=nat["NatGatewayId"], **everywhere)
    return made


@pytest.fixture
def fly(gpu_job: Callable[..., Prepared]) -> Callable[[Cloud], Run]:
    """Runs a job in what is deployed, to its end."""

    def run(cloud: Cloud) -> Run:
        prepared = gpu_job("spot.attempts=3")
        job = dataclasses.replace(prepared.job, command=("python3", "-c", PROBE))
        flown = start(dataclasses.replace(prepared, job=job), cloud, options(), silent)
        marker = flown.wait()
        assert marker.kind == "SUCCESS", marker.log_tail
        return flown

    return run


def reached(run: Run) -> dict[str, str]:
    """Which services answered the run's machine."""
    (result,) = run.results()
    assert result.values is not None
    return dict(result.values)


def test_a_run_in_a_dedicated_vpc(cloud: Cloud, fly: Callable[[Cloud], Run]) -> None:
    """A public address, every service in reach, and the address is on the receipt."""
    said: list[str] = []
    deployment = up(cloud, lambda _, text: said.append(text))
    assert any("a public IPv4 address per running machine, $0.005 an hour" in t for t in said)
    (vpc,) = cloud.emulated.clients("ec2", "us-east-1").describe_vpcs(
        Filters=[{"Name": "tag:flyback:name", "Values": ["flyback"]}]
    )["Vpcs"]
    assert vpc["CidrBlock"] == "10.1.0.0/16"
    run = fly(cloud)
    assert not deployment.private
    assert set(reached(run).values()) == {"answered"}
    assert line(run)["usd"] > 0
    assert remove(cloud, options(), keep_data=False, report=silent).clean


def test_a_run_in_private_mode(cloud: Cloud, fly: Callable[[Cloud], Run]) -> None:
    """No address, no way to the internet; exactly the services with an endpoint answer."""
    said: list[str] = []
    deployment = up(cloud, lambda _, text: said.append(text), private=True)
    assert deployment.private
    (price,) = [text for text in said if "interface endpoints" in text]
    assert "4 interface endpoints in 1 zone, $0.04 an hour ($29.20 a month)" in price
    ec2 = cloud.emulated.clients("ec2", "us-east-1")
    assert ec2.describe_internet_gateways()["InternetGateways"] == []
    services = {
        item["ServiceName"].rsplit(".", 1)[1]: item["VpcEndpointType"]
        for item in ec2.describe_vpc_endpoints()["VpcEndpoints"]
    }
    assert services == {"s3": "Gateway", **dict.fromkeys(("logs", *OPTIONAL), "Interface")}
    run = fly(cloud)
    answers = reached(run)
    assert {name for name, answer in answers.items() if answer == "no connection"} == {
        "ec2",
        "sns",
    }
    assert line(run)["usd"] == 0
    assert remove(cloud, options(), keep_data=False, report=silent).clean
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_a_run_in_a_vpc_that_is_there(
    cloud: Cloud, office: dict[str, str], fly: Callable[[Cloud], Run]
) -> None:
    """The machine stands in the subnet that was named; nothing is added to the VPC, or removed."""
    ec2 = cloud.emulated.clients("ec2", "us-east-1")
    deployment = up(cloud, vpc=office["vpc"], subnets=(office["public"],))
    assert deployment.subnets == (office["public"],)
    kinds = {item.kind for item in cloud.session.cloudformation.resources(stack_name("flyback"))}
    assert {kind for kind in kinds if kind.startswith("AWS::EC2::")} == {
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::LaunchTemplate",
    }
    fly(cloud)
    assert remove(cloud, options(), keep_data=False, report=silent).clean
    assert len(ec2.describe_subnets(SubnetIds=[office["public"]])["Subnets"]) == 1


def test_a_run_behind_a_nat_gateway(
    cloud: Cloud, office: dict[str, str], fly: Callable[[Cloud], Run]
) -> None:
    """Private machines in a VPC that is there leave it by its own gateway; the VPC is inferred."""
    up(cloud, subnets=(office["nat"],), private=True)
    run = fly(cloud)
    assert set(reached(run).values()) == {"answered"}
    assert line(run)["usd"] == 0


def test_endpoints_of_a_vpc_that_is_there_will_do(cloud: Cloud, office: dict[str, str]) -> None:
    """A closed subnet is taken once S3 and Logs are in reach; what else lacks is said."""
    ec2, said = cloud.emulated.clients("ec2", "us-east-1"), list[str]()
    ec2.create_vpc_endpoint(
        VpcId=office["vpc"],
        ServiceName=f"com.amazonaws.{REGION}.s3",
        RouteTableIds=[office["closed-table"]],
    )
    ec2.create_vpc_endpoint(
        VpcId=office["vpc"],
        ServiceName=f"com.amazonaws.{REGION}.logs",
        VpcEndpointType="Interface",
        SubnetIds=[office["closed"]],
        PrivateDnsEnabled=True,
    )
    up(cloud, lambda _, text: said.append(text), subnets=(office["closed"],), private=True)
    assert {service for service in OPTIONAL if any(f"reach {service}:" in t for t in said)} == {
        *OPTIONAL
    }


def test_the_network_stays_as_it_was_told(cloud: Cloud, office: dict[str, str]) -> None:
    """A later `up` without network flags changes nothing; one can go back and forth."""
    there = {"vpc": office["vpc"], "subnets": (office["public"],)}
    up(cloud, **there)
    assert up(cloud).subnets == (office["public"],)
    dedicated = up(cloud, dedicated=True)
    assert len(dedicated.subnets) == 3
    private = up(cloud, private=True)
    assert private.private
    assert private.subnets == dedicated.subnets
    assert not up(cloud, private=False).private


@pytest.mark.parametrize(
    ("network", "kind", "what", "remedy"),
    [
        ({"vpc": "vpc-0123456789abcdef0"}, UserError, "no VPC vpc-0123", "check the region"),
        ({"vpc": "{vpc}"}, UserError, "no subnet of {vpc} is named", "--subnet {nat}"),
        (
            {"vpc": "{vpc}", "subnets": ("subnet-0123456789abcdef0",)},
            UserError,
            "no subnet subnet-0123",
            "--subnet {public}",
        ),
        ({"subnets": ("subnet-0123456789abcdef0",)}, UserError, "no subnet", "check the region"),
        (
            {"vpc": "{vpc}", "subnets": ("{public}", "{stranger}")},
            UserError,
            "not a subnet of {vpc}: {stranger} (in vpc-",
            "--subnet {public}",
        ),
        (
            {"subnets": ("{public}", "{stranger}")},
            UserError,
            "not a subnet of {vpc}: {stranger}",
            "--subnet {public}",
        ),
        (
            {"subnets": ("{public}", "{nat}")},
            NetworkError,
            "{nat} has no route to an internet gateway",
            "--private",
        ),
        (
            {"subnets": ("{nat}", "{closed}"), "private": True},
            NetworkError,
            "{closed} without a public address does not reach s3 and logs",
            "--service-name com.amazonaws.us-east-1.s3 --route-table-ids {closed-table}",
        ),
        ({"dedicated": True, "vpc": "{vpc}"}, UserError, "at once", "leave out"),
    ],
)
def test_a_wrong_network_creates_nothing(
    cloud: Cloud,
    office: dict[str, str],
    network: dict[str, Any],
    kind: type[FlybackError],
    what: str,
    remedy: str,
) -> None:
    """Each wrong choice is refused with what, where and remedy, before anything is created."""
    ec2 = cloud.emulated.clients("ec2", "us-east-1")
    other = ec2.create_vpc(CidrBlock="172.30.0.0/16")["Vpc"]["VpcId"]
    stranger = ec2.create_subnet(VpcId=other, CidrBlock="172.30.0.0/24")["Subnet"]["SubnetId"]
    names = {**office, "stranger": stranger}

    def filled(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(filled(item) for item in value)
        return value.format(**names) if isinstance(value, str) else value

    assert cloud.emulated is not None
    before = cloud.emulated.journal.entries()[-1].number
    with pytest.raises(kind) as caught:
        up(cloud, **{key: filled(value) for key, value in network.items()})
    assert filled(what) in caught.value.what
    assert filled(remedy) in caught.value.remedy
    assert caught.value.where
    assert not [e for e in cloud.emulated.journal.entries(after=before) if e.mutating]


def line(run: Run) -> dict[str, Any]:
    """What the receipt says of the public address."""
    (found,) = [item for item in run.receipt().lines if item.item == "public IPv4"]
    return {"usd": found.usd}


def test_the_flags_of_up_are_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each flag reaches the deployment; what is left out is not chosen."""
    chosen: list[NetworkChoice] = []

    def refuse(given: Options) -> Deployment:
        chosen.append(given.network)
        raise UserError("enough", where="here", remedy="none")

    monkeypatch.setattr("flyback.api.up", refuse)
    for words in (
        [],
        ["--private"],
        ["--public", "--dedicated-vpc"],
        ["--vpc", "vpc-1", "--subnet", "subnet-1", "--subnet", "subnet-2"],
    ):
        assert CliRunner().invoke(up_command, words).exit_code != 0
    assert chosen == [
        NetworkChoice(),
        NetworkChoice(private=True),
        NetworkChoice(private=False, dedicated=True),
        NetworkChoice(vpc="vpc-1", subnets=("subnet-1", "subnet-2")),
    ]


def test_a_network_is_not_changed_under_running_machines(
    cloud: Cloud, office: dict[str, str], gpu_job: Callable[..., Prepared]
) -> None:
    """The machine and its run are named, nothing is touched; once it has ended, all is free."""
    assert cloud.emulated is not None
    cloud.emulated.machines.host = NoHost()
    cloud.emulated.functions.broken = lambda _: True  # the guardian would go on with another
    up(cloud)
    run = start(gpu_job("spot.attempts=3"), cloud, options(), silent)
    machine = run.launch.attempts[-1].instance_id
    assert machine
    before = len(cloud.emulated.journal.mutating())
    for choice in (
        {"private": True},
        {"vpc": office["vpc"], "subnets": (office["public"],)},
    ):
        with pytest.raises(UserError, match=f"{machine} .run {run.run_id}.") as told:
            up(cloud, **choice)
        assert f"flyback stop {run.run_id}" in told.value.remedy
    assert len(cloud.emulated.journal.mutating()) == before
    up(cloud)  # what stays as it is, named or not, is no change
    up(cloud, private=False)
    cloud.emulated.machines.power_off(machine)
    cloud.clock.sleep(120)
    assert up(cloud, private=True).private
