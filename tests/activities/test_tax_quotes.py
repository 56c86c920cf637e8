"""Asking an engine for the tax of a draft: what comes of its faults, of waiting and of the built-in table instead."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest

from activities.tax_orders import TaxPending, TaxRefused, WhenAway
from connectors.avalara.connector import Avalara
from domain.catalog import TaxRate
from domain.tax import TaxTable
from domain.tax_documents import TaxSource
from sandbox.avatax.stand_in import AvaTaxStandIn
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.single_invoices import HASTY, Shop, line

TABLE = TaxTable(
    [
        TaxRate(
            region="US-NY",
            category="news",
            jurisdiction="New York",
            rate=Decimal("0.08"),
            effective=date(2020, 1, 1),
        )
    ]
)
QUOTES = "/api/v2/transactions/create"


@pytest.fixture
def shop(pg_server: PostgresForTests) -> Iterator[Shop]:
    engine = make_engine(pg_server.fresh_database("tax_quotes"))
    with AvaTaxStandIn() as stand_in:
        yield Shop(engine, Avalara, stand_in, table=TABLE)
    engine.dispose()


@pytest.mark.parametrize(
    "fault",
    ["drop_before", "drop_after", "unavailable", "server_error", "bad_gateway", "rate_limited_plain"],
)
async def test_one_fault_is_tried_again(shop: Shop, fault: str) -> None:
    shop.stand_in.inject(fault, path=QUOTES)
    assert (await shop.sell(shop.account())).tax == 89


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("unavailable", "could not be asked for the tax"),
        ("html", "could not be asked for the tax"),
        ("truncated_json", "could not be asked for the tax"),
        ("error_in_200", "could not be asked for the tax"),
        ("unauthorized_forever", "could not be asked for the tax"),
        ("stall_before", "could not be asked for the tax: no answer within 2 s"),
    ],
)
async def test_an_engine_that_cannot_be_asked_is_waited_for(shop: Shop, fault: str, why: str) -> None:
    shop.stand_in.inject(fault, None, path=QUOTES)
    with pytest.raises(TaxPending, match=why) as raised:
        await shop.sell(shop.account())
    assert raised.value.error_kind == "tax_pending"
    with transaction(shop.engine) as connection:
        assert connection.execute("select count(*) from invoice").fetchone() == (0,)


async def test_while_it_is_away_others_are_told_at_once(shop: Shop) -> None:
    shop.stand_in.inject("unavailable", None, path=QUOTES)
    payer = shop.account()
    for _ in range(5):
        with pytest.raises(TaxPending):
            await shop.quotes.quote(shop.draft(payer), TABLE, HASTY)
    assert len(shop.stand_in.requests) == HASTY.tries


async def test_many_drafts_have_an_answer_each(shop: Shop) -> None:
    drafts = [shop.draft(shop.account(region)) for region in ("US-NY", "US-TX", "US-XX", None, "DE")]
    told: list[int] = []
    found = await shop.quotes.quote_all(drafts, TABLE, told.append)
    answers = [found[draft.payer.id] for draft in drafts]
    assert [getattr(each, "total", None) for each in answers] == [89, 83, None, None, 70]
    assert [getattr(each, "error_kind", None) for each in answers] == [
        None,
        None,
        "tax_rejected",
        "no_tax_address",
        None,
    ]
    assert sorted(told) == [1, 2, 3, 4, 5]


async def test_the_built_in_table_instead_is_marked_and_recorded_as_charged(shop: Shop) -> None:
    shop = Shop(shop.engine, Avalara, shop.stand_in, WhenAway.FALLBACK, table=TABLE)
    payer = shop.account()
    shop.stand_in.inject("unavailable", None, path=QUOTES)
    tax = await shop.quotes.quote(shop.draft(payer, line(1000), line(333)), TABLE, HASTY)
    assert tax is not None
    assert (tax.source, tax.total) == (TaxSource.FALLBACK, 80 + 27)
    assert [(each.jurisdiction, each.amount) for each in tax.given] == [("New York", 80), ("New York", 27)]
    sold = await shop.sell(payer, line(1000), line(333))
    shop.stand_in.faults.clear()
    await shop.turn()
    assert shop.documents() == {sold.code: ("committed", 107, 107, True)}


async def test_what_the_engine_refuses_says_so_without_the_address(shop: Shop) -> None:
    payer = shop.account()
    with transaction(shop.engine) as connection:
        connection.execute(
            "insert into person (account_id, address) values (%s, %s)",
            (payer.id, '{"country": "US", "region": "XX", "line1": "17 Canary Wharf Steps"}'),
        )
    with pytest.raises(TaxRefused, match="taxes refuses to tax it") as raised:
        await shop.sell(payer)
    assert "Canary" not in raised.value.message
    assert "address" in raised.value.remedy


async def test_an_address_that_no_engine_can_read(shop: Shop) -> None:
    payer = shop.account(None)
    with transaction(shop.engine) as connection:
        connection.execute(
            "insert into person (account_id, address) values (%s, %s)", (payer.id, '{"country": "Elbonia"}')
        )
    with pytest.raises(TaxRefused, match="country: String should have at most 2 characters") as raised:
        await shop.sell(payer)
    assert raised.value.error_kind == "bad_tax_order"
    assert "Elbonia" not in raised.value.message


async def test_another_mode_is_the_table_s(shop: Shop) -> None:
    payer = shop.account(mode="test")
    assert await shop.quotes.quote(shop.draft(payer), TABLE, HASTY) is None
    sold = await shop.sell(payer)
    assert (sold.code, sold.tax) == ("TEST-1", 80)
    assert shop.stand_in.requests == []
