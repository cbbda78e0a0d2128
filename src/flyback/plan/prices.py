"""Unit prices of everything but the machines, each with its source and date."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from flyback.plan.catalogue import table

__all__ = ["GB", "HOURS_PER_MONTH", "PRICED_REGION", "Price", "price", "prices"]

HOURS_PER_MONTH = 730
"""AWS prorates a price per month over so many hours, whatever the month."""

GB = 2**30
"""Bytes in what AWS bills as a GB: S3 counts 2**30, and EBS volumes are sized in GiB."""

PRICED_REGION = "us-east-1"
"""The region that the unit prices are of; elsewhere they are an approximation, and say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A unit price.

    Args:
        unit: `USD/GB-month`, `USD/1000 req`, …
        usd: Price of one unit in `PRICED_REGION`.
        notes: Free tiers and exceptions, which are not taken into account.
        source: Where the price comes from.
        date: Date of the source.
    """

    service: str
    item: str
    unit: str
    usd: float
    notes: str
    source: str
    date: str


@functools.cache
def prices() -> Mapping[tuple[str, str], Price]:
    """Every unit price by service and item."""
    return {
        (row["service"], row["item"]): Price(
            service=row["service"],
            item=row["item"],
            unit=row["unit"],
            usd=float(row["price_us_east_1"]),
            notes=row["notes"],
            source=row["source"],
            date=row["date"],
        )
        for row in table("prices.csv")
    }


def price(service: str, item: str) -> Price:
    """One unit price.

    Raises:
        KeyError: the table has none of that name.
    """
    return prices()[service, item]
