"""core.yaml as another emulator deploys it: every difference from the rehearsal is explained."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

DIFFERENCES = Path(__file__).with_name("differences.yaml")
STACKS = {  # name → parameters of core.yaml; between them, every resource of it
    "flyback-core": {"Name": "flyback"},
    "closed-core": {"Name": "closed", "Private": "true"},
}
# What identifies an element of a list of documents, by the list's name; no field: its place.
IDENTITY: dict[str, tuple[str, ...]] = {
    "Associations": ("RouteTableAssociationId",),
    "Attachments": ("VpcId",),
    "BlockDeviceMappings": ("DeviceName",),
    "CidrBlockAssociationSet": ("CidrBlock",),
    "DnsEntries": ("DnsName",),
    "Groups": ("GroupId",),
    "IpPermissions": ("IpProtocol", "FromPort", "ToPort"),
    "IpPermissionsEgress": ("IpProtocol", "FromPort", "ToPort"),
    "IpRanges": ("CidrIp",),
    "Lifecycle": ("ID",),
    "NetworkInterfaces": ("DeviceIndex",),
    "Routes": ("DestinationCidrBlock", "DestinationPrefixListId"),
    "Rules": (),  # of a bucket's encryption or ownership: there is one
    "Statement": ("Sid", "Effect"),
    "TagSpecifications": ("ResourceType",),
    "UserIdGroupPairs": ("GroupId",),
    "imageTagMutabilityExclusionFilters": ("filter",),
    "rules": ("rulePriority",),  # of a registry's lifecycle
}
PRESENT, ABSENT = "(present)", "(absent)"
Difference = tuple[str, Any, Any]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its path; an element of a list stands under what identifies it."""
    if isinstance(value, list):
        value = keyed(value, path.rpartition(".")[2]) or value
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def keyed(items: list[Any], name: str) -> dict[str, Any]:
    """The elements of a list by what identifies them; the second of the same ends with `#2`.

    Raises:
        LookupError: nobody has said what identifies an element of this list.
    """
    found: dict[str, Any] = {}
    for place, item in enumerate(items):
        key = plain = identity(item, name, place)
        number = 1
        while key in found:
            number += 1
            key = f"{plain}#{number}"
        found[key] = item
    return found


def identity(item: Any, name: str, place: int) -> str:
    """What identifies an element: the value itself, or fields of a document."""
    if not isinstance(item, Mapping):
        return str(item)
    if name not in IDENTITY:
        raise LookupError(f"say in IDENTITY what identifies an element of {name}: {item}")
    fields = IDENTITY[name]
    if not fields:
        return str(place)
    known = [str(item[field]) for field in fields if field in item]
    if not known:
        raise LookupError(f"an element of {name} has none of {fields}: {item}")
    return "/".join(known)


def differences(ours: Any, theirs: Any) -> Iterator[Difference]:
    """Path, value here and value there, where they differ."""
    left, right = dict(leaves(ours)), dict(leaves(theirs))
    for path in sorted(left.keys() | right.keys()):
        here, there = left.get(path, ABSENT), right.get(path, ABSENT)
        if here != there:
            yield path, here, there


def fits(expected: Any, value: Any) -> bool:
    """Whether a value is what the list says of it."""
    if expected == PRESENT:
        return value is not None and value != ABSENT
    if isinstance(expected, str) and isinstance(value, str):
        return fnmatch.fnmatchcase(value, expected)
    return bool(expected == value)


def explains(entry: Mapping[str, Any], difference: Difference) -> bool:
    """Whether an entry of the list is about this difference."""
    path, here, there = difference
    return (
        fnmatch.fnmatchcase(path, entry["path"])
        and fits(entry["rehearsal"], here)
        and fits(entry["ministack"], there)
    )


def judge(found: list[Difference], entries: list[Mapping[str, Any]]) -> list[str]:
    """Differences without an explanation, and explanations without a difference."""
    wrong = [
        f"not explained: {path}: here {here!r}, there {there!r}"
        for path, here, there in found
        if not any(explains(entry, (path, here, there)) for entry in entries)
    ]
    return wrong + [
        f"no longer so: {entry['path']}"
        for entry in entries
        if not any(explains(entry, difference) for difference in found)
    ]


