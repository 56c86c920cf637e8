"""What an author writes: one class with a configuration, its capabilities as further bases, and the calls."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

from connectors.sdk.capabilities.capability import capabilities_of, methods_of, writes_of
from connectors.sdk.config import Config
from connectors.sdk.context import Context
from connectors.sdk.errors import DefinitionError
from connectors.sdk.idempotency import ByFind, Idempotency, idempotency_of
from connectors.sdk.values import Health

C = TypeVar("C", bound=Config)


class Connector(Generic[C]):
    """The base of every connector: `class Acme(Connector[AcmeConfig], TaxEngine)`.

    name: how connections and files call it. title, site: for people. The calls are the methods of the capabilities;
    each write is declared with `native`, `by_find` or `never`. An instance serves one connection; it is made where
    it is used and closed with `aclose`.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    Config: ClassVar[type[Config]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            if get_origin(base) is Connector and isinstance(argument := get_args(base)[0], type):
                cls.Config = argument
        if "name" in vars(cls):
            _check(cls)

    def __init__(self, config: C, context: Context) -> None:
        self.config = config
        self.context = context

    def secret(self, field: str) -> str:
        """The secret that the configuration's `field` refers to. Raises MissingSecret."""
        return self.context.secrets.resolve(str(getattr(self.config, field)))

    async def health(self) -> Health:
        """Whether the other system answers and takes our credentials. Changes nothing there."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close what is open."""


def declared(connector: type[Connector[Any]]) -> dict[str, Idempotency]:
    """What each write of a connector declares, by method name."""
    return {
        name: idempotency
        for capability in capabilities_of(connector)
        for name in writes_of(capability)
        if (idempotency := idempotency_of(getattr(connector, name))) is not None
    }


def _check(connector: type[Connector[Any]]) -> None:
    """Refuse a class that would surprise at run time. Raises DefinitionError naming class and method."""
    where = f"{connector.__module__}.{connector.__qualname__}"
    if not hasattr(connector, "Config"):
        raise DefinitionError(f"{where}: name its configuration, as in Connector[{connector.__name__}Config]")
    capabilities = capabilities_of(connector)
    if not capabilities:
        raise DefinitionError(
            f"{where}: give it a capability, as in class {connector.__name__}(..., TaxEngine)"
        )
    for capability in capabilities:
        for name in methods_of(capability):
            method = getattr(connector, name)
            if getattr(method, "__isabstractmethod__", False):
                raise DefinitionError(f"{where}: {name} of {capability.__name__} is missing")
            if not inspect.iscoroutinefunction(method):
                raise DefinitionError(f"{where}.{name}: write it as `async def`")
        for name in writes_of(capability):
            _check_write(connector, name, f"{where}.{name}")


def _check_write(connector: type[Connector[Any]], name: str, where: str) -> None:
    idempotency = idempotency_of(getattr(connector, name))
    if idempotency is None:
        raise DefinitionError(
            f"{where}: declare what happens when it is sent twice: @native(ttl), @by_find(method) or @never()"
        )
    if isinstance(idempotency, ByFind) and not inspect.iscoroutinefunction(
        getattr(connector, idempotency.find, None)
    ):
        raise DefinitionError(
            f"{where}: by_find names {idempotency.find!r}, which is no `async def` of the class"
        )
