"""Licences: given with what is paid for, longer with each renewal, ended with the access."""

from __future__ import annotations

from datetime import date, timedelta

from contracts.connector_call import CallStatus
from contracts.parked import Action
from operations.calls.sending import look
from operations.parked.decide import Decision, decide
from storage.checkouts import CheckoutRow
from storage.database import transaction
from tests.operations.billed import bill
from tests.operations.checkout.ledger import SOLD, Ledger
from tests.operations.fulfilment.parcels import Fulfilment

RETRY = Decision(Action.RETRY, "ops", "they know the title now")
EBOOK = [{"plan": "harbor-lights-ebook"}]
MAGAZINE = [{"plan": "quarterdeck"}]
DAY = timedelta(days=1)
FIRST_END = date(2026, 4, 11)


def sold(ledger: Ledger, items: list[dict[str, str]], key: str = "a") -> CheckoutRow:
    """A sale that is paid."""
    row = ledger.sold(key, items=items)
    ledger.settled(row)
    return row


async def test_who_buys_a_book_gets_one_licence_for_it(fulfilment: Fulfilment, ledger: Ledger) -> None:
    row = ledger.sold("a", items=EBOOK)
    assert fulfilment.stands("drm") == []  # nothing before the money has come
    ledger.settled(row)
    await fulfilment.round(SOLD)
    await fulfilment.round(SOLD + DAY)
    (licence,) = fulfilment.stand_in.memory.rows["licence"].values()
    assert (licence["content"], licence["reader"], licence["devices"]) == (
        "harbor-lights-epub",
        row.account_id,
        6,
    )
    assert licence["until"].startswith("2126-02-14")
    assert fulfilment.stand_in.count("grant") == 1
    assert fulfilment.stands("drm") == [("harbor-lights-epub", 1, "given", "given", "given")]


async def test_a_licence_goes_as_far_as_is_billed(fulfilment: Fulfilment, ledger: Ledger) -> None:
    sold(ledger, MAGAZINE)
    await fulfilment.round(SOLD)
    (licence,) = fulfilment.stand_in.memory.rows["licence"].values()
    assert licence["until"].startswith("2026-04-11")  # with the day of the next bill
    renewed = SOLD + 31 * DAY
    await fulfilment.round(renewed - DAY)
    assert fulfilment.stand_in.count("extend") == 0
    run_id = bill(fulfilment.engine, renewed.date())  # which touches nothing but the books
    assert fulfilment.rows("select count(*) from invoice where bill_run_id = %s", run_id) == [(1,)]
    assert fulfilment.rows("select until::date from fulfilment where capability = 'drm'") == [(FIRST_END,)]
    for _ in range(3):
        await fulfilment.round(renewed)
    assert fulfilment.stand_in.count("extend") == 1
    assert licence["until"].startswith("2026-05-11")


async def test_a_licence_that_ran_out_is_followed_by_another(fulfilment: Fulfilment, ledger: Ledger) -> None:
    """The bill came late: what has run out is not woken."""
    row = sold(ledger, MAGAZINE)
    await fulfilment.round(SOLD)
    late = SOLD + 33 * DAY
    fulfilment.bill(row.account_id, late)
    for _ in range(2):
        await fulfilment.round(late)
    assert [each["until"][:10] for each in fulfilment.stand_in.memory.rows["licence"].values()] == [
        "2026-04-11",
        "2026-05-11",
    ]
    assert fulfilment.stands("drm") == [
        ("quarterdeck-collection", 1, "ended", "ended", "ended"),
        ("quarterdeck-collection", 2, "given", "given", "given"),
    ]


async def test_a_licence_ends_with_the_access(fulfilment: Fulfilment, ledger: Ledger) -> None:
    row = sold(ledger, MAGAZINE)
    await fulfilment.round(SOLD)
    at = SOLD + 5 * DAY
    name = fulfilment.rows("select external_key from subscription")[0][0]
    fulfilment.act(row.account_id, at, "cancel", when="now", to="refund", subscription=name)
    await fulfilment.round(at)
    (licence,) = fulfilment.stand_in.memory.rows["licence"].values()
    assert licence["status"] == "revoked"
    await fulfilment.round(at + DAY)
    assert fulfilment.stand_in.count("revoke") == 1


