"""The market of the emulated account: prices, capacity, quotas and interruptions from one seed.

Takes: the shipped catalogue, a seed, simulated time. Gives: what a launch asks (`SpotMarket`), and
the answers of spot price history, Service Quotas and the price list, so that what is told and what
is done agree. Nothing here is measured on AWS: the model is stated where it stands. Never: steps
through time; every figure is a function of seed, pool and moment.
"""

from __future__ import annotations

from flyback.rehearsal.market.conditions import Conditions
from flyback.rehearsal.market.history import SpotHistoryGap
from flyback.rehearsal.market.offers import SpotMarket
from flyback.rehearsal.market.pricelist import PricingGap
from flyback.rehearsal.market.quotas import Quotas, QuotasGap
from flyback.rehearsal.market.reclaims import Reclaims

__all__ = [
    "Conditions",
    "PricingGap",
    "Quotas",
    "QuotasGap",
    "Reclaims",
    "SpotHistoryGap",
    "SpotMarket",
]
