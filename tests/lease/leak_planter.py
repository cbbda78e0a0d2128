"""Who plants things in an account: one of each kind that can linger, in somebody's name."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import boto3
from answered_here import Marks, PlacementGroups
from moto.cloudformation.models import cloudformation_backends
from moto.core import DEFAULT_ACCOUNT_ID

REGION = "us-east-1"
OURS = "flyback"
SPARE = "spare"
ALARM: dict[str, Any] = {
    "ComparisonOperator": "GreaterThanThreshold",
    "EvaluationPeriods": 1,
    "MetricName": "x",
    "Namespace": "y",
    "Period": 60,
    "Statistic": "Sum",
    "Threshold": 1,
}


def _manifest(layer: str) -> str:
    """An image of one layer."""
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    parts = [
        {"mediaType": "x", "size": 1, "digest": f"sha256:{hashlib.sha256(n).hexdigest()}"}
        for n in (b"config", layer.encode())
    ]
    return json.dumps(
        {"schemaVersion": 2, "mediaType": kind, "config": parts[0], "layers": parts[1:]}
    )


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
        self._disks: dict[str, str] = {}
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
        """Stopped, with a disk that is not deleted with it."""
        ec2 = self.client("ec2")
        answer = ec2.run_instances(
            ImageId=self.image,
            MinCount=1,
            MaxCount=1,
            InstanceType="t3.micro",
            TagSpecifications=[*self.tags(name, "instance"), *self.tags(name, "volume")],
            BlockDeviceMappings=[
                {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": False}}
            ],
        )
        instance = str(answer["Instances"][0]["InstanceId"])
        ec2.stop_instances(InstanceIds=[instance])
        (described,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
        disks = described["Instances"][0]["BlockDeviceMappings"]
        (self._disks[name],) = (
            item["Ebs"]["VolumeId"] for item in disks if not item["Ebs"]["DeleteOnTermination"]
        )
        return instance

    def disk_of_a_stopped_instance(self, name: str) -> str:
        return self._disks[name]

    def volume(self, name: str) -> str:
        answer = self.client("ec2").create_volume(AvailabilityZone=self.zone, Size=1)
        return self.tagged(name, answer["VolumeId"])

    def plant(self, kind: str, name: str) -> str:
        """The identifier by which it is found."""
        make: Callable[[str], str] = getattr(self, kind.lower().replace(" ", "_").replace("-", "_"))
        return make(name)

    def spot_request(self, name: str) -> str:
        answer = self.client("ec2").request_spot_instances(
            SpotPrice="0.01",
            Type="persistent",
            LaunchSpecification={"ImageId": self.image, "InstanceType": "t3.micro"},
        )
        request = answer["SpotInstanceRequests"][0]
        return self.tagged(name, request["SpotInstanceRequestId"])

    def spot_fleet_request(self, name: str) -> str:
        answer = self.client("ec2").request_spot_fleet(
            SpotFleetRequestConfig={
                "IamFleetRole": "arn:aws:iam::123456789012:role/fleet",
                "AllocationStrategy": "lowestPrice",
                "TargetCapacity": 1,
                "SpotPrice": "0.1",
                "LaunchSpecifications": [
                    {
                        "ImageId": self.image,
                        "InstanceType": "t3.micro",
                        "SubnetId": self._default_subnet,
                    }
                ],
                "TagSpecifications": self.tags(name, "spot-fleet-request"),
            }
        )
        return str(answer["SpotFleetRequestId"])

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
        """An interface endpoint, which costs by the hour; gateways cost nothing."""
        answer = self.client("ec2").create_vpc_endpoint(
            VpcId=self._default_vpc,
            VpcEndpointType="Interface",
            ServiceName=f"com.amazonaws.{REGION}.ssm",
            SubnetIds=[self._default_subnet],
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
            state="ENABLED",
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
            state="ENABLED",
            priority=1,
            computeEnvironmentOrder=[
                {"order": 1, "computeEnvironment": environments[0]["computeEnvironmentArn"]}
            ],
        )
        return f"{name}-left-queue"

    def job_definition(self, name: str, memory: int = 128) -> str:
        answer = self.client("batch").register_job_definition(
            jobDefinitionName=f"{name}-left-job",
            tags={"flyback:name": name},
            type="container",
            containerProperties={"image": "busybox", "vcpus": 1, "memory": memory},
        )
        return str(answer["jobDefinitionArn"])

    def second_revision(self, name: str) -> str:
        return self.job_definition(name, 256)

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
        """With published versions, of which each is billed for its storage."""
        function = self.function_called(f"{name}-left", {"flyback:name": name})
        self.client("lambda").publish_version(FunctionName=function)
        return function

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
        """With an image that a later push has left without a tag."""
        ecr = self.client("ecr")
        made = ecr.create_repository(repositoryName=f"{name}-left")
        for layer in ("a", "b"):
            ecr.put_image(
                repositoryName=f"{name}-left", imageManifest=_manifest(layer), imageTag="latest"
            )
        self.marks.names[made["repository"]["repositoryArn"]] = name
        return f"{name}-left"

    def identity_provider(self, name: str) -> str:
        # an account holds one of each URL: nobody else has a twin
        ours = name in (OURS, SPARE)
        issuer = "token.actions.githubusercontent.com" if ours else "issuer.test"
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

    def parameter(self, name: str) -> str:
        parameter = f"/left/by/{name}"
        self.client("ssm").put_parameter(
            Name=parameter, Value="x", Type="String", Tags=self.pairs(name)
        )
        return parameter

    def pending_secret(self, name: str) -> str:
        """Deleted, and to be had back for a week."""
        secrets = self.client("secretsmanager")
        secrets.create_secret(Name=f"{name}-gone", SecretString="x", Tags=self.pairs(name))
        secrets.delete_secret(SecretId=f"{name}-gone", RecoveryWindowInDays=7)
        return f"{name}-gone"

    def stack(self, name: str) -> str:
        template = {"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}
        self.client("cloudformation").create_stack(
            StackName=f"{name}-old", TemplateBody=json.dumps(template), Tags=self.pairs(name)
        )
        state = cloudformation_backends[DEFAULT_ACCOUNT_ID][REGION]
        state.get_stack(f"{name}-old").status = "DELETE_FAILED"
        return f"{name}-old"

    def bucket(self, name: str) -> str:
        bucket = f"{name}-outputs-123456789012-{REGION}"
        self.client("s3").create_bucket(Bucket=bucket)
        self.client("s3").put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": self.pairs(name)})
        s3 = self.client("s3")
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for key in ("runs/x", "runs/with a space"):
            for body in (b"older", b"newer"):
                s3.put_object(Bucket=bucket, Key=key, Body=body)
        s3.delete_object(Bucket=bucket, Key="runs/x")  # leaves a marker, and both versions
        return bucket

    def multipart_upload(self, name: str) -> str:
        bucket = f"{name}-outputs-123456789012-{REGION}"
        key = "runs/r/big one"
        answer = self.client("s3").create_multipart_upload(Bucket=bucket, Key=key)
        return f"{bucket}/{key}#{answer['UploadId']}"
