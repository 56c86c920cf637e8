"""Which event sends which mail, how often, and until when it is worth sending."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from domain.dunning_default import DEFAULT_POLICY
from domain.dunning_policy import Mail, Waiting
from domain.mail_facts import InvoiceFacts, MailFacts, PaymentFacts, SubscriptionFacts
from domain.mail_templates import BY_NAME, KINDS, TEMPLATES, event_key, template_named, template_of
from domain.publisher import Publisher

DAY = date(2026, 12, 1)
FACTS = MailFacts("A", "live", "en-US", "USD", Publisher())
INVOICE = InvoiceFacts("i", "INV-1", "open", 100, 100, DAY, DAY)
PAYMENT = PaymentFacts("failed", 100, DAY)
SUBSCRIPTION = SubscriptionFacts("Digital", "active", next_bill_on=DAY)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("invoice.posted", "invoice"),
        ("payment.succeeded", "receipt"),
        ("payment.failed", "payment-failed"),
        ("credit_note.issued", "credit-note"),
        ("notice.card_expiring", "card-expiring"),
        ("notice.trial-ends-soon", "trial-ends-soon"),
        ("notice.trial_ends", "trial-ends-soon"),
        ("notice.renewal", "renewal-notice"),
        ("notice.ended", "ended"),
        ("notice.something-own", "something-own"),
    ],
)
def test_which_event_sends_which(kind: str, name: str) -> None:
    template = template_of(kind)
    assert template is not None
    assert template.name == name


def test_other_events_send_nothing() -> None:
    assert template_of("invoice.paid") is None
    assert template_of("payment.refunded") is None


def test_the_reader_asks_for_every_kind() -> None:
    assert set(KINDS) == {
        "invoice.posted",
        "payment.succeeded",
        "payment.failed",
        "credit_note.issued",
        "notice.%",
    }
    assert len(BY_NAME) == len(TEMPLATES)


def test_a_fact_has_one_mail_and_a_notice_one_for_each_version() -> None:
    receipt, own = template_named("receipt"), template_named("own")
    assert event_key(receipt, "payment.succeeded", "p", 1) == event_key(receipt, "payment.succeeded", "p", 2)
    assert event_key(own, "notice.own", "a", 1) != event_key(own, "notice.own", "a", 2)


def test_the_mails_of_the_default_dunning_are_there() -> None:
    states = [
        action for state in DEFAULT_POLICY.states for action in state.on_entry if isinstance(action, Mail)
    ]
    waits = (DEFAULT_POLICY.retry.hard, DEFAULT_POLICY.retry.action, Waiting())
    assert {mail.template for mail in states} | {wait.template for wait in waits} <= BY_NAME.keys()


def test_only_what_is_marketing_is_marked_as_that() -> None:
    assert [template.name for template in TEMPLATES if template.marketing] == ["win-back"]


@pytest.mark.parametrize(
    ("name", "changes", "still"),
    [
        ("invoice", {}, False),
        ("invoice", {"invoice": INVOICE}, True),
        ("invoice", {"invoice": replace(INVOICE, status="void")}, False),
        ("receipt", {}, False),
        ("receipt", {"payment": PAYMENT}, False),
        ("receipt", {"payment": replace(PAYMENT, status="succeeded")}, True),
        ("receipt", {"payment": replace(PAYMENT, status="refunded")}, True),
        ("payment-failed", {"payment": PAYMENT, "open": 100}, True),
        ("payment-failed", {"payment": PAYMENT}, False),
        ("payment-failed", {"payment": replace(PAYMENT, status="succeeded"), "open": 100}, False),
        ("payment-failed", {"open": 100}, False),
        ("payment-overdue", {"open": 1}, True),
        ("payment-overdue", {}, False),
        ("trial-ends-soon", {"subscription": SUBSCRIPTION}, False),
        ("trial-ends-soon", {"subscription": replace(SUBSCRIPTION, trial_ends_on=DAY)}, True),
        (
            "trial-ends-soon",
            {"subscription": replace(SUBSCRIPTION, trial_ends_on=DAY, status="canceled")},
            False,
        ),
        ("trial-ends-soon", {}, True),
        ("renewal-notice", {"subscription": SUBSCRIPTION}, True),
        ("renewal-notice", {"subscription": replace(SUBSCRIPTION, next_bill_on=None)}, False),
        ("renewal-notice", {"subscription": replace(SUBSCRIPTION, status="expired")}, False),
        ("renewal-notice", {}, True),
        ("win-back", {"subscription": SUBSCRIPTION}, False),
        ("win-back", {"subscription": replace(SUBSCRIPTION, status="canceled")}, True),
        ("win-back", {}, True),
        ("card-expiring", {}, True),
    ],
)
def test_whether_it_is_still_so(name: str, changes: dict[str, Any], still: bool) -> None:
    assert template_named(name).still(replace(FACTS, **changes)) is still
