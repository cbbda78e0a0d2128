"""The resource types that the rehearsal makes: one handler class each, and this table.

Takes: resolved properties. Gives: what exists, made through the emulated AWS's own APIs. Never:
drops a property silently; what a handler doesn't apply is in its `not_emulated`, and refused.
"""

from __future__ import annotations

from typing import Final

from flyback.rehearsal.cloudformation.resources.ecr import Repository
from flyback.rehearsal.cloudformation.resources.events import Rule
from flyback.rehearsal.cloudformation.resources.functions import Function, Permission
from flyback.rehearsal.cloudformation.resources.handler import Handler
from flyback.rehearsal.cloudformation.resources.iam import InstanceProfile, ManagedPolicy, Role
from flyback.rehearsal.cloudformation.resources.launch_template import LaunchTemplate
from flyback.rehearsal.cloudformation.resources.logs import LogGroup
from flyback.rehearsal.cloudformation.resources.oidc import OidcProvider
from flyback.rehearsal.cloudformation.resources.routing import (
    Route,
    RouteTable,
    SubnetRouteTableAssociation,
    VpcEndpoint,
)
from flyback.rehearsal.cloudformation.resources.s3 import Bucket, BucketPolicy
from flyback.rehearsal.cloudformation.resources.schedules import Schedule, ScheduleGroup
from flyback.rehearsal.cloudformation.resources.security_group import SecurityGroup
from flyback.rehearsal.cloudformation.resources.sns import Subscription, Topic
from flyback.rehearsal.cloudformation.resources.ssm import Parameter
from flyback.rehearsal.cloudformation.resources.vpc import (
    InternetGateway,
    Subnet,
    Vpc,
    VpcGatewayAttachment,
)

__all__ = ["HANDLERS"]

_ALL: Final[tuple[Handler, ...]] = (
    Bucket(),
    BucketPolicy(),
    Function(),
    InstanceProfile(),
    InternetGateway(),
    LaunchTemplate(),
    LogGroup(),
    ManagedPolicy(),
    OidcProvider(),
    Parameter(),
    Permission(),
    Repository(),
    Role(),
    Route(),
    RouteTable(),
    Rule(),
    Schedule(),
    ScheduleGroup(),
    SecurityGroup(),
    Subnet(),
    SubnetRouteTableAssociation(),
    Subscription(),
    Topic(),
    Vpc(),
    VpcEndpoint(),
    VpcGatewayAttachment(),
)

HANDLERS: Final[dict[str, Handler]] = {handler.type: handler for handler in _ALL}
"""Every emulated resource type."""
