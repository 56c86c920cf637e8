"""A database that the previous release filled migrates with its rows intact, and workflows that it had open go on."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.connectors import ConnectorActivities
from activities.parked import ParkedActivities
from activities.subscription import SubscriptionActivities
from connectors.sdk.capabilities.payment import ChargeOrder, PaymentStatus
from connectors.sdk.key import Key
from connectors.stripe.connector import Stripe
from contracts.checkout import CheckoutStatus
from contracts.names import CALL_QUEUE, TASK_QUEUE, checkout_id, subscription_id
from contracts.subscription import LOOK_AGAIN
from domain.account import collecting
from operations.accounts.unit import changing
from operations.checkout.gateway import reference_of
from operations.tariffs import Tariffs
from operations.verify import verify
from runtime.backup.postgres_tools import restore
from runtime.temporal import connect
from sandbox.stripe.stand_in import StripeStandIn
from storage.checkouts import CheckoutRow
from storage.database import make_engine, transaction
from storage.migrate import head, upgrade
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.runtime.backup.restored import TemporalOver
from tests.workflows.selling import GATEWAY, Shop
from workflows.checkout import CheckoutWorkflow
from workflows.subscription import SubscriptionWorkflow

BEFORE = Path(__file__).parent / "0016"


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    """The database as the previous release left it."""
    with psycopg.connect(pg_server.server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            b"create database previous_release template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'"
            b" locale_provider builtin builtin_locale 'C.UTF-8'"
        )
    found = pg_server.server.url("previous_release")
    restore(found, BEFORE / "postgres.dump", before="", after="")
    return found


def rows_by_table(url: str, columns: dict[str, list[str]] | None = None) -> dict[str, tuple[int, str]]:
    """How many rows each table has, and a digest of them; only `columns` where they are given."""
    found = {}
    with psycopg.connect(url) as connection:
        for table, names in (columns or columns_of(url)).items():
            listed = ", ".join(f'"{name}"' for name in names)
            row = connection.execute(
                f"select count(*), md5(coalesce(string_agg(r::text, E'\\n' order by r::text), ''))"
                f" from (select {listed} from {table}) r".encode()
            ).fetchone()
            assert row is not None
            found[table] = (row[0], row[1])
    return found


def columns_of(url: str) -> dict[str, list[str]]:
    """The columns of every table."""
    found: dict[str, list[str]] = {}
    with psycopg.connect(url) as connection:
        for table, column in connection.execute(
            "select table_name, column_name from information_schema.columns"
            " where table_schema = 'public' and table_name <> 'alembic_version' order by 1, ordinal_position"
        ):
            found.setdefault(table, []).append(column)
    return found


def test_rows_stay(url: str) -> None:
    columns = columns_of(url)
    before = rows_by_table(url, columns)
    filled = {table for table, (count, _) in before.items() if count}
    assert {"account", "subscription", "invoice", "invoice_line", "journal_line", "payment", "checkout",
            "connector_call", "event_log", "entitlement_grant", "mail", "bill_run"} <= filled  # fmt: skip
    with psycopg.connect(url) as connection:
        assert connection.execute("select version_num from alembic_version").fetchone() == ("0016",)
    upgrade(url)
    with psycopg.connect(url) as connection:
        assert connection.execute("select version_num from alembic_version").fetchone() == (head(),)
    assert rows_by_table(url, columns) == before
    engine = make_engine(url)
    try:
        assert [law for law in verify(engine) if not law.ok] == []
    finally:
        engine.dispose()


async def test_open_workflows_go_on(url: str, tmp_path: Path) -> None:
    upgrade(url)
    facts = json.loads((BEFORE / "facts.json").read_text())
    file = tmp_path / "temporal.db"
    file.write_bytes(gzip.decompress((BEFORE / "temporal.db.gz").read_bytes()))
    engine = make_engine(url)
    temporal = await asyncio.to_thread(TemporalOver, file)
    try:
        with StripeStandIn() as gateway:
            shop = Shop(engine, await connect(temporal.address, NAMESPACE), gateway)
            await approve(shop, shop.row(facts["checkout"]))
            async with working(shop), asyncio.timeout(60):
                sale = shop.client.get_workflow_handle_for(
                    CheckoutWorkflow.run, checkout_id(facts["checkout"])
                )
                await sale.signal(CheckoutWorkflow.confirm, None)
                assert (await sale.result()).status is CheckoutStatus.COMPLETED
                assert gateway.count("charge") == 1
                cancel(shop, facts["subscription"])
                episode = shop.client.get_workflow_handle_for(
                    SubscriptionWorkflow.run, subscription_id(facts["subscription"])
                )
                with suppress(RPCError):  # its trial may have ended long ago
                    await episode.signal(LOOK_AGAIN)
                assert (await episode.result()).status in ("canceled", "active")
        assert [law for law in verify(engine) if not law.ok] == []
    finally:
        engine.dispose()
        temporal.kill()


async def approve(shop: Shop, row: CheckoutRow) -> None:
    """Hold at the stand-in, which remembers nothing of then, what the customer has confirmed at the bank."""
    cards = await shop.open(GATEWAY)
    assert isinstance(cards, Stripe)
    order = ChargeOrder(
        reference=reference_of(row.id),
        amount=row.due or 0,
        currency=row.currency or "",
        method="pm_card_visa",
        capture=False,
    )
    held = await cards.charge(order, Key.of("then", row.id))
    assert held.status is PaymentStatus.AUTHORIZED
    await cards.aclose()


def cancel(shop: Shop, subscription: str) -> None:
    """End the subscription today."""
    [(account,)] = shop.rows("select account_id::text from subscription where id = %s", subscription)
    with (
        transaction(shop.engine) as connection,
        changing(connection, Tariffs(shop.engine).current(), account, datetime.now(UTC)) as unit,
    ):
        collecting.cancel_all(unit.account)


@asynccontextmanager
async def working(shop: Shop) -> AsyncIterator[None]:
    """Workers of today's code for what is open."""
    calls = ConnectorActivities(shop.engine, shop.open)
    with ThreadPoolExecutor(4) as threads:
        async with (
            Worker(
                shop.client,
                task_queue=TASK_QUEUE,
                workflows=[CheckoutWorkflow, SubscriptionWorkflow],
                activities=[
                    *shop.activities(),
                    *SubscriptionActivities(shop.engine).all(),
                    *ParkedActivities(shop.engine).all(),
                ],
                activity_executor=threads,
            ),
            Worker(shop.client, task_queue=CALL_QUEUE, activities=calls.all()),
        ):
            yield
