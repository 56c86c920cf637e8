"""Checkouts played whole: on a real database and Temporal server, against the gateway's stand-in over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.worker import Replayer, Worker

from activities.checkout import CheckoutActivities, Taxes, built_in
from activities.connectors import ConnectorActivities
from activities.parked import ParkedActivities
from connectors.sdk.config import Secret
from connectors.sdk.connector import Connector
from connectors.sdk.memory import memory_context
from connectors.stripe.config import StripeConfig
from connectors.stripe.connector import Stripe
from contracts.checkout import CheckoutInput, CheckoutResult
from contracts.names import CALL_QUEUE, TASK_QUEUE
from operations.catalog import load_catalog
from operations.checkout.begin import Order, begin
from operations.checkout.quote import Gateway
from operations.checkout.told_standing import ReadTold
from operations.verify import verify
from runtime.catalog_source import read_catalog_file
from runtime.temporal import MastheadPlugin
from sandbox.stand_in import StandIn
from sandbox.stripe.stand_in import StripeStandIn
from storage.checkouts import CheckoutRow, read_checkout
from storage.database import transaction
from tests.workflows.paying import QUICK
from workflows.checkout import CheckoutWorkflow
from workflows.checkout_starts import CheckoutHandle, start_checkout
from workflows.connector_call import ConnectorCallWorkflow

CATALOG = Path(__file__).parents[2] / "examples" / "catalog.yaml"
GATEWAY = "cards"
BACK = "https://shop.example/back"

ACCOUNT = {"currency": "USD", "time_zone": "America/New_York", "tax_region": "US-NY"}
BUYER = {"name": "Zenobia Quillfeather", "email": "zenobia@quillfeather.example"}


def order(*plans: str, card: str | None = "visa", **changes: Any) -> Order:
    """A new reader's checkout of `plans`, paid with the test card `card`."""
    asked: dict[str, Any] = {
        "items": [{"plan": plan} for plan in plans or ("digital-monthly",)],
        "opens": ACCOUNT,
        "buyer": BUYER,
        "payment": card and {"method": f"pm_card_{card}", "return_url": BACK},
    }
    return Order.model_validate(asked | changes)


def open_account(engine: Engine, key: str) -> None:
    """Somebody else opens the account of that key; nothing happens where they have."""
    with transaction(engine) as connection:
        connection.execute(
            "insert into account (id, mode, external_key, currency, time_zone, locale)"
            " values (gen_random_uuid(), 'live', %s, 'USD', 'UTC', 'en') on conflict do nothing",
            (key,),
        )


