"""What two results must have in common to be comparable."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from flyback.spec.codec import dumps

__all__ = ["fingerprint"]


def fingerprint(env: Mapping[str, Any], device: Mapping[str, Any]) -> dict[str, Any]:
    """The record's `fingerprint`: `sha256` over `fields`, and the fields themselves.

    The code that is measured (`git_sha`, `source_sha256`) is not among them: that is what one
    compares.

    Args:
        env: The record's `env`.
        device: The record's `device`.
    """
    python = str(env.get("python") or "")
    fields: dict[str, Any] = {
        "cpu": env.get("cpu"),
        "machine": env.get("machine"),
        "cores": len(env.get("affinity") or ()) or env.get("cores"),
        "device": device.get("name") if device.get("kind") != "cpu" else "cpu",
        "driver": str(device.get("driver") or "").partition(".")[0] or None,
        "compute_capability": device.get("compute_capability"),
        "instance_type": os.environ.get("FLYBACK_INSTANCE_TYPE") or None,
        "image": os.environ.get("FLYBACK_IMAGE") or None,
        "python": ".".join(python.split(".")[:2]),
        "threads": dict(env.get("threads") or {}),
        "packages": {
            name: version
            for name, version in (env.get("packages") or {}).items()
            if version is not None and name != "flyback"
        },
    }
    return {"sha256": hashlib.sha256(dumps(fields).encode()).hexdigest()[:16], "fields": fields}
