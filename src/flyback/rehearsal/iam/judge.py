"""Every question that the emulated account's IAM was asked, and its answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from flyback.audit.iam import (
    Asked,
    Attached,
    Called,
    Decision,
    Need,
    Principal,
    Request,
    UnmappedError,
    evaluate,
    needs,
)
from flyback.audit.iam.handlers import Handled, Verb, handler_needs
from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.iam.attached import attached, described, policies_for
from flyback.rehearsal.iam.denials import denial
from flyback.rehearsal.iam.facts import AccountFacts
from flyback.rehearsal.identities import Signer
from flyback.rehearsal.moto_state import LOCK
from flyback.rehearsal.serialising import error_code_of
from flyback.rehearsal.web_identity import WebIdentity

__all__ = ["Asked", "Judge"]

Context = Mapping[str, str | tuple[str, ...]]

# What a service does under its own name, judged by the resource's policy. Whatever else the
# emulated services ask of the account, they know: AWS's own do not call each other's public API.
_AS_SERVICE = frozenset({("sts", "AssumeRole"), ("lambda", "Invoke"), ("sns", "Publish")})
_DELEGATED = "cloudformation"  # acts with its caller's permissions (forward access sessions)
# S3 says 404 only to those who may list the bucket (API reference, GetObject, "Permissions").
_HIDES_ABSENCE = frozenset({"GetObject", "HeadObject"})
_NOT_FOUND = 404


class Judge:
    """Decides calls by the account's policies.

    Args:
        now: Simulated seconds since the epoch.

    Attributes:
        secure: Whether clients are taken to speak TLS (`aws:SecureTransport`).
        resource_policies: Service → ARN → the policy of a resource that our own parts keep.
        kept_policies: All of these, by ARN.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._asked: list[Asked] = []
        self._stack_caller: Signer | None = None
        # Clients of the real AWS speak TLS; only the loopback port here does not.
        self.secure = True
        self.resource_policies: dict[str, Callable[[str], Mapping[str, Any] | None]] = {}
        self.kept_policies: Callable[[], Mapping[str, Mapping[str, Any]]] = dict

    def asked(self, *, after: int = 0) -> tuple[Asked, ...]:
        """Every question, in order of the requests.

        Args:
            after: Only those of requests that arrived after this number.
        """
        with self._lock:
            found = [item for item in self._asked if item.number > after]
        return tuple(sorted(found, key=lambda item: item.number))

    def attached(self) -> tuple[Attached, ...]:
        """Every policy of the account as it is now: of roles, users, buckets and functions."""
        kept = self.kept_policies()
        with LOCK:
            return attached(kept)

    def check(self, call: Call, signer: Signer) -> None:
        """Let a call pass, or refuse it.

        Raises:
            AwsError: AWS's own refusal; or the table does not know the operation.
        """
        with LOCK:
            principal, session, extra = self._subject(call, signer)
            if principal is None:
                return
            try:
                questions = needs(_called(call), AccountFacts(call.region))
            except UnmappedError as error:
                self._note(
                    call,
                    principal,
                    Need(action="", resource=""),
                    Decision(allowed=principal.kind == "root", reason="allowed", layer="identity"),
                )
                if principal.kind == "root":
                    return
                raise AwsError("NotEmulated", f"{error.what}: {error.remedy}", 501) from error
            for need in questions:
                self._decide(call, principal, session, _with(need, extra))

    def check_handler(self, handled: Handled, verb: Verb, number: int) -> None:
        """Ask who called CloudFormation for what AWS's handlers do, call by call, and ours don't.

        Args:
            handled: What is worked on.
            verb: How.
            number: Of the latest request.

        Raises:
            AwsError: AWS's own refusal, of the service that would be called.
        """
        signer = self._stack_caller
        if signer is None or described(signer.principal, signer.session).kind == "root":
            return
        for need in handler_needs(handled, verb):
            call = Call(
                number=number,
                service=need.action.partition(":")[0],
                operation=f"{verb} {handled.type}",
                region=handled.region,
                account=handled.account,
                principal=signer.principal,
                via=_DELEGATED,
            )
            with LOCK:
                principal, session, extra = self._subject(call, signer)
                if principal is not None:
                    self._decide(call, principal, session, _with(need, extra))

    def check_token(self, call: Call, identity: WebIdentity) -> None:
        """Let the bearer of a token pass, or refuse them: the role's trust decides alone.

        Raises:
            AwsError: AWS's own refusal.
        """
        with LOCK:
            principal = Principal.from_arn(identity.provider)
            extra = {**self._environment(call, None), **identity.context()}
            for need in needs(_called(call), AccountFacts(call.region)):
                self._decide(call, principal, None, _with(need, extra))

    def after(self, call: Call, signer: Signer, response: Response) -> None:
        """Hide from those who may not list a bucket what it does not hold.

        Raises:
            AwsError: AWS's own refusal, in place of 404.
        """
        hidden = call.service == "s3" and call.operation in _HIDES_ABSENCE
        if not hidden or response.status != _NOT_FOUND:
            return
        if error_code_of(response) == "NoSuchBucket":
            return
        with LOCK:
            principal, session, extra = self._subject(call, signer)
            if principal is not None:
                bucket = f"arn:aws:s3:::{call.params.get('Bucket')}"
                need = Need(action="s3:ListBucket", resource=bucket)
                self._decide(call, principal, session, _with(need, extra))

    def _decide(self, call: Call, principal: Principal, session: Any, need: Need) -> None:
        policies = policies_for(
            principal, session, need.action, need.resource, self.resource_policies
        )
        request = Request(
            principal=principal,
            action=need.action,
            resource=need.resource,
            context=need.context,
        )
        decision = evaluate(request, policies)
        self._note(call, principal, need, decision)
        if not decision.allowed:
            raise denial(call.service, principal, need, decision)

    def _subject(
        self, call: Call, signer: Signer
    ) -> tuple[Principal | None, Any, dict[str, str | tuple[str, ...]]]:
        """Who is to be judged, their session, and the keys of the call; None: nobody."""
        via, _, source = call.via.partition(":")
        context = self._environment(call, signer)
        if via == _DELEGATED:
            signer = self._stack_caller or signer
            context["aws:ViaAWSService"] = "true"
            context["aws:CalledVia"] = (f"{via}.amazonaws.com",)
            return described(signer.principal, signer.session), signer.session, context
        if via:
            if (call.service, call.operation) not in _AS_SERVICE:
                return None, None, {}
            if source:
                context["aws:SourceArn"] = source
                context["aws:SourceAccount"] = call.account
            return Principal.from_arn(f"{via}.amazonaws.com"), None, context
        if call.service == _DELEGATED and not call.operation.startswith(("Describe", "List")):
            self._stack_caller = signer
        return described(signer.principal, signer.session), signer.session, context

    def _environment(self, call: Call, signer: Signer | None) -> dict[str, str | tuple[str, ...]]:
        now = self._now()
        moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        context: dict[str, str | tuple[str, ...]] = {
            "aws:CurrentTime": moment,
            "aws:EpochTime": str(int(now)),
            "aws:RequestedRegion": call.region,
            "aws:ResourceAccount": call.account,
            "aws:SecureTransport": str(self.secure).lower(),
            "aws:SourceIp": str(call.environ.get("REMOTE_ADDR", "127.0.0.1")),
            "aws:UserAgent": str(call.environ.get("HTTP_USER_AGENT", "")),
            "aws:ViaAWSService": "false",
        }
        session = signer.session if signer is not None else None
        if session is not None and session.session_name.startswith("i-"):
            name = session.session_name
            context["ec2:SourceInstanceARN"] = (
                f"arn:aws:ec2:{call.region}:{call.account}:instance/{name}"
            )
        return context

    def _note(self, call: Call, principal: Principal, need: Need, decision: Decision) -> None:
        asked = Asked(
            number=call.number,
            service=call.service,
            operation=call.operation,
            principal=principal.arn,
            role=principal.role,
            via=call.via,
            action=need.action,
            resource=need.resource,
            context={**principal.context(), **need.context},
            allowed=decision.allowed,
            statement=str(decision.statement or ""),
        )
        with self._lock:
            self._asked.append(asked)


def _called(call: Call) -> Called:
    return Called(
        service=call.service,
        operation=call.operation,
        params=call.params,
        region=call.region,
        account=call.account,
    )


def _with(need: Need, extra: Context) -> Need:
    return Need(action=need.action, resource=need.resource, context={**extra, **need.context})
