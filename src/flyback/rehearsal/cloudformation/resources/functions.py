"""AWS::Lambda::Function and AWS::Lambda::Permission."""

from __future__ import annotations

from typing import Any

from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    renamed,
    tag_changes,
)

__all__ = ["Function", "Permission"]

_GONE = frozenset({"ResourceNotFoundException"})
_CONFIGURATION = (
    "Description",
    "Environment",
    "Handler",
    "LoggingConfig",
    "MemorySize",
    "Role",
    "Runtime",
    "Timeout",
)
_CLEARED: dict[str, Any] = {
    "Description": "",
    "Environment": {"Variables": {}},
    "LoggingConfig": {},
    "MemorySize": 128,
    "Timeout": 3,
}
_CODE = {name: name for name in ("S3Bucket", "S3Key")}


class Function(Handler):
    """A function whose code lies in a bucket, or inline in the template as one file."""

    type = "AWS::Lambda::Function"
    applies = frozenset({"Architectures", "Code", "FunctionName", "Tags", *_CONFIGURATION})
    not_emulated = frozenset(
        {
            "CapacityProviderConfig",
            "CodeSigningConfigArn",
            "DeadLetterConfig",
            "DurableConfig",
            "EphemeralStorage",
            "FileSystemConfigs",
            "FunctionScalingConfig",
            "ImageConfig",
            "KmsKeyArn",
            "Layers",
            "PackageType",
            "PublishToLatestPublished",
            "RecursiveLoop",
            "ReservedConcurrentExecutions",
            "RuntimeManagementConfig",
            "SnapStart",
            "TenancyConfig",
            "TracingConfig",
            "VpcConfig",
        }
    )
    pace = Pace(create=8, update=6, delete=3)
    name_property = "FunctionName"
    system_tags = True
    gone = _GONE

    def create(self, site: Site, desired: Desired) -> Made:
        name = site.name(desired.get("FunctionName"), most=64)
        names = ("Architectures", *_CONFIGURATION)
        found = site.client("lambda").create_function(
            FunctionName=name,
            Code=renamed(desired.get("Code"), _CODE, "Code"),
            Tags=dict(desired.tags),
            **{key: desired.get(key) for key in names if desired.get(key) is not None},
        )
        return site.claim(Made(physical_id=name, attributes={"Arn": found["FunctionArn"]}))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        service, name = site.client("lambda"), made.physical_id
        if new.differs(old, "Code"):
            code = renamed(new.get("Code"), _CODE, "Code")
            service.update_function_code(FunctionName=name, **code)
        changed = {
            key: new.get(key, _CLEARED.get(key)) for key in _CONFIGURATION if new.differs(old, key)
        }
        if changed:
            service.update_function_configuration(FunctionName=name, **changed)
        added, removed = tag_changes(old, new)
        arn = made.attributes["Arn"]
        if added:
            service.tag_resource(Resource=arn, Tags=added)
        if removed:
            service.untag_resource(Resource=arn, TagKeys=removed)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("lambda").delete_function(FunctionName=made.physical_id)


class Permission(Handler):
    """A statement of a function's resource policy; every change of it is a replacement."""

    type = "AWS::Lambda::Permission"
    applies = frozenset({"Action", "FunctionName", "Principal", "SourceAccount", "SourceArn"})
    not_emulated = frozenset(
        {
            "EventSourceToken",
            "FunctionUrlAuthType",
            "InvokedViaFunctionUrl",
            "PrincipalOrgID",
        }
    )
    pace = Pace(create=2, update=2, delete=2)
    gone = _GONE

    def create(self, site: Site, desired: Desired) -> Made:
        identifier = site.name(None, most=100)
        names = sorted(self.applies)
        site.client("lambda").add_permission(
            StatementId=identifier,
            **{key: desired.get(key) for key in names if desired.get(key) is not None},
        )
        return site.claim(Made(physical_id=identifier, attributes={"Id": identifier}))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:  # noqa: ARG002  # the protocol's
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:
        site.client("lambda").remove_permission(
            FunctionName=last.get("FunctionName"), StatementId=made.physical_id
        )
