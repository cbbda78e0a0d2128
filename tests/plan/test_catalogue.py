from __future__ import annotations

import re
import subprocess
import sys

import pytest

from flyback.errors import UserError
from flyback.plan.catalogue import load_catalogue, table

CATALOGUE = load_catalogue()
REGIONS = ("ap-northeast-1", "eu-central-1", "eu-west-1", "us-east-1", "us-west-2")


def test_every_row_of_the_tables_is_loaded() -> None:
    """198 types in five regions, none lost and none twice."""
    assert len(CATALOGUE.types) == len(table("instance_types.csv")) == 198
    assert CATALOGUE.regions == REGIONS
    rows = [(row["instance_type"], row["region"]) for row in table("offers.csv")]
    assert len(set(rows)) == len(rows) == 921
    assert all(CATALOGUE.offer(*row) is not None for row in rows)


def test_every_price_of_a_machine_has_a_source_and_a_date() -> None:
    """No figure without provenance, and none marked that should not be."""
    dated = re.compile(r"\d{4}-\d{2}")
    for row in table("offers.csv"):
        for kind in ("on_demand", "typical_spot"):
            source = kind.removeprefix("typical_")
            priced = bool(row[f"{kind}_usd_h"])
            assert priced == bool(row[f"{source}_source"]), row
            assert priced == bool(dated.search(row[f"{source}_date"])), row
    assert all(row["source"] for row in table("instance_types.csv"))


def test_doubtful_prices_say_so() -> None:
    """Derived and stale prices keep their mark up to the person who reads a plan."""
    stale = CATALOGUE.offer("p5.48xlarge", "us-west-2")
    derived = CATALOGUE.offer("c5.24xlarge", "us-west-2")
    assert stale is not None
    assert derived is not None
    assert "STALE" in stale.on_demand_source
    assert derived.on_demand_source.startswith("DERIVED")
    assert derived.on_demand_source.endswith("2025-03-02")


def test_machines_are_typed() -> None:
    """One row, read whole."""
    offer = CATALOGUE.offer("g4dn.xlarge", "us-east-1")
    assert offer is not None
    kind = offer.type
    assert (kind.vcpus, kind.memory_gib, kind.arch) == (4, 16.0, "x86_64")
    assert (kind.gpu_model, kind.gpu_count, kind.gpu_memory_gib) == ("T4", 1, 16.0)
    assert kind.network_gbps == 5.0
    assert offer.zones == ("us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d", "us-east-1f")
    assert (offer.on_demand_usd_hour, offer.spot_usd_hour) == (0.526, 0.2039)
    assert offer.interruptions == "15-20%"


def test_a_fraction_of_a_gpu_is_counted() -> None:
    """EC2 reports zero GPUs for g6f; the logical one counts."""
    kind = CATALOGUE.instance_type("g6f.large")
    assert (kind.gpu_model, kind.gpu_count, kind.gpu_fraction) == ("L4", 1, 0.125)


def test_a_type_without_zones_is_in_no_region() -> None:
    """p3.2xlarge has prices and is offered nowhere."""
    offer = CATALOGUE.offer("p3.2xlarge", "us-east-1")
    assert offer is not None
    assert offer.zones == ()
    assert CATALOGUE.regions_with("p3.2xlarge") == ()
    assert "p3.2xlarge" not in {o.type.name for o in CATALOGUE.offers("us-east-1")}


def test_a_misspelt_type_is_guessed() -> None:
    """The sentence names what was meant."""
    with pytest.raises(UserError) as error:
        CATALOGUE.instance_type("g4dn.xlrge")
    assert str(error.value) == (
        "resources.any_of: the catalogue has no instance type 'g4dn.xlrge'\n"
        "  → did you mean g4dn.xlarge or g4dn.8xlarge or g4dn.4xlarge?"
    )


def test_a_type_like_no_other_gets_another_way_out() -> None:
    """Without a guess, the remedy is to say what the machine needs."""
    with pytest.raises(UserError, match=r"no instance type 'potato'\n  → say what the machine"):
        CATALOGUE.instance_type("potato")


def test_alternatives_replace_and_are_cheapest_first() -> None:
    """Same GPU memory or more; for CPU types same size or more, and none that is burstable."""
    names = [offer.type.name for offer in CATALOGUE.alternatives("g6.xlarge", "eu-west-1")]
    assert names == ["g5.xlarge", "g5.4xlarge", "g5.8xlarge"]
    wanted = CATALOGUE.instance_type("c5.xlarge")
    found = CATALOGUE.alternatives("c5.xlarge", "us-east-1", count=100)
    prices = [offer.usd_hour or 0.0 for offer in found]
    assert prices == sorted(prices)
    assert all(o.type.vcpus >= wanted.vcpus and not o.type.burstable for o in found)


def test_the_tables_load_lazily_and_light() -> None:
    """Importing the room reads nothing, and reading it needs no third party."""
    code = (
        "import sys; from flyback.plan import catalogue, planner, receipt;"
        "assert catalogue.load_catalogue.cache_info().currsize == 0;"
        "catalogue.load_catalogue();"
        "heavy = {'boto3', 'pydantic', 'numpy', 'pandas', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
