from __future__ import annotations

import re
from pathlib import Path

import pytest

import flyback.plan
from flyback.plan.catalogue import load_catalogue
from flyback.plan.prices import HOURS_PER_MONTH, price, prices

KNOWN = {
    ("s3", "standard_storage"): 0.023,
    ("s3", "standard_put_copy_post_list"): 0.005,
    ("s3", "standard_get"): 0.0004,
    ("ebs", "gp3_storage"): 0.08,
    ("ebs", "io2_storage"): 0.125,
    ("ebs", "snapshot_storage"): 0.05,
    ("lambda", "request"): 0.20,
    ("lambda", "duration_x86"): 0.0000166667,
    ("cloudwatch", "logs_ingest"): 0.50,
    ("cloudwatch", "alarm_standard"): 0.10,
    ("ecr", "private_storage"): 0.10,
    ("vpc", "nat_gateway_hour"): 0.045,
    ("vpc", "public_ipv4_in_use_or_idle"): 0.005,
    ("data_transfer", "internet_out_first_10TB"): 0.09,
    ("data_transfer", "inter_region_out"): 0.02,
    ("secretsmanager", "secret"): 0.40,
}
ON_DEMAND = {  # us-east-1
    "t3.medium": 0.0416,
    "m5.large": 0.096,
    "c5.large": 0.085,
    "r5.large": 0.126,
    "g4dn.xlarge": 0.526,
    "g5.xlarge": 1.006,
    "p4d.24xlarge": 21.957642,
    "p5.48xlarge": 55.04,
}


def test_every_unit_price_has_a_unit_a_source_and_a_date() -> None:
    """A price without provenance is a rumour; one that was not verified says so."""
    assert len(prices()) == 66
    for known in prices().values():
        assert known.usd >= 0
        assert known.unit.startswith("USD")
        assert known.source
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", known.date)
        assert ("recalled" in known.source) == ("NOT verified" in known.source)


@pytest.mark.parametrize("name", KNOWN)
def test_unit_prices_are_what_is_published(name: tuple[str, str]) -> None:
    """Known list prices of us-east-1."""
    assert price(*name).usd == KNOWN[name]


@pytest.mark.parametrize("name", ON_DEMAND)
def test_machine_prices_are_what_is_published(name: str) -> None:
    """Known on-demand prices of us-east-1."""
    offer = load_catalogue().offer(name, "us-east-1")
    assert offer is not None
    assert offer.on_demand_usd_hour == ON_DEMAND[name]


def test_a_month_has_one_length() -> None:
    """730 hours, written once."""
    assert HOURS_PER_MONTH == 730
    source = Path(flyback.plan.__file__).parent
    written = [p.name for p in source.glob("*.py") if re.search(r"\b7[23]0\b", p.read_text())]
    assert written == ["prices.py"]
