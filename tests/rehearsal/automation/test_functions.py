"""Lambda: the real code runs, as its role, fenced; it fails, retries and logs as on AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from flyback.rehearsal.cloud import RehearsalCloud

ECHO = """
import boto3, os
def handle(event, context):
    who = boto3.client("sts").get_caller_identity()["Arn"]
    return {"event": event, "who": who, "mine": os.environ.get("MINE"),
            "left": context.get_remaining_time_in_millis(), "pid": os.getpid(),
            "arn": context.invoked_function_arn}
"""
FAILING = """
def handle(event, context):
    print("about to fail")
    raise ValueError("as asked")
"""


def _invoke(client: Callable[[str], Any], name: str, event: Any, **more: Any) -> Any:
    return client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode(), **more)


def test_a_function_runs_as_its_role(
    client: Callable[[str], Any], function: Callable[..., Any], passing: Callable[[float], None]
) -> None:
    """Its own session of its own role, its variables, its context; a second call finds it warm."""
    made = function("echo", ECHO, Environment={"Variables": {"MINE": "yes"}}, Timeout=60)
    answers = [json.loads(_invoke(client, "echo", {"n": n})["Payload"].read()) for n in (1, 2)]
    assert answers[0]["who"] == "arn:aws:sts::123456789012:assumed-role/worker/echo"
    assert (answers[0]["event"], answers[0]["mine"]) == ({"n": 1}, "yes")
    assert answers[0]["arn"] == made["FunctionArn"]
    assert 0 < answers[0]["left"] <= 60_000
    assert answers[1]["pid"] == answers[0]["pid"]
    passing(12 * 3600)
    later = json.loads(_invoke(client, made["FunctionArn"], {})["Payload"].read())
    assert later["pid"] != answers[0]["pid"]  # the role's session has run out


def test_what_it_prints_is_in_its_log_group(
    client: Callable[[str], Any], function: Callable[..., Any]
) -> None:
    """The group that its settings name holds the output, the error's trace included."""
    client("logs").create_log_group(logGroupName="/flyback/x/guardian")
    function("fails", FAILING, LoggingConfig={"LogGroup": "/flyback/x/guardian"})
    answer = _invoke(client, "fails", {})
    assert answer["FunctionError"] == "Unhandled"
    error = json.loads(answer["Payload"].read())
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "as asked")
    found = client("logs").filter_log_events(logGroupName="/flyback/x/guardian")["events"]
    lines = [event["message"] for event in found]
    assert lines[0].startswith("START RequestId: ")
    assert "about to fail" in lines
    assert any("ValueError: as asked" in line for line in lines)


def test_a_lost_log_group_stays_lost(
    client: Callable[[str], Any], function: Callable[..., Any]
) -> None:
    """Where the named group is gone an invocation goes on, and does not bring it back."""
    function("quiet", "def handle(event, context): return 1", LoggingConfig={"LogGroup": "/gone"})
    assert _invoke(client, "quiet", {})["Payload"].read() == b"1"
    assert client("logs").describe_log_groups()["logGroups"] == []


def test_asynchronous_failures_are_tried_twice_more(
    cloud: RehearsalCloud,
    client: Callable[[str], Any],
    function: Callable[..., Any],
    passing: Callable[[float], None],
) -> None:
    """After a minute, and after two more; with one request id; then the event is dropped."""
    function("fails", FAILING)
    begin = cloud.clock.now()
    assert _invoke(client, "fails", {"a": 1}, InvocationType="Event")["StatusCode"] == 202
    passing(3600)
    done = cloud.functions.done
    assert [one.attempt for one in done] == [1, 2, 3]
    assert [round(one.at - begin) for one in done] == [0, 60, 180]
    assert len({one.request_id for one in done}) == 1
    assert {one.error for one in done} == {"ValueError"}


def test_time_stands_still_while_it_runs(
    cloud: RehearsalCloud,
    client: Callable[[str], Any],
    function: Callable[..., Any],
    passing: Callable[[float], None],
) -> None:
    """An invocation takes part in the clock, and can wait in simulated time."""
    waits = """
import json, os, urllib.request
def handle(event, context):
    body = {"participant": os.environ["FLYBACK_CLOCK_PARTICIPANT"], "seconds": 30,
            "working": False}
    url = os.environ["FLYBACK_CLOCK_URL"] + "/wait"
    return json.load(urllib.request.urlopen(url, json.dumps(body).encode()))
"""
    function("waits", waits, Timeout=60)
    _invoke(client, "waits", {}, InvocationType="Event")
    begin = cloud.clock.now()
    passing(100)
    (done,) = cloud.functions.done
    assert done.error == ""
    assert json.loads(done.result)["now"] - begin == pytest.approx(30.5)


