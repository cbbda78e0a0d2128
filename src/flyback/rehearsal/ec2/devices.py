"""Block devices of a launch: the image's own, overlaid with what the request asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyback.rehearsal.call import AwsError

__all__ = ["attach", "devices_of"]

_DEFAULT_TYPE = "gp2"


def devices_of(image: Any, params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Volumes to make, by device name.

    A device that bears the image's root device name changes the root volume; any other name is
    one more volume, as on AWS.

    Raises:
        AwsError: a volume is smaller than its snapshot, or has neither size nor snapshot.
    """
    devices = {
        item["DeviceName"]: dict(item["Ebs"], DeleteOnTermination=True)
        for item in image.block_device_mappings
    }
    for item in params.get("BlockDeviceMappings", ()):
        name = item["DeviceName"]
        if item.get("NoDevice") is not None:
            devices.pop(name, None)
        elif "Ebs" in item:
            devices[name] = {**devices.get(name, {}), **item["Ebs"]}
    sizes = {
        item["Ebs"]["SnapshotId"]: item["Ebs"]["VolumeSize"] for item in image.block_device_mappings
    }
    for name, ebs in devices.items():
        _check(name, ebs, sizes.get(ebs.get("SnapshotId", ""), 0))
    return devices


def _check(name: str, ebs: Mapping[str, Any], snapshot_gib: int) -> None:
    size = int(ebs.get("VolumeSize") or 0)
    if not size and not ebs.get("SnapshotId"):
        raise AwsError(
            "MissingParameter",
            f"The request must contain the parameter size or snapshotId for device {name}",
        )
    if size < snapshot_gib:
        raise AwsError(
            "InvalidBlockDeviceMapping",
            f"Volume of size {size}GB is smaller than snapshot '{ebs['SnapshotId']}', expect size "
            f">= {snapshot_gib}GB",
        )


def attach(
    state: Any, instance: Any, devices: Mapping[str, Mapping[str, Any]], tags: Mapping[str, str]
) -> None:
    """Make the volumes and attach them; moto's own launch knows neither IOPS nor their tags."""
    for name, ebs in devices.items():
        volume = state.create_volume(
            size=int(ebs["VolumeSize"]) if ebs.get("VolumeSize") else None,
            zone_name=instance.availability_zone,
            snapshot_id=ebs.get("SnapshotId"),
            encrypted=bool(ebs.get("Encrypted", False)),
            kms_key_id=ebs.get("KmsKeyId"),
            volume_type=ebs.get("VolumeType") or _DEFAULT_TYPE,
            iops=ebs.get("Iops"),
            throughput=ebs.get("Throughput"),
        )
        volume.add_tags(dict(tags))
        state.attach_volume(
            volume.id, instance.id, name, bool(ebs.get("DeleteOnTermination", False))
        )