async def test_what_ends_is_licensed_to_its_end(fulfilment: Fulfilment, ledger: Ledger) -> None:
    """Half a year, billed each month: longer with each bill, and not beyond the last day."""
    row = sold(ledger, MAGAZINE)
    fulfilment.rows("update subscription set ends_on = '2026-06-01' returning id")
    await fulfilment.round(SOLD)
    for month in (4, 5):
        billed = SOLD.replace(month=month)
        fulfilment.bill(row.account_id, billed)
        await fulfilment.round(billed)
        await fulfilment.round(billed)
    (licence,) = fulfilment.stand_in.memory.rows["licence"].values()
    assert fulfilment.stand_in.count("extend") == 2
    assert licence["until"].startswith("2026-06-01")


async def test_a_book_that_is_refunded_is_read_no_more(fulfilment: Fulfilment, ledger: Ledger) -> None:
    row = sold(ledger, EBOOK)
    await fulfilment.round(SOLD)
    at = SOLD + DAY
    fulfilment.act(row.account_id, at, "refund", reason="not what was expected")
    await fulfilment.round(at)
    (licence,) = fulfilment.stand_in.memory.rows["licence"].values()
    assert licence["status"] == "revoked"


async def test_what_nothing_is_connected_for_goes_out_once_something_is(
    fulfilment: Fulfilment, ledger: Ledger
) -> None:
    sold(ledger, EBOOK)
    fulfilment.connected = {}
    await fulfilment.round(SOLD)
    assert fulfilment.stands("drm") == [("harbor-lights-epub", 1, "given", "nothing", "not connected")]
    fulfilment.connected = {"drm": "licences"}
    await fulfilment.round(SOLD + 3 * DAY)
    assert fulfilment.stand_in.count("grant") == 1


async def test_a_refused_licence_is_parked_and_goes_on_from_there(
    fulfilment: Fulfilment, ledger: Ledger
) -> None:
    sold(ledger, EBOOK)
    fulfilment.stand_in.inject("rejected", path="/drm/grant")
    (outcome,) = await fulfilment.round(SOLD)
    assert outcome.status is CallStatus.PARKED
    assert fulfilment.stands("drm")[0][3:] == ("nothing", "asked")
    await fulfilment.round(SOLD + DAY)
    assert fulfilment.stand_in.count("grant") == 0
    with transaction(fulfilment.engine) as connection:
        decided = decide(connection, str(outcome.park_id), RETRY)
    assert decided.call is not None
    await fulfilment.call(decided.call)
    await fulfilment.round(SOLD + DAY)
    assert fulfilment.stands("drm")[0][3:] == ("given", "given")


async def test_what_is_given_back_before_it_went_out_is_never_asked_for(
    fulfilment: Fulfilment, ledger: Ledger
) -> None:
    """A grant that was refused waits for a person; the refund withdraws it."""
    row = sold(ledger, EBOOK)
    fulfilment.stand_in.inject("rejected", path="/drm/grant")
    (outcome,) = await fulfilment.round(SOLD)
    fulfilment.act(row.account_id, SOLD + DAY, "refund", reason="no licence came")
    await fulfilment.round(SOLD + DAY)
    assert fulfilment.stands("drm") == [("harbor-lights-epub", 1, "ended", "ended", "ended")]
    with transaction(fulfilment.engine) as connection:
        assert look(connection, outcome.call_id)[1].status is CallStatus.FAILED
    assert fulfilment.rows("select count(*) from parked where kind = 'call' and resolved_at is null") == [
        (0,)
    ]
    assert fulfilment.stand_in.count("grant") == 0


async def test_the_same_round_twice_asks_once(fulfilment: Fulfilment, ledger: Ledger) -> None:
    """The answer was lost after the licence was given."""
    sold(ledger, EBOOK)
    fulfilment.stand_in.inject("drop_after", path="/drm/grant")
    (outcome,) = await fulfilment.round(SOLD)
    assert outcome.status is CallStatus.UNKNOWN
    assert await fulfilment.round(SOLD) == []
    ref = fulfilment.rows("select id::text from connector_call")[0][0]
    assert ref == outcome.call_id
    assert fulfilment.stand_in.count("grant") == 1
