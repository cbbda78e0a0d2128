"""Every resource type, read back from the account through boto3: made, changed in place, gone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flyback.rehearsal.cloudformation.resources import HANDLERS
from flyback.rehearsal.cloudformation.schema import resource_schema

STACK_TAGS = [{"Key": "Project", "Value": "flyback"}, {"Key": "Owner", "Value": "stack"}]
OWN = '[{"Key": "Owner", "Value": "own"}]'
CAPABILITIES = ["CAPABILITY_NAMED_IAM"]
TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
    '"Principal": {"Service": "ec2.amazonaws.com"}}]}'
)
POLICY = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", '
    '"Resource": "*"}]}'
)


@pytest.mark.parametrize("kind", sorted(HANDLERS))
def test_no_property_is_dropped_silently(kind: str) -> None:
    """What a handler applies and what it refuses are together all that the schema lets one set."""
    handler, schema = HANDLERS[kind], resource_schema("us-east-1", kind)
    assert schema is not None
    assert handler.applies.isdisjoint(handler.not_emulated)
    assert handler.applies | handler.not_emulated == schema.settable


@pytest.mark.parametrize("kind", sorted(HANDLERS))
def test_a_property_that_does_not_exist_is_named(cloud: Any, kind: str) -> None:
    """`Encountered unsupported property X`, for every type, and nothing is made."""
    before = cloud.inventory() if kind == "AWS::S3::Bucket" else None
    template = cloud.body(It=cloud.resource(kind, Nonsense="x"))
    assert cloud.create(template, Capabilities=CAPABILITIES) == "ROLLBACK_COMPLETE"
    assert ("It", "CREATE_FAILED", "Encountered unsupported property Nonsense") in cloud.events()
    if before is not None:
        assert cloud.inventory() == before


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        (
            {"VersioningConfiguration": {"Status": "on"}},
            "#/VersioningConfiguration/Status: on is not a valid enum value",
        ),
        ({"Tags": "a"}, "#/Tags: expected type: JSONArray, found: String"),
        ({"Tags": [{"Key": "k"}]}, "#/Tags/0: required key [Value] not found"),
        (
            {"VersioningConfiguration": {"Status": "Enabled", "Mode": 1}},
            (
                "Property validation failure: [Encountered unsupported properties in "
                "{/VersioningConfiguration}: [Mode]]"
            ),
        ),
    ],
)
def test_wrong_values_are_told_by_the_schema(
    cloud: Any, properties: dict[str, Any], sentence: str
) -> None:
    """Enum, type, required key and nested property, each with the path to it."""
    cloud.create(cloud.body(It=cloud.resource("AWS::S3::Bucket", **properties)))
    (failed,) = [item for item in cloud.events() if item[1] == "CREATE_FAILED"]
    assert (
        failed[2].removeprefix("Properties validation failed for resource It with message:\n")
        == sentence
    )


def test_a_nested_property_beyond_the_rehearsal_is_refused(cloud: Any) -> None:
    """Also below the top level nothing is dropped: the resource fails and names it."""
    encryption = {
        "ServerSideEncryptionConfiguration": [
            {
                "ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
            }
        ]
    }
    cloud.create(cloud.body(It=cloud.resource("AWS::S3::Bucket", BucketEncryption=encryption)))
    (failed,) = [item for item in cloud.events() if item[1] == "CREATE_FAILED"]
    assert failed[2] == ("not emulated: the property BucketEncryption.BlockedEncryptionTypes")


HARDENED = {
    "BucketName": "hard",
    "VersioningConfiguration": {"Status": "Enabled"},
    "PublicAccessBlockConfiguration": {
        "BlockPublicAcls": "true",
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    },
    "BucketEncryption": {
        "ServerSideEncryptionConfiguration": [
            {
                "BucketKeyEnabled": True,
                "ServerSideEncryptionByDefault": {
                    "SSEAlgorithm": "aws:kms",
                    "KMSMasterKeyID": "alias/x",
                },
            }
        ]
    },
    "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    "LifecycleConfiguration": {
        "Rules": [
            {
                "Id": "all",
                "Status": "Enabled",
                "Prefix": "logs/",
                "TagFilters": [{"Key": "k", "Value": "v"}],
                "ExpirationInDays": "365",
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 90}],
                "NoncurrentVersionTransitions": [
                    {"StorageClass": "GLACIER", "TransitionInDays": 10}
                ],
            },
            {"Status": "Enabled", "ExpiredObjectDeleteMarker": True},
        ]
    },
    "Tags": [{"Key": "Owner", "Value": "own"}],
}


def test_a_bucket_is_hardened_as_declared(cloud: Any) -> None:
    """Versioning, public access block, encryption, ownership, lifecycle and tags, read back."""
    assert cloud.create(
        cloud.body(B=cloud.resource("AWS::S3::Bucket", **HARDENED)), Tags=STACK_TAGS
    ) == ("CREATE_COMPLETE")
    s3 = cloud.client("s3")
    assert s3.get_bucket_versioning(Bucket="hard")["Status"] == "Enabled"
    block = s3.get_public_access_block(Bucket="hard")["PublicAccessBlockConfiguration"]
    assert block == dict.fromkeys(
        ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
    )
    encryption = s3.get_bucket_encryption(Bucket="hard")["ServerSideEncryptionConfiguration"]
    assert encryption["Rules"] == [
        {
            "ApplyServerSideEncryptionByDefault": {
                "SSEAlgorithm": "aws:kms",
                "KMSMasterKeyID": "alias/x",
            },
            "BucketKeyEnabled": True,
        }
    ]
    ownership = s3.get_bucket_ownership_controls(Bucket="hard")["OwnershipControls"]
    assert ownership["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    rules = s3.get_bucket_lifecycle_configuration(Bucket="hard")["Rules"]
    rules[1].pop("ID", None)
    assert rules == [
        {
            "ID": "all",
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "logs/", "Tags": [{"Key": "k", "Value": "v"}]}},
            "Expiration": {"Days": 365},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
            "Transitions": [{"StorageClass": "GLACIER", "Days": 90}],
            "NoncurrentVersionTransitions": [{"StorageClass": "GLACIER", "NoncurrentDays": 10}],
        },
        {
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
    ]
    tags = cloud.tags_of(s3.get_bucket_tagging(Bucket="hard")["TagSet"])
    assert tags == {"Project": "flyback", "Owner": "own"}
    assert cloud.update(
        cloud.body(B=cloud.resource("AWS::S3::Bucket", BucketName="hard")), Tags=[]
    ) == ("UPDATE_COMPLETE")
    assert s3.get_bucket_versioning(Bucket="hard")["Status"] == "Suspended"
    for read in (
        s3.get_public_access_block,
        s3.get_bucket_lifecycle_configuration,
        s3.get_bucket_ownership_controls,
        s3.get_bucket_tagging,
    ):
        with pytest.raises(s3.exceptions.ClientError):
            read(Bucket="hard")


def test_a_bucket_stands_in_its_region(abroad: Any) -> None:
    """A location constraint away from us-east-1, and addresses of the region."""
    template = json.dumps(
        {
            "Resources": {"B": abroad.resource("AWS::S3::Bucket", BucketName="far")},
            "Outputs": {
                name: {"Value": {"Fn::GetAtt": ["B", name]}}
                for name in ("Arn", "DomainName", "RegionalDomainName")
            },
        }
    )
    assert abroad.create(template) == "CREATE_COMPLETE"
    s3 = abroad.client("s3")
    assert s3.get_bucket_location(Bucket="far")["LocationConstraint"] == "eu-central-1"
    assert abroad.outputs() == {
        "Arn": "arn:aws:s3:::far",
        "DomainName": "far.s3.amazonaws.com",
        "RegionalDomainName": "far.s3.eu-central-1.amazonaws.com",
    }


def test_a_bucket_of_that_name_is_in_the_way(cloud: Any) -> None:
    """Also in us-east-1, where CreateBucket itself would answer with success."""
    cloud.client("s3").create_bucket(Bucket="taken")
    template = cloud.body(B=cloud.resource("AWS::S3::Bucket", BucketName="taken"))
    assert cloud.create(template) == "ROLLBACK_COMPLETE"
    (failed,) = [item for item in cloud.events() if item[1] == "CREATE_FAILED"]
    assert '"taken already exists (Service: S3, Status Code: 409' in failed[2]
    assert cloud.client("s3").list_buckets()["Buckets"][0]["Name"] == "taken"


def test_versions_and_delete_markers_fill_a_bucket(cloud: Any) -> None:
    """A versioned bucket whose objects are deleted is not empty."""
    cloud.create(cloud.body(B=cloud.resource("AWS::S3::Bucket", **HARDENED)))
    s3 = cloud.client("s3")
    s3.put_object(Bucket="hard", Key="k", Body=b"x")
    s3.delete_object(Bucket="hard", Key="k")
    cloud.call("DeleteStack", StackName="demo")
    (failed,) = [item for item in cloud.events() if item[:2] == ("B", "DELETE_FAILED")]
    assert "not empty. You must delete all versions in the bucket." in failed[2]


def test_a_bucket_policy_is_put_changed_and_taken_off(cloud: Any) -> None:
    """Text and map are the same policy; a second policy on one bucket is refused."""
    bucket = cloud.resource("AWS::S3::Bucket", BucketName="bkt")

    def policy(document: Any) -> dict[str, Any]:
        return cloud.resource("AWS::S3::BucketPolicy", Bucket={"Ref": "B"}, PolicyDocument=document)

    cloud.create(cloud.body(B=bucket, P=policy(json.loads(POLICY))))
    s3 = cloud.client("s3")
    assert json.loads(s3.get_bucket_policy(Bucket="bkt")["Policy"]) == json.loads(POLICY)
    cloud.update(cloud.body(B=bucket, P=policy(TRUST)))
    assert s3.get_bucket_policy(Bucket="bkt")["Policy"] == TRUST
    assert cloud.update(cloud.body(B=bucket, P=policy(TRUST), Q=policy(POLICY))) == (
        "UPDATE_ROLLBACK_COMPLETE"
    )
    assert any(
        "The bucket policy already exists on bucket bkt." in item[2] for item in cloud.events()
    )
    cloud.update(cloud.body(B=bucket))
    with pytest.raises(s3.exceptions.ClientError, match="policy"):
        s3.get_bucket_policy(Bucket="bkt")


LIFECYCLE = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {
                    "tagStatus": "any",
                    "countType": "imageCountMoreThan",
                    "countNumber": 3,
                },
                "action": {"type": "expire"},
            }
        ]
    }
)


def test_a_repository_has_all_that_is_declared(cloud: Any) -> None:
    """Scanning, mutability with exclusions, encryption, both policies, tags; and in place again."""
    template = cloud.body(
        R=cloud.resource(
            "AWS::ECR::Repository",
            RepositoryName="images",
            EmptyOnDelete=True,
            EncryptionConfiguration={"EncryptionType": "AES256"},
            ImageScanningConfiguration={"ScanOnPush": "true"},
            ImageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            ImageTagMutabilityExclusionFilters=[
                {
                    "ImageTagMutabilityExclusionFilterType": "WILDCARD",
                    "ImageTagMutabilityExclusionFilterValue": "latest",
                }
            ],
            LifecyclePolicy={"LifecyclePolicyText": LIFECYCLE},
            RepositoryPolicyText=json.loads(POLICY),
            Tags=json.loads(OWN),
        )
    )
    assert cloud.create(template, Tags=STACK_TAGS) == "CREATE_COMPLETE"
    ecr = cloud.client("ecr")
    (found,) = ecr.describe_repositories(repositoryNames=["images"])["repositories"]
    assert found["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert found["imageTagMutabilityExclusionFilters"] == [
        {"filterType": "WILDCARD", "filter": "latest"}
    ]
    assert found["imageScanningConfiguration"] == {"scanOnPush": True}
    assert found["encryptionConfiguration"] == {"encryptionType": "AES256"}
    policy = ecr.get_lifecycle_policy(repositoryName="images")["lifecyclePolicyText"]
    assert json.loads(policy) == json.loads(LIFECYCLE)
    text = ecr.get_repository_policy(repositoryName="images")["policyText"]
    assert json.loads(text)["Statement"] == json.loads(POLICY)["Statement"]
    tags = ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
    assert cloud.tags_of(tags) == {"Project": "flyback", "Owner": "own"}
    assert {"aws:cloudformation:stack-name", "aws:cloudformation:logical-id"} <= {
        item["Key"] for item in tags
    }
    plain = cloud.body(R=cloud.resource("AWS::ECR::Repository", RepositoryName="images"))
    assert cloud.update(plain, Tags=STACK_TAGS[:1]) == "UPDATE_ROLLBACK_COMPLETE", "custom name"
    keep = json.loads(template)["Resources"]["R"]["Properties"]["EncryptionConfiguration"]
    plain = cloud.body(
        R=cloud.resource(
            "AWS::ECR::Repository", RepositoryName="images", EncryptionConfiguration=keep
        )
    )
    assert cloud.update(plain, Tags=STACK_TAGS[:1]) == "UPDATE_COMPLETE"
    (found,) = ecr.describe_repositories(repositoryNames=["images"])["repositories"]
    assert found["imageTagMutability"] == "MUTABLE"
    assert found["imageScanningConfiguration"] == {"scanOnPush": False}
    tags = ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
    assert cloud.tags_of(tags) == {"Project": "flyback"}
    with pytest.raises(ecr.exceptions.LifecyclePolicyNotFoundException):
        ecr.get_lifecycle_policy(repositoryName="images")


@pytest.mark.parametrize(
    ("empty", "status"), [("true", "DELETE_COMPLETE"), ("false", "DELETE_FAILED")]
)
def test_a_repository_with_images_goes_only_with_empty_on_delete(
    cloud: Any, empty: str, status: str
) -> None:
    """EmptyOnDelete forces it; without, ECR's own refusal stops the deletion."""
    cloud.create(
        cloud.body(
            R=cloud.resource("AWS::ECR::Repository", RepositoryName="images", EmptyOnDelete=empty)
        )
    )
    stack_id = cloud.stack()["StackId"]
    manifest = {"schemaVersion": 2, "config": {"digest": "sha256:1", "size": 1}, "layers": []}
    cloud.client("ecr").put_image(
        repositoryName="images",
        imageManifest=json.dumps(manifest),
        imageTag="t",
        imageManifestMediaType="application/vnd.oci.image.manifest.v1+json",
    )
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.status(stack_id) == status
