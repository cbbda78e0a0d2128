"""The one role that `up` makes outside its stacks; the account's identity provider for GitHub."""

from __future__ import annotations

from flyback.aws.service import Service
from flyback.errors import NotFoundError, ServiceError

__all__ = ["SPOT_ROLE", "Iam"]

SPOT_ROLE = "AWSServiceRoleForEC2Spot"
_SPOT_SERVICE = "spot.amazonaws.com"
_GITHUB = ":oidc-provider/token.actions.githubusercontent.com"  # one of each URL per account


class Iam(Service):
    """Identity and Access Management."""

    def has_spot_role(self) -> bool:
        """Whether the account has EC2 Spot's service-linked role."""
        try:
            self._call("get_role", RoleName=SPOT_ROLE)
        except NotFoundError:
            return False
        return True

    def create_spot_role(self) -> None:
        """Create EC2 Spot's service-linked role; fresh accounts lack it.

        One that somebody else made meanwhile, or an earlier call whose answer was lost, will do.
        """
        self._intend("create_service_linked_role", SPOT_ROLE, "account")
        try:
            self._call("create_service_linked_role", AWSServiceName=_SPOT_SERVICE)
        except ServiceError as error:
            if "has been taken" not in error.what:
                raise
        self._made("create_service_linked_role", SPOT_ROLE, "account", SPOT_ROLE)

    def github_provider(self) -> str:
        """ARN of the account's identity provider for GitHub; empty where it has none."""
        answer = self._call("list_open_id_connect_providers")
        arns = [str(item["Arn"]) for item in answer["OpenIDConnectProviderList"]]
        return next((arn for arn in arns if arn.endswith(_GITHUB)), "")
