"""Recordings in the Signal Metadata Format (https://sigmf.org), core namespace 1.x.

Only what a real-valued recording needs: datatype, rate, channels and checksum. Standard library.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["SUFFIXES", "Header", "SigmfError", "read", "verify"]

SUFFIXES = (".sigmf-meta", ".sigmf-data")
_DATATYPE = re.compile(r"(?P<form>[rc])(?P<kind>[fiu])(?P<bits>8|16|32|64)(?P<order>_[lb]e)?")
_ORDERS = {"_le": "<", "_be": ">"}


class SigmfError(ValueError):
    """The recording can't be used; says what to do about it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.remedy = remedy


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the metadata file says.

    Args:
        data: File of samples.
        layout: Element type as NumPy writes it, for example ``<i2``.
        channels: Interleaved channels.
        fs_hz: Sampling rate, Hz; None where it is not given.
        sha512: Checksum of the data file, hexadecimal; empty where it is not given.
    """

    data: Path
    layout: str
    channels: int
    fs_hz: float | None
    sha512: str


def read(path: Path) -> Header:
    """Read the metadata that belongs to either file of a recording.

    Raises:
        SigmfError: metadata or data are missing, damaged, or of a kind that is not read.
    """
    meta, data = path.with_suffix(SUFFIXES[0]), path.with_suffix(SUFFIXES[1])
    if not meta.exists():
        raise SigmfError(f"has no metadata: {meta.name} is not beside it")
    if not data.exists():
        raise SigmfError(f"has no samples: {data.name} is not beside it")
    try:
        document = json.loads(meta.read_bytes())
        fields = document["global"]
        datatype = fields["core:datatype"]
    except (ValueError, KeyError, TypeError) as error:
        raise SigmfError(
            f"{meta.name} is no SigMF metadata: global core:datatype is missing or unreadable"
        ) from error
    _refuse_other_layouts(document)
    return Header(
        data=data,
        layout=_layout(datatype),
        channels=_positive(fields, "core:num_channels", 1, int),
        fs_hz=_positive(fields, "core:sample_rate", None, (int, float)),
        sha512=str(fields.get("core:sha512", "")),
    )


def verify(header: Header) -> None:
    """Hold the data file against its checksum, where the metadata give one.

    Raises:
        SigmfError: they differ.
    """
    if not header.sha512:
        return
    with header.data.open("rb") as file:
        found = hashlib.file_digest(file, "sha512").hexdigest()
    if found != header.sha512.lower():
        raise SigmfError(
            f"is damaged or truncated: {header.data.name} does not have the SHA-512 that its "
            "metadata give",
            "copy or record it again",
        )


def _layout(datatype: Any) -> str:
    match = _DATATYPE.fullmatch(datatype) if isinstance(datatype, str) else None
    if match is None:
        raise SigmfError(f"has the unknown datatype {datatype!r}")
    if match["form"] == "c":
        raise SigmfError(
            f"holds complex samples ({datatype}), and this workload takes real ones",
            "record or convert to a real datatype such as rf32_le or ri16_le",
        )
    layout = f"{_ORDERS.get(match['order'], '|')}{match['kind']}{int(match['bits']) // 8}"
    if (layout[0] == "|") != (layout[2:] == "1"):
        raise SigmfError(f"has the datatype {datatype!r}, without or with a wrong byte order")
    if layout[1:] not in ("f4", "f8", "i1", "i2", "i4"):
        raise SigmfError(
            f"holds samples of type {datatype}, which is not read",
            "convert to rf32, rf64, ri8, ri16 or ri32",
        )
    return layout


def _positive(fields: Mapping[str, Any], name: str, default: Any, kind: Any) -> Any:
    value = fields.get(name, default)
    if value is default:
        return default
    if not isinstance(value, kind) or isinstance(value, bool) or not value > 0:
        raise SigmfError(f"{name} is {value!r}, and must be a number greater than 0")
    return value


def _refuse_other_layouts(document: Mapping[str, Any]) -> None:
    """Non-conforming datasets have bytes that are no samples."""
    captures = document.get("captures") or []
    others = [c for c in captures if isinstance(c, Mapping) and c.get("core:header_bytes")]
    if others or document["global"].get("core:trailing_bytes"):
        raise SigmfError("has bytes between its samples (core:header_bytes), which are not read")
