"""Spot requests: each spot machine has one, whoever asked for it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

__all__ = ["fulfilled_request"]


def fulfilled_request(state: Any, instance: Any, params: Mapping[str, Any]) -> Any:
    """The request that a launched spot machine came from.

    Args:
        state: moto's EC2 of the region.
        instance: moto's instance.
        params: Of its launch, shaped like RunInstances' input.
    """
    return _request_class()(state, instance, params)


def _fields(instance: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """What moto's request wants to know; most of it is for launching, which has happened."""
    return {
        "price": options.get("MaxPrice"),
        "image_id": instance.image_id,
        "spot_instance_type": options.get("SpotInstanceType", "one-time"),
        "key_name": instance.key_name,
        "security_groups": [group.id for group in instance.security_groups],
        "instance_type": instance.instance_type,
        "placement": instance.availability_zone,
        "monitoring_enabled": instance.monitored,
        "subnet_id": instance.subnet_id,
        "tags": {},
        "instance_interruption_behaviour": options.get("InstanceInterruptionBehavior"),
        "valid_from": None,
        "valid_until": None,
        "launch_group": None,
        "availability_zone_group": None,
        "user_data": None,
        "kernel_id": None,
        "ramdisk_id": None,
        "spot_fleet_id": None,
    }


@functools.cache
def _request_class() -> Any:
    from moto.ec2.models.spot_requests import SpotInstanceRequest
    from moto.ec2.utils import random_spot_request_id

    class FulfilledRequest(SpotInstanceRequest):  # type: ignore[misc]  # moto is untyped
        """As moto has it, but made for an instance instead of making one."""

        def __init__(self, state: Any, instance: Any, params: Mapping[str, Any]) -> None:
            self._launched = instance
            options = (params.get("InstanceMarketOptions") or {}).get("SpotOptions") or {}
            super().__init__(state, random_spot_request_id(), **_fields(instance, options))

        def launch_instance(self) -> Any:
            return self._launched

        def get_filter_value(self, filter_name: str, method_name: str | None = None) -> Any:
            if filter_name == "instance-id":
                return self._launched.id
            return super().get_filter_value(filter_name, method_name)

        @property
        def create_time(self) -> Any:
            return self._launched.launch_time

        @property
        def status(self) -> dict[str, Any]:
            return {**super().status, "UpdateTime": self._launched.launch_time}

    return FulfilledRequest
