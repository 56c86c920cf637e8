"""Who may call: API keys, of which only the hash is stored. A route is closed unless it is marked open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer

from api.key_ring import Caller, KeyRing
from api.problems import Problem
from contracts.scopes import SCOPES
from storage.api_keys import hash_key

__all__ = ["Caller", "hash_key", "open_route", "require_key", "require_scope"]

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])

# Declared so that the OpenAPI document and /docs say how to authenticate; the check itself is ours.
_bearer = HTTPBearer(auto_error=False, description="an API key, as in `Authorization: Bearer mh_...`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False)


def open_route(endpoint: Endpoint) -> Endpoint:
    """Mark an endpoint that needs no key: health, and webhooks, which check a signature of their own."""
    endpoint.__masthead_open__ = True  # type: ignore[attr-defined]
    return endpoint


async def require_key(
    request: Request,
    _bearer: Annotated[object, Depends(_bearer)],
    _header: Annotated[str | None, Depends(_header)],
) -> None:
    """Refuse a request without a valid key (401), and put the Caller into `request.state.caller`."""
    endpoint = request.scope.get("endpoint")
    if not getattr(endpoint, "__masthead_open__", False):
        request.state.caller = await authenticated(request)


async def authenticated(request: Request) -> Caller:
    """Who calls. Raises Problem (401) without a valid key."""
    key = _key_of(request)
    if not key:
        raise Problem(
            401,
            "no_key",
            "This needs an API key.",
            remedy="Send it as Authorization: Bearer KEY or X-API-Key.",
        )
    keys: KeyRing = request.app.state.keys
    caller = await keys.caller(key)
    if caller is None:
        raise Problem(401, "bad_key", "The API key is not known, is revoked or has expired.")
    return caller


def _key_of(request: Request) -> str | None:
    first: dict[bytes, bytes] = {}
    for name, value in request.scope["headers"]:
        first.setdefault(name, value)
    if key := first.get(b"x-api-key"):
        return key.decode("latin-1")
    scheme, _, credentials = first.get(b"authorization", b"").decode("latin-1").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def ensure_scope(caller: Caller, scope: str) -> None:
    """Raises Problem (403) unless the caller's key has `scope`."""
    if not caller.may(scope):
        raise Problem(
            403,
            "missing_scope",
            f"The API key {caller.name!r} lacks the scope {scope!r}."
            if caller.account_id is None
            else f"This is not for keys of one account, or the key lacks the scope {scope!r}.",
        )


def require_scope(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that lets only keys with `scope` (one of `contracts.scopes`) pass (403), and gives the Caller."""
    if scope not in SCOPES:
        raise ValueError(f"{scope!r} is no scope; add it to contracts/scopes.py")

    async def check(request: Request) -> Caller:
        caller: Caller = request.state.caller
        ensure_scope(caller, scope)
        return caller

    check.__masthead_scope__ = scope  # type: ignore[attr-defined]
    return check
