"""Networks, read back from the account: VPC, subnets, routes, endpoints and security groups."""

from __future__ import annotations

import json
from typing import Any

NETWORK = """
Resources:
  Vpc:
    Type: AWS::EC2::VPC
    Properties:
      CidrBlock: 10.1.0.0/16
      EnableDnsHostnames: true
      Tags: [{Key: Name, Value: net}]
  Gateway: {Type: AWS::EC2::InternetGateway}
  Attachment:
    Type: AWS::EC2::VPCGatewayAttachment
    Properties: {VpcId: !Ref Vpc, InternetGatewayId: !Ref Gateway}
  Table: {Type: AWS::EC2::RouteTable, Properties: {VpcId: !Ref Vpc}}
  Route:
    Type: AWS::EC2::Route
    DependsOn: Attachment
    Properties:
      RouteTableId: !Ref Table
      DestinationCidrBlock: 0.0.0.0/0
      GatewayId: !Ref Gateway
  Subnet:
    Type: AWS::EC2::Subnet
    Properties:
      VpcId: !Ref Vpc
      CidrBlock: 10.1.0.0/20
      AvailabilityZone: !Select [1, !GetAZs ""]
      MapPublicIpOnLaunch: true
  Association:
    Type: AWS::EC2::SubnetRouteTableAssociation
    Properties: {SubnetId: !Ref Subnet, RouteTableId: !Ref Table}
  Endpoint:
    Type: AWS::EC2::VPCEndpoint
    Properties:
      VpcId: !Ref Vpc
      ServiceName: !Sub com.amazonaws.${AWS::Region}.s3
      RouteTableIds: [!Ref Table]
      PolicyDocument: {Version: 2012-10-17, Statement: []}
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: out by https only
      VpcId: !Ref Vpc
      SecurityGroupEgress:
        - {IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0, Description: HTTPS}
Outputs:
  Group: {Value: !GetAtt Group.GroupId}
  Zone: {Value: !GetAtt Subnet.AvailabilityZone}
  Default: {Value: !GetAtt Vpc.DefaultSecurityGroup}
  Block: {Value: !GetAtt Vpc.CidrBlock}
"""

TAGS = [{"Key": "Project", "Value": "flyback"}]
HTTPS = {
    "IpProtocol": "tcp",
    "FromPort": 443,
    "ToPort": 443,
    "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "HTTPS"}],
    "Ipv6Ranges": [],
    "PrefixListIds": [],
    "UserIdGroupPairs": [],
}


def kept(permission: dict[str, Any]) -> dict[str, Any]:
    """A rule without what moto adds or leaves out when empty."""
    return {key: value for key, value in permission.items() if value not in ([], "")}


def own_group(cloud: Any) -> dict[str, Any]:
    """The stack's security group."""
    ids = [cloud.physical("Group")]
    return dict(cloud.client("ec2").describe_security_groups(GroupIds=ids)["SecurityGroups"][0])


def test_a_network_stands_as_declared(cloud: Any) -> None:
    """DNS names, public addresses, association, route, endpoint, and the tags on each."""
    before = cloud.inventory()
    assert cloud.create(NETWORK, Tags=TAGS) == "CREATE_COMPLETE"
    ec2, vpc_id = cloud.client("ec2"), cloud.physical("Vpc")
    names = ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute="enableDnsHostnames")
    assert names["EnableDnsHostnames"]["Value"] is True
    (subnet,) = ec2.describe_subnets(SubnetIds=[cloud.physical("Subnet")])["Subnets"]
    assert (subnet["MapPublicIpOnLaunch"], subnet["AvailabilityZone"]) == (True, "us-east-1b")
    (table,) = ec2.describe_route_tables(RouteTableIds=[cloud.physical("Table")])["RouteTables"]
    assert [item["SubnetId"] for item in table["Associations"]] == [subnet["SubnetId"]]
    routes = {item.get("DestinationCidrBlock"): item.get("GatewayId") for item in table["Routes"]}
    assert routes["0.0.0.0/0"] == cloud.physical("Gateway")
    assert cloud.physical("Route") == f"{cloud.physical('Table')}|0.0.0.0/0"
    assert cloud.physical("Attachment") == f"IGW|{vpc_id}"
    (endpoint,) = ec2.describe_vpc_endpoints(VpcEndpointIds=[cloud.physical("Endpoint")])[
        "VpcEndpoints"
    ]
    assert (endpoint["ServiceName"], endpoint["VpcEndpointType"], endpoint["RouteTableIds"]) == (
        "com.amazonaws.us-east-1.s3",
        "Gateway",
        [cloud.physical("Table")],
    )
    assert json.loads(endpoint["PolicyDocument"]) == {"Version": "2012-10-17", "Statement": []}
    found = cloud.outputs()
    assert found["Group"] == cloud.physical("Group")
    assert (found["Zone"], found["Block"]) == ("us-east-1b", "10.1.0.0/16")
    assert found["Default"].startswith("sg-")
    for logical_id in ("Vpc", "Gateway", "Table", "Subnet", "Endpoint", "Group"):
        filters = [{"Name": "resource-id", "Values": [cloud.physical(logical_id)]}]
        tags = {item["Key"]: item["Value"] for item in ec2.describe_tags(Filters=filters)["Tags"]}
        assert tags["Project"] == "flyback", logical_id
        assert tags["aws:cloudformation:logical-id"] == logical_id
        assert tags["aws:cloudformation:stack-name"] == "demo"
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.inventory() == before


