"""Seeded faults against payments; many by hand: `python -m tests.faults.payment_seeds --seeds 1000 --workers 3`."""

from __future__ import annotations

import re

import pytest

from connectors.sdk.capabilities.payment import ChargeOrder
from connectors.sdk.key import Key
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.faults.payment_draw import Wish, draw
from tests.faults.payment_play import Seeds
from tests.faults.payment_refunds import Asking, refund_differences
from tests.operations.charges.charged import Fleet
from tests.workflows.paying import CARDS, differences, opened


def test_five_seeds_charge_each_paid_invoice_once(payment_seeds: Seeds) -> None:
    counts = payment_seeds.play_all(range(1, 6))
    assert all(counts[each] for each in ("faults", "kills", "refunds", "webhooks"))


@pytest.mark.deep
@pytest.mark.parametrize("first", range(1001, 1101, 25))
def test_more_seeds_charge_each_paid_invoice_once(payment_seeds: Seeds, first: int) -> None:
    payment_seeds.play_all(range(first, first + 25))


def test_a_seed_tells_all_that_it_draws() -> None:
    drawn = draw(3)
    assert draw(3) == drawn
    told = drawn.words()
    for fault in drawn.faults:
        assert fault.name in told
    assert told.startswith("seed 3\n")


async def test_a_second_charge_and_one_that_is_lost_are_found(pg_server: PostgresForTests) -> None:
    engine = make_engine(pg_server.fresh_database("found"))
    fleet = Fleet(engine, 2)
    with StripeStandIn() as gateway:
        begun = fleet.begin().begun
        connector = opened(CARDS, gateway.url)
        try:
            for each, times in zip(begun, (2, 0), strict=True):
                for no in range(times):
                    await _charge(fleet, connector, each.call.call_id, f"{each.call.key}/{no}")
                fleet.tell(each.charge_id, "succeeded")
        finally:
            await connector.aclose()
        found = differences(fleet, {CARDS: gateway})
    assert [each.split(":")[0] for each in found] == ["charged 2 times", "a payment without a charge"]
    engine.dispose()


def test_a_refund_that_is_lost_and_one_that_nobody_asked_for_are_found(pg_server: PostgresForTests) -> None:
    engine = make_engine(pg_server.fresh_database("found"))
    fleet = Fleet(engine, 1)
    [begun] = fleet.begin().begun
    fleet.tell(begun.charge_id, "succeeded", gateway_id="pi_1")
    with StripeStandIn() as gateway:
        Asking(fleet).ask(Wish(0, "full", 100))
        unfinished = refund_differences(fleet, {CARDS: gateway})
        fleet.do("update refund set status = 'succeeded', promise = 'paid', ended_at = now()")
        for _ in range(2):
            gateway.effect("refund", "refund:other:1", amount=100)
        found = refund_differences(fleet, {CARDS: gateway})
    assert [each.rpartition(" ")[2] for each in unfinished] == ["pending"]
    assert [re.sub("refund:[^ ,]+", "KEY", each) for each in found] == [
        f"KEY of {begun.amount} is paid, and cards has paid [], 0 failed",
        "cards refunded KEY, and nobody asked here",
        "cards refunded KEY 2 times",
    ]
    engine.dispose()


async def _charge(fleet: Fleet, connector: object, call_id: str, key: str) -> None:
    [(request,)] = fleet.rows("select request from connector_call where id = %s", call_id)
    await connector.charge(ChargeOrder.model_validate(request), Key(key))  # type: ignore[attr-defined]
