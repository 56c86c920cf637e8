"""Documents of single invoices, from the quote to what the engine has: recorded, adjusted, refunded, taken back."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import TypeAdapter

from connectors.sdk.connector import Connector
from connectors.sdk.errors import DefinitionError
from contracts.parked import Action
from domain.tax_documents import EngineTax
from operations.parked.decide import Decision, decide
from operations.tax.documents import GivenBack, refund_tax_document, void_tax_document
from sandbox.avatax import rates
from sandbox.reference import tax as reference_tax
from storage.database import transaction
from tests.single_invoices import DAY, HASTY, Shop, Sold, line

CREDITED = date(2026, 12, 20)
NOTE = "01890000-0000-7000-8000-0000000000c1"


def void(shop: Shop, sold: Sold) -> bool:
    with transaction(shop.engine) as connection:
        return void_tax_document(connection, sold.invoice_id)


def refund(shop: Shop, sold: Sold, lines: list[GivenBack] | None = None, note: str = NOTE) -> bool:
    with transaction(shop.engine) as connection:
        return refund_tax_document(
            connection, sold.invoice_id, credit_note_id=note, code="CN-1", on=CREDITED, lines=lines
        )


def at_engine(shop: Shop, code: str) -> tuple[str, int]:
    """(status, tax in cents) of a document there."""
    found = shop.stand_in.documents.get("DEFAULT", code)
    return found.status, int(sum(each.tax for each in found.lines) * 100)


async def test_one_invoice_from_quote_to_record(shop: Shop) -> None:
    sold = await shop.sell(shop.account(), line(1000), line(501))
    assert sold.tax == 134  # 4 + 4.5 + 0.375 % of 10.00 and 5.01, each jurisdiction rounded
    assert shop.stand_in.count() == 0
    assert shop.documents() == {"INV-1": ("pending", 134, None, False)}
    done = await shop.turn()
    assert (done.settled, done.left, done.away) == (1, 0, "")
    assert shop.documents() == {"INV-1": ("committed", 134, 134, True)}
    assert at_engine(shop, "INV-1") == ("Committed", 134)
    assert (await shop.turn()).settled == 0
    assert shop.stand_in.count() == 2  # recorded, committed


async def test_a_quote_may_be_kept_as_json_until_it_is_posted(shop: Shop) -> None:
    payer = shop.account()
    charge = line(1000)
    tax = await shop.quotes.quote(shop.draft(payer, charge), shop.table, HASTY)
    kept = TypeAdapter(EngineTax).validate_json(TypeAdapter(EngineTax).dump_json(tax))
    assert kept == tax
    with transaction(shop.engine) as connection:
        shop.post(connection, shop.draft(payer, charge), kept)
    await shop.turn()
    assert shop.documents() == {"INV-1": ("committed", 89, 89, True)}


async def test_rates_that_changed_meanwhile_are_recorded_as_they_were_charged(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold = await shop.sell(shop.account(), line(1000), line(501))
    monkeypatch.setitem(rates._STATES, "NY", "5")
    await shop.turn()
    assert shop.documents() == {sold.code: ("committed", 134, 134, True)}
    assert at_engine(shop, sold.code) == ("Committed", 134)
    assert [
        shop.stand_in.count("tax_document", f"{sold.code}:{what}") for what in ("recorded", "adjusted")
    ] == [
        1,
        1,
    ]
    assert shop.parks() == []


async def test_an_engine_that_insists_on_its_own_tax_is_parked_with_both_totals(
    plain_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold = await plain_shop.sell(plain_shop.account("US-TX"))
    monkeypatch.setitem(reference_tax.RATES, "US-TX", ())
    await plain_shop.turn()
    assert plain_shop.documents() == {sold.code: ("mismatch", 63, 0, True)}
    ((kind, error_kind, message),) = plain_shop.parks()
    assert (kind, error_kind) == ("tax", "tax_mismatch")
    assert message == "INV-1 was charged with 0.63 USD of tax, and taxes recorded 0.00 USD"
    with transaction(plain_shop.engine) as connection:
        (park,) = connection.execute("select id::text from parked").fetchone() or ("",)
        decide(connection, park, Decision(Action.SKIP, "ann", "corrected there"))
    assert plain_shop.parks() == []
    assert (await plain_shop.turn()).settled == 0


async def test_credits_of_what_was_billed_are_told_with_the_tax_they_give_back(shop: Shop) -> None:
    credit = line(-400, category="", kind="unused_credit", reference="01890000-0000-7000-8000-000000000001")
    back = line(-20, kind="tax", parent=1, item_id=None, price_id=None, part=None, period_start=None,
                period_end=None, reference="NY", category="")  # fmt: skip
    sold = await shop.sell(shop.account(), line(1000), credit, back)
    assert sold.tax == 89 - 20
    await shop.turn()
    assert at_engine(shop, sold.code) == ("Committed", 69)
    assert shop.documents() == {sold.code: ("committed", 69, 69, True)}


async def test_an_exempt_account_is_told_of_and_owes_nothing(shop: Shop) -> None:
    sold = await shop.sell(shop.account(exempt=True))
    assert sold.tax == 0
    await shop.turn()
    assert at_engine(shop, sold.code) == ("Committed", 0)
    with transaction(shop.engine) as connection:
        found = connection.execute("select count(*) from invoice_line where kind = 'tax'").fetchone()
    assert found == (0,)


async def test_a_voided_invoice_takes_its_document_back(shop: Shop) -> None:
    recorded, fresh = await shop.sell(shop.account()), await shop.sell(shop.account())
    await shop.turn()
    for sold in (recorded, fresh):
        assert void(shop, sold)
        assert void(shop, sold)
    await shop.turn()
    assert {code: status for code, (status, *_) in shop.documents().items()} == {
        "INV-1": "voided",
        "INV-2": "voided",
    }
    assert at_engine(shop, "INV-1")[0] == "Cancelled"
    assert [shop.stand_in.count("tax_document", f"{code}:voided") for code in ("INV-1", "INV-2")] == [1, 1]
    assert not void(shop, recorded)


async def test_an_invoice_voided_before_it_was_recorded(shop: Shop) -> None:
    sold = await shop.sell(shop.account())
    assert void(shop, sold)
    await shop.turn()
    assert shop.documents() == {"INV-1": ("voided", 89, 89, True)}
    assert at_engine(shop, "INV-1")[0] == "Cancelled"


async def test_a_whole_credit_note_refunds_the_document(shop: Shop) -> None:
    sold = await shop.sell(shop.account())
    assert refund(shop, sold)
    # The invoice first, then what refunds it.
    await shop.turn()
    with transaction(shop.engine) as connection:
        connection.execute("update tax_document set due_at = now()")
    await shop.turn()
    assert shop.documents() == {"CN-1": ("committed", -89, -89, True), "INV-1": ("committed", 89, 89, True)}
    assert at_engine(shop, "CN-1") == ("Committed", -89)


async def test_part_of_an_invoice_is_given_back_at_its_tax_date(shop: Shop) -> None:
    sold = await shop.sell(shop.account(), line(1000), line(501))
    await shop.turn()
    assert refund(shop, sold, [GivenBack("2", 250, 22)])
    await shop.turn()
    assert shop.documents()["CN-1"] == ("committed", -22, -22, True)
    found = shop.stand_in.documents.get("DEFAULT", "CN-1")
    assert found.sale.override is not None
    assert found.sale.override.tax_date == DAY
    # What cannot be told of is in sight, and the credit note stands.
    assert not refund(shop, sold, [GivenBack("7", 250, 22)], note="01890000-0000-7000-8000-0000000000c2")
    ((kind, error_kind, message),) = shop.parks()
    assert (kind, error_kind) == ("tax", "tax_not_given_back")
    assert "taxes was not told of line 7 of INV-1" in message


async def test_what_no_engine_taxed_has_nothing_to_void_or_refund(shop: Shop) -> None:
    sold = await shop.sell(shop.account(mode="test"))
    assert not void(shop, sold)
    assert not refund(shop, sold)
    assert shop.documents() == {}


async def test_a_void_one_cannot_be_refunded(shop: Shop) -> None:
    sold = await shop.sell(shop.account())
    void(shop, sold)
    for lines in (None, [GivenBack("1", 100, 9)]):
        assert not refund(shop, sold, lines)
    ((_, error_kind, message),) = shop.parks()
    assert error_kind == "tax_not_given_back"
    assert "taken back when it was voided" in message


async def test_a_record_that_is_refused_is_parked_edited_and_recorded(shop: Shop) -> None:
    sold = await shop.sell(shop.account())
    shop.stand_in.inject("rejected", path="*createoradjust")
    done = await shop.turn()
    assert (done.left, done.due) == (1, 0)
    ((kind, error_kind, _),) = shop.parks()
    assert (kind, error_kind) == ("call", "rejected")
    with transaction(shop.engine) as connection:
        park, call = connection.execute("select id::text, call_id::text from parked").fetchone() or ("", "")
        decided = decide(connection, park, Decision(Action.RETRY, "ann", "they have mended it"))
    assert decided.workflow_id == "tax/taxes"
    assert (await shop.turn(changed=[call])).left == 0
    assert shop.documents() == {sold.code: ("committed", 89, 89, True)}


async def test_a_record_that_a_person_skips_is_left_out(shop: Shop) -> None:
    await shop.sell(shop.account())
    shop.stand_in.inject("rejected", path="*createoradjust")
    await shop.turn()
    with transaction(shop.engine) as connection:
        park, call = connection.execute("select id::text, call_id::text from parked").fetchone() or ("", "")
        decide(connection, park, Decision(Action.SKIP, "ann", "reported by hand"))
    await shop.turn(changed=[call])
    assert shop.documents() == {"INV-1": ("left_out", 89, None, True)}
    assert shop.stand_in.count() == 0


async def test_a_long_outage_is_in_sight_as_one_entry_until_it_is_over(shop: Shop) -> None:
    for _ in range(3):
        await shop.sell(shop.account())
    shop.stand_in.inject("unavailable", None)
    assert (await shop.turn()).away == "transient"
    assert shop.parks() == []
    with transaction(shop.engine) as connection:
        connection.execute("update tax_document set created_at = now() - interval '1 hour'")
    before = len(shop.stand_in.requests)
    done = await shop.turn(careful=True)
    assert (done.left, done.away) == (3, "it does not answer as it should")
    # Its health was asked for, and no call made.
    assert [each.path for each in shop.stand_in.requests[before:]] == ["/api/v2/utilities/ping"]
    ((kind, error_kind, message),) = shop.parks()
    assert (kind, error_kind) == ("tax", "tax_engine_away")
    assert "3 documents wait to be recorded at taxes" in message
    shop.stand_in.faults.clear()
    assert (await shop.turn(careful=True)).left == 0
    assert shop.parks() == []


async def test_refused_credentials_stop_the_turn_and_park_few(shop: Shop) -> None:
    for _ in range(40):
        await shop.sell(shop.account())
    shop.stand_in.inject("unauthorized_forever", path="*createoradjust")
    done = await shop.turn()
    assert done.away == "it refuses our credentials"
    assert len(shop.parks()) <= 16
    assert done.left == 40


async def test_an_engine_that_is_not_configured_any_more_parks_nothing(shop: Shop) -> None:
    await shop.sell(shop.account())

    async def gone(name: str, /) -> Connector[Any]:
        raise DefinitionError(f"no connection is called {name!r}")

    shop.open = gone  # type: ignore[method-assign]
    assert (await shop.turn()).away == "definition"
    assert shop.parks() == []


async def test_what_is_wrong_with_one_document_stops_no_other(shop: Shop) -> None:
    odd, good = await shop.sell(shop.account()), await shop.sell(shop.account())
    with transaction(shop.engine) as connection:
        connection.execute(
            "update connector_call set answer = '{}', status = 'succeeded' where key = %s", (odd.code,)
        )
    done = await shop.turn()
    assert (done.left, done.due) == (1, 0)
    assert shop.documents()[good.code] == ("committed", 89, 89, True)
    ((kind, error_kind, message),) = shop.parks()
    assert (kind, error_kind) == ("tax", "tax_document_failed")
    assert odd.code in message
    with transaction(shop.engine) as connection:
        connection.execute("update connector_call set status = 'intent' where key = %s", (odd.code,))
        connection.execute("update tax_document set due_at = now()")
    assert (await shop.turn()).left == 0
    assert shop.parks() == []


async def test_an_engine_that_takes_few_calls_is_no_engine_away(shop: Shop) -> None:
    for _ in range(12):
        await shop.sell(shop.account())
    shop.stand_in.inject("rate_limited_seconds", 6, path="*createoradjust", after=1)
    done = await shop.turn()
    assert (done.settled, done.left, done.away) == (12, 0, "")


async def test_test_mode_has_its_own_series(shop: Shop) -> None:
    shop = Shop(shop.engine, shop.connector, shop.stand_in, modes=("live", "test"))
    live, played = await shop.sell(shop.account()), await shop.sell(shop.account(mode="test"))
    await shop.turn()
    assert (live.code, played.code) == ("INV-1", "TEST-1")
    assert set(shop.documents().values()) == {("committed", 89, 89, True)}