def test_a_security_group_has_exactly_the_declared_rules(cloud: Any) -> None:
    """Declared egress replaces the rule that lets everything out; taken away, it comes back."""
    cloud.create(NETWORK)
    found = own_group(cloud)
    assert found["IpPermissions"] == []
    assert [kept(item) for item in found["IpPermissionsEgress"]] == [kept(HTTPS)]
    two = NETWORK.replace(
        "Description: HTTPS}",
        "Description: HTTPS}\n"
        "        - {IpProtocol: tcp, FromPort: 80, ToPort: 80, CidrIp: 0.0.0.0/0}\n"
        "      SecurityGroupIngress:\n"
        "        - {IpProtocol: -1, SourceSecurityGroupId: !GetAtt Vpc.DefaultSecurityGroup}",
    )
    assert cloud.update(two) == "UPDATE_COMPLETE"
    found = own_group(cloud)
    assert sorted(item["FromPort"] for item in found["IpPermissionsEgress"]) == [80, 443]
    (ingress,) = found["IpPermissions"]
    assert ingress["UserIdGroupPairs"][0]["GroupId"] == cloud.outputs()["Default"]
    start, end = NETWORK.index("      SecurityGroupEgress"), NETWORK.index("Outputs:")
    assert cloud.update(NETWORK[:start] + NETWORK[end:]) == "UPDATE_COMPLETE"
    found = own_group(cloud)
    assert found["IpPermissions"] == []
    (everything,) = [kept(item) for item in found["IpPermissionsEgress"]]
    assert (everything["IpProtocol"], everything["IpRanges"]) == (
        "-1",
        [{"CidrIp": "0.0.0.0/0"}],
    )


def test_a_network_changes_in_place(cloud: Any) -> None:
    """Attributes, tags, the endpoint's policy and tables, without any new physical id."""
    cloud.create(NETWORK, Tags=TAGS)
    names = ("Vpc", "Subnet", "Endpoint", "Table")
    before = {name: cloud.physical(name) for name in names}
    changed = (
        NETWORK.replace("EnableDnsHostnames: true", "EnableDnsHostnames: false")
        .replace("MapPublicIpOnLaunch: true", "MapPublicIpOnLaunch: false")
        .replace("Value: net", "Value: renamed")
        .replace("RouteTableIds: [!Ref Table]", "RouteTableIds: []")
    )
    assert cloud.update(changed, Tags=[]) == "UPDATE_COMPLETE"
    assert {name: cloud.physical(name) for name in names} == before
    ec2 = cloud.client("ec2")
    found = ec2.describe_vpc_attribute(VpcId=before["Vpc"], Attribute="enableDnsHostnames")
    assert found["EnableDnsHostnames"]["Value"] is False
    (subnet,) = ec2.describe_subnets(SubnetIds=[before["Subnet"]])["Subnets"]
    assert subnet["MapPublicIpOnLaunch"] is False
    (vpc,) = ec2.describe_vpcs(VpcIds=[before["Vpc"]])["Vpcs"]
    tags = {item["Key"]: item["Value"] for item in vpc["Tags"]}
    assert tags["Name"] == "renamed"
    assert "Project" not in tags
    (endpoint,) = ec2.describe_vpc_endpoints(VpcEndpointIds=[before["Endpoint"]])["VpcEndpoints"]
    assert endpoint["RouteTableIds"] == []


