"""Lines of a draft as they were billed, and credits and restored charges as lines (laws 5 and 7, I3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from domain.charge_key import charge_key
from domain.credits import CreditLine
from domain.invoice_lines import UNTAXED, billed_lines, credit_lines, restored_lines
from domain.lines import Line
from tests.domain.amended import FEB, jan
from tests.domain.billed import INVOICE, billed, taxes
from tests.domain.books import line, uid

OWNER = uid("owner")


def belonging(
    kind: str, amount: int, parent: int | None, reference: str | None = None, rate: str | None = None
) -> Line:
    found = line(amount, kind, parent)
    found.reference = reference
    found.rate = None if rate is None else Decimal(rate)
    return found


def test_a_charge_is_billed_with_its_discounts_and_its_taxes() -> None:
    # law 7
    lines = [
        line(1000, category="print"),
        line(500, "one_time"),
        belonging("discount", -100, 0),
        belonging("discount", -50, 0),
        belonging("tax", 17, 0, "State", "0.02"),
        belonging("tax", 8, 0, "City", "0.01"),
        belonging("tax", 10, 1, "State", "0.02"),
    ]
    first = lines[0]
    first.item_id, first.price_id, first.part = "item", "price", "news"
    first.period_start, first.period_end, first.quantity = jan(1), FEB, Decimal(3)
    one, other = billed_lines("invoice 7", lines)
    assert (one.key, one.document, one.kind, one.category) == (
        first.charge_key,
        "invoice 7",
        "recurring",
        "print",
    )
    assert (one.item_id, one.price_id, one.product) == ("item", "price", "news")
    assert (one.start, one.end, one.quantity) == (jan(1), FEB, Decimal(3))
    assert (one.net, one.tax) == (850, 25)
    assert one.taxes == (("State", Decimal("0.02"), 17), ("City", Decimal("0.01"), 8))
    assert (other.kind, other.net, other.tax, other.start) == ("one_time", 500, 10, None)


@pytest.mark.parametrize(
    ("kind", "amount", "billed_as"),
    [
        ("recurring", 5, 5),
        ("usage", 0, 0),
        ("minimum", 5, 5),
        ("one_time", 5, 5),
        ("adjustment", 5, 5),
        ("adjustment", 0, 0),
        ("adjustment", -1, None),
        ("unused_credit", -5, None),
        ("delivery_credit", -5, None),
    ],
)
def test_charges_are_billed_and_credits_are_not(kind: str, amount: int, billed_as: int | None) -> None:
    tax = belonging("tax", 1, 0)
    found = billed_lines(INVOICE, [line(amount, kind), tax])
    assert [(each.net, each.tax) for each in found] == ([] if billed_as is None else [(billed_as, 1)])
    assert found == [] or found[0].taxes == (("", Decimal(0), 1),)


def test_a_discount_or_tax_that_belongs_to_nothing_is_no_charge() -> None:
    assert billed_lines(INVOICE, [belonging("tax", 1, None), belonging("discount", -1, None)]) == []


# --- credits ---


def given_back(kind: str = "unused_credit") -> CreditLine:
    return CreditLine(OWNER, kind, jan(16), FEB, -517, taxes(City=-25, State=-21))


@pytest.mark.parametrize("kind", ["unused_credit", "delivery_credit", "adjustment"])
def test_a_credit_stands_with_the_tax_that_it_gives_back_and_names_its_line(kind: str) -> None:
    # law 5
    original = replace(billed(1001, OWNER, start=jan(1), end=FEB), quantity=Decimal(3))
    first, city, state = credit_lines(given_back(kind), original, "the command", 4)
    text = f"{kind}|2026-01-16|2026-02-01|the command"
    assert first == Line(
        kind, "item", "price", "product", jan(16), FEB, Decimal(3), -517, None, OWNER, None,
        charge_key(OWNER, text), text, UNTAXED,
    )  # fmt: skip
    assert city == Line(
        "tax", None, None, None, None, None, Decimal(1), -25, 4, "City", Decimal("0.1"),
        charge_key(first.charge_key, "tax|City"), "tax|City", "",
    )  # fmt: skip
    assert (state.amount, state.parent, state.reference) == (-21, 4, "State")
    assert billed_lines(INVOICE, [first, city, state]) == []


def test_a_credit_of_what_is_on_no_document_is_taxed_with_the_rest() -> None:
    waiting = replace(billed(1001, OWNER, start=jan(1), end=FEB), document="")
    (only,) = credit_lines(replace(given_back(), taxes=()), waiting, "the command")
    assert only.category == "digital"


def test_credits_of_one_line_have_keys_of_their_own() -> None:
    # law I3: by what they give back, and by the command.
    original = billed(1001, OWNER, start=jan(1), end=FEB)
    credits = [
        (given_back(), "one"),
        (given_back(), "another"),
        (replace(given_back(), start=jan(17)), "one"),
        (replace(given_back(), end=jan(31)), "one"),
        (given_back("adjustment"), "one"),
        (replace(given_back(), start=None, end=None), "one"),
    ]
    keys = {credit_lines(credit, original, cause)[0].charge_key for credit, cause in credits}
    assert len(keys) == len(credits)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, ""),
        (date(2026, 1, 16), "2026-01-16"),
        (datetime(2026, 1, 16, 9, 30, 1, 5, tzinfo=ZoneInfo("Europe/Berlin")), "2026-01-16T09:30:01+01:00"),
    ],
)
def test_moments_in_a_charge(moment: date | None, text: str) -> None:
    credit = replace(given_back(), start=moment)
    assert credit_lines(credit, billed(1001, OWNER), "x")[0].charge == f"unused_credit|{text}|2026-02-01|x"


# --- restored charges ---


def test_a_restored_charge_is_the_credit_turned_round() -> None:
    # law 5
    original = replace(billed(1001, OWNER, start=jan(1), end=FEB), quantity=Decimal(3))
    new = uid("new item")
    first, city, state = restored_lines(given_back(), original, new, 2)
    text = "price|product|2026-01-16|2026-02-01|restored"
    assert first == Line(
        "recurring", new, "price", "product", jan(16), FEB, Decimal(3), 517, None, None, None,
        charge_key(new, text), text, UNTAXED,
    )  # fmt: skip
    assert [(each.kind, each.amount, each.parent, each.reference) for each in (city, state)] == [
        ("tax", 25, 2, "City"),
        ("tax", 21, 2, "State"),
    ]
    (again,) = billed_lines(INVOICE, restored_lines(given_back(), original, new))
    assert (again.net, [tax.amount for tax in again.taxes]) == (517, [25, 21])


def test_a_restored_charge_that_was_on_no_document_is_taxed_with_the_rest() -> None:
    waiting = replace(billed(1001, OWNER, start=jan(1), end=FEB), document="")
    (only,) = restored_lines(replace(given_back(), taxes=()), waiting, uid("new item"))
    assert (only.category, only.parent) == ("digital", None)
