"""A document is shown only when its lines are its totals; who the publisher is, is checked when it is written down."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from pydantic import ValidationError

from domain.invoice_document import (
    Deduction,
    DocumentDoesNotAdd,
    DocumentLine,
    DocumentTax,
    InvoiceDocument,
    Recipient,
    checked,
)
from domain.publisher import Mails, Publisher
from domain.rule_book import RuleBook

LINE = DocumentLine(
    "recurring",
    "Digital",
    None,
    None,
    None,
    Decimal(1),
    1000,
    (Deduction("A", None, -100), Deduction("B", None, -1)),
)
DOCUMENT = InvoiceDocument(
    kind="invoice",
    id="x",
    mode="live",
    number="INV-1",
    account="A",
    locale="en",
    currency="USD",
    issued_on=date(2026, 12, 1),
    due_on=None,
    status="open",
    publisher=Publisher(),
    recipient=Recipient(),
    lines=(LINE, replace(LINE, deductions=())),
    taxes=(DocumentTax("X", Decimal("0.1"), 899, 90), DocumentTax("Y", Decimal("0.01"), 899, 9)),
    subtotal=1899,
    tax=99,
    total=1998,
)


def test_what_adds_up_is_as_it_was() -> None:
    assert LINE.net == 899
    assert checked(DOCUMENT) is DOCUMENT


@pytest.mark.parametrize(
    "wrong", [{"subtotal": 1898}, {"tax": 98}, {"total": 1997}, {"taxes": ()}, {"lines": (LINE,)}]
)
def test_what_does_not_add_up_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DocumentDoesNotAdd, match=r"INV-1 has lines of .*masthead verify"):
        checked(replace(DOCUMENT, **wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize("sender", ["a@b.example", "The Courier <a@b.example>", "Ä Ö <a+b@c.example>"])
def test_a_sender(sender: str) -> None:
    assert Mails(sender=sender).sender == sender


@pytest.mark.parametrize("sender", ["", "nobody", "a@b\nBcc: c@d.example", "a b@", "@b"])
def test_no_sender(sender: str) -> None:
    with pytest.raises(ValidationError):
        Mails(sender=sender)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "hub.example", 'https://a"onclick', "ftp://a.example"]
)
def test_no_url(url: str) -> None:
    with pytest.raises(ValidationError):
        Mails(account_url=url)


def test_a_rule_book_without_a_publisher_has_one_that_sends_nothing() -> None:
    assert RuleBook().publisher.mails.sender is None
