"""Buckets as things that exist or not; their objects are the store's business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from math import inf
from typing import Any

from flyback.aws.service import Service
from flyback.errors import ConflictError, NotFoundError, ServiceError

__all__ = ["Buckets"]

_OLDEST = "us-east-1"  # the one region whose name CreateBucket does not take
_DELETE_BATCH = 1000  # DeleteObjects takes at most 1,000 keys (S3 API reference)


class Buckets(Service):
    """Simple Storage Service."""

    def names(self, prefix: str) -> tuple[str, ...]:
        """The account's buckets whose names begin with `prefix`."""
        found = self._call("list_buckets").get("Buckets", [])
        return tuple(item["Name"] for item in found if item["Name"].startswith(prefix))

    def create(self, bucket: str) -> None:
        """Create a bucket, which `settle` makes private; one of ours that exists is taken."""
        region = self._client.meta.region_name
        place = {} if region == _OLDEST else {"LocationConstraint": region}
        more = {"CreateBucketConfiguration": place} if place else {}
        self._intend("create_bucket", bucket, "account")
        try:
            self._call("create_bucket", Bucket=bucket, **more)
        except ConflictError as error:
            if "OwnedByYou" not in error.what:
                raise
        self._made("create_bucket", bucket, "account", bucket)

    def settle(self, bucket: str, tags: Mapping[str, str]) -> None:
        """Make a bucket private and tag it, whatever it was."""
        names = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls")
        self._call(
            "put_public_access_block",
            Bucket=bucket,
            PublicAccessBlockConfiguration=dict.fromkeys((*names, "RestrictPublicBuckets"), True),
        )
        pairs = [{"Key": key, "Value": text} for key, text in sorted(tags.items())]
        self._call("put_bucket_tagging", Bucket=bucket, Tagging={"TagSet": pairs})

    def remove(self, bucket: str) -> None:
        """Delete a bucket with all that it holds; one that is not there is removed already."""
        try:
            self.purge(bucket)
            self._call("delete_bucket", Bucket=bucket)
        except NotFoundError:
            return

    def object_versions(self, bucket: str) -> int:
        """How many versions and delete markers a bucket holds; 0 where there is no bucket."""
        try:
            return sum(1 for _ in self._versions(bucket))
        except NotFoundError:
            return 0

    def has_policy(self, bucket: str) -> bool:
        """Whether a bucket has a policy."""
        try:
            self._call("get_bucket_policy", Bucket=bucket)
        except NotFoundError:
            return False
        return True

    def delete(self, bucket: str) -> None:
        """Delete an empty bucket; one that is gone already does not matter."""
        try:
            self._call("delete_bucket", Bucket=bucket)
        except NotFoundError:
            return

    def purge(self, bucket: str) -> int:
        """Delete every version of every object; the number deleted.

        Raises:
            ServiceError: some object could not be deleted; the message names the first.
        """
        deleted = 0
        versions = self._versions(bucket)
        while batch := list(islice(versions, _DELETE_BATCH)):
            answer = self._call(
                "delete_objects", Bucket=bucket, Delete={"Objects": batch, "Quiet": True}
            )
            for failed in answer.get("Errors", []):
                raise ServiceError(
                    f"{failed['Key']}: {failed['Code']}: {failed['Message']}",
                    where=f"s3://{bucket}",
                    code=failed["Code"],
                )
            deleted += len(batch)
        return deleted

    def uploads(
        self, bucket: str, prefix: str = "", before: float = inf
    ) -> tuple[tuple[str, str], ...]:
        """Multipart uploads that nobody completed: key and upload id.

        They are stored and billed, and no listing of objects shows them.

        Args:
            bucket: Where.
            prefix: Of their keys.
            before: Only those that were begun before this, in seconds since the epoch.
        """
        try:
            found = list(
                self._pages("list_multipart_uploads", "Uploads", Bucket=bucket, Prefix=prefix)
            )
        except NotFoundError:
            return ()
        return tuple(
            (item["Key"], item["UploadId"])
            for item in found
            if item["Initiated"].timestamp() < before
        )

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """Drop an upload with its parts; one that is gone is dropped already."""
        try:
            self._call("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload_id)
        except NotFoundError:
            return

    def _versions(self, bucket: str) -> Iterator[dict[str, Any]]:
        for kind in ("Versions", "DeleteMarkers"):
            for item in self._pages("list_object_versions", kind, Bucket=bucket):
                yield {"Key": item["Key"], "VersionId": item["VersionId"]}
