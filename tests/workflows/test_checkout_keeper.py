"""Checkouts that were written down and never begun: soon they are begun, later they are ended."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from contracts.checkout import CheckoutStatus
from operations.checkout.begin import begin
from runtime.checkout_keeper import look
from runtime.leading import Complaints, Lead
from storage.database import transaction
from tests.workflows.selling import Shop, order

ROLE = 0x74657374


async def unbegun(shop: Shop, key: str, age: timedelta) -> str:
    """A checkout whose process was never started, so long ago."""
    with transaction(shop.engine) as connection:
        row, _ = begin(connection, order(), key)
        connection.execute("update checkout set created_at = now() - %s where id = %s", (age, row.id))
    return row.id


async def keep(shop: Shop) -> None:
    async with Lead(shop.engine, ROLE, "keeper-of-a-test") as lead:
        session = await lead.won()
        await look(lead, session, shop.client, datetime.now(UTC), Complaints(logging.getLogger(__name__)))


async def test_one_that_was_never_begun_is_begun_soon_afterwards(shop: Shop) -> None:
    own = await unbegun(shop, "soon", timedelta(minutes=2))
    await keep(shop)
    await shop.until("it is completed", lambda: shop.row(own).status == CheckoutStatus.COMPLETED)


async def test_one_whose_buyer_has_left_ends_without_a_trace_of_them(shop: Shop) -> None:
    own = await unbegun(shop, "late", timedelta(hours=1))
    fresh = await unbegun(shop, "now", timedelta(seconds=5))
    await keep(shop)
    row = shop.row(own)
    assert (row.status, row.problem_kind) == (CheckoutStatus.EXPIRED, "never_begun")
    assert shop.rows("select count(*) from checkout_person where checkout_id = %s", own) == [(0,)]
    assert shop.gateway.effects.count("charge") + shop.gateway.effects.count("authorization") == 0
    assert shop.row(fresh).status == CheckoutStatus.QUOTING  # its own request still begins it
