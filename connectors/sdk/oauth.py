"""OAuth 2: tokens that many workers share, refreshed by one of them.

A refresh may use up the refresh token, so it is never asked for twice at once: the store gives one worker the turn,
the others look again until the new token is there. The new token is stored before it is used. A worker that dies
between the vendor's answer and the store leaves its turn open; whoever comes after its lease knows that the old
refresh token may be used up, and sends it once more only where the vendor declares a grace for that. Otherwise the
connection is marked for a person, and nobody asks again.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from connectors.sdk.auth import Auth, Credentials, Shown, needs_fields, secret_of
from connectors.sdk.errors import ConnectorError, DefinitionError, Transient, Unauthorized
from connectors.sdk.ports import StoredToken, Token, Turn
from connectors.sdk.redaction import learn
from connectors.sdk.token_request import TokenRequest, signed_assertion

if TYPE_CHECKING:
    from connectors.sdk.connector import Connector

log = logging.getLogger("masthead.oauth")

LEASE = timedelta(seconds=60)
# A token is refreshed before its end, so that a request under way does not meet it.
_EARLY = timedelta(seconds=60)
_LONGEST_PAUSE = 1.0
# How long the outcome of a refresh is held that the store cannot take at the moment, and how often it is tried.
_HELD_FOR = timedelta(seconds=20)
_HELD_PAUSE = 0.5

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2(Auth):
    """What the OAuth 2 flows share. client_id, client_secret: fields of the configuration.

    token_url: a URL, a field of the configuration, or a function of the connector. client_in: whether the client
    shows itself in the form or by basic authentication. extra: further form fields.
    """

    token_url: str | Callable[[Any], str]
    client_id: str
    client_secret: str | None = None
    scope: str = ""
    client_in: str = "form"
    extra: Mapping[str, str] = field(default_factory=dict)

    def bind(self, connector: Connector[Any]) -> Credentials:
        """The shared tokens of an instance's connection."""
        needs_fields(connector, *self.fields())
        return SharedToken(connector, self)

    def fields(self) -> tuple[str, ...]:
        """The fields of the configuration that are named."""
        return (self.client_id, *([self.client_secret] if self.client_secret else []))

    @property
    @abstractmethod
    def uses_up(self) -> bool:
        """Whether asking may use up what is asked with."""

    def may_repeat(self) -> bool:
        """Whether an interrupted refresh may be tried once more."""
        return not self.uses_up

    @abstractmethod
    def form(self, connector: Connector[Any], token: Token | None) -> dict[str, str] | None:
        """What is sent to the token URL; None when a person has to authorise first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2Refresh(OAuth2):
    """The refresh token of an authorisation that a person gave.

    grace: how long the vendor still takes an old refresh token after it answered with a new one; zero when it does
    not.
    """

    grace: timedelta = timedelta()

    @property
    def uses_up(self) -> bool:
        """Vendors rotate refresh tokens."""
        return True

    def may_repeat(self) -> bool:
        """Where the grace outlasts the lease, after which an interruption is seen."""
        return self.grace > LEASE

    def form(self, connector: Connector[Any], token: Token | None) -> dict[str, str] | None:
        """A refresh."""
        if token is None or token.refresh is None:
            return None
        return {"grant_type": "refresh_token", "refresh_token": token.refresh}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials(OAuth2):
    """The client's own credentials."""

    @property
    def uses_up(self) -> bool:
        """They stay as they are."""
        return False

    def form(self, connector: Connector[Any], token: Token | None) -> dict[str, str] | None:
        """A new token."""
        return {"grant_type": "client_credentials"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtBearer(OAuth2):
    """A signed assertion (RFC 7523). private_key: a field of the configuration, a PEM; RS256.

    subject: the field with the user on whose behalf; audience: a URL or a field, the token URL where not given.
    """

    private_key: str
    subject: str
    audience: str | None = None

    @property
    def uses_up(self) -> bool:
        """Each assertion is new."""
        return False

    def fields(self) -> tuple[str, ...]:
        """The fields of the configuration that are named."""
        return (self.client_id, self.private_key, self.subject)

    def form(self, connector: Connector[Any], token: Token | None) -> dict[str, str] | None:
        """A freshly signed assertion."""
        assertion = signed_assertion(
            issuer=secret_of(connector, self.client_id),
            subject=secret_of(connector, self.subject),
            audience=_url(connector, self.audience or self.token_url),
            private_key=secret_of(connector, self.private_key),
            now=connector.context.clock.now(),
        )
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}


