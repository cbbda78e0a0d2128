"""Create calls are written down before they are made."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from flyback.aws.iam import SPOT_ROLE, Iam
from flyback.aws.ledger import FileLedger, NoLedger
from flyback.errors import ServiceError
from flyback.spec.clock import SystemClock


def test_an_intention_survives_a_failed_call(tmp_path: Path) -> None:
    """The line is on disk before the request leaves: a failure after it leaves the intention."""
    ledger = FileLedger(tmp_path / "ledger.jsonl", SystemClock())
    client = boto3.client(
        "iam",
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
        endpoint_url="http://127.0.0.1:9",  # nobody answers on the discard port
    )
    with pytest.raises(ServiceError):
        Iam(client, ledger).create_spot_role()
    (entry,) = ledger.entries()
    assert (entry.operation, entry.name, entry.made) == ("CreateServiceLinkedRole", SPOT_ROLE, ())


def test_a_call_that_succeeds_is_completed(tmp_path: Path) -> None:
    """Intention first, then what was made; a torn last line does not hide the others."""
    ledger = FileLedger(tmp_path / "ledger.jsonl", SystemClock())
    with mock_aws():
        client = boto3.client(
            "iam", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
        )
        Iam(client, ledger).create_spot_role()

    with ledger.path.open("a") as file:
        file.write('{"at": 1, "serv')
    assert [entry.made for entry in ledger.entries()] == [(), (SPOT_ROLE,)]


def test_a_session_without_a_ledger_cannot_create() -> None:
    """The agent's session creates nothing; trying is a bug that shows at once."""
    with pytest.raises(AssertionError, match="no ledger for ec2:CreateFleet"):
        NoLedger().intend("ec2", "CreateFleet", "token", "run")
