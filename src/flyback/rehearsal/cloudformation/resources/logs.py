"""AWS::Logs::LogGroup."""

from __future__ import annotations

from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    tag_changes,
)

__all__ = ["LogGroup"]


class LogGroup(Handler):
    """A log group."""

    type = "AWS::Logs::LogGroup"
    applies = frozenset({"LogGroupName", "RetentionInDays", "Tags"})
    not_emulated = frozenset(
        {
            "BearerTokenAuthenticationEnabled",
            "DataProtectionPolicy",
            "DeletionProtectionEnabled",
            "FieldIndexPolicies",
            "KmsKeyId",
            "LogGroupClass",
            "ResourcePolicyDocument",
        }
    )
    pace = Pace(create=6, update=4, delete=2)
    name_property = "LogGroupName"
    system_tags = True
    gone = frozenset({"ResourceNotFoundException"})

    def create(self, site: Site, desired: Desired) -> Made:
        logs = site.client("logs")
        name = site.name(desired.get("LogGroupName"), most=512)
        logs.create_log_group(logGroupName=name, tags=dict(desired.tags))
        arn = f"arn:{site.partition}:logs:{site.region}:{site.account}:log-group:{name}:*"
        made = site.claim(Made(physical_id=name, attributes={"Arn": arn}))
        if desired.get("RetentionInDays") is not None:
            logs.put_retention_policy(
                logGroupName=name, retentionInDays=desired.get("RetentionInDays")
            )
        return made

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        logs, name = site.client("logs"), made.physical_id
        if new.differs(old, "RetentionInDays"):
            days = new.get("RetentionInDays")
            if days is None:
                logs.delete_retention_policy(logGroupName=name)
            else:
                logs.put_retention_policy(logGroupName=name, retentionInDays=days)
        added, removed = tag_changes(old, new)
        arn = str(made.attributes["Arn"]).removesuffix(":*")
        if added:
            logs.tag_resource(resourceArn=arn, tags=added)
        if removed:
            logs.untag_resource(resourceArn=arn, tagKeys=removed)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("logs").delete_log_group(logGroupName=made.physical_id)
