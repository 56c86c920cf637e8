"""Parcels: one for each issue, ordered ahead; stopped with the subscription, and sent where the reader lives now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.connector_call import CallStatus
from domain.rule_book import RuleBook
from operations.account_records import AccountChanges, amend_account
from operations.rule_books import load_rule_book
from storage.checkouts import CheckoutRow
from storage.database import transaction
from storage.sight import EVERYTHING
from tests.operations.checkout.ledger import SOLD, Ledger
from tests.operations.fulfilment.parcels import Fulfilment
from tests.workflows.selling import BUYER

DAY = timedelta(days=1)
HOME = {"line1": "17 Canary Wharf Steps", "city": "Springfield", "postal_code": "12345", "country": "US"}
AWAY = {"line1": "4 Far Lane", "city": "Newton", "postal_code": "54321", "country": "US"}
CALENDAR = {
    "edition": "magazine",
    "zone": "America/New_York",
    "extra_days": ["2026-03-15", "2026-04-01"],
    "cut_off": {"at": "12:00", "days_before": 3},
}
MARCH_12, MARCH_13 = SOLD + 2 * DAY, SOLD + 3 * DAY
# The issues of the magazine, which are ordered three days before.
FIFTEENTH = datetime(2026, 3, 15, tzinfo=UTC).date().toordinal()


def sold(ledger: Ledger, address: Any = HOME) -> CheckoutRow:
    """The magazine, to be sent home."""
    row = ledger.sold("a", items=[{"plan": "quarterdeck"}], buyer={**BUYER, "address": address})
    ledger.settled(row)
    return row


def labels(fulfilment: Fulfilment) -> list[dict[str, Any]]:
    """The labels that were bought."""
    return list(fulfilment.stand_in.memory.rows.get("label", {}).values())


def sent_to(fulfilment: Fulfilment) -> list[str]:
    """The first lines of the addresses of the parcels, in the order in which they were asked for."""
    rows = fulfilment.rows(
        "select request->'to'->>'line1' from connector_call where method = 'shipping.buy' order by created_at"
    )
    return [line for (line,) in rows]


def moves(fulfilment: Fulfilment, account_id: str, address: Any, at: datetime) -> None:
    """The reader tells another address."""
    with transaction(fulfilment.engine) as connection:
        amend_account(
            connection,
            EVERYTHING,
            account_id,
            AccountChanges(person={"address": address}),
            allowed=lambda _: True,
            now=at,
            actor="test",
        )


async def test_each_issue_is_ordered_once_and_in_time(fulfilment: Fulfilment, ledger: Ledger) -> None:
    sold(ledger)
    await fulfilment.round(SOLD)
    assert labels(fulfilment) == []
    for no in range(2, 24):
        await fulfilment.round(SOLD + no * DAY)
    assert len(labels(fulfilment)) == 2  # that of 15 March and that of 1 April
    assert fulfilment.rows(
        "select terms->>'issue', outcome from fulfilment where number > 0 and capability = 'shipping' order by 1"
    ) == [("2026-03-15", "given"), ("2026-04-01", "given")]
    request = fulfilment.rows("select request from connector_call where method = 'shipping.buy' limit 1")[0][
        0
    ]
    assert (request["weight"], request["sku"], request["customs"]) == (320, "QD-PRINT", "4902.90")
    assert request["sender"]["city"] == "Seattle"
    assert request["to"] == HOME


async def test_no_issue_is_ordered_for_somebody_who_left(fulfilment: Fulfilment, ledger: Ledger) -> None:
    row = sold(ledger)
    await fulfilment.round(MARCH_12)
    assert len(labels(fulfilment)) == 1
    name = fulfilment.rows("select external_key from subscription")[0][0]
    fulfilment.act(row.account_id, MARCH_13, "cancel", when="now", to="refund", subscription=name)
    for no in range(3, 30):
        await fulfilment.round(SOLD + no * DAY)
    (label,) = labels(fulfilment)
    assert label["voided"]
    assert fulfilment.stands("shipping") == [
        ("QD-PRINT", 0, "ended", "nothing", "ended"),
        ("QD-PRINT", FIFTEENTH, "ended", "ended", "ended"),
    ]


async def test_a_parcel_that_is_not_on_its_way_follows_its_reader(
    fulfilment: Fulfilment, ledger: Ledger
) -> None:
    row = sold(ledger)
    await fulfilment.round(MARCH_12)
    moves(fulfilment, row.account_id, AWAY, MARCH_13)
    for _ in range(3):
        await fulfilment.round(MARCH_13)
    assert sent_to(fulfilment) == [HOME["line1"], AWAY["line1"]]
    assert [each["voided"] for each in labels(fulfilment)] == [True, False]
    moves(fulfilment, row.account_id, HOME, SOLD + 10 * DAY)  # long delivered
    await fulfilment.round(SOLD + 10 * DAY)
    assert len(labels(fulfilment)) == 2


async def test_a_parcel_without_an_address_waits_for_one(fulfilment: Fulfilment, ledger: Ledger) -> None:
    """The delivery system refuses it, a person sees it, and the address mends it."""
    row = sold(ledger, address=None)
    (_, outcome) = await fulfilment.round(MARCH_12)
    assert outcome.status is CallStatus.PARKED
    assert fulfilment.rows("select method from parked where resolved_at is null") == [("shipping.buy",)]
    moves(fulfilment, row.account_id, HOME, MARCH_13)
    await fulfilment.round(MARCH_13)
    assert fulfilment.rows("select method from parked where resolved_at is null") == []
    assert len(labels(fulfilment)) == 1


async def test_a_reader_who_is_away_gets_no_issue(fulfilment: Fulfilment, ledger: Ledger) -> None:
    load_rule_book(fulfilment.engine, RuleBook.model_validate({"delivery": CALENDAR}))
    ledger.tariff = fulfilment.tariffs.current()
    row = sold(ledger)
    await fulfilment.round(SOLD)
    name = fulfilment.rows("select external_key from subscription")[0][0]
    stop = {"from": "2026-03-14", "until": "2026-03-20", "subscription": name}
    fulfilment.act(row.account_id, SOLD + DAY, "holiday_stop", **stop)
    for no in range(1, 24):
        await fulfilment.round(SOLD + no * DAY)
    assert fulfilment.rows("select terms->>'issue' from fulfilment where terms ? 'issue'") == [
        ("2026-04-01",)
    ]


async def test_an_issue_that_nobody_could_order_is_told_as_missed(
    fulfilment: Fulfilment, ledger: Ledger
) -> None:
    sold(ledger)
    fulfilment.connected = {}
    await fulfilment.round(MARCH_12)
    fulfilment.connected = {"shipping": "parcels"}
    await fulfilment.round(SOLD + 9 * DAY)
    assert ("QD-PRINT", FIFTEENTH, "ended", "ended", "missed") in fulfilment.stands("shipping")
    assert labels(fulfilment) == []