class Shop:
    """A database, the gateway's stand-in, and a client of Temporal."""

    def __init__(self, engine: Engine, client: Client, gateway: StripeStandIn) -> None:
        self.engine = engine
        self.client = client
        self.gateway = gateway
        self.gateways: dict[str, StandIn] = {GATEWAY: gateway}
        self.uses = GATEWAY
        self.connector: type[Stripe] = Stripe
        self.fulfilled_by: Mapping[str, str | None] = {"provisioning": None, "drm": None, "shipping": None}
        self.sets_up = True
        self.taxes: Taxes = built_in
        self.others: dict[str, Connector[Any]] = {}
        self.told_by: Callable[[str], ReadTold | None] = lambda _: None
        with transaction(engine) as connection:
            known = connection.execute("select count(*) from plan where code = 'digital-monthly'").fetchone()
        if known == (0,):
            load_catalog(engine, read_catalog_file(CATALOG).catalog)

    async def open(self, name: str, /) -> Connector[Any]:
        """The connection to a gateway, with short timeouts."""
        if name in self.others:
            return self.others[name]
        config = StripeConfig(api_key=Secret("env:STRIPE_KEY"), base_url=self.gateways[name].url)
        return self.connector(
            config, memory_context(name, secrets={"STRIPE_KEY": "sk_test_x"}, timeout=QUICK)
        )

    def activities(self) -> list[Callable[..., Any]]:
        """Those of checkouts."""
        sales = CheckoutActivities(
            self.engine,
            lambda _: Gateway(self.uses, self.sets_up),
            lambda _: self.fulfilled_by,
            lambda *asked: self.taxes(*asked),
            lambda name: self.told_by(name),
        )
        return sales.all()

    @asynccontextmanager
    async def working(self, queue: str = TASK_QUEUE) -> AsyncIterator[None]:
        """Workers in this process."""
        calls = ConnectorActivities(self.engine, self.open)
        with ThreadPoolExecutor(4) as threads:
            async with (
                Worker(
                    self.client,
                    task_queue=queue,
                    workflows=[CheckoutWorkflow, ConnectorCallWorkflow],
                    activities=[*self.activities(), *ParkedActivities(self.engine).all()],
                    activity_executor=threads,
                ),
                Worker(self.client, task_queue=CALL_QUEUE, activities=calls.all()),
            ):
                yield

    async def start(self, asked: Order, key: str | None = None, **patience: Any) -> CheckoutHandle:
        """Begin a checkout as the API does."""
        with transaction(self.engine) as connection:
            row, _ = begin(connection, asked, key or str(uuid4()))
        return await start_checkout(
            self.client, CheckoutInput(checkout_id=row.id, account_id=row.account_id, **patience)
        )

    async def sell(self, asked: Order, **patience: Any) -> tuple[CheckoutResult, CheckoutRow]:
        """A checkout from its beginning to its end."""
        handle = await self.start(asked, **patience)
        async with asyncio.timeout(60):
            result = await handle.result()
        return result, self.row(result.checkout_id)

    async def replay(self, handle: CheckoutHandle) -> int:
        """Replay every run of a checkout that has ended; how many there were."""
        replayer = Replayer(workflows=[CheckoutWorkflow], plugins=[MastheadPlugin()])
        run_id, runs = handle.first_execution_run_id, 0
        while run_id:
            own = self.client.get_workflow_handle(handle.id, run_id=run_id)
            history = await own.fetch_history()
            await replayer.replay_workflow(history)
            closing = history.events[-1].workflow_execution_continued_as_new_event_attributes
            run_id, runs = closing.new_execution_run_id, runs + 1
        return runs

    def row(self, checkout_id: str) -> CheckoutRow:
        """Its row."""
        with transaction(self.engine) as connection:
            return read_checkout(connection, checkout_id)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        with transaction(self.engine) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    async def until(self, what: str, true: Callable[[], object], seconds: float = 30.0) -> None:
        """Wait until `true()` holds."""
        try:
            async with asyncio.timeout(seconds):
                while not await asyncio.to_thread(true):  # noqa: ASYNC110 - there is nothing that tells it
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not within {seconds:g} s: {what}") from None

    def check(self) -> None:
        """The laws of every checkout in the database, by the gateway's own count and by the books."""
        for (own,) in self.rows("select id::text from checkout"):
            self._check_one(self.row(own))
        broken = [(law.law, law.violations) for law in verify(self.engine) if not law.ok]
        assert broken == [], broken

    def _check_one(self, row: CheckoutRow) -> None:
        reference = f"checkout:{row.id}"
        effects = self.gateways[row.connection or GATEWAY].effects
        charges = effects.of("charge", reference)
        refunds = effects.of("refund", f"{reference}:refund")
        assert len(charges) <= 1, "charged twice"
        assert len(refunds) <= 1, "refunded twice"
        if row.ended_at is not None:
            held = effects.count("authorization", reference)
            released = effects.count("void", reference)
            assert held <= len(charges) + released, "an orphan authorisation"
        payments = self.rows(
            "select p.amount, i.status, i.total from payment p"
            " join payment_application a on a.payment_id = p.id join invoice i on i.id = a.invoice_id"
            " where p.account_id = %s and i.id = %s and p.status = 'succeeded'",
            row.account_id,
            row.invoice_id,
        )
        if row.ended_at is not None:
            kept = len(charges) - len(refunds)
            assert [(row.due, "paid", row.total)] * kept == payments, "a capture without its payment"
        assert bool(charges) <= (row.invoice_id is not None or bool(refunds)), (
            "captured without a final invoice"
        )
        if row.status != "completed":
            self._check_no_access(row)
        elif row.due:
            assert len(charges) == 1
            assert charges[0].detail["amount"] == row.due

    def _check_no_access(self, row: CheckoutRow) -> None:
        open_ = self.rows(
            "select s.id from subscription s where s.id = any(%s::uuid[])"
            " and not (s.status = 'canceled' and s.ends_on <= s.starts_on)"
            " and not exists (select from awaiting_payment w where w.subscription_id = s.id)",
            row.subscription_ids,
        )
        assert open_ == [], "an orphan access"
        granted = self.rows(
            "select feature from entitlement_grant where account_id = %s and source_id = any(%s::uuid[])",
            row.account_id,
            row.subscription_ids,
        )
        assert granted == [], "an orphan grant"
        given = "select id from purchase where checkout_id = %s and paid_at is not null"
        assert self.rows(given, row.id) == [], "an orphan purchase"
