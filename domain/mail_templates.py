"""The mails there are: what each is for, what tells of it, and until when it is worth sending.

A publisher may have templates of its own beside these: an event `notice.NAME` sends the template NAME.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from domain.mail_facts import MailFacts

NOTICE = "notice."
Still = Callable[[MailFacts], bool]


_OVER = ("canceled", "expired")


def _always(_: MailFacts) -> bool:
    return True


def _owing(facts: MailFacts) -> bool:
    return facts.open > 0


class MailTemplate(NamedTuple):
    """A mail. on: the kind of event that sends it. once: one for each subject, however many events tell of it (else one
    for each version). attaches: the document it is about goes with it, as PDF. marketing: only with consent, and with a
    way to end it. pays: it leads to the page on which the customer pays. still: whether, by the time it goes out, it is
    still so."""

    name: str
    about: str
    on: str
    once: bool = False
    attaches: bool = False
    marketing: bool = False
    pays: bool = False
    still: Still = _always


def _notice(
    name: str,
    about: str,
    *,
    on: str | None = None,
    marketing: bool = False,
    pays: bool = False,
    still: Still = _always,
) -> MailTemplate:
    return MailTemplate(name, about, NOTICE + (on or name), marketing=marketing, pays=pays, still=still)


def _owed(name: str, about: str) -> MailTemplate:
    """A notice to whoever owes something, with the way to pay it."""
    return _notice(name, about, pays=True, still=_owing)


def _failed(facts: MailFacts) -> bool:
    return facts.payment is not None and facts.payment.status == "failed" and facts.open > 0


def _paid(facts: MailFacts) -> bool:
    return facts.payment is not None and facts.payment.status in ("succeeded", "refunded", "disputed")


def _posted(facts: MailFacts) -> bool:
    return facts.invoice is not None and facts.invoice.status != "void"


def _on_trial(facts: MailFacts) -> bool:
    return facts.subscription is None or (
        facts.subscription.trial_ends_on is not None and facts.subscription.status not in _OVER
    )


def _renews(facts: MailFacts) -> bool:
    return facts.subscription is None or (
        facts.subscription.next_bill_on is not None and facts.subscription.status not in _OVER
    )


def _gone(facts: MailFacts) -> bool:
    return facts.subscription is None or facts.subscription.status in _OVER


TEMPLATES = (
    MailTemplate("invoice", "an invoice, as PDF", "invoice.posted", once=True, attaches=True, still=_posted),
    MailTemplate("receipt", "what was paid", "payment.succeeded", once=True, still=_paid),
    MailTemplate(
        "payment-failed", "a charge that failed", "payment.failed", once=True, pays=True, still=_failed
    ),
    MailTemplate("credit-note", "a credit note, as PDF", "credit_note.issued", once=True, attaches=True),
    _notice("card-expiring", "the card on file expires soon", pays=True),
    _notice("renewal-notice", "a subscription renews soon", on="renewal", still=_renews),
    _notice("trial-ends-soon", "a trial ends soon", on="trial_ends", still=_on_trial),
    _notice("paused", "a subscription was paused"),
    _notice("resumed", "a paused subscription goes on"),
    _notice("canceled", "a subscription was canceled"),
    _notice("ended", "a subscription has ended"),
    _notice("gift", "a gift waits to be claimed"),
    _notice("shipment", "a delivery is on its way"),
    _owed("payment-reminder", "the payment method needs the customer"),
    _owed("payment-method-needed", "dunning: the payment method cannot be charged"),
    _owed("payment-action-needed", "the bank wants a confirmation: a charge, or dunning, tells"),
    _owed("payment-overdue", "dunning: an invoice is overdue"),
    _owed("account-restricted", "dunning: the account is restricted"),
    _owed("account-suspended", "dunning: access is suspended"),
    _notice("subscription-canceled", "dunning: a subscription ended for want of payment", still=_owing),
    _notice("win-back", "an offer to come back (with consent only)", marketing=True, still=_gone),
)
BY_NAME = {template.name: template for template in TEMPLATES}
_BY_EVENT = {template.on: template for template in TEMPLATES}

# What the reader of the event log asks for.
KINDS = (*(template.on for template in TEMPLATES if not template.on.startswith(NOTICE)), NOTICE + "%")


def template_named(name: str) -> MailTemplate:
    """The template called `name`; one that is not ours is a notice of the publisher's own."""
    return BY_NAME.get(name) or _notice(name, "a template of your own", pays=True)


def template_of(kind: str) -> MailTemplate | None:
    """The template that an event of `kind` sends. Underscores in a notice's name stand for hyphens."""
    if kind in _BY_EVENT or not kind.startswith(NOTICE):
        return _BY_EVENT.get(kind)
    return template_named(kind.removeprefix(NOTICE).replace("_", "-"))


def event_key(template: MailTemplate, kind: str, subject: str, version: int) -> str:
    """What a mail is known by: the same however often its event is told of."""
    return f"{kind}/{subject}" if template.once else f"{kind}/{subject}/{version}"
