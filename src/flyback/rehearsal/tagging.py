"""Resource Groups Tagging API: what moto keeps, what it leaves out, and what is gone.

A region names what stands in it; moto names buckets in every one.

AWS's GetResources returns "tagged or previously tagged" resources (Resource Groups Tagging API
reference), and so names deleted ones for a while. How long, AWS does not say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flyback.rehearsal.call import Call, Response
from flyback.rehearsal.moto_state import ACCOUNT, LOCK, backend, known_backend

__all__ = ["MEMORY_S", "TaggingGap", "beside_moto"]

MEMORY_S = 3600.0
"""Assumed: as long as EC2 describes a machine that is terminated."""

# What may have made, tagged or removed something; what S3 and Logs take in all the time has not.
_CHANGES = ("Create", "Delete", "Run", "Tag", "Terminate", "PutBucketTagging")
_EC2_BESIDE = {"lt": "launch-template", "vpce": "vpc-endpoint"}

Tagged = Callable[[str], Iterable[tuple[str, str, Mapping[str, str]]]]


@dataclass(frozen=True)
class _Known:
    """A resource with tags.

    Args:
        kind: Resource type, `ec2:vpc`.
        tags: The last ones.
        gone_at: Since when it is not there, in simulated seconds; None while it is.
    """

    kind: str
    tags: Mapping[str, str]
    gone_at: float | None = None


def beside_moto(region: str) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Resources whose tags moto keeps, and whose kinds its GetResources leaves out."""
    ec2, ecr = known_backend("ec2", region), known_backend("ecr", region)
    if ec2 is None or ecr is None:
        return
    there = {*ec2.vpc_end_points, *ec2.launch_templates}
    for identifier, tags in list(ec2.tags.items()):
        kind = _EC2_BESIDE.get(identifier.partition("-")[0])
        if kind is not None and identifier in there:
            arn = f"arn:aws:ec2:{region}:{ec2.account_id}:{kind}/{identifier}"
            yield f"ec2:{kind}", arn, dict(tags)
    events = backend("events", region)
    for bus in list(events.event_buses.values()):
        for rule in list(bus.rules.values()):
            yield "events:rule", rule.arn, events.tagger.get_tag_dict_for_resource(rule.arn)
    for repository in list(ecr.repositories.values()):
        yield "ecr:repository", repository.arn, ecr.tagger.get_tag_dict_for_resource(repository.arn)


class TaggingGap:
    """Adds to moto's answer the resources that it leaves out, and those that were deleted lately.

    Args:
        now: Simulated seconds since the epoch.
        tagged: Region → resource type (`lambda:function`), ARN and tags of each that moto leaves
            out or does not know.
    """

    service = "resourcegroupstaggingapi"
    operations = frozenset({"GetResources"})

    def __init__(self, now: Callable[[], float], tagged: Tagged = beside_moto) -> None:
        self._now = now
        self._tagged = tagged
        self._known: dict[str, dict[str, _Known]] = {}

    def observe(self, call: Call) -> None:
        """Take note of what is there after a call that may have changed it."""
        if call.operation.startswith(_CHANGES) and call.operation != "DeleteObjects":
            self._look(call.region)

    def answer(
        self, call: Call, forward: Callable[[Call], Response]
    ) -> Mapping[str, Any] | Response:
        response = forward(call)
        answer = json.loads(response.body)
        if answer.get("PaginationToken") or "ResourceTagMappingList" not in answer:
            return response  # ours come with the last page
        named = {arn for _, arn, _ in self._in_moto(call.region)}
        answer["ResourceTagMappingList"] = [
            item
            for item in answer["ResourceTagMappingList"]
            if _is_of(call.region, item["ResourceARN"])
        ]
        answer["ResourceTagMappingList"] += [
            {
                "ResourceARN": arn,
                "Tags": [{"Key": key, "Value": text} for key, text in sorted(known.tags.items())],
            }
            for arn, known in sorted(self._look(call.region).items())
            if arn not in named and _wanted(call.params, arn, known)
        ]
        return replace(response, body=json.dumps(answer).encode())

    def _look(self, region: str) -> Mapping[str, _Known]:
        with LOCK:
            now, known = self._now(), self._known.setdefault(region, {})
            there = {
                arn: _Known(kind, dict(tags))
                for source in (self._in_moto, self._tagged)
                for kind, arn, tags in source(region)
                if tags
            }
            for arn, item in list(known.items()):
                gone_at = now if item.gone_at is None else item.gone_at
                known[arn] = replace(item, gone_at=gone_at)
                if now - gone_at > MEMORY_S:
                    del known[arn]
            known.update(there)
            return dict(known)

    @staticmethod
    def _in_moto(region: str) -> list[tuple[str, str, Mapping[str, str]]]:
        from moto.core.resource_tagging import iter_taggable_backends

        with LOCK:
            return [
                (item.resource_type, item.arn, item.tags)
                for each in iter_taggable_backends(ACCOUNT, region)
                for item in each.iter_tagged_resources()
                if _is_of(region, item.arn)
            ]


def _is_of(region: str, arn: str) -> bool:
    """Whether a region answers for a resource: moto names every bucket in all of them."""
    service, _, name = arn.removeprefix("arn:aws:").partition(":::")
    if service != "s3":
        return True
    with LOCK:
        bucket = backend("s3", "global").buckets.get(name)
    return bucket is None or bucket.region_name == region


def _wanted(params: Mapping[str, Any], arn: str, known: _Known) -> bool:
    kinds: Sequence[str] = params.get("ResourceTypeFilters") or ()
    if kinds and known.kind not in kinds and known.kind.partition(":")[0] not in kinds:
        return False
    if params.get("ResourceARNList") and arn not in params["ResourceARNList"]:
        return False
    tags = known.tags
    return all(
        item["Key"] in tags and (not item.get("Values") or tags[item["Key"]] in item["Values"])
        for item in params.get("TagFilters") or ()
    )
