"""The port: connections are kept, closed in the end, and every shape of request gets through."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from flyback.errors import ServiceError
from flyback.rehearsal.cloud import START, RehearsalCloud
from flyback.spec.clock import RemoteClock

Clients = Callable[..., Any]


def connection_to(cloud: RehearsalCloud) -> http.client.HTTPConnection:
    address = urlsplit(cloud.endpoint)
    return http.client.HTTPConnection(address.hostname or "", address.port)


def test_one_connection_serves_many_requests(cloud: RehearsalCloud) -> None:
    """Keep-alive, and the date of answers is simulated time."""
    connection = connection_to(cloud)
    ports = set()
    for _ in range(3):
        connection.request("GET", "/_flyback/health")
        ports.add(connection.sock.getsockname()[1])
        answer = connection.getresponse()
        assert json.loads(answer.read()) == {"status": "ok", "now": START}
        assert answer.headers["Date"] == "Mon, 05 Jan 2026 12:00:00 GMT"
    connection.close()
    assert len(ports) == 1


def test_what_is_not_there(cloud: RehearsalCloud) -> None:
    """An unknown address of the rehearsal's own is 404, nonsense is 400; both are JSON."""
    connection = connection_to(cloud)
    for path, body, status in (("nothing", "", 404), ("faults", "no json", 400)):
        connection.request("POST", f"/_flyback/{path}", body)
        answer = connection.getresponse()
        assert (answer.status, "error" in json.loads(answer.read())) == (status, True)
    connection.close()


def test_objects_of_every_shape(http: Clients) -> None:
    """Empty, large and streamed bodies, ranges, HEAD, metadata with underscores, odd keys."""
    s3 = http("s3")
    s3.create_bucket(Bucket="shapes")
    large = os.urandom(3_000_000)
    for key, body in (("empty", b""), ("large", large), ("a//b c+d&ü%.txt", b"odd")):
        s3.put_object(Bucket="shapes", Key=key, Body=body, Metadata={"my_key": "v"})
        head = s3.head_object(Bucket="shapes", Key=key)
        assert (head["ContentLength"], head["Metadata"]) == (len(body), {"my_key": "v"})
        assert s3.get_object(Bucket="shapes", Key=key)["Body"].read() == body
    ranged = s3.get_object(Bucket="shapes", Key="large", Range="bytes=10-19")
    assert ranged["Body"].read() == large[10:20]
    listed = s3.list_objects_v2(Bucket="shapes")["Contents"]
    assert sorted(item["Key"] for item in listed) == ["a//b c+d&ü%.txt", "empty", "large"]
    assert listed[0]["LastModified"].timestamp() == START


def test_multipart_uploads_in_parallel(http: Clients, tmp_path: Path) -> None:
    """s3transfer's threads upload and download a large file through the same server."""
    from boto3.s3.transfer import TransferConfig

    s3 = http("s3")
    s3.create_bucket(Bucket="parts")
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(12_000_000))
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_file(str(source), "parts", "key", Config=config)
    s3.download_file("parts", "key", str(target), Config=config)
    assert target.read_bytes() == source.read_bytes()


def test_only_one_of_many_creates(http: Clients) -> None:
    """If-None-Match holds against a race: of ten writers at once, one writes."""
    from botocore.exceptions import ClientError

    s3 = http("s3")
    s3.create_bucket(Bucket="race")
    start = threading.Barrier(10)
    won, lost = [], []

    def write(number: int) -> None:
        start.wait()
        try:
            s3.put_object(Bucket="race", Key="k", Body=str(number).encode(), IfNoneMatch="*")
            won.append(number)
        except ClientError as error:
            lost.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert lost == ["PreconditionFailed"] * 9
    assert s3.get_object(Bucket="race", Key="k")["Body"].read() == str(won[0]).encode()


