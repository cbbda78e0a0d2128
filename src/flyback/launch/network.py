"""Where machines stand: a VPC of their own, or one that is there; with or without the internet.

Everything is looked at before the stack is touched, so that a wrong choice creates nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flyback.aws.network import PlacedSubnet
from flyback.aws.session import Session
from flyback.errors import NetworkError, RefusedError, UserError
from flyback.launch.deployment import stack_name
from flyback.launch.progress import Report
from flyback.plan.network import endpoint_sentence, public_sentence

__all__ = ["NEEDED", "OPTIONAL", "NetworkChoice", "settle"]

NEEDED = ("s3", "logs")
"""Services that every run calls from its machine."""

OPTIONAL = {
    "secretsmanager": "secrets by secretsmanager:…",
    "ssm": "secrets by ssm:/…, and Session Manager",
    "ssmmessages": "Session Manager",
}
"""Services that some runs call, and what for."""

_PARAMETERS = ("VpcId", "SubnetIds", "Private")


@dataclass(frozen=True, kw_only=True)
class NetworkChoice:
    """What a user says of the network; what is None stays as it is deployed.

    Args:
        dedicated: True goes (back) to a VPC of flyback's own, 10.1.0.0/16.
        vpc: An existing VPC; None with `subnets` takes theirs.
        subnets: Its subnets; empty together with `vpc` None leaves them as they are.
        private: Whether machines have no public address.
    """

    dedicated: bool = False
    vpc: str | None = None
    subnets: tuple[str, ...] = ()
    private: bool | None = None

    def __post_init__(self) -> None:
        if self.dedicated and (self.vpc or self.subnets):
            raise UserError(
                "a dedicated VPC and an existing one are asked for at once",
                where="--dedicated-vpc",
                remedy="leave out --vpc and --subnet, or leave out --dedicated-vpc",
            )


def settle(session: Session, name: str, choice: NetworkChoice, report: Report) -> dict[str, str]:
    """Check a choice against the account and say what it costs; the stack's parameters for it.

    Args:
        session: The account.
        name: The deployment's name.
        choice: What the user says.
        report: Told the price.

    Raises:
        UserError: a VPC or subnet does not exist, or they do not belong together.
        NetworkError: machines in the subnets would not reach what they need.
    """
    chosen = _chosen(session, choice)
    stack = session.cloudformation.describe(stack_name(name))
    before: Mapping[str, str] = stack.parameters if stack is not None else {}
    vpc_id = chosen.get("VpcId", before.get("VpcId", ""))
    private = chosen.get("Private", before.get("Private", "false")) == "true"
    if vpc_id:
        named = chosen.get("SubnetIds", before.get("SubnetIds", ""))
        subnets = tuple(text for text in named.split(",") if text)
        if chosen:
            _look(session, vpc_id, subnets, report, private=private)
    report("deploy", _price(vpc_id, session.region, private=private))
    return {key: before[key] for key in _PARAMETERS if key in before} | chosen


def _price(vpc_id: str, region: str, *, private: bool) -> str:
    if not private:
        return public_sentence(region)
    if vpc_id:
        return f"private network: machines leave {vpc_id} by its own ways; flyback adds none"
    return endpoint_sentence(len({*NEEDED, *OPTIONAL} - {"s3"}), region)


def _chosen(session: Session, choice: NetworkChoice) -> dict[str, str]:
    found: dict[str, str] = {}
    if choice.private is not None:
        found["Private"] = "true" if choice.private else "false"
    if choice.dedicated:
        return {**found, "VpcId": "", "SubnetIds": ""}
    if choice.vpc or choice.subnets:
        subnets = _placed(session, choice)
        vpc_id = choice.vpc or subnets[0].vpc_id
        names = dict.fromkeys(choice.subnets)
        return {**found, "VpcId": vpc_id, "SubnetIds": ",".join(names)}
    return found


def _placed(session: Session, choice: NetworkChoice) -> tuple[PlacedSubnet, ...]:
    """The subnets that are asked for, which exist and share a VPC."""
    where = f"region {session.region}"
    if choice.vpc and not session.network.vpc_exists(choice.vpc):
        raise UserError(
            f"there is no VPC {choice.vpc}",
            where=where,
            remedy="aws ec2 describe-vpcs lists those of the account; check the region too",
        )
    if not choice.subnets:
        raise UserError(
            f"no subnet of {choice.vpc} is named",
            where="--subnet",
            remedy=_offer(session, choice.vpc or ""),
        )
    placed = session.network.subnets(choice.subnets)
    missing = sorted(set(choice.subnets) - {subnet.subnet_id for subnet in placed})
    if missing:
        remedy = "aws ec2 describe-subnets lists those of the account; check the region too"
        if choice.vpc:
            remedy = _offer(session, choice.vpc)
        raise UserError(f"there is no subnet {', '.join(missing)}", where=where, remedy=remedy)
    vpc_id = choice.vpc or placed[0].vpc_id
    strays = [subnet for subnet in placed if subnet.vpc_id != vpc_id]
    if strays:
        named = ", ".join(f"{subnet.subnet_id} (in {subnet.vpc_id})" for subnet in strays)
        raise UserError(
            f"not a subnet of {vpc_id}: {named}", where="--subnet", remedy=_offer(session, vpc_id)
        )
    return placed


def _offer(session: Session, vpc_id: str) -> str:
    there = session.network.subnets_of(vpc_id)
    if not there:
        return f"{vpc_id} has no subnet: make one, or deploy with --dedicated-vpc"
    flags = " ".join(f"--subnet {subnet.subnet_id}" for subnet in there)
    return f"one or more of: {flags}"


def _look(
    session: Session, vpc_id: str, subnets: tuple[str, ...], report: Report, *, private: bool
) -> None:
    """Whether machines in the subnets reach what they need."""
    try:
        vpc = session.network.vpc(vpc_id)
    except NetworkError:
        raise
    except RefusedError as error:
        report("deploy", f"the ways out of {vpc_id} could not be checked: {error.what}")
        return
    for subnet in subnets:
        table = vpc.table_of(subnet)
        default = table.default if table is not None else ""
        if not private:
            if not default.startswith("igw-"):
                raise NetworkError(
                    f"{subnet} has no route to an internet gateway, which a public address needs",
                    where=vpc_id,
                    remedy="add the route, or use --private where a NAT gateway or endpoints "
                    "lead out",
                )
            continue
        lacking = [service for service in NEEDED if not vpc.reaches(service, subnet)]
        if lacking:
            raise NetworkError(
                f"a machine in {subnet} without a public address does not reach "
                f"{' and '.join(lacking)}",
                where=vpc_id,
                remedy=_remedy(
                    lacking[0], vpc_id, subnet, session.region, table.table_id if table else None
                ),
            )
        for service, purpose in OPTIONAL.items():
            if not vpc.reaches(service, subnet):
                report("deploy", f"{subnet} does not reach {service}: no {purpose} there")


def _remedy(service: str, vpc_id: str, subnet: str, region: str, table: str | None) -> str:
    name = f"com.amazonaws.{region}.{service}"
    command = f"aws ec2 create-vpc-endpoint --vpc-id {vpc_id} --service-name {name}"
    if service == "s3":
        command += f" --route-table-ids {table or 'TABLE'}"
    else:
        command += f" --vpc-endpoint-type Interface --subnet-ids {subnet} --private-dns-enabled"
    return f"route the subnet through a NAT gateway, or: {command} --region {region}"