def test_a_replaced_association_is_deleted_first(cloud: Any) -> None:
    """A subnet has one table: the schema asks to delete first; a rollback restores."""
    cloud.create(NETWORK)
    old = cloud.physical("Association")
    other = "  Other: {Type: AWS::EC2::RouteTable, Properties: {VpcId: !Ref Vpc}}\nOutputs:"
    moved = NETWORK.replace(
        "SubnetId: !Ref Subnet, RouteTableId: !Ref Table",
        "SubnetId: !Ref Subnet, RouteTableId: !Ref Other",
    ).replace("Outputs:", other)
    bad = (
        "  Bad: {Type: AWS::EC2::Subnet, DependsOn: Association, "
        "Properties: {VpcId: !Ref Vpc, CidrBlock: 10.1.0.0/24}}\nOutputs:"
    )
    assert cloud.update(moved.replace("Outputs:", bad)) == "UPDATE_ROLLBACK_COMPLETE"
    ec2 = cloud.client("ec2")

    def tables() -> list[str]:
        filters = [{"Name": "association.subnet-id", "Values": [cloud.physical("Subnet")]}]
        found = ec2.describe_route_tables(Filters=filters)["RouteTables"]
        return [item["RouteTableId"] for item in found]

    assert tables() == [cloud.physical("Table")]
    assert cloud.update(moved) == "UPDATE_COMPLETE"
    assert tables() == [cloud.physical("Other")]
    assert cloud.physical("Association") != old


def test_what_others_put_into_the_network_stops_its_deletion(cloud: Any) -> None:
    """A machine holds subnet and group, a foreign group holds the VPC; gone, the deletion ends."""
    cloud.create(NETWORK)
    stack_id = cloud.stack()["StackId"]
    ec2 = cloud.client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    (machine,) = ec2.run_instances(
        ImageId=image,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        SubnetId=cloud.physical("Subnet"),
        SecurityGroupIds=[cloud.physical("Group")],
    )["Instances"]
    foreign = ec2.create_security_group(
        GroupName="foreign", Description="d", VpcId=cloud.physical("Vpc")
    )["GroupId"]
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.status(stack_id) == "DELETE_FAILED"
    failed = {item[0]: item[2] for item in cloud.events() if item[1] == "DELETE_FAILED"}
    assert f"resource {cloud.physical('Group')} has a dependent object" in failed["Group"]
    assert "has dependencies and cannot be deleted." in failed["Subnet"]
    assert "mapped public address(es)" in failed["Attachment"]
    assert "Vpc" not in failed, "what they need is not even tried"
    ec2.terminate_instances(InstanceIds=[machine["InstanceId"]])
    cloud.call("DeleteStack", StackName="demo")
    failed = {item[0]: item[2] for item in cloud.events() if item[1] == "DELETE_FAILED"}
    assert "has dependencies and cannot be deleted." in failed["Vpc"]
    ec2.delete_security_group(GroupId=foreign)
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.status(stack_id) == "DELETE_COMPLETE"


def test_a_route_needs_an_attached_gateway(cloud: Any) -> None:
    """Without DependsOn the route may come before the attachment, and EC2 refuses it."""
    body = NETWORK.replace("    DependsOn: Attachment\n", "").replace(
        "  Attachment:\n", "  Attachment:\n    DependsOn: Endpoint\n"
    )
    assert cloud.create(body) == "ROLLBACK_COMPLETE"
    (failed,) = [item for item in cloud.events() if item[:2] == ("Route", "CREATE_FAILED")]
    assert "belong to different networks" in failed[2]


def test_an_interface_endpoint(cloud: Any) -> None:
    """Subnets, groups and private DNS reach the account; they change in place."""
    endpoint = """
  Private:
    Type: AWS::EC2::VPCEndpoint
    Properties:
      VpcId: !Ref Vpc
      VpcEndpointType: Interface
      ServiceName: !Sub com.amazonaws.${AWS::Region}.logs
      SubnetIds: [!Ref Subnet]
      SecurityGroupIds: [%s]
      PrivateDnsEnabled: true
Outputs:"""
    body = NETWORK.replace("\nOutputs:", endpoint)
    assert cloud.create(body % "!Ref Group") == "CREATE_COMPLETE"
    ec2 = cloud.client("ec2")

    def found() -> dict[str, Any]:
        ids = [cloud.physical("Private")]
        return dict(ec2.describe_vpc_endpoints(VpcEndpointIds=ids)["VpcEndpoints"][0])

    assert found()["SubnetIds"] == [cloud.physical("Subnet")]
    assert found()["PrivateDnsEnabled"] is True
    assert [item["GroupId"] for item in found()["Groups"]] == [cloud.physical("Group")]
    assert cloud.update(body % "!GetAtt Vpc.DefaultSecurityGroup") == "UPDATE_COMPLETE"
    assert [item["GroupId"] for item in found()["Groups"]] == [cloud.outputs()["Default"]]
    stack_id = cloud.stack()["StackId"]
    cloud.call("DeleteStack", StackName="demo")
    assert cloud.status(stack_id) == "DELETE_COMPLETE"
