"""`Http` on a connector's class declares how its other system is spoken to; on an instance it is the client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from connectors.sdk.auth import Auth
from connectors.sdk.connector import Connector
from connectors.sdk.error_table import ErrorRule
from connectors.sdk.errors import DefinitionError
from connectors.sdk.guard import Refused, check_url
from connectors.sdk.http_client import HttpClient
from connectors.sdk.ports import Rate
from connectors.sdk.redaction import silence
from connectors.sdk.retry_after import Quota, RetryAfter
from connectors.sdk.sending import Sender
from connectors.sdk.transport import Timeouts

silence("httpx", "httpcore", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy")


@dataclass(frozen=True, eq=False)
class Http:
    """How to speak to the other system; see each field.

    base: the configuration's field with the base URL, a URL, or a function of the connector that answers one.
    auth: how requests are authenticated. rate: calls per second, where the connection does not set its own.
    errors: the vendor's own errors, see `on`; before the common table. retry_after, quota: headers that say when to
    go on. key_header: where the business key is sent, in at most key_length characters. headers: sent with every
    request. redirects: how many on the same host a read may follow. max_bytes: of an answer, decoded.
    """

    base: str | Callable[[Any], str] = "base_url"
    auth: Auth | None = None
    rate: Rate = field(default_factory=lambda: Rate(20, per=1))
    errors: Sequence[ErrorRule] = ()
    retry_after: RetryAfter = field(default_factory=RetryAfter)
    quota: Quota | None = None
    key_header: str | None = None
    key_length: int = 255
    headers: Mapping[str, str] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)
    redirects: int = 0
    max_bytes: int = 10_000_000

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Http: ...
    @overload
    def __get__(self, instance: Connector[Any], owner: type[Any]) -> HttpClient: ...
    def __get__(self, instance: Connector[Any] | None, owner: type[Any]) -> Http | HttpClient:
        """The declaration on a class; the instance's client, made at its first use, on an instance."""
        if instance is None:
            return self
        place = f"_http_{id(self)}"
        client: HttpClient | None = vars(instance).get(place)
        if client is None:
            client = vars(instance)[place] = self.client(instance)
        return client

    def client(self, connector: Connector[Any]) -> HttpClient:
        """A client for an instance. Raises DefinitionError for a URL or a field that cannot be used."""
        base = self.base_of(connector)
        credentials = self.auth.bind(connector) if self.auth is not None else None
        return HttpClient(self, Sender(connector, self, base, credentials))

    def base_of(self, connector: Connector[Any]) -> str:
        """The checked base URL of an instance. Raises DefinitionError saying what is wrong with it."""
        name = type(connector).__qualname__
        if callable(self.base):
            base = self.base(connector)
        elif "://" in self.base:
            base = self.base
        elif self.base in type(connector.config).model_fields:
            base = str(getattr(connector.config, self.base))
        else:
            raise DefinitionError(f"{name}: its configuration has no field {self.base!r}, which base= names")
        wrong = None
        try:
            check_url(base, allow_loopback=connector.context.allow_loopback)
        except Refused as refused:
            wrong = str(refused)
        if wrong is not None:
            raise DefinitionError(f"connection {connector.context.connection}: base URL: {wrong}")
        return base.rstrip("/")
