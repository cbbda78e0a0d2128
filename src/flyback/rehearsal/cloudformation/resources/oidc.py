"""AWS::IAM::OIDCProvider."""

from __future__ import annotations

from flyback.rehearsal.cloudformation.refusals import NotEmulatedError
from flyback.rehearsal.cloudformation.resources.handler import (
    Desired,
    Handler,
    Made,
    Pace,
    Site,
    pairs,
    tag_changes,
)

__all__ = ["OidcProvider"]


class OidcProvider(Handler):
    """An identity provider whose tokens roles may trust."""

    type = "AWS::IAM::OIDCProvider"
    applies = frozenset({"ClientIdList", "Tags", "ThumbprintList", "Url"})
    pace = Pace(create=3, update=3, delete=2)
    name_property = "Url"
    gone = frozenset({"NoSuchEntity"})

    def create(self, site: Site, desired: Desired) -> Made:
        arn = site.client("iam").create_open_id_connect_provider(
            Url=desired.get("Url"),
            ClientIDList=desired.get("ClientIdList", []),
            ThumbprintList=desired.get("ThumbprintList", []),
            Tags=pairs(desired.tags),
        )["OpenIDConnectProviderArn"]
        return site.claim(Made(physical_id=arn, attributes={"Arn": arn}))

    def update(self, site: Site, made: Made, old: Desired, new: Desired) -> Made:
        iam, arn = site.client("iam"), made.physical_id
        if new.differs(old, "ClientIdList"):
            raise NotEmulatedError("a change of the property ClientIdList")
        if new.differs(old, "ThumbprintList"):
            iam.update_open_id_connect_provider_thumbprint(
                OpenIDConnectProviderArn=arn, ThumbprintList=new.get("ThumbprintList", [])
            )
        added, removed = tag_changes(old, new)
        if added:
            iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=pairs(added))
        if removed:
            iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=arn, TagKeys=removed)
        return made

    def delete(self, site: Site, made: Made, last: Desired) -> None:
        del last
        site.client("iam").delete_open_id_connect_provider(
            OpenIDConnectProviderArn=made.physical_id
        )
