"""Who may call: API keys, of which only the hash is stored. A route is closed unless it is marked open."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from sqlalchemy import Engine, func, or_, select

from api.problems import Problem
from storage.database import DATABASE_AWAY
from storage.tables import api_key

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])

# Declared so that the OpenAPI document and /docs say how to authenticate; the check itself is ours.
_bearer = HTTPBearer(auto_error=False, description="an API key, as in `Authorization: Bearer mh_...`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False)


@dataclass(frozen=True)
class Caller:
    """The key that a request came with."""

    key_id: str
    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the key has `scope`; "*" is every scope."""
        return scope in self.scopes or "*" in self.scopes


def open_route(endpoint: Endpoint) -> Endpoint:
    """Mark an endpoint that needs no key: health, and webhooks, which check a signature of their own."""
    endpoint.__masthead_open__ = True  # type: ignore[attr-defined]
    return endpoint


def hash_key(key: str) -> bytes:
    """What is stored of a key. Keys are random and long, so that a plain hash suffices."""
    return hashlib.sha256(key.encode()).digest()


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
    """Who calls. Raises Problem: 401 without a valid key, 503 when the database does not say whose it is."""
    key = _key_of(request)
    if not key:
        raise Problem(
            401, "no_key", "This needs an API key: send it as Authorization: Bearer KEY or X-API-Key."
        )
    try:
        caller: Caller | None = await request.app.state.keys.caller(key)
    except DATABASE_AWAY as error:
        raise Problem(503, "unavailable", "The database does not answer at the moment; try again.") from error
    if caller is None:
        raise Problem(401, "bad_key", "The API key is not known, or has expired.")
    return caller


def _key_of(request: Request) -> str | None:
    key = request.headers.get("x-api-key")
    if key:
        return key
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def ensure_scope(caller: Caller, scope: str) -> None:
    """Raises Problem (403) unless the caller's key has `scope`."""
    if not caller.may(scope):
        raise Problem(403, "missing_scope", f"The API key {caller.name!r} lacks the scope {scope!r}.")


def require_scope(scope: str) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that lets only keys with `scope` pass (403), and gives the Caller."""

    # Not for waiting, but because what is not asynchronous is called in a thread.
    async def check(request: Request) -> Caller:
        caller: Caller = request.state.caller
        ensure_scope(caller, scope)
        return caller

    return check


def find_caller(engine: Engine, hashed: bytes) -> Caller | None:
    """The caller whose key has the hash `hashed`, or None when no unexpired key has it."""
    query = select(api_key.c.id, api_key.c.name, api_key.c.scopes).where(
        api_key.c.key_hash == hashed,
        or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > func.now()),
    )
    with engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else Caller(str(row.id), row.name, frozenset(row.scopes))
