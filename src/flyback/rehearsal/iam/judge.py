"""Every question that the emulated account's IAM was asked, and its answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
    undecided,
)
from flyback.audit.iam.handlers import Handled, Verb, handler_needs
from flyback.audit.iam.needs import completed
from flyback.rehearsal.behalf import Accepted, acted_for
from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.iam.attached import attached, described, managed_policy, policies_for
from flyback.rehearsal.iam.denials import denial
from flyback.rehearsal.iam.facts import AccountFacts
from flyback.rehearsal.iam.sessions import Session, begun, moment, of_device
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


# Claims of a token that give its session tags or a source identity (IAM user guide, "Passing
# session tags in AWS STS", "Monitor and control actions taken with assumed roles").
_NOT_READ = ("https://aws.amazon.com/tags", "https://aws.amazon.com/source_identity")


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """Who is judged, and what IAM knows of their call besides what is asked.

    Args:
        principal: Who.
        role_session: Moto's AssumedRole, where it is one's session.
        policy_arns: Managed policies that limit the session.
        context: Condition keys of the call.
    """

    principal: Principal
    role_session: Any = None
    policy_arns: tuple[str, ...] = ()
    context: Context = field(default_factory=dict)


class Judge:
    """Decides calls by the account's policies.

    Args:
        now: Simulated seconds since the epoch.

    Attributes:
        secure: Whether clients are taken to speak TLS (`aws:SecureTransport`).
        resource_policies: Service → ARN → the policy of a resource that our own parts keep.
        resource_tags: Service → ARN → the tags of such a resource.
        kept_policies: All of these, by ARN.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._asked: list[Asked] = []
        self._sessions: dict[str, Session] = {}
        # Clients of the real AWS speak TLS; only the loopback port here does not.
        self.secure = True
        self.resource_policies: dict[str, Callable[[str], Mapping[str, Any] | None]] = {}
        self.resource_tags: dict[str, Callable[[str], Mapping[str, str]]] = {}
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

    def session(self, access_key: str) -> Session | None:
        """What the session that holds a key began with; None where none does."""
        return self._sessions.get(access_key)

    def check(self, call: Call, signer: Signer) -> None:
        """Let a call pass, or refuse it.

        Raises:
            AwsError: AWS's own refusal; or the table does not know the operation.
        """
        with LOCK:
            subject = self._subject(call, signer)
            if subject is None:
                return
            try:
                questions = needs(_called(call), self._facts(call))
            except UnmappedError as error:
                self._decide_unmapped(call, subject, error)
                questions = ()
            for need in questions:
                self._decide(call, subject, need)

    def check_handler(self, handled: Handled, verb: Verb) -> None:
        """Ask who called CloudFormation for what AWS's handlers do, call by call, and ours don't.

        Args:
            handled: What is worked on.
            verb: How.

        Raises:
            AwsError: AWS's own refusal, of the service that would be called.
        """
        request = _delegating()
        signer = request.signer
        if described(signer.principal, signer.session).kind == "root":
            return
        for need in handler_needs(handled, verb):
            call = Call(
                number=request.number,
                service=need.action.partition(":")[0],
                operation=f"{verb} {handled.type}",
                region=handled.region,
                account=handled.account,
                principal=signer.principal,
                via=_DELEGATED,
            )
            with LOCK:
                subject = self._subject(call, signer)
                if subject is not None:
                    whole = completed(need, _called(call), self._facts(call))
                    self._decide(call, subject, whole)

    def check_token(self, call: Call, identity: WebIdentity) -> None:
        """Let the bearer of a token pass, or refuse them: the role's trust decides alone.

        Raises:
            AwsError: AWS's own refusal; or the token says more than is read here.
        """
        for claim in _NOT_READ:
            if claim in identity.claims:
                raise AwsError("NotEmulated", f"this rehearsal does not read {claim}", 501)
        with LOCK:
            context = {**self._environment(call), **identity.context()}
            context["aws:FederatedProvider"] = identity.provider
            subject = _Subject(principal=Principal.from_arn(identity.provider), context=context)
            for need in needs(_called(call), self._facts(call)):
                self._decide(call, subject, need)

    def after(self, call: Call, signer: Signer, response: Response) -> None:
        """Hide from those who may not list a bucket what it does not hold; note what STS gave.

        Raises:
            AwsError: AWS's own refusal, in place of 404.
        """
        before = self.session(signer.access_key)
        self._sessions.update(begun(call, response, self._now(), before=before))
        hidden = call.service == "s3" and call.operation in _HIDES_ABSENCE
        if not hidden or response.status != _NOT_FOUND:
            return
        if error_code_of(response) == "NoSuchBucket":
            return
        with LOCK:
            subject = self._subject(call, signer)
            if subject is not None:
                bucket = f"arn:aws:s3:::{call.params.get('Bucket')}"
                self._decide(call, subject, Need(action="s3:ListBucket", resource=bucket))

    def after_token(self, call: Call, identity: WebIdentity, response: Response) -> None:
        """Note whose token began a session."""
        provider = identity.provider
        self._sessions.update(begun(call, response, self._now(), provider=provider))

    def _decide(self, call: Call, subject: _Subject, need: Need) -> None:
        principal, need = subject.principal, _with(need, subject.context)
        policies = policies_for(
            principal, subject.role_session, need.action, need.resource, self.resource_policies
        )
        limits = [managed_policy(arn) for arn in subject.policy_arns]
        if limits:
            found = tuple(limit for limit in limits if limit)
            policies = replace(policies, session=(*(policies.session or ()), *found))
        request = Request(
            principal=principal,
            action=need.action,
            resource=need.resource,
            context=need.context,
        )
        missing = undecided(request, policies)
        if missing:
            raise _undecided(need, missing)
        decision = evaluate(request, policies)
        self._note(call, principal, need, decision)
        if not decision.allowed:
            raise denial(call.service, principal, need, decision)

    def _facts(self, call: Call) -> AccountFacts:
        return AccountFacts(call.region, self.resource_tags)

    def _decide_unmapped(self, call: Call, subject: _Subject, error: UnmappedError) -> None:
        """Nobody but the root user passes where it is not known what to ask."""
        allowed = subject.principal.kind == "root"
        decision = Decision(allowed=allowed, reason="allowed", layer="identity")
        self._note(call, subject.principal, Need(action="", resource=""), decision)
        if not allowed:
            raise AwsError("NotEmulated", f"{error.what}: {error.remedy}", 501) from error

    def _subject(self, call: Call, signer: Signer) -> _Subject | None:
        """Who is to be judged, with the keys of the call; None: nobody."""
        via, _, source = call.via.partition(":")
        context = self._environment(call)
        if via == _DELEGATED:
            name = f"{via}.amazonaws.com"
            context["aws:ViaAWSService"] = "true"
            context["aws:CalledVia"] = (name,)
            context["aws:CalledViaFirst"] = context["aws:CalledViaLast"] = name
            return self._signed(_delegating().signer, call, context)
        if via:
            if (call.service, call.operation) not in _AS_SERVICE:
                return None
            if source:
                context["aws:SourceArn"] = source
                context["aws:SourceAccount"] = call.account
            return _Subject(principal=Principal.from_arn(f"{via}.amazonaws.com"), context=context)
        return self._signed(signer, call, context)

    def _signed(
        self, signer: Signer, call: Call, context: dict[str, str | tuple[str, ...]]
    ) -> _Subject:
        principal = described(signer.principal, signer.session)
        began = self.session(signer.access_key)
        if began is not None:
            context.update(began.context(self._now()))
            principal = replace(principal, tags={**principal.tags, **began.tags})
        if call.service == "sts":
            context.update(of_device(call))
        if signer.session is not None and signer.session.session_name.startswith("i-"):
            name = signer.session.session_name
            arn = f"arn:aws:ec2:{call.region}:{call.account}:instance/{name}"
            context["ec2:SourceInstanceARN"] = arn
        return _Subject(
            principal=principal,
            role_session=signer.session,
            policy_arns=began.policy_arns if began else (),
            context=context,
        )

    def _environment(self, call: Call) -> dict[str, str | tuple[str, ...]]:
        now = self._now()
        return {
            **(_of_s3(call) if call.service == "s3" else {}),
            "aws:CurrentTime": moment(now),
            "aws:EpochTime": str(int(now)),
            "aws:RequestedRegion": call.region,
            "aws:ResourceAccount": call.account,
            "aws:SecureTransport": str(self.secure).lower(),
            "aws:SourceIp": str(call.environ.get("REMOTE_ADDR", "127.0.0.1")),
            "aws:UserAgent": str(call.environ.get("HTTP_USER_AGENT", "")),
            "aws:ViaAWSService": "false",
        }

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


