"""One request to a token endpoint (RFC 6749), over the guarded way out; its form and answer are never logged."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from connectors.sdk.errors import ConnectorError, DefinitionError, Kind
from connectors.sdk.failures import Place, body_of
from connectors.sdk.guard import Refused, check_url
from connectors.sdk.outcomes import Exchange, classify
from connectors.sdk.ports import Token
from connectors.sdk.redaction import learn
from connectors.sdk.transport import Delivered, Timeouts, Way

if TYPE_CHECKING:
    from connectors.sdk.connector import Connector

_FOR_A_WHILE = frozenset({"temporarily_unavailable", "slow_down", "server_error"})
_MAX_BYTES = 100_000


class TokenRequest:
    """Asks a token URL. client: its id and secret; basic: whether they go into the header."""

    def __init__(
        self, connector: Connector[Any], url: str, client: tuple[str, str | None], basic: bool
    ) -> None:
        self._context = connector.context
        self._url = url
        self._client = client
        self._basic = basic

    async def send(self, form: Mapping[str, str], before: Token | None) -> Token:
        """Ask for a token; `before` gives the refresh token where the answer has none.

        Raises Unauthorized when the vendor refuses for good, Transient when nothing was used up, Unknown when that
        cannot be told, DefinitionError for a URL that may not be asked.
        """
        try:
            check_url(self._url, allow_loopback=self._context.allow_loopback)
        except Refused as refused:
            wrong = str(refused)
        else:
            return self._token(await self._ask(form), before)
        raise DefinitionError(f"connection {self._context.connection}: token URL: {wrong}")

    async def _ask(self, form: Mapping[str, str]) -> dict[str, Any]:
        identity, secret = self._client
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        fields = dict(form)
        if self._basic:
            pair = f"{quote_plus(identity)}:{quote_plus(secret or '')}"
            encoded = base64.b64encode(pair.encode()).decode()
            learn(encoded)
            headers["Authorization"] = f"Basic {encoded}"
        else:
            fields["client_id"] = identity
            if secret is not None:
                fields["client_secret"] = secret
        learn(form.get("assertion"), form.get("refresh_token"))
        way = Way(
            allow_loopback=self._context.allow_loopback,
            timeouts=Timeouts(connect=5, read=20, total=30),
            max_bytes=_MAX_BYTES,
        )
        try:
            got = await way.deliver("POST", self._url, httpx.Headers(headers), urlencode(fields).encode())
        finally:
            await way.aclose()
        body = body_of(got.content) if got.whole else None
        failed = self._failure(got, body if isinstance(body, dict) else None)
        if failed is not None:
            raise failed
        return body if isinstance(body, dict) else {}

    def _failure(self, got: Delivered, body: dict[str, Any] | None) -> ConnectorError | None:
        readable = body is not None and isinstance(body.get("access_token"), str)
        kind = classify(Exchange(got.phase, "POST", True, got.status, readable))
        code = body.get("error") if body else None
        if got.refused:
            kind = "unauthorized"
        elif got.status is not None and (got.status >= 500 or got.status == 408):
            # An answer that the request failed: were the refresh token used up all the same, the next one learns it.
            kind = "transient"
        elif kind == "rejected":
            kind = "transient" if code in _FOR_A_WHILE else "unauthorized"
        if kind is None:
            return None
        what = f"answered {got.status}" if got.status is not None else f"failed: {got.problem}"
        if isinstance(code, str):
            what += f": {code}"
        place = Place(self._context.connection, "token request")
        return place.failure(_of_tokens(kind), what, status=got.status, headers=got.headers)

    def _token(self, body: dict[str, Any], before: Token | None) -> Token:
        refresh = body.get("refresh_token") or (before.refresh if before is not None else None)
        learn(body["access_token"], refresh)
        lives = body.get("expires_in")
        try:
            ends = self._context.clock.now() + timedelta(seconds=float(lives)) if lives is not None else None
        except (TypeError, ValueError, OverflowError):
            ends = None
        beside = {
            name: value
            for name, value in body.items()
            if isinstance(value, str) and name not in {"access_token", "refresh_token", "id_token"}
        }
        return Token(access=body["access_token"], refresh=refresh, expires_at=ends, extra=beside)


def _of_tokens(kind: Kind) -> Kind:
    return "unknown" if kind == "broken" else kind


def signed_assertion(*, issuer: str, subject: str, audience: str, private_key: str, now: datetime) -> str:
    """A JWT for RFC 7523, RS256, valid for three minutes. Raises DefinitionError for a key that is no RSA PEM."""
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise DefinitionError("the private key of the connection is no RSA key in PEM without a password")
    claims = {
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "iat": int(now.timestamp()),
        "exp": int((now + timedelta(minutes=3)).timestamp()),
        # A vendor that refuses replays needs each assertion to be its own.
        "jti": str(uuid.uuid4()),
    }
    head = _base64url(json.dumps({"alg": "RS256", "typ": "JWT"}).encode())
    signed = f"{head}.{_base64url(json.dumps(claims).encode())}"
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
