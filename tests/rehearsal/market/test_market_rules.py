"""The rules that prices, stock and interruptions of the emulated market keep."""

from __future__ import annotations

import math
import statistics

from hypothesis import given, settings
from hypothesis import strategies as st

from flyback.plan.catalogue import load_catalogue
from flyback.plan.quotas import QUOTAS, quota_of
from flyback.rehearsal.ec2 import Capacity
from flyback.rehearsal.market import Conditions, Quotas, SpotMarket
from flyback.rehearsal.market.reclaims import hazard_per_hour

START = 1_767_614_400.0
DAY = 86400.0
POOLS = [
    (offer.type.name, zone)
    for region in ("us-east-1", "eu-central-1")
    for offer in load_catalogue().offers(region)
    if offer.spot_usd_hour is not None
    for zone in offer.zones
]

pools = st.sampled_from(POOLS)
seeds = st.integers(0, 2**32)
moments = st.floats(START, START + 90 * DAY, allow_nan=False)


def market(seed: int, conditions: Conditions | None = None) -> SpotMarket:
    """A market that stands at the beginning of time."""
    chosen = conditions or Conditions()
    quotas = Quotas(lambda: START, chosen)
    return SpotMarket(lambda: START, seed, capacity=Capacity(), quotas=quotas, conditions=chosen)


@given(pool=pools, seed=seeds, at=moments)
def test_a_price_is_between_nothing_and_on_demand(
    pool: tuple[str, str], seed: int, at: float
) -> None:
    """Whatever the seed and the moment: above 0, and never above the on-demand price."""
    here = market(seed)
    usd = here.spot_usd_hour(*pool, at)
    on_demand = here.price(*pool, "on-demand")
    assert usd is not None
    assert usd > 0
    assert on_demand is None or usd <= on_demand


@given(pool=pools, seed=seeds, at=moments, others=st.lists(moments, max_size=5))
def test_seed_and_moment_decide_alone(
    pool: tuple[str, str], seed: int, at: float, others: list[float]
) -> None:
    """Asking about other moments before, in any order, changes neither price nor stock."""
    first, second = market(seed), market(seed)
    for other in others:
        second.spot_usd_hour(*pool, other)
        second.in_stock(*pool, "spot", other)
    assert first.spot_usd_hour(*pool, at) == second.spot_usd_hour(*pool, at)
    assert first.in_stock(*pool, "spot", at) == second.in_stock(*pool, "spot", at)


@settings(max_examples=50)
@given(pool=pools, seed=seeds, at=moments, hours=st.floats(0, 72), share=st.floats(0, 1))
def test_history_says_what_launches_meet(
    pool: tuple[str, str], seed: int, at: float, hours: float, share: float
) -> None:
    """The newest change before any moment of a history has the price of that moment."""
    here = market(seed)
    start = at - hours * 3600
    changes = list(here.changes(*pool, start, at))
    times = [when for when, _ in changes]
    assert times == sorted(times, reverse=True)
    assert times[-1] <= start
    assert all(start < when <= at for when in times[:-1])
    moment = start + share * (at - start)
    assert next(usd for when, usd in changes if when <= moment) == here.spot_usd_hour(*pool, moment)


def test_prices_stay_around_the_typical_one() -> None:
    """Over 60 days the mean of a zone's price is the typical one times the zone's own level."""
    offer = load_catalogue().offer("g4dn.xlarge", "us-east-1")
    assert offer is not None
    assert offer.spot_usd_hour is not None
    conditions = Conditions(spread=0.0)
    prices = [
        market(7, conditions).spot_usd_hour("g4dn.xlarge", "us-east-1b", START + hour * 3600) or 0
        for hour in range(0, 60 * 24, 4)
    ]
    assert abs(statistics.fmean(prices) / offer.spot_usd_hour - 1) < 0.05
    assert len(set(prices)) > 100
    assert max(prices) / min(prices) < 2


def test_pools_are_empty_as_often_as_the_bucket_says() -> None:
    """Over many pools and hours, the share without a machine is the stated one."""
    here = market(3)
    kind, zone = "g5.xlarge", "us-east-1a"
    stated = here.scarcity(kind, zone, "spot")
    seen = [
        not market(seed).in_stock(kind, zone, "spot", START + hour * 3600)
        for seed in range(60)
        for hour in range(0, 48, 4)
    ]
    assert stated > 0
    assert abs(statistics.fmean(seen) - stated) < 0.06
    calm = market(3, Conditions.calm())
    assert all(calm.in_stock(*pool, "spot", START) for pool in POOLS[:50])


def test_interruptions_follow_the_bucket() -> None:
    """The monthly share that the rate gives back is the middle of the Advisor's bucket."""
    catalogue = load_catalogue()
    rates = {
        offer.interruptions: hazard_per_hour(catalogue, offer.type.name, "us-east-1")
        for offer in catalogue.offers("us-east-1")
    }
    shares = {bucket: 1 - math.exp(-rate * 730) for bucket, rate in rates.items()}
    assert shares["<5%"] < shares["5-10%"] < shares["10-15%"] < shares[">20%"]
    assert 0.05 <= shares["5-10%"] <= 0.10
    assert 0.15 <= shares["15-20%"] <= 0.20


def test_every_type_of_the_catalogue_counts_against_a_quota() -> None:
    """Each has one quota on demand and one on spot, but for P6 on spot, whose code is unknown."""
    missing = {
        (kind, market)
        for kind in load_catalogue().types
        for market in ("spot", "on-demand")
        if quota_of(kind, market) is None
    }
    assert {kind.partition("-")[0] for kind, _ in missing} == {"p6"}
    assert {market for _, market in missing} == {"spot"}
    assert len({quota.code for quota in QUOTAS}) == len(QUOTAS)


def test_families_have_their_quota() -> None:
    """The codes that the documents of AWS and others name, by family and market."""
    codes = {
        ("g4dn.xlarge", "spot"): "L-3819A6DF",
        ("gr6.4xlarge", "on-demand"): "L-DB2E81BA",
        ("c7i.xlarge", "spot"): "L-34B43A08",
        ("t3.micro", "on-demand"): "L-1216C47A",
        ("p4d.24xlarge", "spot"): "L-7212CCBC",
        ("p5.48xlarge", "spot"): "L-C4BD4855",
        ("p6-b200.48xlarge", "on-demand"): "L-417A185B",
    }
    for (kind, market_name), code in codes.items():
        quota = quota_of(kind, market_name)
        assert quota is not None
        assert quota.code == code
