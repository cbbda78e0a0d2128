"""Lambda's API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.functions.invocations import Invocations
from flyback.rehearsal.functions.state import Code, Function, Registry, name_in
from flyback.rehearsal.functions.workshop import Workshop
from flyback.rehearsal.moto_state import LOCK, backend
from flyback.rehearsal.whole import check_given, operations_of

__all__ = ["LambdaGap"]

_CONFIGURATION = frozenset(
    {
        "Description",
        "Environment",
        "Handler",
        "LoggingConfig",
        "MemorySize",
        "Role",
        "Runtime",
        "Timeout",
    }
)
_CREATION = _CONFIGURATION | {"Architectures", "Code", "FunctionName", "PackageType", "Tags"}
_TAKEN: Mapping[str, frozenset[str]] = {
    "CreateFunction": _CREATION,
    "UpdateFunctionConfiguration": _CONFIGURATION | {"FunctionName"},
    "UpdateFunctionCode": frozenset({"FunctionName", "S3Bucket", "S3Key", "ZipFile"}),
    "Invoke": frozenset({"FunctionName", "InvocationType", "LogType", "Payload"}),
    "AddPermission": frozenset(
        {"Action", "FunctionName", "Principal", "SourceAccount", "SourceArn", "StatementId"}
    ),
}
"""Parameters that do what AWS says; any other that is given is refused, not dropped."""


class LambdaGap:
    """Lambda in place of moto's, which needs a container engine or returns canned answers.

    Args:
        registry: All functions.
        invocations: Runs them.
        workshop: Told when one is deleted.
        clients: Service and region → boto3 client that fetches code on the caller's behalf.
        now: Simulated seconds since the epoch.
    """

    service = "lambda"

    def __init__(
        self,
        registry: Registry,
        invocations: Invocations,
        workshop: Workshop,
        clients: Callable[[str, str], Any],
        now: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._invocations = invocations
        self._workshop = workshop
        self._clients = clients
        self._now = now
        self._answers: dict[str, Callable[[Call], Mapping[str, Any] | Response]] = {
            "AddPermission": self._add_permission,
            "CreateFunction": self._create,
            "DeleteFunction": self._delete,
            "GetFunction": self._get_function,
            "GetFunctionConfiguration": lambda call: self._function(call).describe(),
            "GetPolicy": self._get_policy,
            "Invoke": self._invoke,
            "ListFunctions": self._list,
            "ListTags": lambda call: {"Tags": dict(self._tagged(call).tags)},
            "RemovePermission": self._remove_permission,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "UpdateFunctionCode": self._update_code,
            "UpdateFunctionConfiguration": self._update_configuration,
        }
        self.operations = operations_of("lambda")

    def answer(
        self,
        call: Call,
        forward: Callable[[Call], Response],  # noqa: ARG002  # never moto's
    ) -> Mapping[str, Any] | Response:
        check_given(call, self._answers, _TAKEN)
        return self._answers[call.operation](call)

    def _create(self, call: Call) -> Mapping[str, Any]:
        given, name = call.params, name_in(call.params["FunctionName"])
        if self._registry.find(call.region, name) is not None:
            raise AwsError("ResourceConflictException", f"Function already exist: {name}", 409)
        if given.get("PackageType", "Zip") != "Zip":
            raise AwsError("NotEmulated", "functions from container images are not emulated", 501)
        function = Function(
            name=name,
            arn=_arn(call, name),
            region=call.region,
            settings=_settings(given, {"Architectures", *_CONFIGURATION}),
            code=self._code(call, given.get("Code", {})),
            modified=self._now(),
            tags=dict(given.get("Tags") or {}),
        )
        _check(function)
        return self._registry.put(function).describe()

    def _update_code(self, call: Call) -> Mapping[str, Any]:
        code = self._code(call, call.params)
        return self._registry.change(self._function(call), self._now(), code=code).describe()

    def _update_configuration(self, call: Call) -> Mapping[str, Any]:
        function = self._function(call)
        settings = {**function.settings, **_settings(call.params, _CONFIGURATION)}
        _check(replace(function, settings=settings))
        return self._registry.change(function, self._now(), settings=settings).describe()

    def _delete(self, call: Call) -> Mapping[str, Any]:
        function = self._function(call)
        self._registry.remove(function)
        self._workshop.forget(function.arn)
        return {}

    def _get_function(self, call: Call) -> Mapping[str, Any]:
        function = self._function(call)
        return {
            "Configuration": function.describe(),
            "Code": {"RepositoryType": "S3", "Location": f"{function.arn}/code"},
            "Tags": dict(function.tags),
        }

    def _list(self, call: Call) -> Mapping[str, Any]:
        return {"Functions": [one.describe() for one in self._registry.all(call.region)]}

    def _invoke(self, call: Call) -> Response:
        function = self._function(call)
        event = call.params.get("Payload") or b"{}"
        event = event.encode() if isinstance(event, str) else bytes(event)
        try:
            json.loads(event)
        except ValueError as error:
            raise AwsError(
                "InvalidRequestContentException", f"Could not parse request body into json: {error}"
            ) from error
        kind = call.params.get("InvocationType", "RequestResponse")
        if kind == "DryRun":
            return Response(status=204)
        if kind == "Event":
            return _invoked(202, b"", self._invocations.queue(function, event))
        outcome = self._invocations.run(function, event)
        headers = [("X-Amz-Executed-Version", "$LATEST")]
        if outcome.error:
            headers.append(("X-Amz-Function-Error", "Unhandled"))
        return Response(status=200, headers=tuple(headers), body=outcome.payload)

    def _add_permission(self, call: Call) -> Mapping[str, Any]:
        function, given = self._function(call), call.params
        identifier = given["StatementId"]
        if identifier in function.policy:
            raise AwsError(
                "ResourceConflictException",
                f"The statement id ({identifier}) provided already exists. Please provide a new "
                "statement id, or remove the existing statement.",
                409,
            )
        conditions: dict[str, Any] = {}
        if given.get("SourceAccount"):
            conditions["StringEquals"] = {"AWS:SourceAccount": given["SourceAccount"]}
        if given.get("SourceArn"):
            conditions["ArnLike"] = {"AWS:SourceArn": given["SourceArn"]}
        principal = given["Principal"]
        statement = {
            "Sid": identifier,
            "Effect": "Allow",
            "Principal": {"Service": principal} if "." in principal else {"AWS": principal},
            "Action": given["Action"],
            "Resource": function.arn,
            **({"Condition": conditions} if conditions else {}),
        }
        self._policy(function, {**function.policy, identifier: statement})
        return {"Statement": json.dumps(statement)}

    def _remove_permission(self, call: Call) -> Mapping[str, Any]:
        function, identifier = self._function(call), call.params["StatementId"]
        if identifier not in function.policy:
            raise AwsError("ResourceNotFoundException", f"Statement {identifier} is not found", 404)
        kept = {key: value for key, value in function.policy.items() if key != identifier}
        self._policy(function, kept)
        return {}

    def _get_policy(self, call: Call) -> Mapping[str, Any]:
        function = self._function(call)
        if not function.policy:
            raise AwsError(
                "ResourceNotFoundException", "The resource you requested does not exist.", 404
            )
        policy = json.dumps(function.document)
        return {"Policy": policy, "RevisionId": f"{function.revision:08d}"}

    def _policy(self, function: Function, policy: Mapping[str, Any]) -> None:
        """Another resource policy; it leaves warm environments as they are."""
        self._registry.put(replace(function, policy=policy))

    def _tag(self, call: Call) -> Mapping[str, Any]:
        function = self._tagged(call)
        tags = {**function.tags, **call.params["Tags"]}
        self._registry.put(replace(function, tags=tags))
        return {}

    def _untag(self, call: Call) -> Mapping[str, Any]:
        function = self._tagged(call)
        gone = set(call.params["TagKeys"])
        tags = {key: text for key, text in function.tags.items() if key not in gone}
        self._registry.put(replace(function, tags=tags))
        return {}

    def _function(self, call: Call) -> Function:
        named = str(call.params.get("FunctionName", ""))
        return self._registry.get(call.region, named, _arn(call, name_in(named)))

    def _tagged(self, call: Call) -> Function:
        arn = str(call.params.get("Resource", ""))
        return self._registry.get(call.region, arn, arn)

    def _code(self, call: Call, given: Mapping[str, Any]) -> Code:
        if given.get("ZipFile"):
            code = Code(bytes(given["ZipFile"]))
        else:
            code = Code(self._fetch(call, given.get("S3Bucket", ""), given.get("S3Key", "")))
        code.check()
        return code

    def _fetch(self, call: Call, bucket: str, key: str) -> bytes:
        if not bucket or not key:
            raise AwsError(
                "InvalidParameterValueException", "Please provide a source for function code."
            )
        try:
            answer = self._clients("s3", call.region).get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            refused = error.response["Error"]
            raise AwsError(
                "InvalidParameterValueException",
                f"Error occurred while GetObject. S3 Error Code: {refused['Code']}. "
                f"S3 Error Message: {refused['Message']}",
            ) from error
        return bytes(answer["Body"].read())


def _settings(given: Mapping[str, Any], names: set[str] | frozenset[str]) -> dict[str, Any]:
    return {key: given[key] for key in sorted(names) if given.get(key) is not None}


def _arn(call: Call, name: str) -> str:
    return f"arn:aws:lambda:{call.region}:{call.account}:function:{name}"


def _check(function: Function) -> None:
    """What Lambda asks of a function's settings.

    Raises:
        AwsError: they don't make a function.
    """
    runtime = str(function.get("Runtime"))
    if not runtime.startswith("python3."):
        raise AwsError("NotEmulated", f"the runtime {runtime} is not emulated", 501)
    with LOCK:
        roles = {role.arn: role for role in backend("iam", "global").roles.values()}
    role = roles.get(function.get("Role"))
    if role is None or "lambda.amazonaws.com" not in str(role.assume_role_policy_document):
        raise AwsError(
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        )


def _invoked(status: int, body: bytes, request_id: str) -> Response:
    return Response(status=status, headers=(("x-amzn-RequestId", request_id),), body=body)