def _of_s3(call: Call) -> dict[str, str]:
    """What S3 knows of how a request is signed.

    Source: S3 API reference, "Amazon S3 Signature Version 4 Authentication Specific Policy Keys".
    """
    environ = call.environ
    by_query = "X-Amz-Signature=" in str(environ.get("QUERY_STRING", ""))
    found = {
        "s3:ResourceAccount": call.account,
        "s3:authType": "REST-QUERY-STRING" if by_query else "REST-HEADER",
        "s3:signatureversion": "AWS4-HMAC-SHA256",
    }
    if content := environ.get("HTTP_X_AMZ_CONTENT_SHA256"):
        found["s3:x-amz-content-sha256"] = str(content)
    return found


def _delegating() -> Accepted:
    """The request for which CloudFormation works.

    Raises:
        RuntimeError: it works for none; it has no permissions of its own.
    """
    request = acted_for()
    if request is None:
        raise RuntimeError("CloudFormation called for nobody")
    return request


def _called(call: Call) -> Called:
    return Called(
        service=call.service,
        operation=call.operation,
        params=call.params,
        region=call.region,
        account=call.account,
    )


def _undecided(need: Need, key: str) -> AwsError:
    return AwsError(
        "NotDecided",
        f"this rehearsal does not know {key} for {need.action} on {need.resource}, and a policy "
        "decides by it; see docs/permissions.md, What is not modelled",
        501,
    )


def _with(need: Need, extra: Context) -> Need:
    return Need(action=need.action, resource=need.resource, context={**extra, **need.context})