@pytest.mark.proof
def test_proof_second_opinion(rehearsed: Any, ministack: Any, reader: Any) -> None:
    """Both deploy and remove every resource; what differs is listed with its reason, all of it."""
    entries = yaml.safe_load(DIFFERENCES.read_text())
    assert all(entry["why"].strip() for entry in entries)
    found: list[Difference] = []
    resources, types = 0, set()
    for stack, parameters in STACKS.items():
        readers = [
            reader(cloud, cloud.deploy(stack, parameters)) for cloud in (rehearsed, ministack)
        ]
        ours, theirs = (each.all() for each in readers)
        found += differences(ours, theirs)
        declared = {name: item for name, item in ours.items() if name != "Outputs"}
        assert all(item["Described"] for item in declared.values())
        resources += len(declared)
        types |= {item["Type"] for item in declared.values()}
        for cloud in (rehearsed, ministack):
            cloud.delete(stack)
        assert [each.left() for each in readers] == [[], []]
    wrong = judge(found, entries)
    assert not wrong, "\n".join(wrong)
    print(
        f"PROOF second-opinion resources={resources} types={len(types)} "
        f"differences_explained={len(found)} explanations={len(entries)}"
    )


def test_the_list_is_held_to_what_is_found() -> None:
    """A difference that the list lacks fails, and so does an entry that nothing matches."""
    entry = {"path": "Vpc.*", "rehearsal": PRESENT, "ministack": ABSENT, "why": "…"}
    stale = {**entry, "path": "Subnet.*"}
    seen: Difference = ("Vpc.Tags", "x", ABSENT)
    assert judge([seen], [entry]) == []
    assert judge([seen], [entry, stale]) == ["no longer so: Subnet.*"]
    assert judge([("Vpc.Tags", "x", "y")], [entry]) == [
        "not explained: Vpc.Tags: here 'x', there 'y'",
        "no longer so: Vpc.*",
    ]
    assert judge([], []) == []


def test_a_difference_inside_a_list_is_found() -> None:
    """Documents are compared by what identifies them, in any order; values by themselves."""
    local = {"DestinationCidrBlock": "10.1.0.0/16", "GatewayId": "local"}
    out = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw"}
    service = {"DestinationPrefixListId": "pl", "GatewayId": "vpce"}
    here = {"Routes": [out, service, local], "Action": ["a", "b", "b"], "Rules": [{"x": 1}]}
    there = {
        "Routes": [local, {**out, "GatewayId": "nat"}],
        "Action": ["b", "c"],
        "Rules": [{"x": 2}],
    }
    assert list(differences(here, there)) == [
        ("Action.a", "a", ABSENT),
        ("Action.b#2", "b", ABSENT),
        ("Action.c", ABSENT, "c"),
        ("Routes.0.0.0.0/0.GatewayId", "igw", "nat"),
        ("Routes.pl.DestinationPrefixListId", "pl", ABSENT),
        ("Routes.pl.GatewayId", "vpce", ABSENT),
        ("Rules.0.x", 1, 2),
    ]
    with pytest.raises(LookupError, match="say in IDENTITY"):
        list(leaves({"Unheard": [{"x": 1}]}))
    with pytest.raises(LookupError, match="has none of"):
        list(leaves({"Routes": [{"x": 1}]}))


def test_differences_are_found_leaf_by_leaf() -> None:
    """Values, empty ones and missing ones count; equal ones do not."""
    here = {"A": {"x": 1, "y": [], "z": {"n": None}}, "B": {}}
    there = {"A": {"x": 2, "z": {"n": None}}, "B": {"k": 1}}
    assert list(differences(here, there)) == [
        ("A.x", 1, 2),
        ("A.y", [], ABSENT),
        ("B", {}, ABSENT),
        ("B.k", ABSENT, 1),
    ]