def test_a_function_that_waits_too_long_is_ended(
    cloud: RehearsalCloud,
    client: Callable[[str], Any],
    function: Callable[..., Any],
    passing: Callable[[float], None],
) -> None:
    """Its timeout is in simulated time; the environment is thrown away."""
    waits = """
import json, os, urllib.request
def handle(event, context):
    body = {"participant": os.environ["FLYBACK_CLOCK_PARTICIPANT"], "seconds": 500,
            "working": False}
    urllib.request.urlopen(os.environ["FLYBACK_CLOCK_URL"] + "/wait", json.dumps(body).encode())
"""
    function("waits", waits, Timeout=10)
    _invoke(client, "waits", {}, InvocationType="Event")
    passing(40)
    (done,) = cloud.functions.done
    assert done.error == "Sandbox.Timedout"
    assert "timed out after 10.00 seconds" in done.result


def test_it_is_fenced(
    client: Callable[[str], Any], function: Callable[..., Any], tmp_path: Path
) -> None:
    """It writes to its own scratch folder and reaches nothing of this computer's files."""
    code = f"""
import os, pathlib, tempfile
def handle(event, context):
    pathlib.Path(tempfile.gettempdir(), "mine").write_text("x")
    found = {{"home": "HOME" in os.environ}}
    for name, path in (("outside", {str(tmp_path / "secret")!r}), ("code", __file__)):
        try:
            pathlib.Path(path).open("a").close()
            found[name] = "open"
        except OSError as error:
            found[name] = type(error).__name__
    return found
"""
    (tmp_path / "secret").write_text("of the developer")
    function("spy", code)
    found = json.loads(_invoke(client, "spy", {})["Payload"].read())
    assert found == {"home": False, "outside": "PermissionError", "code": "PermissionError"}


def test_changes_take_effect_at_once(
    client: Callable[[str], Any], function: Callable[..., Any], package: Callable[..., bytes]
) -> None:
    """New code and new settings throw warm environments away; code may come from a bucket."""
    code = "import os\ndef handle(event, context): return [{}, os.environ.get('A')]"
    function("one", code.format(1))
    assert json.loads(_invoke(client, "one", {})["Payload"].read()) == [1, None]
    client("s3").create_bucket(Bucket="code")
    client("s3").put_object(Bucket="code", Key="k.zip", Body=package(code=code.format(2)))
    client("lambda").update_function_code(FunctionName="one", S3Bucket="code", S3Key="k.zip")
    client("lambda").update_function_configuration(
        FunctionName="one", Environment={"Variables": {"A": "b"}}
    )
    assert json.loads(_invoke(client, "one", {})["Payload"].read()) == [2, "b"]
    with pytest.raises(ClientError, match="S3 Error Code: NoSuchKey"):
        client("lambda").update_function_code(FunctionName="one", S3Bucket="code", S3Key="no")


def test_a_broken_import_and_a_crash_are_told_apart(
    client: Callable[[str], Any], function: Callable[..., Any]
) -> None:
    """What does not load is an init error; what dies meanwhile is an exit error."""
    function("typo", "import nothing_of_that_name")
    function("dies", "import os\ndef handle(event, context): os._exit(9)")
    for name, kind in (("typo", "ModuleNotFoundError"), ("dies", "Runtime.ExitError")):
        answer = _invoke(client, name, {})
        assert answer["FunctionError"] == "Unhandled"
        assert json.loads(answer["Payload"].read())["errorType"] == kind


def test_refusals_in_lambdas_words(
    client: Callable[[str], Any], function: Callable[..., Any], role: Callable[[str, str], str]
) -> None:
    """Twice the same name, a role of somebody else, no function, what is not emulated."""
    service = client("lambda")
    function("one", "def handle(event, context): return 1")
    with pytest.raises(service.exceptions.ResourceConflictException):
        function("one", "")
    other = role("other", "ec2")
    given = {"Runtime": "python3.13", "Handler": "a.b", "Code": {"ZipFile": b"no zip"}}
    with pytest.raises(ClientError, match="Could not unzip"):
        service.create_function(FunctionName="two", Role=other, **given)
    with pytest.raises(service.exceptions.ResourceNotFoundException):
        service.invoke(FunctionName="nobody")
    with pytest.raises(ClientError, match="not emulated"):
        service.put_function_concurrency(FunctionName="one", ReservedConcurrentExecutions=1)
    with pytest.raises(ClientError, match="VpcConfig of lambda:CreateFunction is not emulated"):
        service.create_function(
            FunctionName="two", Role=other, VpcConfig={"SubnetIds": ["subnet-1"]}, **given
        )
    service.update_function_configuration(FunctionName="one", Description="told")
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        service.update_function_configuration(FunctionName="one", Role=other)


def test_interrupted_and_broken_functions(
    cloud: RehearsalCloud,
    client: Callable[[str], Any],
    function: Callable[..., Any],
    passing: Callable[[float], None],
) -> None:
    """A rehearsal can break a function before its code runs, and kill one that runs."""
    function("one", "def handle(event, context): return 1")
    cloud.functions.broken = lambda name: name == "one"
    _invoke(client, "one", {}, InvocationType="Event")
    passing(30)
    cloud.functions.broken = lambda _: False
    passing(60)
    assert [one.error for one in cloud.functions.done] == ["Runtime.ExitError", ""]
    assert cloud.workshop.interrupt() == 0
