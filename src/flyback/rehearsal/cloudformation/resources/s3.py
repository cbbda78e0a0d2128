"""AWS::S3::Bucket and AWS::S3::BucketPolicy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    as_document,
    code_of,
    pairs,
    renamed,
)

__all__ = ["Bucket", "BucketPolicy"]

_RULE = {
    "AbortIncompleteMultipartUpload": "AbortIncompleteMultipartUpload",
    "Id": "ID",
    "Status": "Status",
}
_TRANSITION = {
    "StorageClass": "StorageClass",
    "TransitionDate": "Date",
    "TransitionInDays": "Days",
}
_NONCURRENT_TRANSITION = {
    "NewerNoncurrentVersions": "NewerNoncurrentVersions",
    "StorageClass": "StorageClass",
    "TransitionInDays": "NoncurrentDays",
}
_EXPIRATION = {
    "ExpirationDate": "Date",
    "ExpirationInDays": "Days",
    "ExpiredObjectDeleteMarker": "ExpiredObjectDeleteMarker",
}
_FILTERS = {
    "ObjectSizeGreaterThan": "ObjectSizeGreaterThan",
    "ObjectSizeLessThan": "ObjectSizeLessThan",
    "Prefix": "Prefix",
}


class Bucket(Handler):
    """A bucket, hardened as the template says.

    CloudFormation's own tags are left out: the state behind the rehearsal takes no `aws:` tags on
    buckets.
    """

    type = "AWS::S3::Bucket"
    applies = frozenset(
        {
            "BucketEncryption",
            "BucketName",
            "LifecycleConfiguration",
            "OwnershipControls",
            "PublicAccessBlockConfiguration",
            "Tags",
            "VersioningConfiguration",
        }
    )
    not_emulated = frozenset(
        {
            "AbacStatus",
            "AccelerateConfiguration",
            "AccessControl",
            "AnalyticsConfigurations",
            "BucketNamePrefix",
            "BucketNamespace",
            "CorsConfiguration",
            "IntelligentTieringConfigurations",
            "InventoryConfigurations",
            "LoggingConfiguration",
            "MetadataConfiguration",
            "MetadataTableConfiguration",
            "MetricsConfigurations",
            "NotificationConfiguration",
            "ObjectLockConfiguration",
            "ObjectLockEnabled",
            "ReplicationConfiguration",
            "WebsiteConfiguration",
        }
    )
    pace = Pace(create=22, update=20, delete=2)
    name_property = "BucketName"
    gone = frozenset({"NoSuchBucket", "404"})

    def create(self, site: Site, desired: Desired) -> Made:
        s3 = site.client("s3")
        name = site.name(desired.get("BucketName"), most=63, lower=True)
        if _exists(s3, name):  # us-east-1 answers a second CreateBucket with success
            raise AwsError("BucketAlreadyExists", f"{name} already exists", 409)
        where = {}
        if site.region != "us-east-1":
            where = {"CreateBucketConfiguration": {"LocationConstraint": site.region}}
        s3.create_bucket(Bucket=name, **where)
        made = site.claim(Made(physical_id=name, attributes=_attributes(site, name)))
        self._apply(s3, name, Desired(properties={}), desired)
        return made

    def find(self, site: Site, desired: Desired) -> Made:
        name = str(desired.get("BucketName"))
        site.client("s3").head_bucket(Bucket=name)
        return Made(physical_id=name, attributes=_attributes(site, name))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        self._apply(site.client("s3"), made.physical_id, old, new)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:
        s3, name = site.client("s3"), made.physical_id
        versions = s3.list_object_versions(Bucket=name, MaxKeys=1)
        if versions.get("Versions") or versions.get("DeleteMarkers"):
            raise AwsError("BucketNotEmpty", _not_empty(last), 409)
        s3.delete_bucket(Bucket=name)

    def _apply(self, s3: Any, name: str, old: Desired, new: Desired) -> None:
        self._guard(s3, name, old, new)
        if new.differs(old, "VersioningConfiguration"):
            status = new.get("VersioningConfiguration", {"Status": "Suspended"})["Status"]
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
        if new.differs(old, "LifecycleConfiguration"):
            lifecycle = new.get("LifecycleConfiguration")
            if lifecycle is None:
                s3.delete_bucket_lifecycle(Bucket=name)
            else:
                s3.put_bucket_lifecycle_configuration(
                    Bucket=name, LifecycleConfiguration=_lifecycle(lifecycle)
                )
        if new.tags != old.tags:
            if new.tags:
                s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": pairs(new.tags)})
            else:
                s3.delete_bucket_tagging(Bucket=name)

    @staticmethod
    def _guard(s3: Any, name: str, old: Desired, new: Desired) -> None:
        if new.differs(old, "PublicAccessBlockConfiguration"):
            block = new.get("PublicAccessBlockConfiguration")
            if block is None:
                s3.delete_public_access_block(Bucket=name)
            else:
                s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)
        if new.differs(old, "OwnershipControls"):
            controls = new.get("OwnershipControls")
            if controls is None:
                s3.delete_bucket_ownership_controls(Bucket=name)
            else:
                s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=controls)
        if new.differs(old, "BucketEncryption"):
            encryption = new.get("BucketEncryption")
            if encryption is None:
                s3.delete_bucket_encryption(Bucket=name)
            else:
                s3.put_bucket_encryption(
                    Bucket=name, ServerSideEncryptionConfiguration=_encryption(encryption)
                )


class BucketPolicy(Handler):
    """The policy of a bucket."""

    type = "AWS::S3::BucketPolicy"
    applies = frozenset({"Bucket", "PolicyDocument"})
    pace = Pace(create=2, update=2, delete=2)
    gone = frozenset({"NoSuchBucket", "NoSuchBucketPolicy"})

    def create(self, site: Site, desired: Desired) -> Made:
        s3, bucket = site.client("s3"), desired.get("Bucket")
        try:
            s3.get_bucket_policy(Bucket=bucket)
        except ClientError as error:
            if code_of(error) != "NoSuchBucketPolicy":
                raise
        else:
            sentence = f"The bucket policy already exists on bucket {bucket}."
            raise AwsError("AlreadyExists", sentence, 409)
        s3.put_bucket_policy(Bucket=bucket, Policy=as_document(desired.get("PolicyDocument")))
        return site.claim(Made(physical_id=bucket))

    def find(self, site: Site, desired: Desired) -> Made:
        bucket = str(desired.get("Bucket"))
        site.client("s3").get_bucket_policy(Bucket=bucket)
        return Made(physical_id=bucket)

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:  # noqa: ARG002  # the protocol's
        site.client("s3").put_bucket_policy(
            Bucket=made.physical_id, Policy=as_document(new.get("PolicyDocument"))
        )
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("s3").delete_bucket_policy(Bucket=made.physical_id)


def _exists(s3: Any, name: str) -> bool:
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        return code_of(error) not in {"404", "NoSuchBucket"}
    return True


def _attributes(site: Site, name: str) -> dict[str, str]:
    suffix = "amazonaws.com.cn" if site.partition == "aws-cn" else "amazonaws.com"
    return {
        "Arn": f"arn:{site.partition}:s3:::{name}",
        "DomainName": f"{name}.s3.{suffix}",
        "DualStackDomainName": f"{name}.s3.dualstack.{site.region}.{suffix}",
        "RegionalDomainName": f"{name}.s3.{site.region}.{suffix}",
        "WebsiteURL": f"http://{name}.s3-website-{site.region}.{suffix}",
    }


def _not_empty(last: Desired) -> str:
    sentence = "The bucket you tried to delete is not empty"
    if last.get("VersioningConfiguration"):
        return f"{sentence}. You must delete all versions in the bucket."
    return sentence


def _encryption(value: Mapping[str, Any]) -> dict[str, Any]:
    rules = []
    for rule in value["ServerSideEncryptionConfiguration"]:
        names = {
            "BucketKeyEnabled": "BucketKeyEnabled",
            "ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault",
        }
        rules.append(renamed(rule, names, "BucketEncryption"))
    return {"Rules": rules}


def _lifecycle(value: Mapping[str, Any]) -> dict[str, Any]:
    (rules,) = renamed(value, {"Rules": "Rules"}, "LifecycleConfiguration").values()
    return {"Rules": [_rule(dict(rule)) for rule in rules]}


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    expiration = _taken(rule, _EXPIRATION)
    filters: dict[str, Any] = _taken(rule, _FILTERS)
    tags = rule.pop("TagFilters", [])
    for key in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"):
        if key in filters:
            filters[key] = int(filters[key])
    if len(filters) + len(tags) > 1:
        filters = {"And": {**filters, **({"Tags": tags} if tags else {})}}
    elif tags:
        filters = {"Tag": tags[0]}
    where = "LifecycleConfiguration.Rules"
    found: dict[str, Any] = {"Filter": filters or {"Prefix": ""}}
    if expiration:
        found["Expiration"] = expiration
    transitions = _listed(rule, "Transitions", "Transition")
    if transitions:
        found["Transitions"] = [renamed(item, _TRANSITION, where) for item in transitions]
    moved = _listed(rule, "NoncurrentVersionTransitions", "NoncurrentVersionTransition")
    if moved:
        found["NoncurrentVersionTransitions"] = [
            renamed(item, _NONCURRENT_TRANSITION, where) for item in moved
        ]
    if "NoncurrentVersionExpirationInDays" in rule:
        days = rule.pop("NoncurrentVersionExpirationInDays")
        found["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    if "NoncurrentVersionExpiration" in rule:
        found["NoncurrentVersionExpiration"] = rule.pop("NoncurrentVersionExpiration")
    return {**found, **renamed(rule, _RULE, where)}


def _taken(rule: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {new: rule.pop(old) for old, new in names.items() if old in rule}


def _listed(rule: dict[str, Any], many: str, one: str) -> list[Mapping[str, Any]]:
    found = list(rule.pop(many, []))
    return [*found, rule.pop(one)] if one in rule else found
