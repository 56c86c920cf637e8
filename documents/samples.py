"""Invented facts, to look at templates with."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from domain.invoice_document import Deduction, DocumentLine, DocumentTax, InvoiceDocument, Recipient, Settled
from domain.mail_facts import CreditNoteFacts, InvoiceFacts, MailFacts, PaymentFacts, SubscriptionFacts
from domain.money import exponent
from domain.publisher import Mails, Publisher

_ID = "00000000-0000-7000-8000-000000000000"
PUBLISHER = Publisher(
    name="The Harbor Courier",
    address=("Harbor Courier Media", "1 Pier Street", "Port Alder"),
    tax_id="XX123456789",
    website="harbor-courier.example",
    contact="service@harbor-courier.example",
    payment=("Harbor Bank", "XX00 0000 0000 0000 0000 00"),
    mails=Mails(
        sender="The Harbor Courier <service@harbor-courier.example>",
        account_url="https://harbor-courier.example/me",
    ),
)


def sample_facts(locale: str, currency: str, publisher: Publisher | None = None) -> MailFacts:
    """Facts for every template, of a reader called Robin Reader."""
    unit = 10 ** exponent(currency)
    day = date(2026, 12, 1)
    return MailFacts(
        account="HC-204417",
        mode="live",
        locale=locale,
        currency=currency,
        publisher=publisher if publisher is not None and publisher.name else PUBLISHER,
        name="Robin Reader",
        email="robin@reader.example",
        consent=True,
        open=119 * unit,
        open_since=day.replace(day=15),
        invoice=InvoiceFacts(_ID, "INV-1042", "open", 119 * unit, 119 * unit, day, day.replace(day=15)),
        payment=PaymentFacts("failed", 119 * unit, day, "insufficient_funds", ("INV-1042",)),
        credit_note=CreditNoteFacts(_ID, "CN-31", 119 * unit, day, "late delivery"),
        subscription=SubscriptionFacts(
            "Digital, yearly", "trialing", day.replace(day=20), day.replace(day=20), day.replace(day=31), None
        ),
    )


def sample_document(facts: MailFacts, *, credit_note: bool = False) -> InvoiceDocument:
    """The document that goes with the sample: 111 without tax after a discount of 10 percent, and a tax of 8."""
    unit = 10 ** exponent(facts.currency)
    sign = -1 if credit_note else 1
    line = DocumentLine(
        "recurring",
        "Digital, yearly",
        None,
        date(2026, 12, 1),
        date(2027, 12, 1),
        Decimal(1),
        sign * 120 * unit,
        (Deduction("WELCOME", None, -sign * 9 * unit),),
    )
    made = InvoiceDocument(
        kind="credit_note" if credit_note else "invoice",
        id=_ID,
        mode=facts.mode,
        number="INV-1042",
        account=facts.account,
        locale=facts.locale,
        currency=facts.currency,
        issued_on=date(2026, 12, 1),
        due_on=date(2026, 12, 15),
        status="open",
        publisher=facts.publisher,
        recipient=Recipient(facts.name, "120 Pike Street", None, "98101", "Port Alder"),
        lines=(line,),
        taxes=(DocumentTax("Alder County", Decimal("0.072"), sign * 111 * unit, sign * 8 * unit),),
        subtotal=sign * 111 * unit,
        tax=sign * 8 * unit,
        total=sign * 119 * unit,
        settled=Settled(open=119 * unit),
    )
    if not credit_note:
        return made
    return replace(
        made, number="CN-31", due_on=None, settled=Settled(), corrects="INV-1042", reason="late delivery"
    )
