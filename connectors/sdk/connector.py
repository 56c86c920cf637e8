"""What an author writes: one class with a configuration, its capabilities as further bases, and the calls."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin

from connectors.sdk.capabilities.capability import Capability, capabilities_of, methods_of, writes_of
from connectors.sdk.config import Config, Secret
from connectors.sdk.context import Context
from connectors.sdk.errors import DefinitionError
from connectors.sdk.idempotency import ByFind, Idempotency, idempotency_of
from connectors.sdk.redaction import learn
from connectors.sdk.values import Health

C = TypeVar("C", bound=Config)

SANDBOX_SECRET = "env:SANDBOX_SECRET"  # noqa: S105 (a reference)


class Connector(Generic[C]):
    """The base of every connector: `class Acme(Connector[AcmeConfig], TaxEngine)`.

    name: how connections and files call it. title: for people. transport: which faults it can meet. The calls are the
    methods of the capabilities; each write is declared with `native`, `by_find` or `never`. An instance serves one
    connection; it is made where it is used and closed with `aclose`.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    transport: ClassVar[Literal["http", "smtp", "file"]] = "http"
    #: The recipe by which its webhooks are verified, and an example body; None for a system that sends none.
    webhooks: ClassVar[str | None] = None
    webhook_example: ClassVar[bytes] = b'{"id":"evt_kit","type":"kit.event"}'
    #: Writes whose answer says only that they were taken: what becomes of them is told by a webhook.
    answers_later: ClassVar[frozenset[str]] = frozenset()
    #: Reads for which the other system has nothing to ask, and what to do instead: they raise Broken, never "none".
    cannot_answer: ClassVar[Mapping[str, str]] = {}
    #: Fields that orders to its stand-in need, where those of the kit's samples are unknown there.
    sandbox_order: ClassVar[Mapping[str, str]] = {}
    Config: ClassVar[type[Config]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in vars(cls).get("__orig_bases__", ()):
            if get_origin(base) is Connector and isinstance(argument := get_args(base)[0], type):
                cls.Config = argument
        if "name" in vars(cls):
            _check(cls)

    def __init__(self, config: C, context: Context) -> None:
        self.config = config
        self.context = context

    def secret(self, field: str) -> str:
        """The secret that the configuration's `field` refers to. Raises MissingSecret."""
        value = self.context.secrets.resolve(str(getattr(self.config, field)))
        learn(value)
        return value

    @classmethod
    def sandbox_config(cls, url: str) -> dict[str, Any]:
        """The configuration with which a connection reaches the connector's stand-in at `url`.

        As it stands: `base_url` is the address, and each secret is a reference to SANDBOX_SECRET, which stands for any
        value. Override it where the configuration is another.
        """
        made: dict[str, Any] = {}
        for name, field in cls.Config.model_fields.items():
            if name == "base_url":
                made[name] = url
            elif field.is_required() and Secret in (field.annotation, *get_args(field.annotation)):
                made[name] = SANDBOX_SECRET
        return made

    async def health(self) -> Health:
        """Whether the other system answers and takes our credentials. Changes nothing there."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close what is open: everything that the instance holds and that has an `aclose` of its own."""
        for held in list(vars(self).values()):
            close = getattr(held, "aclose", None)
            if inspect.iscoroutinefunction(close):
                await close()


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
    _check_declared(connector, capabilities, where)


def _check_declared(
    connector: type[Connector[Any]], capabilities: list[type[Capability]], where: str
) -> None:
    """Refuse declarations about methods that it does not have: nobody would see that they mean nothing."""
    writes = {name for each in capabilities for name in writes_of(each)}
    reads = {name for each in capabilities for name in methods_of(each)} - writes
    for what, named, known in (
        ("answers_later", connector.answers_later, writes),
        ("cannot_answer", connector.cannot_answer, reads),
    ):
        if odd := sorted(set(named) - known):
            raise DefinitionError(f"{where}: {what} names {odd[0]!r}; there are {', '.join(sorted(known))}")


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
