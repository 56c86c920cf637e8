"""A test clock beside a tax engine that is connected for test mode: AvaTax's stand-in taxes what it bills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import Client

from activities.tax_step import EngineTaxes
from connectors.avalara.connector import Avalara
from contracts.test_clock import Clock, ClockStatus
from domain.account import commands as verbs
from domain.invoices import Draft
from operations.accounts.at_once import AtOnce, NotAsked, Pending
from operations.accounts.commands import carry_out
from operations.billrun.rate import TaxAnswers
from operations.test_clocks.clocks import read_clock
from operations.verify import verify
from runtime.temporal import connect
from sandbox.avatax.stand_in import AvaTaxStandIn
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.faults.conftest import until
from tests.names import NAMESPACE
from tests.operations.clocked import FIRST, Clocked, instant
from tests.single_invoices import Shop
from tests.workflows.clocked import clock_worker
from workflows.clock_starts import advance_clock

NOW = datetime.now(UTC)
MARCH = instant("2026-03-06")
TAXED = (
    "select i.issued_on::text, i.tax, d.total, d.source, d.mode from invoice i"
    " left join tax_document d on d.invoice_id = i.id order by i.number"
)


@pytest.fixture
async def shop(pg_server: PostgresForTests) -> AsyncIterator[Shop]:
    engine = make_engine(pg_server.fresh_database("clock_taxed"))
    with AvaTaxStandIn() as stand_in:
        yield Shop(engine, Avalara, stand_in, modes=("test",))
    engine.dispose()


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address, NAMESPACE)


def taxes_of(shop: Shop) -> EngineTaxes:
    return EngineTaxes(shop.quotes, asyncio.get_running_loop())


async def ended(clocked: Clocked, clock: Clock) -> Clock:
    await until(
        "the clock stands",
        lambda: read_clock(clocked.engine, clock.id).status is not ClockStatus.ADVANCING,
    )
    return read_clock(clocked.engine, clock.id)


async def test_what_a_clock_bills_is_taxed_by_the_engine_and_recorded_there(
    shop: Shop, client: Client
) -> None:
    clocked = Clocked(shop.engine)
    clock = clocked.clock()
    clocked.subscribe(clocked.account(clock, "ada"), "main", "digital-monthly")
    async with clock_worker(client, shop.engine, taxes=taxes_of(shop)) as queue:
        await advance_clock(client, clock.id, MARCH, queue=queue)
        assert (await ended(clocked, clock)).status is ClockStatus.READY
    found = clocked.rows(TAXED)
    assert [day for day, *_ in found] == ["2026-01-05", "2026-02-05", "2026-03-05"]
    assert {(tax, total, source, mode) for _, tax, total, source, mode in found} == {
        (107, 107, "engine", "test")
    }
    await shop.turn()
    assert {document.code for document in shop.stand_in.documents.all()} == {"TEST-1", "TEST-2", "TEST-3"}
    assert [each for each in verify(shop.engine) if not each.ok] == []


async def test_a_clock_stops_while_the_engine_is_away_and_goes_on_when_told_again(
    shop: Shop, client: Client
) -> None:
    clocked = Clocked(shop.engine)
    clock = clocked.clock()
    clocked.subscribe(clocked.account(clock, "ada"), "main", "digital-monthly")
    shop.stand_in.inject("unavailable", None)
    async with clock_worker(client, shop.engine, taxes=taxes_of(shop)) as queue:
        await advance_clock(client, clock.id, MARCH, queue=queue)
        stopped = await ended(clocked, clock)
        assert stopped.status is ClockStatus.FAILED
        assert "taxes could not be asked for the tax" in (stopped.problem or "")
        assert clocked.rows(TAXED) == []
        shop.stand_in.faults.clear()

        async def again() -> bool:
            await advance_clock(client, clock.id, MARCH, queue=queue)
            return (await ended(clocked, clock)).status is ClockStatus.READY

        while not await again():  # the engine is left alone for a while after it was away
            pass
    assert len(clocked.rows(TAXED)) == 3


async def test_an_account_that_moves_while_the_engine_is_asked_is_asked_for_again(shop: Shop) -> None:
    clocked = Clocked(shop.engine)
    account = clocked.account(clocked.clock(), "ada")
    clocked.subscribe(account, "main", "digital-monthly")
    tariff = clocked.tariffs.current()
    ask = taxes_of(shop).step("test", tariff.taxes, lambda _: None)
    more = verbs.ChangeQuantity(at=FIRST, do="change_quantity", subscription="main", quantity=Decimal(2))
    asked: list[Decimal] = []

    def disturbed(drafts: Sequence[Draft]) -> TaxAnswers:
        if not asked:
            clocked.do(account, more)
        asked.extend(draft.lines[0].quantity for draft in drafts)
        return ask(drafts)

    await asyncio.to_thread(clocked.play, account, instant("2026-01-06"), disturbed)
    assert asked == [1, 2]
    assert clocked.rows("select distinct quantity from invoice_line where kind <> 'tax'") == [(2,)]


async def test_a_command_that_the_engine_did_not_tax_is_billed_by_the_clock(shop: Shop) -> None:
    clocked = Clocked(shop.engine)
    account = clocked.account(clocked.clock(), "ada")
    clocked.subscribe(account, "main", "digital-lite")
    tariff = clocked.tariffs.current()
    step = taxes_of(shop).step("test", tariff.taxes, lambda _: None)
    await asyncio.to_thread(clocked.play, account, instant("2026-01-06"), step)
    upgrade = verbs.ChangePlan(at=FIRST, do="change_plan", subscription="main", to="digital-monthly")

    def command(at_once: AtOnce | None) -> dict[str, Any]:
        with transaction(shop.engine) as connection:
            done = carry_out(
                connection,
                tariff,
                account,
                "upgrade",
                upgrade,
                NOW,
                invoice_now=True,
                engine_taxed={"test"},
                at_once=at_once,
            )
        return done.answer

    with pytest.raises(NotAsked):
        command(None)
    away = Pending("engine_away", "taxes is away", "Nothing.")
    assert command(AtOnce(NOW, pending=away))["tax_pending"] == "engine_away"
    assert clocked.rows("select count(*) from parked") == [(0,)]
    assert len(clocked.rows(TAXED)) == 1
    await asyncio.to_thread(clocked.play, account, instant("2026-01-07"), step)
    assert [(day, source) for day, _, _, source, _ in clocked.rows(TAXED)] == [
        ("2026-01-05", "engine"),
        ("2026-01-06", "engine"),
    ]
