"""How a request shows who sends it: an API key, a user and password, or a token. OAuth 2 is in oauth.py."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.sdk.config import Secret
from connectors.sdk.errors import DefinitionError
from connectors.sdk.redaction import learn

if TYPE_CHECKING:
    from connectors.sdk.connector import Connector


@dataclass(frozen=True, slots=True)
class Shown:
    """What is added to a request. version: by which a refusal is told from one of an older credential."""

    headers: dict[str, str] = field(default_factory=dict, repr=False)
    params: dict[str, str] = field(default_factory=dict, repr=False)
    version: object = field(default=None, repr=False)


class Credentials(ABC):
    """The credentials of one connector instance."""

    @abstractmethod
    async def show(self) -> Shown:
        """What to add to a request now. Raises MissingSecret, or a ConnectorError when a token cannot be had."""

    @abstractmethod
    async def renew(self, refused: Shown) -> bool:
        """After a 401 to `refused`: whether there is something newer to show. Raises what `show` raises."""

    async def give_up(self, refused: Shown) -> None:  # noqa: B027  # most have nothing to mark
        """A renewed credential was refused, too: the connection waits for a person."""


class Auth(ABC):
    """How a connector authenticates, as declared on its class."""

    @abstractmethod
    def bind(self, connector: Connector[Any]) -> Credentials:
        """The credentials of an instance. Raises DefinitionError naming a field that its configuration lacks."""


class _FromSecrets(Credentials):
    """Credentials that are read from secrets at each request, so that a rotated secret counts at once."""

    def __init__(self, connector: Connector[Any], auth: ApiKey | Basic | Bearer) -> None:
        self._connector = connector
        self._auth = auth

    async def show(self) -> Shown:
        return self._auth.shown(self._connector)

    async def renew(self, refused: Shown) -> bool:
        return self._auth.shown(self._connector) != refused


@dataclass(frozen=True, slots=True)
class ApiKey(Auth):
    """A key in a header, or in the query where `param` is given. secret: the configuration's field."""

    secret: str
    header: str = "Authorization"
    prefix: str = ""
    param: str | None = None

    def bind(self, connector: Connector[Any]) -> Credentials:
        """The key of an instance."""
        needs_fields(connector, self.secret)
        return _FromSecrets(connector, self)

    def shown(self, connector: Connector[Any]) -> Shown:
        """The key as it is sent."""
        key = secret_of(connector, self.secret)
        if self.param is not None:
            return Shown(params={self.param: key})
        return Shown(headers={self.header: f"{self.prefix}{key}"})


@dataclass(frozen=True, slots=True)
class Bearer(Auth):
    """A long-lived token in `Authorization: Bearer`. secret: the configuration's field."""

    secret: str

    def bind(self, connector: Connector[Any]) -> Credentials:
        """The token of an instance."""
        needs_fields(connector, self.secret)
        return _FromSecrets(connector, self)

    def shown(self, connector: Connector[Any]) -> Shown:
        """The token as it is sent."""
        return Shown(headers={"Authorization": f"Bearer {secret_of(connector, self.secret)}"})


@dataclass(frozen=True, slots=True)
class Basic(Auth):
    """A user and a password in `Authorization: Basic`. Both name fields of the configuration.

    suffix: text after the user, as Zendesk's `/token`.
    """

    user: str
    password: str
    suffix: str = ""

    def bind(self, connector: Connector[Any]) -> Credentials:
        """The user and password of an instance."""
        needs_fields(connector, self.user, self.password)
        return _FromSecrets(connector, self)

    def shown(self, connector: Connector[Any]) -> Shown:
        """User and password as they are sent."""
        pair = f"{secret_of(connector, self.user)}{self.suffix}:{secret_of(connector, self.password)}"
        encoded = base64.b64encode(pair.encode()).decode()
        learn(encoded)
        return Shown(headers={"Authorization": f"Basic {encoded}"})


def secret_of(connector: Connector[Any], name: str) -> str:
    """The value of a configuration field: what a secret refers to, or the text itself. Raises MissingSecret."""
    value = getattr(connector.config, name)
    return connector.secret(name) if isinstance(value, Secret) else str(value)


def needs_fields(connector: Connector[Any], *names: str) -> None:
    fields = type(connector.config).model_fields
    for name in names:
        if name not in fields:
            raise DefinitionError(
                f"{type(connector).__qualname__}: its configuration has no field {name!r}, which auth= names"
            )
