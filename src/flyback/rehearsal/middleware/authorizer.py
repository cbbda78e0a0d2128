"""Who asks, and whether they may: the signature, the key, then the policies.

It does not judge clock skew: clients sign with real time, the cloud lives in simulated time.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from flyback.rehearsal.behalf import Accepted, acted_for, acting_for
from flyback.rehearsal.call import AwsError, Call, Response
from flyback.rehearsal.iam import Judge
from flyback.rehearsal.identities import Identities, Signer
from flyback.rehearsal.naming import Scope, scope_of
from flyback.rehearsal.signing import content_matches, signature_of
from flyback.rehearsal.web_identity import Issuers

__all__ = ["Authorizer"]

# Operations that AWS takes unsigned: a token of somebody else's proves who asks.
_BY_TOKEN = ("sts", "AssumeRoleWithWebIdentity")
_UNSIGNED = frozenset({_BY_TOKEN, ("sts", "AssumeRoleWithSAML")})

_UNKNOWN = "The security token included in the request is invalid."
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)
_VERSION_2 = (
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
)
_EC2_INVALID = "AWS was not able to validate the provided access credentials"

# Refusal, by family of service: error code, HTTP status, sentence.
_REFUSALS: dict[str, dict[str, tuple[str, int, str]]] = {
    "ec2": {
        "unsigned": (
            "MissingParameter",
            400,
            "The request must contain the parameter AWSAccessKeyId",
        ),
        "unknown": ("AuthFailure", 401, _EC2_INVALID),
        "mismatch": ("AuthFailure", 401, _EC2_INVALID),
        "expired": ("RequestExpired", 400, "Request has expired."),
    },
    "s3": {
        "unsigned": ("AccessDenied", 403, "Access Denied"),
        "unknown": (
            "InvalidAccessKeyId",
            403,
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        "mismatch": ("SignatureDoesNotMatch", 403, _MISMATCH),
        "expired": ("ExpiredToken", 400, "The provided token has expired."),
    },
    "json": {
        "unsigned": ("MissingAuthenticationTokenException", 400, "Missing Authentication Token"),
        "unknown": ("UnrecognizedClientException", 400, _UNKNOWN),
        "mismatch": ("InvalidSignatureException", 400, _MISMATCH),
        "expired": (
            "ExpiredTokenException",
            400,
            "The security token included in the request is expired",
        ),
    },
    "query": {
        "unsigned": ("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
        "unknown": ("InvalidClientTokenId", 403, _UNKNOWN),
        "mismatch": ("SignatureDoesNotMatch", 403, _MISMATCH),
        "expired": ("ExpiredToken", 403, "The security token included in the request is expired"),
    },
}
_QUERY = frozenset({"iam", "sts", "cloudformation", "sns", "autoscaling", "elbv2"})


class Authorizer:
    """Lets through who is known and may, with AWS's own words for the others.

    Args:
        identities: Every access key of the account.
        judge: Decides by the account's policies; None lets everybody who is known do everything.
        issuers: Know whose token it is; None believes no token.
    """

    def __init__(
        self,
        identities: Identities,
        judge: Judge | None = None,
        issuers: Issuers | None = None,
    ) -> None:
        self._identities = identities
        self._judge = judge
        self._issuers = issuers

    def __call__(self, call: Call, forward: Callable[[Call], Response]) -> Response:
        scope = scope_of(call.environ)
        if call.service == "s3" and "AWSAccessKeyId=" in str(call.environ.get("QUERY_STRING", "")):
            raise AwsError("InvalidRequest", _VERSION_2)
        if (call.service, call.operation) == _BY_TOKEN:
            return self._by_token(call, forward)
        if scope is not None:
            return self._judged(call, self._check(call, scope), forward)
        if (call.service, call.operation) not in _UNSIGNED:
            raise _refusal(call, "unsigned")
        return forward(call)

    def _judged(self, call: Call, signer: Signer, forward: Callable[[Call], Response]) -> Response:
        if self._judge is None or not call.operation:
            return forward(call)
        self._judge.check(call, signer)
        request = acted_for() if call.via else Accepted(number=call.number, signer=signer)
        with acting_for(request):
            response = forward(call)
        self._judge.after(call, signer, response)
        return response

    def _by_token(self, call: Call, forward: Callable[[Call], Response]) -> Response:
        if self._judge is None or self._issuers is None:
            raise _refusal(call, "unsigned")
        identity = self._issuers.identify(str(call.params.get("WebIdentityToken", "")))
        self._judge.check_token(call, identity)
        response = forward(call)
        self._judge.after_token(call, identity, response)
        return response

    def _check(self, call: Call, scope: Scope) -> Signer:
        signer = self._identities.find(scope.access_key)
        if signer is None or not signer.active or signer.token != scope.token:
            raise _refusal(call, "unknown")
        expected = signature_of(call.environ, call.body, scope, signer.secret)
        if not hmac.compare_digest(expected, scope.signature):
            raise _refusal(call, "mismatch")
        if not content_matches(call.environ, call.body):
            raise AwsError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        if signer.expired:
            raise _refusal(call, "expired")
        return signer


def _refusal(call: Call, why: str) -> AwsError:
    family = call.service if call.service in ("ec2", "s3") else "json"
    if call.service in _QUERY:
        family = "query"
    code, status, sentence = _REFUSALS[family][why]
    return AwsError(code, sentence, status)
