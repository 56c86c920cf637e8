"""The kit put together: all cases of a connector, one bench for each, under pytest or without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from connectors.sdk.capabilities.capability import capabilities_of
from connectors.sdk.connector import Connector
from connectors.sdk.context import Context
from connectors.sdk.memory import LocalBudget, MemoryLog, MemoryTokens
from connectors.sdk.testing import faults, laws, lookup_laws, money_laws, record_laws, webhook_laws
from connectors.sdk.testing.case import Bench, Case, Skipped, StandIn
from connectors.sdk.testing.surroundings import KitClock, KitSecrets

#: A port on which nobody listens.
CLOSED = {"http": "http://127.0.0.1:9", "smtp": "smtp://127.0.0.1:9"}

CAPABILITIES: dict[str, list[Case]] = {
    "payment": money_laws.PAYMENT,
    "tax": money_laws.TAX,
    "ledger": money_laws.LEDGER,
    "crm": record_laws.CRM,
    "mail": record_laws.MAIL,
    "shipping": record_laws.SHIPPING,
    "drm": record_laws.DRM,
    "provisioning": record_laws.PROVISIONING,
    "cms": record_laws.CMS,
    "campaigns": record_laws.CAMPAIGNS,
    "support": record_laws.SUPPORT,
}


def cases(connector: type[Connector[Any]]) -> list[Case]:
    """Everything that this connector must show, laws first, then the fault matrix."""
    if not __debug__:
        raise RuntimeError("the kit is made of assertions: run it without -O")
    found = laws.cases(connector) + lookup_laws.cases(connector)
    for capability in capabilities_of(connector):
        found += CAPABILITIES.get(capability.capability, [])
    return found + webhook_laws.cases(connector) + faults.cases(connector)


def _address(stand_in: Any) -> str:
    """Where the connector finds it; a stand-in of another transport than HTTP says so itself."""
    return str(getattr(stand_in, "address", None) or stand_in.url)


@asynccontextmanager
async def bench(
    connector: type[Connector[Any]],
    stand_in: StandIn,
    *,
    secrets: Mapping[str, str] | None = None,
    samples: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> AsyncIterator[Bench]:
    """A bench on a running stand-in, which is brought back to its empty state first."""
    stand_in.reset()
    clock = KitClock(stand_in.advance)
    log = MemoryLog()
    open_ones: list[Connector[Any]] = []

    def made(*, closed: bool = False, timeout: float | None = None, url: str | None = None) -> Connector[Any]:
        url = CLOSED[connector.transport] if closed else url or _address(stand_in)
        fields = {**connector.sandbox_config(url), **({} if closed else config or {})}
        context = Context(
            connection="kit",
            mode="test",
            secrets=KitSecrets(secrets or {}),
            tokens=MemoryTokens(clock),
            budget=LocalBudget(clock),
            log=log,
            clock=clock,
            allow_loopback=True,
            timeout=timeout,
        )
        instance = connector(connector.Config(**fields), context)
        open_ones.append(instance)
        return instance

    try:
        yield Bench(made(), stand_in, clock, log, made, samples or {})
    finally:
        for instance in open_ones:
            await instance.aclose()


@dataclass(frozen=True, slots=True)
class Result:
    """How a case went. detail: why it is red, or why it does not apply."""

    case: Case
    outcome: Literal["green", "red", "not applicable"]
    detail: str = ""


async def judge(case: Case, opened: Callable[[], Any]) -> Result:
    """Run one case on a bench that `opened` gives."""
    try:
        async with asyncio.timeout(60), opened() as ready:
            await case.run(ready)
    except Skipped as reason:
        return Result(case, "not applicable", str(reason))
    except Exception as error:
        return Result(case, "red", f"{type(error).__name__}: {error}"[:500])
    return Result(case, "green")


class Suite:
    """The kit under pytest.

        class TestAcme(Suite):
            connector = Acme
            stand_in = AcmeStandIn

    secrets: what secret references lead to, where the stand-in insists. samples: other requests than the kit's, by
    "capability.method". config: further fields of the configuration.
    """

    connector: ClassVar[type[Connector[Any]]]
    stand_in: ClassVar[Callable[[], Any]]
    secrets: ClassVar[Mapping[str, str]] = {}
    samples: ClassVar[Mapping[str, Any]] = {}
    config: ClassVar[Mapping[str, Any]] = {}
    _running: ClassVar[Any] = None

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """One test for each case."""
        if "case" in metafunc.fixturenames:
            found = cases(type(self).connector)
            metafunc.parametrize("case", found, ids=[case.id for case in found])

    @classmethod
    def setup_class(cls) -> None:
        """Start the stand-in, once for all cases."""
        cls._running = cls.stand_in()
        cls._running.start()

    @classmethod
    def teardown_class(cls) -> None:
        """End it."""
        cls._running.stop()

    def sent(self, requests: Sequence[Any]) -> None:
        """Called with what the stand-in got in each case, for a suite that knows more of its vendor."""

    def test_conformance(self, case: Case) -> None:
        """The case must hold."""
        import pytest

        opened = partial(
            bench,
            self.connector,
            self._running,
            secrets=self.secrets,
            samples=self.samples,
            config=self.config,
        )

        async def shown() -> None:
            async with asyncio.timeout(60), opened() as ready:
                await case.run(ready)

        try:
            asyncio.run(shown())
        except Skipped as reason:
            pytest.skip(str(reason))
        self.sent(getattr(self._running, "requests", ()))
