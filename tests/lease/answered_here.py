"""What moto lacks of the services that leaks are asked of, answered in a client."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

__all__ = ["Marks", "PlacementGroups"]


class PlacementGroups:
    """What EC2 answers about them; moto knows none."""

    def __init__(self) -> None:
        self.held: dict[str, list[dict[str, str]]] = {}

    def answer(self, client: Any) -> None:
        """Stand in for the service in a client."""
        events, done = client.meta.events, SimpleNamespace(status_code=200)

        def listed(**_: Any) -> Any:
            named = ({"GroupName": name, "Tags": tags} for name, tags in self.held.items())
            return done, {"PlacementGroups": list(named)}

        def deleted(params: Any, **_: Any) -> Any:
            del self.held[params["body"]["GroupName"]]
            return done, {}

        events.register("before-call.ec2.DescribePlacementGroups", listed)
        events.register("before-call.ec2.DeletePlacementGroup", deleted)


class Marks:
    """Tags that moto's GetResources leaves out; AWS's names every kind of resource."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._asked = ""

    def answer(self, client: Any) -> None:
        """Add what is marked to what a client is told."""

        def asked(params: Any, **_: Any) -> None:
            (self._asked,) = params["TagFilters"][0]["Values"]

        def told(parsed: Any, **_: Any) -> None:
            parsed["ResourceTagMappingList"] += [
                {"ResourceARN": arn, "Tags": [{"Key": "flyback:name", "Value": name}]}
                for arn, name in self.names.items()
                if name == self._asked
            ]

        service = "resource-groups-tagging-api.GetResources"
        client.meta.events.register(f"before-parameter-build.{service}", asked)
        client.meta.events.register(f"after-call.{service}", told)
