"""The kinds of events that there are, for flows to name."""

from __future__ import annotations

from operations.webhooks_out.kinds import wants

KINDS: dict[str, str] = {
    "account.created": "an account was opened over the API",
    "account.changed": "contact data, consent or terms of an account changed",
    "subscription.imported": "a subscription was imported",
    "subscription.created": "somebody subscribed",
    "subscription.changed": "a subscription's status, dates or content changed",
    "invoice.posted": "an invoice was posted",
    "invoice.paid": "nothing is open on an invoice any more",
    "invoice.void": "an invoice was taken back",
    "invoice.uncollectible": "what was open on an invoice was written off",
    "credit_note.issued": "a credit note was issued",
    "account_credit.granted": "an account got credit for later invoices",
    "account_credit.expired": "account credit lapsed",
    "payment.succeeded": "a payment succeeded",
    "payment.failed": "a charge was declined",
    "payment.refunded": "money of a payment went back",
    "payment_method.added": "an account got a payment method, or one again",
    "payment_method.retired": "a payment method is charged no more",
    "charge.processing": "a charge is in flight at the gateway",
    "charge.requires_action": "a charge waits for the customer",
    "charge.unknown": "nobody knows whether a charge moved money; the gateway is asked",
    "charge.failed": "a charge failed technically, and another gateway is charged",
    "charge.withdrawn": "a charge was given up, and nothing was charged",
    "dunning.opened": "an account is being dunned",
    "dunning.changed": "what is dunned of an account, or when, changed",
    "dunning.closed": "an account is not dunned any more",
    "dunning.entered": "an account entered another state of dunning",
    "catalog.loaded": "a catalog was loaded that changed something",
}
"""What is written to the event log for others to be told of; each with what it says."""


def known_kinds(pattern: str) -> list[str]:
    """The kinds that a pattern (`invoice.*`) fits."""
    return [kind for kind in KINDS if wants((pattern,), kind)]
