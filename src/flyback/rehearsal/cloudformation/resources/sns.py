"""AWS::SNS::Topic and AWS::SNS::Subscription."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    as_document,
    code_of,
    pairs,
    renamed,
    tag_changes,
)

__all__ = ["Subscription", "Topic"]

_TOPIC_ATTRIBUTES = ("DisplayName", "KmsMasterKeyId")
_SUBSCRIPTION_ATTRIBUTES = (
    "DeliveryPolicy",
    "FilterPolicy",
    "FilterPolicyScope",
    "RawMessageDelivery",
    "RedrivePolicy",
)


class Topic(Handler):
    """A topic, with the subscriptions that it declares itself."""

    type = "AWS::SNS::Topic"
    applies = frozenset({"Subscription", "Tags", "TopicName", *_TOPIC_ATTRIBUTES})
    not_emulated = frozenset(
        {
            "ArchivePolicy",
            "ContentBasedDeduplication",
            "DataProtectionPolicy",
            "DeliveryStatusLogging",
            "FifoThroughputScope",
            "FifoTopic",
            "MaximumMessageSize",
            "SignatureVersion",
            "TracingConfig",
        }
    )
    pace = Pace(create=11, update=11, delete=2)
    name_property = "TopicName"
    system_tags = True
    gone = frozenset({"NotFound", "NotFoundException"})

    def create(self, site: Site, desired: Desired) -> Made:
        sns = site.client("sns")
        name = site.name(desired.get("TopicName"), most=256)
        arn = f"arn:{site.partition}:sns:{site.region}:{site.account}:{name}"
        if _exists(sns, arn):  # CreateTopic answers a second call with success
            raise AwsError("AlreadyExists", f"{name} already exists in stack or account", 400)
        attributes = {key: desired.get(key) for key in _TOPIC_ATTRIBUTES if desired.get(key)}
        sns.create_topic(Name=name, Attributes=attributes, Tags=pairs(desired.tags))
        made = site.claim(Made(physical_id=arn, attributes={"TopicArn": arn, "TopicName": name}))
        for protocol, endpoint in sorted(_declared(desired)):
            sns.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=endpoint)
        return made

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        sns, arn = site.client("sns"), made.physical_id
        for key in _TOPIC_ATTRIBUTES:
            if new.differs(old, key):
                sns.set_topic_attributes(
                    TopicArn=arn, AttributeName=key, AttributeValue=new.get(key, "")
                )
        before, after = _declared(old), _declared(new)
        for protocol, endpoint in sorted(after - before):
            sns.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=endpoint)
        for item in sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]:
            if (item["Protocol"], item["Endpoint"]) in before - after:
                sns.unsubscribe(SubscriptionArn=item["SubscriptionArn"])
        added, removed = tag_changes(old, new)
        if added:
            sns.tag_resource(ResourceArn=arn, Tags=pairs(added))
        if removed:
            sns.untag_resource(ResourceArn=arn, TagKeys=removed)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("sns").delete_topic(TopicArn=made.physical_id)


class Subscription(Handler):
    """A subscription to a topic."""

    type = "AWS::SNS::Subscription"
    applies = frozenset({"Endpoint", "Protocol", "TopicArn", *_SUBSCRIPTION_ATTRIBUTES})
    not_emulated = frozenset({"Region", "ReplayPolicy", "SubscriptionRoleArn"})
    pace = Pace(create=2, update=2, delete=2)
    gone = frozenset({"NotFound", "NotFoundException"})

    def create(self, site: Site, desired: Desired) -> Made:
        attributes = {
            key: _text(desired.get(key))
            for key in _SUBSCRIPTION_ATTRIBUTES
            if desired.get(key) is not None
        }
        arn = site.client("sns").subscribe(
            TopicArn=desired.get("TopicArn"),
            Protocol=desired.get("Protocol"),
            Endpoint=desired.get("Endpoint"),
            Attributes=attributes,
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        return site.claim(Made(physical_id=arn, attributes={"Arn": arn}))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        for key in _SUBSCRIPTION_ATTRIBUTES:
            if new.differs(old, key):
                site.client("sns").set_subscription_attributes(
                    SubscriptionArn=made.physical_id,
                    AttributeName=key,
                    AttributeValue=_text(new.get(key, {})),
                )
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:  # noqa: ARG002  # the protocol's
        site.client("sns").unsubscribe(SubscriptionArn=made.physical_id)


def _exists(sns: Any, arn: str) -> bool:
    try:
        sns.get_topic_attributes(TopicArn=arn)
    except ClientError as error:
        if code_of(error) in Topic.gone:
            return False
        raise
    return True


def _declared(desired: Desired) -> set[tuple[str, str]]:
    names = {"Endpoint": "Endpoint", "Protocol": "Protocol"}
    given = [renamed(item, names, "Subscription") for item in desired.get("Subscription", [])]
    return {(item["Protocol"], item["Endpoint"]) for item in given}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return as_document(value)