def test_chunked_and_virtual_hosted(cloud: RehearsalCloud, http: Clients) -> None:
    """A presigned PUT with a chunked body to the bucket's own host name arrives."""
    s3 = http("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="hosted")
    address = urlsplit(cloud.endpoint)
    host = f"hosted.localhost:{address.port}"
    url = presigned_put(cloud, host, "/a%20key")
    connection = connection_to(cloud)
    connection.request(
        "PUT", url, iter([b"chunk ", b"by chunk"]), {"Host": host}, encode_chunked=True
    )
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.close()
    assert s3.get_object(Bucket="hosted", Key="a key")["Body"].read() == b"chunk by chunk"


def presigned_put(cloud: RehearsalCloud, host: str, path: str) -> str:
    """Path and query of a PUT signed for a host."""
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    environment = cloud.environment()
    keys = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest("PUT", f"http://{host}{path}", headers={"Host": host})
    S3SigV4QueryAuth(keys, "s3", "us-east-1").add_auth(request)
    parts = urlsplit(request.url)
    return f"{parts.path}?{parts.query}"


def test_the_clock_is_served(cloud: RehearsalCloud) -> None:
    """A process takes part over HTTP; a verb that does not exist is its error."""
    remote = RemoteClock(cloud.environment()["FLYBACK_CLOCK_URL"], "process")
    remote.join()
    remote.sleep(3600)
    assert remote.now() == START + 3600 == cloud.clock.now()
    remote.leave()
    connection = connection_to(cloud)
    connection.request("POST", "/_flyback/clock/rewind", "{}")
    answer = connection.getresponse()
    assert (answer.status, b"rewind" in answer.read()) == (400, True)
    connection.close()


def test_a_stopped_cloud_leaves_nothing(tmp_path: Path) -> None:
    """Port, threads and connections are gone, also those that clients kept open or waited on."""
    before = set(threading.enumerate())
    cloud = RehearsalCloud(tmp_path)
    cloud.start()
    idle = connection_to(cloud)
    idle.request("GET", "/_flyback/health")
    idle.getresponse().read()
    cloud.clock.join("another")  # so that the wait below lasts
    waiting = threading.Thread(target=_waits, args=(cloud.environment()["FLYBACK_CLOCK_URL"],))
    waiting.start()
    while "process waits" not in cloud.clock.explain():
        pass
    cloud.stop()
    cloud.stop()
    waiting.join(timeout=10)
    assert not waiting.is_alive()
    assert idle.sock.recv(1) == b""
    idle.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", urlsplit(cloud.endpoint).port or 0))
    assert [thread.name for thread in set(threading.enumerate()) - before] == []
    gc.collect()


def _waits(url: str) -> None:
    remote = RemoteClock(url, "process")
    remote.join()
    with contextlib.suppress(OSError, http.client.HTTPException, ServiceError):  # it is told so
        remote.sleep(3600)


def test_one_cloud_at_a_time(cloud: RehearsalCloud, tmp_path: Path) -> None:
    """The state of moto belongs to the process, so a second cloud says so instead of sharing it."""
    with pytest.raises(RuntimeError, match="already"):
        RehearsalCloud(tmp_path / "second").start()
    assert cloud.clients("sts", "us-east-1").get_caller_identity()["Account"] == "123456789012"


def test_clouds_do_not_share_state_and_repeat_themselves(tmp_path: Path) -> None:
    """A new cloud is empty; equal seeds give equal identifiers, others do not."""

    def made(seed: int) -> str:
        with RehearsalCloud(tmp_path, seed=seed) as cloud:
            ec2 = cloud.clients("ec2", "us-east-1")
            assert len(ec2.describe_vpcs()["Vpcs"]) == 1
            return str(ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"])

    assert made(1) == made(1) != made(2)


def test_a_served_cloud(tmp_path: Path) -> None:
    """`serve` announces itself, answers, and takes its address back on SIGTERM."""
    address = tmp_path / "served.json"
    program = (
        "import sys; from pathlib import Path; from flyback.rehearsal.cloud import Served; "
        "from flyback.rehearsal.served import serve; "
        "serve(Path(sys.argv[1]), Path(sys.argv[2]), Served(flow_speed=60, root=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "cloud"), str(address)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        exported = dict(
            process.stdout.readline().strip().removeprefix("export ").split("=", 1)
            for _ in range(7)
        )
        told = json.loads(address.read_text())
        assert told["environment"] == exported
        assert (told["pid"], told["endpoint"]) == (process.pid, exported["AWS_ENDPOINT_URL"])
        client = boto3.Session(
            exported["AWS_ACCESS_KEY_ID"], exported["AWS_SECRET_ACCESS_KEY"]
        ).client("s3", region_name=exported["AWS_REGION"], endpoint_url=told["endpoint"])
        client.create_bucket(Bucket="served")
        client.close()
        remote = RemoteClock(exported["FLYBACK_CLOCK_URL"], "process")
        first = remote.now()
        while remote.now() == first:
            pass  # it flows while nobody takes part
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert not address.exists()
