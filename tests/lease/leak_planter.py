"""Who plants things in an account: one of each kind that can linger, in somebody's name."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3

REGION = "us-east-1"
OURS = "flyback"
ALARM: dict[str, Any] = {
    "ComparisonOperator": "GreaterThanThreshold",
    "EvaluationPeriods": 1,
    "MetricName": "x",
    "Namespace": "y",
    "Period": 60,
    "Statistic": "Sum",
    "Threshold": 1,
}


class PlacementGroups:
    """What EC2 answers about them; moto knows none."""

    def __init__(self) -> None:
        self.held: dict[str, list[dict[str, str]]] = {}

    def answer(self, client: Any) -> None:
        """Stand in for the service in a client."""
        events, done = client.meta.events, SimpleNamespace(status_code=200)

        def listed(**_: Any) -> Any:
            named = ({"GroupName": name, "Tags": tags} for name, tags in self.held.items())
            return done, {"PlacementGroups": list(named)}

        def deleted(params: Any, **_: Any) -> Any:
            del self.held[params["body"]["GroupName"]]
            return done, {}

        events.register("before-call.ec2.DescribePlacementGroups", listed)
        events.register("before-call.ec2.DeletePlacementGroup", deleted)


class Marks:
    """Tags that moto's GetResources leaves out; AWS's names every kind of resource."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._asked = ""

    def answer(self, client: Any) -> None:
        """Add what is marked to what a client is told."""

        def asked(params: Any, **_: Any) -> None:
            (self._asked,) = params["TagFilters"][0]["Values"]

        def told(parsed: Any, **_: Any) -> None:
            parsed["ResourceTagMappingList"] += [
                {"ResourceARN": arn, "Tags": [{"Key": "flyback:name", "Value": name}]}
                for arn, name in self.names.items()
                if name == self._asked
            ]

        service = "resource-groups-tagging-api.GetResources"
        client.meta.events.register(f"before-parameter-build.{service}", asked)
        client.meta.events.register(f"after-call.{service}", told)


