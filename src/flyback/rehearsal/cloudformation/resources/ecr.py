"""AWS::ECR::Repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyback.rehearsal.cloudformation.refusals import NotEmulatedError
from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    as_document,
    pairs,
    renamed,
    tag_changes,
    unless,
)

__all__ = ["Repository"]

_NO_POLICY = frozenset({"LifecyclePolicyNotFoundException", "RepositoryPolicyNotFoundException"})
_FILTER = {
    "ImageTagMutabilityExclusionFilterType": "filterType",
    "ImageTagMutabilityExclusionFilterValue": "filter",
}


class Repository(Handler):
    """A container registry."""

    type = "AWS::ECR::Repository"
    applies = frozenset(
        {
            "EmptyOnDelete",
            "EncryptionConfiguration",
            "ImageScanningConfiguration",
            "ImageTagMutability",
            "ImageTagMutabilityExclusionFilters",
            "LifecyclePolicy",
            "RepositoryName",
            "RepositoryPolicyText",
            "Tags",
        }
    )
    pace = Pace(create=4, update=4, delete=3)
    name_property = "RepositoryName"
    system_tags = True
    gone = frozenset({"RepositoryNotFoundException"})

    def create(self, site: Site, desired: Desired) -> Made:
        ecr = site.client("ecr")
        name = site.name(desired.get("RepositoryName"), most=256, lower=True)
        encryption = renamed(
            desired.get("EncryptionConfiguration", {}),
            {"EncryptionType": "encryptionType", "KmsKey": "kmsKey"},
            "EncryptionConfiguration",
        )
        found = ecr.create_repository(
            repositoryName=name,
            imageScanningConfiguration=_scanning(desired),
            tags=pairs(desired.tags),
            **({"encryptionConfiguration": encryption} if encryption else {}),
            **_mutability(desired),
        )["repository"]
        made = site.claim(
            Made(
                physical_id=name,
                attributes={
                    "Arn": found["repositoryArn"],
                    "RepositoryUri": found["repositoryUri"],
                },
            )
        )
        self._policies(ecr, name, Desired(properties={}), desired)
        return made

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        ecr, name = site.client("ecr"), made.physical_id
        if new.differs(old, "ImageScanningConfiguration"):
            ecr.put_image_scanning_configuration(
                repositoryName=name, imageScanningConfiguration=_scanning(new)
            )
        if new.differs(old, "ImageTagMutability", "ImageTagMutabilityExclusionFilters"):
            ecr.put_image_tag_mutability(repositoryName=name, **_mutability(new))
        self._policies(ecr, name, old, new)
        added, removed = tag_changes(old, new)
        arn = made.attributes["Arn"]
        if added:
            ecr.tag_resource(resourceArn=arn, tags=pairs(added))
        if removed:
            ecr.untag_resource(resourceArn=arn, tagKeys=removed)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:
        site.client("ecr").delete_repository(
            repositoryName=made.physical_id, force=bool(last.get("EmptyOnDelete", False))
        )

    @staticmethod
    def _policies(ecr: Any, name: str, old: Desired, new: Desired) -> None:
        if new.differs(old, "LifecyclePolicy"):
            policy = _lifecycle(new.get("LifecyclePolicy"))
            if policy is None:
                unless(_NO_POLICY, ecr.delete_lifecycle_policy, repositoryName=name)
            else:
                ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=policy)
        if new.differs(old, "RepositoryPolicyText"):
            if new.get("RepositoryPolicyText") is None:
                unless(_NO_POLICY, ecr.delete_repository_policy, repositoryName=name)
            else:
                text = as_document(new.get("RepositoryPolicyText"))
                ecr.set_repository_policy(repositoryName=name, policyText=text)


def _scanning(desired: Desired) -> dict[str, Any]:
    given = desired.get("ImageScanningConfiguration", {"ScanOnPush": False})
    return renamed(given, {"ScanOnPush": "scanOnPush"}, "ImageScanningConfiguration")


def _mutability(desired: Desired) -> dict[str, Any]:
    found = {"imageTagMutability": desired.get("ImageTagMutability", "MUTABLE")}
    filters = desired.get("ImageTagMutabilityExclusionFilters")
    if filters:
        found["imageTagMutabilityExclusionFilters"] = [
            renamed(item, _FILTER, "ImageTagMutabilityExclusionFilters") for item in filters
        ]
    return found


def _lifecycle(given: Mapping[str, Any] | None) -> str | None:
    if given is None or "LifecyclePolicyText" not in given:
        return None
    if "RegistryId" in given:
        raise NotEmulatedError("the property LifecyclePolicy.RegistryId")
    return str(given["LifecyclePolicyText"])
