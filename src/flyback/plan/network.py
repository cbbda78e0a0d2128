"""What the ways out of a network cost, as sentences."""

from __future__ import annotations

from flyback.plan.prices import HOURS_PER_MONTH, PRICED_REGION, price

__all__ = ["endpoint_sentence", "endpoint_usd_hour", "public_sentence"]

_SERVICE = "vpc"


def endpoint_usd_hour(endpoints: int, zones: int = 1) -> float:
    """USD an hour for interface endpoints, whether or not anything runs; their data not counted.

    The table of prices has no figure for the data, which AWS bills by the GB.
    """
    return endpoints * zones * price(_SERVICE, "interface_endpoint_hour").usd


def endpoint_sentence(endpoints: int, region: str, zones: int = 1) -> str:
    """The standing price of a private network, with its source."""
    hour = endpoint_usd_hour(endpoints, zones)
    source = price(_SERVICE, "interface_endpoint_hour")
    place = "1 zone" if zones == 1 else f"{zones} zones"
    return (
        f"private network: {endpoints} interface endpoints in {place}, ${hour:.2f} an hour "
        f"(${hour * HOURS_PER_MONTH:.2f} a month) until `flyback down`, whether or not a machine "
        f"runs, and AWS bills their data by the GB besides; S3 goes through a free gateway "
        f"({source.source}, {source.date}{_elsewhere(region)})"
    )


def public_sentence(region: str) -> str:
    """What a public address adds to a machine, with its source."""
    source = price(_SERVICE, "public_ipv4_in_use_or_idle")
    return (
        f"network: a public IPv4 address per running machine, ${source.usd:g} an hour; nothing "
        f"while none runs ({source.source}{_elsewhere(region)})"
    )


def _elsewhere(region: str) -> str:
    return "" if region == PRICED_REGION else f"; price of {PRICED_REGION}"
