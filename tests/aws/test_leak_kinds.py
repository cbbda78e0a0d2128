"""Every create call says what it may leave, so that the certificate knows what to ask for."""

from __future__ import annotations

import ast
from pathlib import Path

import botocore.session
import pytest

import flyback.aws
from flyback.aws.leaks import LEAK_KINDS, leak_kind

AWS = Path(flyback.aws.__file__).parent
# They change or mark what is there already: nothing comes to be that could be left.
HARMLESS = {
    ("logs", "create_log_stream"): "part of a group that the stack holds",
    ("ec2", "create_tags"): "a tag goes with what it is on",
}
MAKES = ("create_", "run_", "request_", "allocate_", "copy_", "import_", "register_", "start_")


def called() -> set[tuple[str, str]]:
    """Module and boto3 method of every call that the room makes."""
    found = set()
    for path in AWS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("_call", "_pages")
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add((path.stem, str(node.args[0].value)))
    return found


def test_every_create_call_has_a_leak_kind() -> None:
    """A call that makes something is in the table of leak kinds, or is said to be harmless."""
    session = botocore.session.Session()
    for module, method in called():
        if not method.startswith(MAKES) or (module, method) in HARMLESS:
            continue
        client = session.create_client(
            module, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
        )
        operation = client.meta.method_to_api_mapping[method]
        assert (module, operation) in LEAK_KINDS, f"{module}.{method} has no leak kind"


def test_a_create_call_without_one_is_not_made() -> None:
    """The table is asked before the ledger is written: an unlisted call raises."""
    assert leak_kind("ec2", "CreateFleet") == "instance"
    with pytest.raises(AssertionError, match="no leak kind"):
        leak_kind("ec2", "CreateNatGateway")
