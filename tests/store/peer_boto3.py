"""boto3, tuned, as one process of the comparison: 64 threads, no HEAD, classic transfers.

python peer_boto3.py down|up|large-down|large-up FOLDER PREFIX
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

THREADS = 64


def main() -> None:
    """Move, with the checksums that boto3 checks by default."""
    way, folder, prefix = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    config = Config(max_pool_connections=THREADS, retries={"mode": "standard"})
    client = boto3.client("s3", config=config)
    transfer = TransferConfig(max_concurrency=32, preferred_transfer_client="classic")
    folder.mkdir(parents=True, exist_ok=True)

    def down(key: str) -> None:
        body = client.get_object(Bucket="bucket", Key=key, ChecksumMode="ENABLED")["Body"].read()
        (folder / key.rpartition("/")[2]).write_bytes(body)

    def up(path: Path) -> None:
        client.put_object(Bucket="bucket", Key=f"{prefix}/{path.name}", Body=path.read_bytes())

    if way == "large-down":
        client.download_file("bucket", f"{prefix}/large", str(folder / "large"), Config=transfer)
    elif way == "large-up":
        client.upload_file(str(folder / "large"), "bucket", f"{prefix}/large", Config=transfer)
    else:
        with ThreadPoolExecutor(THREADS) as executor:
            if way == "up":
                list(executor.map(up, folder.iterdir()))
            else:
                pages = client.get_paginator("list_objects_v2").paginate(
                    Bucket="bucket", Prefix=f"{prefix}/"
                )
                keys = [item["Key"] for page in pages for item in page["Contents"]]
                list(executor.map(down, keys))


if __name__ == "__main__":
    main()
