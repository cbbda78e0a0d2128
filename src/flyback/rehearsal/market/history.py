"""`DescribeSpotPriceHistory`, from the prices that launches meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.market.offers import SpotMarket

__all__ = ["SpotHistoryGap"]

_PRODUCT = "Linux/UNIX"  # the only one that has prices here
_MOST = 1000  # rows in one answer
_OLDEST_S = 90 * 86400.0  # EC2 user guide: history goes back 90 days
_FILTERS = {
    "availability-zone": "AvailabilityZone",
    "instance-type": "InstanceType",
    "product-description": "ProductDescription",
    "spot-price": "SpotPrice",
}


class SpotHistoryGap:
    """Each change of a price in the asked time, and the one that stood at its beginning.

    Args:
        market: Whose prices.
        now: Simulated seconds since the epoch.
    """

    service = "ec2"
    operations = frozenset({"DescribeSpotPriceHistory"})

    def __init__(self, market: SpotMarket, now: Callable[[], float]) -> None:
        self._market = market
        self._now = now

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        del forward  # moto has one constant price
        if call.params.get("DryRun"):
            raise AwsError(
                "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412
            )
        rows = self._rows(call)
        first, most = _page(call)
        rest = str(first + most) if first + most < len(rows) else ""
        return {"SpotPriceHistory": rows[first : first + most], "NextToken": rest}

    def _rows(self, call: Call) -> list[dict[str, Any]]:
        wanted = _wanted(call)
        now = self._now()
        end = min(_seconds(call.params.get("EndTime"), now), now)
        start = max(_seconds(call.params.get("StartTime"), now), now - _OLDEST_S)
        rows: list[dict[str, Any]] = []
        for offer in self._market.catalogue.offers(call.region):
            for zone in offer.zones:
                named = {
                    "AvailabilityZone": zone,
                    "InstanceType": offer.type.name,
                    "ProductDescription": _PRODUCT,
                }
                if not _matches(named, wanted):
                    continue
                for at, usd in self._market.changes(offer.type.name, zone, min(start, end), end):
                    row = {**named, "SpotPrice": f"{usd:.6f}"}
                    if _matches(row, wanted):
                        rows.append({**row, "Timestamp": datetime.fromtimestamp(at, UTC)})
        rows.sort(key=lambda row: (-row["Timestamp"].timestamp(), *list(row.values())[:2]))
        return rows


def _wanted(call: Call) -> dict[str, list[str]]:
    params = call.params
    wanted: dict[str, list[str]] = {}
    for item in params.get("Filters", ()):
        if item["Name"] not in _FILTERS:
            raise AwsError("InvalidParameterValue", f"The filter '{item['Name']}' is invalid")
        wanted[_FILTERS[item["Name"]]] = list(item.get("Values", ()))
    for name, field in (
        ("InstanceTypes", "InstanceType"),
        ("ProductDescriptions", "ProductDescription"),
    ):
        if params.get(name):
            wanted[field] = [text.removesuffix(" (Amazon VPC)") for text in params[name]]
    if params.get("AvailabilityZone"):
        wanted["AvailabilityZone"] = [params["AvailabilityZone"]]
    return wanted


def _matches(row: Mapping[str, str], wanted: Mapping[str, list[str]]) -> bool:
    return all(
        any(fnmatchcase(row[field], pattern) for pattern in patterns)
        for field, patterns in wanted.items()
        if field in row
    )


def _page(call: Call) -> tuple[int, int]:
    token = str(call.params.get("NextToken") or "0")
    if not token.isdecimal():
        raise AwsError("InvalidPaginationToken", "The pagination token is invalid")
    return int(token), min(int(call.params.get("MaxResults") or _MOST), _MOST)


def _seconds(moment: Any, otherwise: float) -> float:
    if moment is None:
        return otherwise
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(moment)
