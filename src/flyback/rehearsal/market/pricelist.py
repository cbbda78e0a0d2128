"""The Price List: on-demand prices of EC2, from the shipped catalogue."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flyback.plan.catalogue import Catalogue, Offer
from flyback.rehearsal.call import AwsError, Call, Response

__all__ = ["PricingGap"]

_SERVICE = "AmazonEC2"
_VERSION = "aws_v1"
_MOST = 100  # products in one answer


class PricingGap:
    """`GetProducts` of AmazonEC2: Linux on shared tenancy, nothing else has a price here.

    Args:
        catalogue: Machines and prices.
    """

    service = "pricing"
    operations = frozenset({"GetProducts"})

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        del forward  # moto's price list is empty
        if call.params.get("ServiceCode") != _SERVICE:
            raise AwsError(
                "NotEmulated", f"prices of {call.params.get('ServiceCode')} are not emulated", 501
            )
        wanted = {}
        for item in call.params.get("Filters", ()):
            if item["Type"] != "TERM_MATCH":
                raise AwsError("NotEmulated", f"a filter {item['Type']} is not emulated", 501)
            wanted[item["Field"]] = item["Value"]
        products = [
            _product(offer, attributes)
            for offer in self._offers(wanted)
            if offer.on_demand_usd_hour is not None
            and (attributes := _attributes(offer)).items() >= wanted.items()
        ]
        first = int(call.params.get("NextToken") or 0)
        last = first + min(int(call.params.get("MaxResults") or _MOST), _MOST)
        answer = {"FormatVersion": _VERSION, "PriceList": products[first:last]}
        return {**answer, "NextToken": str(last)} if last < len(products) else answer

    def _offers(self, wanted: Mapping[str, str]) -> list[Offer]:
        regions = [wanted["regionCode"]] if "regionCode" in wanted else self._catalogue.regions
        return [offer for region in regions for offer in self._catalogue.offers(region)]


def _attributes(offer: Offer) -> dict[str, str]:
    kind = offer.type
    attributes = {
        "servicecode": _SERVICE,
        "regionCode": offer.region,
        "instanceType": kind.name,
        "vcpu": str(kind.vcpus),
        "memory": f"{kind.memory_gib:g} GiB",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
        "operation": "RunInstances",
    }
    return {**attributes, "gpu": str(kind.gpu_count)} if kind.gpu_model else attributes


def _product(offer: Offer, attributes: Mapping[str, str]) -> str:
    sku = f"{offer.region}.{offer.type.name}"
    rate = {
        "unit": "Hrs",
        "description": f"${offer.on_demand_usd_hour} per On Demand Linux {offer.type.name}",
        "pricePerUnit": {"USD": f"{offer.on_demand_usd_hour:.10f}"},
    }
    term = {"sku": sku, "priceDimensions": {f"{sku}.hour": rate}}
    return json.dumps(
        {
            "serviceCode": _SERVICE,
            "product": {
                "productFamily": "Compute Instance",
                "sku": sku,
                "attributes": dict(attributes),
            },
            "terms": {"OnDemand": {f"{sku}.on-demand": term}},
        },
        sort_keys=True,
    )