class SharedToken(Credentials):
    """The token of a connection, as one connector instance uses it."""

    def __init__(self, connector: Connector[Any], auth: OAuth2) -> None:
        self._connector = connector
        self._auth = auth
        self._store = connector.context.tokens
        self._connection = connector.context.connection
        self._clock = connector.context.clock
        self._stored: StoredToken | None = None

    async def show(self) -> Shown:
        """The access token, refreshed when it is about to end."""
        stored = self._stored or await self._read()
        if stored.needs_authorisation is not None:
            raise self._unauthorized(stored.needs_authorisation)
        token = stored.token
        ends = token.expires_at if token is not None else None
        if token is None or (ends is not None and self._clock.now() >= ends - _EARLY):
            stored = await self._refreshed(stored.version)
            token = stored.token
        if token is None:
            raise self._unauthorized("it has no token")
        return Shown(headers={"Authorization": f"Bearer {token.access}"}, version=stored.version)

    async def renew(self, refused: Shown) -> bool:
        """Refresh what was refused, unless somebody has done so already."""
        await self._refreshed(_version(refused))
        return True

    async def give_up(self, refused: Shown) -> None:
        """Mark the connection: a new token was refused, too."""
        await self._store.mark(
            self._connection, _version(refused), "a token is refused just after its refresh"
        )
        self._stored = None

    async def token(self) -> Token:
        """The token in use, for what a vendor puts beside it, as an instance URL. Raises Unauthorized."""
        await self.show()
        stored = self._stored or await self._read()
        if stored.token is None:
            raise self._unauthorized("it has no token")
        return stored.token

    async def _read(self) -> StoredToken:
        self._stored = self._keep(await self._store.read(self._connection))
        return self._stored

    def _keep(self, stored: StoredToken) -> StoredToken:
        if stored.token is not None:
            learn(stored.token.access, stored.token.refresh)
        # A mark is looked up again each time: a person may have authorised anew.
        self._stored = stored if stored.needs_authorisation is None else None
        return stored

    async def _refreshed(self, version: int) -> StoredToken:
        """The token that follows `version`, by our own refresh or another's. Raises Unauthorized or Transient."""
        give_up_at = self._clock.now() + LEASE + timedelta(seconds=10)
        pause = 0.05
        while True:
            turn = await self._store.begin_refresh(self._connection, version, LEASE)
            if turn in (Turn.MINE, Turn.INTERRUPTED):
                # The answer of the vendor is worth keeping also when whoever asked has been canceled.
                return await asyncio.shield(asyncio.ensure_future(self._refresh(version, turn)))
            if turn is Turn.DONE:
                return self._keep(await self._store.read(self._connection))
            if turn is Turn.MARKED:
                stored = self._keep(await self._store.read(self._connection))
                raise self._unauthorized(stored.needs_authorisation or "it waits for a person")
            if self._clock.now() >= give_up_at:
                raise Transient(f"{self._connection}: another worker's token refresh does not end")
            await self._clock.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    async def _refresh(self, version: int, turn: Turn) -> StoredToken:
        """Ask the vendor, store, then use."""
        if turn is Turn.INTERRUPTED and not self._auth.may_repeat():
            raise await self._marked(
                version, "a refresh was interrupted, and its refresh token may be used up"
            )
        try:
            before = (await self._store.read(self._connection)).token
            form = self._auth.form(self._connector, before)
            request = self._request() if form is not None else None
        except Exception:
            await self._give_up_turn(version)
            raise
        if form is None or request is None:
            raise await self._marked(version, "nobody has authorised it yet")
        refusal: str | None = None
        try:
            token = await request.send({**form, **self._beside()}, before)
        except Unauthorized as refused:
            refusal = refused.message
        except (Transient, DefinitionError):
            await self._give_up_turn(version)
            raise
        except ConnectorError as failed:
            unlucky = Transient(f"{failed.message}; the request itself was not sent", status=failed.status)
            if not self._auth.uses_up:
                await self._give_up_turn(version)
            elif turn is Turn.INTERRUPTED:
                refusal = f"a second refresh was interrupted, too: {failed.message}"
            # Otherwise the lease runs out, and the next one learns of the interruption.
        else:
            # The old refresh token may be used up by now: this is the only copy of what follows it.
            return self._keep(
                await self._held(lambda: self._store.finish_refresh(self._connection, version, token))
            )
        raise unlucky if refusal is None else await self._marked(version, refusal)

    async def _give_up_turn(self, version: int) -> None:
        """Nothing was sent, or nothing used up. Where not even that can be stored, the lease runs out."""
        try:
            await self._held(lambda: self._store.give_up(self._connection, version))
        except Transient as away:
            log.warning(
                "%s: a token refresh that was not sent stays open: %s", self._connection, away.message
            )

    async def _held(self, step: Callable[[], Awaitable[_T]]) -> _T:
        """Do a step of the store, again for some seconds while it is away. Raises Transient after that."""
        until = self._clock.now() + _HELD_FOR
        while True:
            try:
                return await step()
            except Transient:
                if self._clock.now() >= until:
                    raise
            await self._clock.sleep(_HELD_PAUSE)

    def _request(self) -> TokenRequest:
        """Raises MissingSecret."""
        auth, connector = self._auth, self._connector
        client = (
            secret_of(connector, auth.client_id),
            secret_of(connector, auth.client_secret) if auth.client_secret else None,
        )
        return TokenRequest(connector, _url(connector, auth.token_url), client, auth.client_in == "basic")

    def _beside(self) -> dict[str, str]:
        """What goes with every form."""
        scope = {"scope": self._auth.scope} if self._auth.scope else {}
        return {**scope, **self._auth.extra}

    async def _marked(self, version: int, reason: str) -> Unauthorized:
        await self._store.mark(self._connection, version, reason)
        self._stored = None
        return self._unauthorized(reason)

    def _unauthorized(self, reason: str) -> Unauthorized:
        return Unauthorized(f"connection {self._connection} needs to be authorised by a person: {reason}")


def _version(shown: Shown) -> int:
    return shown.version if isinstance(shown.version, int) else 0


def _url(connector: Connector[Any], where: str | Callable[[Any], str]) -> str:
    if callable(where):
        return where(connector)
    return where if "://" in where else str(getattr(connector.config, where))
