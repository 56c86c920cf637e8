"""Refunds played whole: accounts with invoices that gateways were paid for, on a real database and Temporal server,
against both gateways' stand-ins over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb
from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker
from uuid_utils import uuid7

from activities.connectors import ConnectorActivities
from activities.parked import ParkedActivities
from activities.refund import RefundActivities
from connectors.adyen.config import AdyenConfig
from connectors.adyen.connector import Adyen
from connectors.sdk.capabilities.payment import ChargeOrder, Payment
from connectors.sdk.capabilities.payment_facts import PaymentFact
from connectors.sdk.config import Secret
from connectors.sdk.connector import Connector
from connectors.sdk.key import Key
from connectors.sdk.memory import memory_context
from connectors.stripe.config import StripeConfig
from connectors.stripe.connector import Stripe
from contracts.names import CALL_QUEUE, TASK_QUEUE
from contracts.refund import RefundInput, RefundResult
from domain.account import collecting
from domain.account.commands import Subscribe
from domain.rule_book import RuleBook
from operations.accounts.commands import carry_out
from operations.accounts.unit import changing
from operations.catalog import load_catalog
from operations.refunds.asking import refund_payment
from operations.refunds.facts import apply_facts
from operations.rule_books import load_rule_book
from operations.tariffs import Tariffs
from operations.verify import verify
from runtime.catalog_source import read_catalog_file
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.stripe.stand_in import StripeStandIn
from storage.calls import find_call
from storage.charges import charge_key
from storage.database import transaction
from storage.refunds import RefundRow, read_refund, refund_key
from tests.workflows.paying import QUICK
from workflows.refund import RefundWorkflow
from workflows.refund_starts import RefundHandle, start_refund

CATALOG = Path(__file__).parents[2] / "examples" / "catalog.yaml"
CARDS = {
    "stripe": {"good": "pm_card_visa", "refund_fails": "pm_card_refundFail"},
    "adyen": {"good": "stored_visa", "refund_fails": "stored_refund_fails"},
}
StandIn = StripeStandIn | AdyenStandIn


class Paid(NamedTuple):
    """A payment in the books. gateway_id: what the gateway calls it."""

    account: str
    payment_id: str
    no: int
    amount: int
    gateway: str
    gateway_id: str


class Till:
    """A database, gateways' stand-ins by the names of their connections, and a client of Temporal."""

    def __init__(self, engine: Engine, client: Client, gateways: Mapping[str, StandIn]) -> None:
        self.engine = engine
        self.client = client
        self.gateways = dict(gateways)
        self.tariffs = Tariffs(engine)
        load_catalog(engine, read_catalog_file(CATALOG).catalog)

    def kind(self, gateway: str) -> str:
        """stripe or adyen."""
        return "stripe" if isinstance(self.gateways[gateway], StripeStandIn) else "adyen"

    async def open(self, name: str, /) -> Connector[Any]:
        """The connection to a gateway, with short timeouts."""
        return connection_to(name, self.kind(name), self.gateways[name].url, QUICK)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Workers in this process."""
        with ThreadPoolExecutor(4) as threads:
            async with (
                Worker(
                    self.client,
                    task_queue=TASK_QUEUE,
                    workflows=[RefundWorkflow],
                    activities=[
                        *RefundActivities(self.engine).all(),
                        *ParkedActivities(self.engine).all(),
                    ],
                    activity_executor=threads,
                ),
                Worker(
                    self.client,
                    task_queue=CALL_QUEUE,
                    activities=ConnectorActivities(self.engine, self.open).all(),
                ),
            ):
                yield

    def rules(self, **refunds: str) -> None:
        """The default rule book, with that policy of refunds."""
        load_rule_book(self.engine, RuleBook.model_validate({"policy": {"refunds": refunds}}))

    async def paid(self, gateway: str, card: str = "good") -> Paid:
        """An account whose first invoice was charged at the gateway, once."""
        account, invoice_total = self.invoiced()
        reference = f"charge:{account}:1"
        connector = await self.open(gateway)
        try:
            made: Payment = await connector.charge(  # type: ignore[attr-defined]
                ChargeOrder(
                    reference=reference,
                    amount=invoice_total,
                    currency="USD",
                    method=CARDS[self.kind(gateway)][card],
                    customer=None if self.kind(gateway) == "stripe" else account,
                ),
                Key(reference),
            )
        finally:
            await connector.aclose()
        return self.settled(account, invoice_total, gateway, made.id)

    def invoiced(self, mode: str = "live") -> tuple[str, int]:
        """A new account with an open invoice: its id, and what is owed."""
        account = str(uuid7())
        with transaction(self.engine) as connection:
            connection.execute(
                "insert into account (id, mode, external_key, currency, time_zone, locale, tax_region, auto_pay)"
                " values (%s, %s, %s, 'USD', 'America/New_York', 'en', 'US-NY', true)",
                (account, mode, account),
            )
            step = Subscribe.model_validate(
                {"at": date.today(), "do": "subscribe", "plan": "digital-monthly", "name": account}
            )
            carry_out(
                connection,
                self.tariffs.current(connection),
                account,
                "subscribe",
                step,
                datetime.now(UTC),
                invoice_now=True,
            )
            row = connection.execute("select total from invoice where account_id = %s", (account,)).fetchone()
        assert row is not None
        return account, row[0]

    def settled(self, account: str, amount: int, gateway: str, gateway_id: str) -> Paid:
        """The charge in the books, as whoever charges writes it."""
        with transaction(self.engine) as connection:
            tariff = self.tariffs.current(connection)
            with changing(connection, tariff, account, datetime.now(UTC)) as unit:
                collecting.pay(unit.account, amount, unit.account.open_invoices())
            row = connection.execute(
                "update payment set gateway_id = %s where account_id = %s and no = 1 returning id::text",
                (gateway_id, account),
            ).fetchone()
            assert row is not None
            own = str(uuid7())
            connection.execute(
                "insert into charge (id, account_id, no, collection_id, made_on, currency, amount, connection, method,"
                " status, gateway_id, payment_id, ended_at) values"
                " (%s, %s, 1, %s, current_date, 'USD', %s, %s, 'token', 'succeeded', %s, %s, now())",
                (own, account, own, amount, gateway, gateway_id, row[0]),
            )
            connection.execute(
                "insert into connector_call (id, connection, capability, method, key, mode, account_id, status,"
                " attempts, first_sent_at, answer, ended_at) values (%s, %s, 'payment', 'payment.charge', %s, 'live',"
                " %s, 'succeeded', 1, now(), %s, now())",
                (
                    str(uuid7()),
                    gateway,
                    charge_key(account, 1),
                    account,
                    Jsonb({"id": gateway_id, "status": "succeeded"}),
                ),
            )
        return Paid(account, row[0], 1, amount, gateway, gateway_id)

    def ask(self, paid: Paid, amount: str | None = None, command: str | None = None) -> RefundRow:
        """Promise a refund, as the API does."""
        with transaction(self.engine) as connection:
            return refund_payment(
                connection,
                self.tariffs.current(connection),
                paid.account,
                paid.no,
                command or str(uuid7()),
                amount=amount,
                reason="late delivery",
                now=datetime.now(UTC),
            )

    async def start(self, row: RefundRow, **patience: Any) -> RefundHandle:
        """Begin its process."""
        return await start_refund(
            self.client, RefundInput(refund_id=row.id, account_id=row.account_id, **patience)
        )

    async def refund(self, paid: Paid, amount: str | None = None) -> RefundResult:
        """From the wish to the end, with what the gateway tells."""
        row = self.ask(paid, amount)
        handle = await self.start(row)
        await self.told_of(row)
        async with asyncio.timeout(60):
            return await handle.result()

    async def told_of(self, row: RefundRow) -> None:
        """Wait until the gateway has it, and let it tell what became of it."""
        await self.until("the gateway has answered", lambda: self.row(row).status != "pending")
        await self.tell(str(row.connection))

    async def tell(self, gateway: str, shuffled: Callable[[list[PaymentFact]], None] | None = None) -> None:
        """Let the gateway tell all that it ever had to tell."""
        await asyncio.to_thread(self.gateways[gateway].settle)
        facts = self.facts(gateway)
        if shuffled is not None:
            shuffled(facts)
        signals = []
        with transaction(self.engine) as connection:
            signals = apply_facts(
                connection, self.tariffs.current(connection), gateway, facts, datetime.now(UTC)
            )
        for signal in signals:
            with suppress(RPCError):  # it may have ended
                await self.client.get_workflow_handle(signal.workflow_id).signal(signal.name, signal.argument)

    def facts(self, gateway: str) -> list[PaymentFact]:
        """What the gateway has to tell, as its connector reads it."""
        stand_in = self.gateways[gateway]
        stand_in.catch_up()
        if isinstance(stand_in, StripeStandIn):
            events = [dict(each) for each in stand_in.objects["event"].values()]
            return [fact for each in events for fact in Stripe.facts(_stripe(""), each)]
        return [fact for each in stand_in.told for fact in Adyen.facts(_adyen(""), each.item)]

    def row(self, refund: RefundRow) -> RefundRow:
        """It, as it is now."""
        with transaction(self.engine) as connection:
            return read_refund(connection, refund.id)

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

    def balance(self, ledger_account: str) -> int:
        """Debit less credit, minor units."""
        ((found,),) = self.rows(
            "select coalesce(sum(debit - credit), 0) from journal_line where ledger_account = %s",
            ledger_account,
        )
        return int(found)

    def check(self) -> None:
        """The laws: the gateway's own log has one refund for each that is paid and none without a row; the books."""
        for own, payment, no, connection, amount, status in self.rows(
            "select id::text, payment_id::text, no, connection, amount, status from refund"
        ):
            if connection is None:
                continue
            made = self.gateways[connection].effects.of("refund", refund_key(payment, no))
            assert len(made) <= 1, f"refund {own} was made twice"
            if status in ("succeeded", "processing"):
                assert [each.detail["amount"] for each in made] == [amount], f"refund {own}"
        for name, gateway in self.gateways.items():
            rows = self.rows("select count(*) from refund where connection = %s", name)
            assert gateway.effects.count("refund") <= rows[0][0], "a refund that nobody asked for here"
        self.check_books()

    def check_books(self) -> None:
        """What is promised stands in the ledger, and the books hold."""
        standing = self.rows("select coalesce(sum(amount), 0) from refund where promise = 'standing'")
        assert -self.balance("refunds_payable") == standing[0][0]
        broken = [(law.law, law.violations) for law in verify(self.engine) if not law.ok]
        assert broken == [], broken

    def call_status(self, row: RefundRow) -> str:
        """How its call stands."""
        with transaction(self.engine) as connection:
            call = find_call(
                connection, mode="live", to=str(row.connection), method="payment.refund", key=row.key
            )
        assert call is not None
        return call.status


def connection_to(name: str, kind: str, url: str, timeout: float = 10.0) -> Connector[Any]:
    """The connector of a gateway's stand-in."""
    context = memory_context(name, secrets={"KEY": "sk_test_x", "env:KEY": "sk_test_x"}, timeout=timeout)
    return Stripe(_stripe(url), context) if kind == "stripe" else Adyen(_adyen(url), context)


def _stripe(url: str) -> StripeConfig:
    return StripeConfig.model_validate({"api_key": Secret("env:KEY")} | ({"base_url": url} if url else {}))


def _adyen(url: str) -> AdyenConfig:
    given = {"api_key": Secret("env:KEY"), "merchant_account": "MastheadSandbox"}
    return AdyenConfig.model_validate(given | ({"base_url": url} if url else {}))
