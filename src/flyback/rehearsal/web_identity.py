"""Tokens of identity providers: the rehearsal plays the issuers too, and STS believes no others.

On AWS the issuer's public keys are fetched from its URL; here each issuer has a secret of its own,
so a token is signed by HMAC (`HS256`). The checks and their order are STS's (API reference,
AssumeRoleWithWebIdentity; IAM user guide, "Create an OpenID Connect identity provider").
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flyback.rehearsal.call import AwsError
from flyback.rehearsal.moto_state import LOCK, backend

__all__ = ["GITHUB", "Issuers", "WebIdentity"]

GITHUB = "https://token.actions.githubusercontent.com"

_HEADER = {"alg": "HS256", "typ": "JWT"}
_INVALID = "InvalidIdentityToken"
_NOT_A_JWT = (
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
)


@dataclass(frozen=True, kw_only=True)
class WebIdentity:
    """Whose token it was.

    Args:
        provider: ARN of the account's identity provider.
        issuer: Its URL without the scheme.
        claims: What the token says.
    """

    provider: str
    issuer: str
    claims: Mapping[str, Any]

    def context(self) -> dict[str, str | tuple[str, ...]]:
        """Condition keys (IAM user guide, "Available keys for AWS OIDC federation")."""
        found: dict[str, str | tuple[str, ...]] = {}
        for key in ("aud", "sub", "amr"):
            value = self.claims.get(key)
            if value is not None:
                found[f"{self.issuer}:{key}"] = _texts(value) if key == "amr" else str(value)
        return found


class Issuers:
    """Whoever issues tokens, each with its key.

    Args:
        now: Simulated seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._keys: dict[str, bytes] = {}

    def token(
        self, claims: Mapping[str, Any], *, issuer: str = GITHUB, lifetime_s: float = 300.0
    ) -> str:
        """A token that the issuer signed now.

        Args:
            claims: `aud`, `sub` and whatever else it says.
            issuer: Its URL.
            lifetime_s: Seconds until it expires; negative for one that has.
        """
        now = int(self._now())
        whole = {"iss": issuer, "iat": now, "exp": int(now + lifetime_s), **claims}
        signed = f"{_packed(_HEADER)}.{_packed(whole)}"
        return f"{signed}.{_text(self._signature(issuer, signed))}"

    def identify(self, token: str) -> WebIdentity:
        """Check a token as STS does.

        Raises:
            AwsError: it is no token, the account has no provider for its issuer, the issuer did not
                sign it, it has expired, or its audience is none of the provider's.
        """
        header, claims, signed, signature = _taken_apart(token)
        url = str(claims.get("iss", ""))
        provider = _provider(url)
        if provider is None:
            raise AwsError(_INVALID, f"No OpenIDConnect provider found in your account for {url}")
        known = url in self._keys and header.get("alg") == _HEADER["alg"]
        if not known or not hmac.compare_digest(self._signature(url, signed), signature):
            raise AwsError(_INVALID, "The ID Token provided could not be validated: its signature")
        now, expires = int(self._now()), claims.get("exp")
        if not isinstance(expires, int) or expires <= now:
            raise AwsError(
                "ExpiredTokenException",
                f"Token expired: current date/time {now} must be before the expiration date/time "
                f"{expires}",
            )
        if claims.get("aud") not in provider.client_id_list:
            raise AwsError(_INVALID, "Incorrect token audience")
        return WebIdentity(provider=str(provider.arn), issuer=str(provider.url), claims=claims)

    def _signature(self, issuer: str, signed: str) -> bytes:
        key = self._keys.setdefault(issuer, secrets.token_bytes(32))
        return hmac.digest(key, signed.encode(), "sha256")


def _provider(url: str) -> Any:
    """Moto's provider of an issuer; None where the account has none."""
    with LOCK:
        providers = list(backend("iam", "global").open_id_providers.values())
    return next((item for item in providers if url == f"https://{item.url}"), None)


def _taken_apart(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any], str, bytes]:
    """Header, claims, what was signed, and the signature."""
    signed, _, signature = token.rpartition(".")
    head, _, body = signed.partition(".")
    try:
        header, claims = json.loads(_bytes(head)), json.loads(_bytes(body))
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise AwsError(_INVALID, _NOT_A_JWT)
        return header, claims, signed, _bytes(signature)
    except (ValueError, binascii.Error) as error:
        raise AwsError(_INVALID, _NOT_A_JWT) from error


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else (str(value),)


def _packed(document: Mapping[str, Any]) -> str:
    return _text(json.dumps(document, separators=(",", ":")).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
