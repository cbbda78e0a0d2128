"""Machine images that the emulated account can launch, and the public parameters that name them.

Root device names are AWS's (Ubuntu: `/dev/sda1`, Amazon Linux: `/dev/xvda`). Snapshot sizes of the
Deep Learning AMIs are unverified: nobody here has asked AWS; the product reads them from
DescribeImages and must not know them.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

from flyback.rehearsal.moto_state import LOCK, backend

__all__ = ["IMAGES", "PublicImage", "image_id_of", "parameter_value", "register"]

_DLAMI = (
    "/aws/service/deeplearning/ami/{arch}/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)
_DLAMI_NAME = "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04)"
_UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current/{arch}/hvm/ebs-gp3/ami-id"
_AMAZON = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}"


@dataclass(frozen=True, kw_only=True)
class PublicImage:
    """An image that AWS or a vendor publishes.

    Args:
        parameter: Its public SSM parameter.
        name: As DescribeImages gives it, without a date.
        architecture: `x86_64` or `arm64`.
        root_device: Root device name.
        root_gib: Size of the root snapshot, in GiB.
        owner: Account that owns it.
        verified: Whether that size was read from AWS.
    """

    parameter: str
    name: str
    architecture: str
    root_device: str
    root_gib: int
    owner: str
    verified: bool


def _both(name: str, parameter: str, arm: str, x86: str, **fields: Any) -> list[PublicImage]:
    return [
        PublicImage(
            name=name, parameter=parameter.format(arch=arch), architecture=architecture, **fields
        )
        for architecture, arch in (("x86_64", x86), ("arm64", arm))
    ]


IMAGES: tuple[PublicImage, ...] = (
    *_both(
        _DLAMI_NAME,
        _DLAMI,
        arm="arm64",
        x86="x86_64",
        root_device="/dev/sda1",
        root_gib=75,
        owner="898082745236",
        verified=False,
    ),
    *_both(
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-server",
        _UBUNTU,
        arm="arm64",
        x86="amd64",
        root_device="/dev/sda1",
        root_gib=8,
        owner="099720109477",
        verified=True,
    ),
    *_both(
        "al2023-ami-2023-kernel-default",
        _AMAZON,
        arm="arm64",
        x86="x86_64",
        root_device="/dev/xvda",
        root_gib=8,
        owner="137112412989",
        verified=True,
    ),
)
_BY_PARAMETER = {image.parameter: image for image in IMAGES}


def image_id_of(image: PublicImage, region: str) -> str:
    """Its id in a region: always the same, so that goldens and caches hold."""
    digest = hashlib.sha256(f"{region} {image.parameter}".encode()).hexdigest()
    return f"ami-0{digest[:16]}"


def parameter_value(name: str, region: str) -> str | None:
    """Image id that a public SSM parameter names; None where it names none of ours."""
    image = _BY_PARAMETER.get(name)
    return image_id_of(image, region) if image else None


def register(region: str) -> None:
    """Put the public images into a region's state, once."""
    with LOCK:
        state = backend("ec2", region)
        for image in IMAGES:
            image_id = image_id_of(image, region)
            if image_id not in state.amis:
                state.amis[image_id] = _ami_class()(state, image_id, image)


@functools.cache
def _ami_class() -> Any:
    from moto.ec2.models.amis import Ami

    class PublicAmi(Ami):  # type: ignore[misc]  # moto is untyped
        """moto's image with the root volume of its own that moto can't express."""

        def __init__(self, state: Any, image_id: str, image: PublicImage) -> None:
            self._root_gib = image.root_gib
            super().__init__(
                state,
                image_id,
                name=image.name,
                description=image.name,
                owner_id=image.owner,
                owner_alias="amazon",
                public=True,
                virtualization_type="hvm",
                architecture=image.architecture,
                hypervisor="xen",
                root_device_type="ebs",
                root_device_name=image.root_device,
                region_name=f"{state.region_name}a",
            )
            self.ebs_snapshot.volume.size = image.root_gib

        @property
        def block_device_mappings(self) -> list[dict[str, Any]]:
            root = {
                "SnapshotId": self.ebs_snapshot.id,
                "VolumeSize": self._root_gib,
                "DeleteOnTermination": True,
                "VolumeType": "gp3",
                "Encrypted": False,
            }
            return [{"DeviceName": self.root_device_name, "Ebs": root}]

    return PublicAmi