class Planter:
    """Makes one thing of each kind, in somebody's name.

    All carry the deployment's tag. What needs no name of ours has another: names of ours are
    somebody else's here.
    """

    def __init__(self) -> None:
        self.marks = Marks()
        self._clients: dict[str, Any] = {}
        ec2 = self.client("ec2")
        self._vpcs: dict[str, str] = {}
        self.placement = PlacementGroups()
        self._default_vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        self._default_subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        self.zone = f"{REGION}a"
        self.image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service, region_name=REGION, aws_access_key_id="k", aws_secret_access_key="s"
            )
        return self._clients[service]

    def tags(self, name: str, kind: str) -> list[dict[str, Any]]:
        pairs = [{"Key": "flyback:name", "Value": name}]
        return [{"ResourceType": kind, "Tags": pairs}]

    def pairs(self, name: str) -> list[dict[str, str]]:
        return [{"Key": "flyback:name", "Value": name}]

    def signature(self, name: str, region: str = REGION) -> list[dict[str, str]]:
        return [*self.pairs(name), {"Key": "flyback:region", "Value": region}]

    def tagged(self, name: str, identifier: str) -> str:
        self.client("ec2").create_tags(Resources=[identifier], Tags=self.pairs(name))
        return identifier

    def instance(self, name: str) -> str:
        answer = self.client("ec2").run_instances(
            ImageId=self.image,
            MinCount=1,
            MaxCount=1,
            InstanceType="t3.micro",
            TagSpecifications=self.tags(name, "instance"),
        )
        return str(answer["Instances"][0]["InstanceId"])

    def volume(self, name: str) -> str:
        answer = self.client("ec2").create_volume(AvailabilityZone=self.zone, Size=1)
        return self.tagged(name, answer["VolumeId"])

    def plant(self, kind: str, name: str) -> str:
        """The identifier by which it is found."""
        make: Callable[[str], str] = getattr(self, kind.lower().replace(" ", "_"))
        return make(name)

    def spot_request(self, name: str) -> str:
        answer = self.client("ec2").request_spot_instances(
            SpotPrice="0.01",
            Type="persistent",
            LaunchSpecification={"ImageId": self.image, "InstanceType": "t3.micro"},
        )
        request = answer["SpotInstanceRequests"][0]
        return self.tagged(name, request["SpotInstanceRequestId"])

    def fleet(self, name: str) -> str:
        ec2 = self.client("ec2")
        template = ec2.create_launch_template(
            LaunchTemplateName=f"{name}-of-fleet",
            LaunchTemplateData={"ImageId": self.image, "InstanceType": "t3.micro"},
        )["LaunchTemplate"]["LaunchTemplateId"]
        answer = ec2.create_fleet(
            Type="maintain",
            LaunchTemplateConfigs=[
                {"LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "1"}}
            ],
            TargetCapacitySpecification={
                "TotalTargetCapacity": 1,
                "DefaultTargetCapacityType": "on-demand",
            },
            TagSpecifications=self.tags(name, "fleet"),
        )
        return str(answer["FleetId"])

    def snapshot(self, name: str) -> str:
        volume = self.client("ec2").create_volume(AvailabilityZone=self.zone, Size=1)["VolumeId"]
        return self.tagged(name, self.client("ec2").create_snapshot(VolumeId=volume)["SnapshotId"])

    def machine_image(self, name: str) -> str:
        source = self.client("ec2").run_instances(ImageId=self.image, MinCount=1, MaxCount=1)
        instance = source["Instances"][0]["InstanceId"]
        answer = self.client("ec2").create_image(InstanceId=instance, Name=f"{name}-image")
        return self.tagged(name, answer["ImageId"])

    def elastic_ip(self, name: str) -> str:
        return self.tagged(name, self.client("ec2").allocate_address(Domain="vpc")["AllocationId"])

    def network_interface(self, name: str) -> str:
        answer = self.client("ec2").create_network_interface(SubnetId=self._default_subnet)
        return self.tagged(name, answer["NetworkInterface"]["NetworkInterfaceId"])

    def security_group(self, name: str) -> str:
        answer = self.client("ec2").create_security_group(
            GroupName=f"{name}-group", Description="x", VpcId=self._default_vpc
        )
        return self.tagged(name, answer["GroupId"])

    def launch_template(self, name: str) -> str:
        answer = self.client("ec2").create_launch_template(
            LaunchTemplateName=f"{name}-template",
            LaunchTemplateData={"InstanceType": "t3.micro"},
            TagSpecifications=self.tags(name, "launch-template"),
        )
        return str(answer["LaunchTemplate"]["LaunchTemplateId"])

    def key_pair(self, name: str) -> str:
        self.client("ec2").create_key_pair(
            KeyName=f"{name}-key", TagSpecifications=self.tags(name, "key-pair")
        )
        return f"{name}-key"

    def nat_gateway(self, name: str) -> str:
        address = self.client("ec2").allocate_address(Domain="vpc")["AllocationId"]
        answer = self.client("ec2").create_nat_gateway(
            SubnetId=self._default_subnet, AllocationId=address
        )
        return self.tagged(name, answer["NatGateway"]["NatGatewayId"])

    def vpc_endpoint(self, name: str) -> str:
        answer = self.client("ec2").create_vpc_endpoint(
            VpcId=self._default_vpc,
            VpcEndpointType="Gateway",
            ServiceName=f"com.amazonaws.{REGION}.s3",
        )
        return self.tagged(name, answer["VpcEndpoint"]["VpcEndpointId"])

    def placement_group(self, name: str) -> str:
        self.placement.held[f"{name}-group"] = self.pairs(name)
        return f"{name}-group"

    def _vpc(self, name: str) -> str:
        """Of its own: what hangs on it goes before it."""
        if name not in self._vpcs:
            answer = self.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")
            self._vpcs[name] = self.tagged(name, answer["Vpc"]["VpcId"])
        return self._vpcs[name]

    def vpc(self, name: str) -> str:
        return self._vpc(name)

    def subnet(self, name: str) -> str:
        answer = self.client("ec2").create_subnet(VpcId=self._vpc(name), CidrBlock="10.9.1.0/24")
        return self.tagged(name, answer["Subnet"]["SubnetId"])

    def route_table(self, name: str) -> str:
        answer = self.client("ec2").create_route_table(VpcId=self._vpc(name))
        return self.tagged(name, answer["RouteTable"]["RouteTableId"])

    def internet_gateway(self, name: str) -> str:
        answer = self.client("ec2").create_internet_gateway()["InternetGateway"]
        gateway = str(answer["InternetGatewayId"])
        return self.tagged(name, gateway)

    def compute_environment(self, name: str) -> str:
        role = self.client("iam").create_role(
            RoleName=f"of-{name}-batch", AssumeRolePolicyDocument="{}"
        )["Role"]["Arn"]
        self.client("batch").create_compute_environment(
            computeEnvironmentName=f"{name}-left-hosts",
            type="UNMANAGED",
            state="DISABLED",
            serviceRole=role,
            tags={"flyback:name": name},
        )
        return f"{name}-left-hosts"

    def job_queue(self, name: str) -> str:
        environments = self.client("batch").describe_compute_environments(
            computeEnvironments=[f"{name}-left-hosts"]
        )["computeEnvironments"]
        self.client("batch").create_job_queue(
            jobQueueName=f"{name}-left-queue",
            tags={"flyback:name": name},
            state="DISABLED",
            priority=1,
            computeEnvironmentOrder=[
                {"order": 1, "computeEnvironment": environments[0]["computeEnvironmentArn"]}
            ],
        )
        return f"{name}-left-queue"

    def job_definition(self, name: str) -> str:
        answer = self.client("batch").register_job_definition(
            jobDefinitionName=f"{name}-left-job",
            tags={"flyback:name": name},
            type="container",
            containerProperties={"image": "busybox", "vcpus": 1, "memory": 128},
        )
        return str(answer["jobDefinitionArn"])

    def load_balancer(self, name: str) -> str:
        subnets = self.client("ec2").describe_subnets()["Subnets"][:2]
        answer = self.client("elbv2").create_load_balancer(
            Name=f"{name}-left",
            Subnets=[item["SubnetId"] for item in subnets],
            Tags=self.pairs(name),
        )
        arn = answer["LoadBalancers"][0]["LoadBalancerArn"]
        return str(arn)

    def log_group(self, name: str) -> str:
        group = f"/left/by/{name}"
        self.client("logs").create_log_group(logGroupName=group, tags={"flyback:name": name})
        return group

    def alarm(self, name: str) -> str:
        self.client("cloudwatch").put_metric_alarm(
            AlarmName=f"{name}-left",
            Tags=self.pairs(name),
            **ALARM,
        )
        return f"{name}-left"

    def dashboard(self, name: str) -> str:
        self.client("cloudwatch").put_dashboard(
            DashboardName=f"{name}-left", DashboardBody=json.dumps({"widgets": []})
        )
        self.marks.names[f"arn:aws:cloudwatch::123456789012:dashboard/{name}-left"] = name
        return f"{name}-left"

    def topic(self, name: str) -> str:
        made = self.client("sns").create_topic(Name=f"{name}-left", Tags=self.pairs(name))
        return str(made["TopicArn"])

    def subscription(self, name: str) -> str:
        made = self.client("sns").create_topic(Name=f"{name}-told", Tags=self.pairs(name))
        topic = made["TopicArn"]
        answer = self.client("sns").subscribe(
            TopicArn=topic, Protocol="email", Endpoint="a@b.example", ReturnSubscriptionArn=True
        )
        return str(answer["SubscriptionArn"])

    def schedule_group(self, name: str) -> str:
        made = self.client("scheduler").create_schedule_group(Name=f"left-{name}")
        self.marks.names[made["ScheduleGroupArn"]] = name
        return f"left-{name}"

    def schedule(self, name: str) -> str:
        self.client("scheduler").create_schedule(
            Name=f"{name}-run-deadline",
            GroupName=f"left-{name}",
            ScheduleExpression="at(2030-01-01T00:00:00)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": "arn:aws:lambda:us-east-1:1:function:f", "RoleArn": "arn:aws:iam::1:r"},
        )
        return f"{name}-run-deadline"

    def event_rule(self, name: str) -> str:
        made = self.client("events").put_rule(
            Name=f"{name}-left", ScheduleExpression="rate(1 hour)"
        )
        self.marks.names[made["RuleArn"]] = name
        return f"{name}-left"

    def function(self, name: str) -> str:
        return self.function_called(f"{name}-left", {"flyback:name": name})

    def function_called(self, function: str, tags: dict[str, str]) -> str:
        role = self.client("iam").create_role(
            RoleName=f"of-{function}", AssumeRolePolicyDocument="{}"
        )["Role"]["Arn"]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("f.py", "")
        self.client("lambda").create_function(
            FunctionName=function,
            Runtime="python3.13",
            Role=role,
            Handler="f.f",
            Code={"ZipFile": code.getvalue()},
            Tags=tags,
        )
        return function

    def repository(self, name: str) -> str:
        made = self.client("ecr").create_repository(repositoryName=f"{name}-left")
        self.marks.names[made["repository"]["repositoryArn"]] = name
        return f"{name}-left"

    def identity_provider(self, name: str) -> str:
        # an account holds one of each URL: nobody else has a twin
        issuer = "token.actions.githubusercontent.com" if name == OURS else "issuer.test"
        answer = self.client("iam").create_open_id_connect_provider(
            Url=f"https://{issuer}", Tags=self.signature(name)
        )
        return str(answer["OpenIDConnectProviderArn"])

    def role(self, name: str) -> str:
        return self._role(name, "Role", REGION)

    def _role(self, name: str, what: str, region: str) -> str:
        role = f"{name}-core-{what}"
        self.client("iam").create_role(
            RoleName=role, AssumeRolePolicyDocument="{}", Tags=self.signature(name, region)
        )
        policy = {"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}
        self.client("iam").put_role_policy(
            RoleName=role,
            PolicyName="p",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [policy]}),
        )
        return role

    def instance_profile(self, name: str) -> str:
        return self._profile(name, "Profile", self._role(name, "RoleOfProfile", REGION))

    def _profile(self, name: str, what: str, role: str) -> str:
        profile = f"{name}-core-{what}"
        iam = self.client("iam")
        iam.create_instance_profile(InstanceProfileName=profile)
        iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)
        return profile

    def elsewhere(self, name: str) -> list[str]:
        """What a deployment of the same name in another region has in no region."""
        role = self._role(name, "RoleElsewhere", "eu-west-1")
        return [role, self._profile(name, "ProfileElsewhere", role)]

    def secret(self, name: str) -> str:
        self.client("secretsmanager").create_secret(
            Name=f"{name}-secret", SecretString="x", Tags=self.pairs(name)
        )
        return f"{name}-secret"

    def stack(self, name: str) -> str:
        template = {"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}
        self.client("cloudformation").create_stack(
            StackName=f"{name}-old", TemplateBody=json.dumps(template), Tags=self.pairs(name)
        )
        return f"{name}-old"

    def bucket(self, name: str) -> str:
        bucket = f"{name}-outputs-123456789012-{REGION}"
        self.client("s3").create_bucket(Bucket=bucket)
        self.client("s3").put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": self.pairs(name)})
        self.client("s3").put_object(Bucket=bucket, Key="runs/x", Body=b"x")
        return bucket

    def multipart_upload(self, name: str) -> str:
        bucket = f"{name}-outputs-123456789012-{REGION}"
        answer = self.client("s3").create_multipart_upload(Bucket=bucket, Key="runs/r/big")
        return f"{bucket}/runs/r/big#{answer['UploadId']}"
