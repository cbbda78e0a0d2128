"""What CloudFormation could not delete of a stack, why, and what can be done about each."""

from __future__ import annotations

from dataclasses import dataclass

from flyback.aws.cloudformation import StackResource
from flyback.aws.session import Session
from flyback.errors import NotFoundError

__all__ = ["Stuck", "stuck_in"]

_FAILED = "DELETE_FAILED"
_DATA = "`flyback down` empties the bucket {0}; `flyback down --keep-data` keeps it"
_HELD = (
    "aws ec2 describe-network-interfaces --filters Name={1},Values={0} shows what stands there: "
    "end or delete it"
)
_BY_HAND = {
    "AWS::EC2::InternetGateway": "aws ec2 delete-internet-gateway --internet-gateway-id {0}",
    "AWS::EC2::LaunchTemplate": "aws ec2 delete-launch-template --launch-template-id {0}",
    "AWS::EC2::RouteTable": "aws ec2 delete-route-table --route-table-id {0}",
    "AWS::EC2::VPCEndpoint": "aws ec2 delete-vpc-endpoints --vpc-endpoint-ids {0}",
    "AWS::ECR::Repository": "aws ecr delete-repository --force --repository-name {0}",
    "AWS::IAM::Role": "aws iam list-attached-role-policies --role-name {0} shows what somebody "
    "attached: detach it",
    "AWS::Logs::LogGroup": "aws logs delete-log-group --log-group-name {0}",
}
_REMEDIES = {
    "AWS::S3::Bucket": _DATA,
    "AWS::EC2::SecurityGroup": _HELD.replace("{1}", "group-id"),
    "AWS::EC2::Subnet": _HELD.replace("{1}", "subnet-id"),
    "AWS::EC2::VPC": _HELD.replace("{1}", "vpc-id"),
    **{kind: f"if its reason can't be mended, by hand: {text}" for kind, text in _BY_HAND.items()},
}
_OTHERWISE = "mend what its reason says, or delete {0} in the console"


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """A resource that stays, and why.

    Args:
        resource: What CloudFormation says of it.
        reason: Its own words; may be empty.
    """

    resource: StackResource
    reason: str

    def __str__(self) -> str:
        item = self.resource
        what = f"{item.logical_id} ({item.kind} {item.physical_id})"
        return f"{what}: {self.reason}" if self.reason else what

    @property
    def remedy(self) -> str:
        """What a person can do about it."""
        return _REMEDIES.get(self.resource.kind, _OTHERWISE).format(self.resource.physical_id)


def stuck_in(session: Session, stack_id: str) -> tuple[Stuck, ...]:
    """Everything that the last delete of a stack could not remove."""
    service = session.cloudformation
    try:
        failed = [item for item in service.resources(stack_id) if item.status == _FAILED]
        events = service.events(stack_id) if failed else ()
    except NotFoundError:
        return ()
    reasons = {event.logical_id: event.reason for event in events if event.status == _FAILED}
    return tuple(Stuck(resource=item, reason=reasons.get(item.logical_id, "")) for item in failed)
