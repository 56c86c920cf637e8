"""Payment runs played whole: on a real database and Temporal server, against the stand-ins of two gateways."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.worker import Worker

from activities.call_attempt import Patience
from activities.charges import ChargeSender
from activities.connectors import ConnectorActivities
from activities.parked import ParkedActivities
from activities.payment_run import PaymentRunActivities
from bench.fleet import DUE
from connectors.adyen.config import AdyenConfig
from connectors.adyen.connector import Adyen
from connectors.sdk.config import Secret
from connectors.sdk.connector import Connector
from connectors.sdk.memory import memory_context
from connectors.sdk.ports import Rate
from connectors.stripe.config import StripeConfig
from connectors.stripe.connector import Stripe
from contracts.names import CALL_QUEUE, TASK_QUEUE
from contracts.payment_run import PaymentRunRequest, PaymentRunResult
from operations.tariffs import Tariffs
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.stand_in import StandIn
from sandbox.stripe.stand_in import StripeStandIn
from tests.operations.charges.charged import Fleet
from workflows.connector_call import ConnectorCallWorkflow
from workflows.payment_run import PaymentRunWorkflow
from workflows.starts import start_payment_run

CARDS, RESERVE = "cards", "reserve"  # connections to Stripe's stand-in and to Adyen's
QUICK = 1.0  # seconds of a call to a gateway: a busy machine must not pass for a fault
SECRETS = {"KEY": "sk_test_x"}


def opened(name: str, url: str, *, timeout: float = QUICK) -> Connector[Any]:
    """The connection `name` to the stand-in at `url`, without a limit to speak of."""
    context = memory_context(name, secrets=SECRETS, timeout=timeout, rate=Rate(10_000, per=1))
    if name == CARDS:
        return Stripe(StripeConfig(api_key=Secret("env:KEY"), base_url=url), context)
    config = AdyenConfig(api_key=Secret("env:KEY"), merchant_account="MastheadSandbox", base_url=url)
    return Adyen(config, context)


class Till:
    """A fleet whose accounts pay by cards at two gateways, and what carries payment runs."""

    def __init__(
        self, engine: Engine, client: Client, accounts: int = 12, *, fleet: Fleet | None = None
    ) -> None:
        self.fleet = fleet or Fleet(engine, accounts)
        self.engine = engine
        self.client = client
        self.stripe, self.adyen = StripeStandIn(), AdyenStandIn()
        self.gateways: dict[str, StandIn] = {CARDS: self.stripe, RESERVE: self.adyen}
        self.rounds: Sequence[timedelta] = (timedelta(seconds=0.05), timedelta(seconds=1.2))
        self.kept: dict[str, Connector[Any]] = {}

    async def open(self, name: str, /) -> Connector[Any]:
        """The connection to a gateway; whoever asked for it closes it."""
        return opened(name, self.gateways[name].url)

    def use(self, account: str, gateway: str, token: str | None = None) -> None:
        """Let an account pay by a card at one gateway alone."""
        self.fleet.do("delete from payment_method where account_id = %s", account)
        self.add(account, gateway, token)

    def add(self, account: str, gateway: str, token: str | None = None) -> None:
        """One more default method, at another gateway."""
        self.fleet.give_card(
            account, gateway, token or {CARDS: "pm_card_visa", RESERVE: "stored_visa"}[gateway]
        )
        self.fleet.do(
            "update payment_method set customer = %s where account_id = %s and connection = %s",
            f"shopper-{account}" if gateway == RESERVE else None, account, gateway,
        )  # fmt: skip

    def activities(self) -> list[Callable[..., Any]]:
        """Those of payment runs."""
        sender = ChargeSender(
            self.engine,
            self.open,
            Tariffs(self.engine),
            Patience(send=timedelta(seconds=5)),
            self.rounds,
        )
        return PaymentRunActivities(self.engine, self.open, sender).all()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Gateways and workers in this process."""
        calls = ConnectorActivities(self.engine, self.open)
        with ThreadPoolExecutor(4) as threads, self.stripe, self.adyen:
            async with (
                Worker(
                    self.client,
                    task_queue=TASK_QUEUE,
                    workflows=[PaymentRunWorkflow, ConnectorCallWorkflow],
                    activities=[*self.activities(), *ParkedActivities(self.engine).all()],
                    activity_executor=threads,
                ),
                Worker(self.client, task_queue=CALL_QUEUE, activities=calls.all()),
            ):
                yield

    async def run(self, scope: str = "all", **more: Any) -> PaymentRunResult:
        """A payment run as of DUE, from its beginning to its end."""
        handle = await start_payment_run(self.client, PaymentRunRequest(as_of=DUE, scope=scope, **more))
        async with asyncio.timeout(90):
            return await handle.result()

    def lawful(self) -> None:
        """One charge at the gateways for each payment that succeeded here, and the reverse; the laws of the books."""
        assert differences(self.fleet, self.gateways) == []
        self.fleet.lawful()


def differences(fleet: Fleet, gateways: dict[str, StandIn]) -> list[str]:
    """What the gateways' own logs say that our rows do not, and the reverse (laws I6 and I7)."""
    found = []
    charged = Counter(
        (name, effect.key, effect.detail["amount"])
        for name, gateway in gateways.items()
        for effect in gateway.effects.of("charge")
    )
    ours = Counter(
        (connection, f"charge:{account}:{no}", amount)
        for connection, account, no, amount in fleet.rows(
            "select c.connection, c.account_id::text, c.no, p.amount from charge c"
            " join payment p on p.id = c.payment_id where p.status in ('succeeded', 'refunded')"
        )
    )
    # What is not known to have ended may be there already.
    open_ = {
        (connection, f"charge:{account}:{no}", amount)
        for connection, account, no, amount in fleet.rows(
            "select connection, account_id::text, no, amount from charge where ended_at is null"
        )
    }
    for key, times in charged.items():
        if times > 1:
            found.append(f"charged {times} times: {key}")
        if not ours[key] and key not in open_:
            found.append(f"charged without a payment here: {key}")
    found += [f"a payment without a charge: {key}" for key in ours if not charged[key]]
    paid = fleet.rows(
        "select a.invoice_id, count(*) from payment_application a join charge c on c.payment_id = a.payment_id"
        " group by 1 having count(*) > 1"
    )
    found += [f"invoice {invoice} was paid by {count} charges" for invoice, count in paid]
    return found
