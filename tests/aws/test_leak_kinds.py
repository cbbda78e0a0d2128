"""Every create call says what it may leave, so that the certificate knows what to ask for."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

import flyback
from flyback.aws.leaks import LEAK_KINDS, leak_kind
from flyback.aws.listings import LISTINGS
from flyback.aws.operations import SERVICES

SOURCE = Path(flyback.__file__).parent
# Everything that an API does beside reading and removing may make something, until somebody says
# what: a verb that is not here counts as one.
READS = ("batch_get_", "describe_", "get_", "head_", "list_", "search_", "simulate_")
REMOVES = (
    *("abort_", "cancel_", "delete_", "deregister_", "detach_", "disassociate_", "release_"),
    *("remove_", "revoke_", "stop_", "terminate_", "unsubscribe", "untag_"),
)
# They change or mark what is there already: nothing comes to be that could be left.
HARMLESS = {
    "complete_multipart_upload": "an object goes with its bucket",
    "continue_update_rollback": "of a stack that is there",
    "create_log_stream": "part of a group that the stack holds",
    "create_tags": "a tag goes with what it is on",
    "publish": "a message",
    "put_bucket_tagging": "a tag goes with what it is on",
    "put_log_events": "lines of a group that the stack holds",
    "put_object": "an object goes with its bucket",
    "put_public_access_block": "a setting goes with its bucket",
    "update_compute_environment": "of one that is there, so that it can be removed",
    "update_job_queue": "of one that is there, so that it can be removed",
    "update_schedule": "of one that is there",
    "upload_part": "of an upload that was begun",
}
# What the certificate asks for, or speaks of, beside the listings.
BESIDE = {
    "instance": "asked for by its tags",
    "multipart upload": "asked of each bucket",
    "service-linked role": "EC2's own, which stays, as the certificate says",
}


@functools.cache
def operations() -> dict[str, tuple[tuple[str, str], ...]]:
    """boto3's method → the services that have it, with the API's name of it."""
    models, found = botocore.session.Session(), dict[str, tuple[tuple[str, str], ...]]()
    for service in SERVICES:
        for operation in models.get_service_model(service).operation_names:
            method = xform_name(operation)
            found[method] = (*found.get(method, ()), (service, operation))
    return found


def makes(text: str) -> Iterator[str]:
    """boto3's methods that source code names, in whatever way, and that may make something."""
    for node in ast.walk(ast.parse(text)):
        name = node.attr if isinstance(node, ast.Attribute) else None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value
        if name in operations() and not name.startswith((*READS, *REMOVES)):
            yield name


def unsaid(text: str) -> set[str]:
    """Those of them of which nobody has said what they leave."""
    return {
        name
        for name in makes(text)
        if name not in HARMLESS and not LEAK_KINDS.keys() & set(operations()[name])
    }


def test_every_create_call_has_a_leak_kind() -> None:
    """A call that may make something is in the table of leak kinds, or is said to be harmless."""
    named = set[str]()
    for path in sorted(SOURCE.rglob("*.py")):
        if "rehearsal" in path.relative_to(SOURCE).parts:
            continue  # it makes what it makes in an emulated account
        text = path.read_text()
        assert unsaid(text) == set(), f"{path.relative_to(SOURCE)}: no leak kind"
        named |= set(makes(text))
    assert HARMLESS.keys() <= named, "what nobody calls needs no reason"


@pytest.mark.parametrize(
    "text",
    [
        "self._client.create_nat_gateway(SubnetId=subnet)",
        "self._call('subscribe', TopicArn=topic)",
        "self._pages('request_spot_fleet', 'x')",
        "getattr(client, 'run_instances')(MinCount=1)",
        "session.client('batch').submit_job(jobName=name)",
        "ask = client.put_parameter\nask(Name=name)",
        "METHODS = {'rule': 'put_rule'}",
    ],
)
def test_a_new_create_call_is_noticed(text: str) -> None:
    """However it is written."""
    assert len(unsaid(text)) == 1


def test_every_leak_kind_is_asked_for() -> None:
    """A kind without a question would never be found."""
    assert set(LEAK_KINDS.values()) <= {*BESIDE, *(item.kind for item in LISTINGS)}


def test_a_create_call_without_one_is_not_made() -> None:
    """The table is asked before the ledger is written: an unlisted call raises."""
    assert leak_kind("ec2", "CreateFleet") == "instance"
    with pytest.raises(AssertionError, match="no leak kind"):
        leak_kind("ec2", "CreateNatGateway")
