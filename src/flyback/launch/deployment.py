"""What `flyback up` left in the account, as the other stages need it."""

from __future__ import annotations

from dataclasses import dataclass

from flyback.aws.cloudformation import StackFacts
from flyback.aws.session import Session
from flyback.aws.tagging import NAME_TAG
from flyback.errors import NotDeployedError
from flyback.spec.launch import Place

__all__ = ["NAME_TAG", "PARTS", "READY", "Deployment", "bucket_names", "find", "stack_name"]

READY = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})


PARTS = ("ci", "core")
"""The stacks that a deployment may have, in the order in which they are removed."""


def stack_name(name: str, part: str = "core") -> str:
    """A stack of the deployment called `name`."""
    return f"{name}-{part}"


def bucket_names(name: str, account: str, region: str) -> dict[str, str]:
    """The deployment's buckets as core.yaml names them, by logical id."""
    return {
        "DataBucket": f"{name}-data-{account}-{region}",
        "OutputsBucket": f"{name}-outputs-{account}-{region}",
    }


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Outputs of the core stack.

    Args:
        stack_id: CloudFormation's id; names the stack even after it is deleted.
        bucket: Holds runs, bundles and working directories.
        data_bucket: The user's data sets.
        private: Whether machines have no public address.
        place: Where its schedules are, and who acts for them.
    """

    name: str
    stack_id: str
    bucket: str
    data_bucket: str
    log_group: str
    launch_template: str
    launch_template_version: str
    subnets: tuple[str, ...]
    tags: dict[str, str]
    private: bool = False
    place: Place

    @property
    def store_url(self) -> str:
        """Where runs lie."""
        return f"s3://{self.bucket}"

    @classmethod
    def from_stack(cls, name: str, stack: StackFacts) -> Deployment:
        """Read the outputs of the core stack."""
        outputs = stack.outputs
        return cls(
            name=name,
            stack_id=stack.stack_id,
            bucket=outputs["OutputsBucketName"],
            data_bucket=outputs["DataBucketName"],
            log_group=outputs["LogGroupName"],
            launch_template=outputs["LaunchTemplateId"],
            launch_template_version=outputs["LaunchTemplateVersion"],
            subnets=tuple(outputs["SubnetIds"].split(",")),
            tags=dict(stack.tags),
            private=outputs.get("Private") == "true",
            place=Place(
                group=outputs["ScheduleGroupName"],
                terminate_role=outputs["SchedulerTerminateRoleArn"],
                guardian=outputs["GuardianArn"],
                invoke_role=outputs["SchedulerInvokeRoleArn"],
            ),
        )


def find(session: Session, name: str) -> Deployment:
    """The deployment in this account and region.

    Raises:
        NotDeployedError: there is none, or it is not in a usable state.
    """
    stack = session.cloudformation.describe(stack_name(name))
    where = f"account {session.identity.account}, region {session.region}"
    if stack is None:
        raise NotDeployedError(
            f"no flyback stack {stack_name(name)!r}",
            where=where,
            remedy="run `flyback up` first",
        )
    if stack.status not in READY or not stack.outputs:
        parts = "" if stack.outputs else ", and has no machines yet"  # data alone was taken in
        raise NotDeployedError(
            f"the stack {stack_name(name)!r} is in state {stack.status}{parts}",
            where=where,
            remedy="run `flyback up` again; it continues from there",
        )
    try:
        return Deployment.from_stack(name, stack)
    except KeyError as error:
        raise NotDeployedError(
            f"the stack {stack_name(name)!r} lacks the output {error}",
            where=where,
            remedy="an older flyback, or a deployment without the guardian's code, made it: "
            "run `flyback up`, which brings it up to date",
        ) from error
