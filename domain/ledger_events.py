"""The journal entry that each event makes: one table, `ENTRIES`, says which part of an event's amounts is debited and
credited to which account. Whoever asks why an account moved reads it here, and nowhere else.

The receivable of an invoice is debited once, when it is finalised, and credited by what settles it; a dispute or a
returned payment debits it anew. So accounts receivable are the open balances of the invoices (law I2). What is paid,
credited or refunded beyond an invoice stands in a liability of its own until it is used, paid out or expires.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from domain import ledger
from domain.ledger import Posting, check_balanced
from domain.money import exponent


class Event(StrEnum):
    """What makes a journal entry; its meaning and its parts stand in `ENTRIES`."""

    INVOICE_FINALISED = "invoice_finalised"
    INVOICE_VOIDED = "invoice_voided"
    INVOICE_CREDIT_RELEASED = "invoice_credit_released"
    PAYMENT_SUCCEEDED = "payment_succeeded"
    PAYMENT_RETURNED = "payment_returned"
    PAYOUT_RECEIVED = "payout_received"
    REFUND_PAID = "refund_paid"
    REFUND_FAILED = "refund_failed"
    REFUND_RELEASED = "refund_released"
    CREDIT_NOTE_ISSUED = "credit_note_issued"
    DELIVERY_CREDITED = "delivery_credited"
    ACCOUNT_CREDIT_GRANTED = "account_credit_granted"
    ACCOUNT_CREDIT_USED = "account_credit_used"
    ACCOUNT_CREDIT_REFUNDED = "account_credit_refunded"
    ACCOUNT_CREDIT_EXPIRED = "account_credit_expired"
    INVOICE_WRITTEN_OFF = "invoice_written_off"
    WRITE_OFF_RECOVERED = "write_off_recovered"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    DISPUTE_FEE_KEPT = "dispute_fee_kept"
    DISPUTE_FEE_RETURNED = "dispute_fee_returned"
    GIFT_SOLD = "gift_sold"
    GIFT_REDEEMED = "gift_redeemed"
    GIFT_EXPIRED = "gift_expired"
    REVENUE_RECOGNISED = "revenue_recognised"


Sides = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """The entry of one event. `debits` and `credits` are (part, account); a part on both sides balances by itself.
    Of each group in `needs` at least one part has to be given, the other parts are zero where they are not. A `signed`
    event is one whose charges and credits were set off against each other: a negative part goes to the other side."""

    meaning: str
    debits: Sides
    credits: Sides
    needs: tuple[tuple[str, ...], ...]
    signed: bool = False


_RECEIVABLE = ("receivable", ledger.RECEIVABLE)
_DEFERRED = ("deferred", ledger.DEFERRED)
_REVENUE = ("revenue", ledger.REVENUE)
_TAX = ("tax", ledger.TAX_PAYABLE)
_GIFT = ("gift", ledger.GIFT_LIABILITY)
_ACCOUNT_CREDIT = ("account_credit", ledger.ACCOUNT_CREDIT)
_REFUND = ("refund", ledger.REFUNDS_PAYABLE)
_CLEARING = ("clearing", ledger.CLEARING)
_CASH = ("cash", ledger.CASH)
_BAD_DEBT = ("bad_debt", ledger.BAD_DEBT)
_BREAKAGE = ("breakage", ledger.BREAKAGE)

# A fee is kept back by the gateway, so that it lessens what is in clearing there.
_PAYMENT_FEE = ("fee", ledger.PAYMENT_FEES)
_DISPUTE_FEE = ("fee", ledger.DISPUTE_FEES)
_FEE_KEPT = ("fee", ledger.CLEARING)

_MONEY = ("clearing", "cash")
_GIVEN_BACK = ("deferred", "revenue", "tax", "gift")


def _amount(account: str) -> Sides:
    return (("amount", account),)


ENTRIES: dict[Event, Rule] = {
    Event.INVOICE_FINALISED: Rule(
        "An invoice is finalised: its total is owed to us; what is paid in advance is deferred until it is delivered, "
        "what is delivered is revenue, tax is the state's. Credits on the invoice (unused credit, adjustment, delivery "
        "credit) are set off within the parts; `ledger.settle` makes the same entry from the lines.",
        debits=(_RECEIVABLE,),
        credits=(_DEFERRED, _REVENUE, _TAX),
        needs=(("receivable",),),
        signed=True,
    ),
    Event.INVOICE_VOIDED: Rule(
        "An invoice on which nothing was paid is voided (law 9: it reaches tax and ledger too): all that is left of it "
        "is taken back, from deferred revenue what was not recognised yet, from revenue what was. Account credit that "
        "was used on it goes back, what was written off of it is no bad debt.",
        debits=(_DEFERRED, _REVENUE, _TAX, _GIFT),
        credits=(_RECEIVABLE, _ACCOUNT_CREDIT, _BAD_DEBT),
        needs=(("receivable",),),
        signed=True,
    ),
    Event.INVOICE_CREDIT_RELEASED: Rule(
        "An invoice came to less than nothing: what it gives back becomes account credit, or a refund to be paid.",
        debits=(_RECEIVABLE,),
        credits=(_ACCOUNT_CREDIT, _REFUND),
        needs=(("receivable",), ("account_credit", "refund")),
    ),
    Event.PAYMENT_SUCCEEDED: Rule(
        "A payment succeeded, through a gateway (clearing, until it pays out) or at the bank (cash). It settles "
        "invoices; what it is beyond them is account credit. The gateway's fee may come with it.",
        debits=(_CLEARING, _CASH, _PAYMENT_FEE),
        credits=(_RECEIVABLE, _ACCOUNT_CREDIT, _FEE_KEPT),
        needs=(_MONEY, ("receivable", "account_credit")),
    ),
    Event.PAYMENT_RETURNED: Rule(
        "The bank took a payment back after it had succeeded (a returned direct debit): the invoices that it settled "
        "are open again, account credit that it made is gone; what of that had expired was no breakage. The fee for it "
        "may come with it.",
        debits=(_RECEIVABLE, _ACCOUNT_CREDIT, _BREAKAGE, _PAYMENT_FEE),
        credits=(_CLEARING, _CASH, _FEE_KEPT),
        needs=(("receivable", "account_credit", "breakage"), _MONEY),
    ),
    Event.PAYOUT_RECEIVED: Rule(
        "A gateway paid out: what was in clearing is at the bank.",
        debits=_amount(ledger.CASH),
        credits=_amount(ledger.CLEARING),
        needs=(("amount",),),
    ),
    Event.REFUND_PAID: Rule(
        "A refund of a payment succeeded: one that a credit note promised (refund), or of a payment that is taken back "
        "without correcting what was billed (receivable: the invoice is open again). A fee may come with it.",
        debits=(_REFUND, _RECEIVABLE, _PAYMENT_FEE),
        credits=(_CLEARING, _CASH, _FEE_KEPT),
        needs=(("refund", "receivable"), _MONEY),
    ),
    Event.REFUND_FAILED: Rule(
        "A refund that had succeeded came back (a closed bank account): it is to be paid again.",
        debits=(_CLEARING, _CASH),
        credits=(_REFUND,),
        needs=(_MONEY, ("refund",)),
    ),
    Event.REFUND_RELEASED: Rule(
        "A refund that was promised cannot be paid: the customer keeps it as account credit.",
        debits=_amount(ledger.REFUNDS_PAYABLE),
        credits=_amount(ledger.ACCOUNT_CREDIT),
        needs=(("amount",),),
    ),
    Event.CREDIT_NOTE_ISSUED: Rule(
        "A credit note gives back part of what was billed (law 5), tax with it: from deferred revenue what was not "
        "recognised yet, from revenue what was, from the gift liability a gift not redeemed. It lessens what is owed "
        "on the invoice or was written off of it, becomes account credit, or is to be refunded.",
        debits=(_DEFERRED, _REVENUE, _TAX, _GIFT),
        credits=(_RECEIVABLE, _BAD_DEBT, _ACCOUNT_CREDIT, _REFUND),
        needs=(_GIVEN_BACK, ("receivable", "bad_debt", "account_credit", "refund")),
    ),
    Event.DELIVERY_CREDITED: Rule(
        "An issue was not delivered (holiday stop, lost copy): its share, deferred still or recognised already, is "
        "account credit from now on, or is to be refunded where no bill will follow.",
        debits=(_DEFERRED, _REVENUE, _TAX),
        credits=(_ACCOUNT_CREDIT, _REFUND),
        needs=(("deferred", "revenue"), ("account_credit", "refund")),
    ),
    Event.ACCOUNT_CREDIT_GRANTED: Rule(
        "Account credit is granted for goodwill: it corrects nothing that was billed, so it is an expense.",
        debits=_amount(ledger.GOODWILL),
        credits=_amount(ledger.ACCOUNT_CREDIT),
        needs=(("amount",),),
    ),
    Event.ACCOUNT_CREDIT_USED: Rule(
        "Account credit is used on an invoice.",
        debits=_amount(ledger.ACCOUNT_CREDIT),
        credits=_amount(ledger.RECEIVABLE),
        needs=(("amount",),),
    ),
    Event.ACCOUNT_CREDIT_REFUNDED: Rule(
        "Account credit is paid out. A fee may come with it.",
        debits=(_ACCOUNT_CREDIT, _PAYMENT_FEE),
        credits=(_CLEARING, _CASH, _FEE_KEPT),
        needs=(("account_credit",), _MONEY),
    ),
    Event.ACCOUNT_CREDIT_EXPIRED: Rule(
        "Account credit expired unused: breakage.",
        debits=_amount(ledger.ACCOUNT_CREDIT),
        credits=_amount(ledger.BREAKAGE),
        needs=(("amount",),),
    ),
    Event.INVOICE_WRITTEN_OFF: Rule(
        "An invoice, or what is open of it, is uncollectible: bad debt. What will not be delivered any more is taken "
        "from deferred revenue instead, and by policy the tax on it is claimed back.",
        debits=(_BAD_DEBT, _DEFERRED, _TAX),
        credits=(_RECEIVABLE,),
        needs=(("bad_debt", "deferred"), ("receivable",)),
    ),
    Event.WRITE_OFF_RECOVERED: Rule(
        "Money came in for an invoice that was written off: bad debt is less than was thought, and tax claimed "
        "back is owed again. The invoice is not opened for it; what is beyond it is account credit.",
        debits=(_CLEARING, _CASH, _PAYMENT_FEE),
        credits=(_BAD_DEBT, _TAX, _ACCOUNT_CREDIT, _FEE_KEPT),
        needs=(_MONEY, ("bad_debt",)),
    ),
    Event.DISPUTE_OPENED: Rule(
        "A payer disputes a payment: the gateway takes its amount back until it is decided, often with a fee. The "
        "invoice stays paid.",
        debits=(("amount", ledger.DISPUTED), _DISPUTE_FEE),
        credits=(("amount", ledger.CLEARING), _FEE_KEPT),
        needs=(("amount",),),
    ),
    Event.DISPUTE_WON: Rule(
        "A dispute is won: the gateway gives the amount back, and the fee where it does.",
        debits=(("amount", ledger.CLEARING), _FEE_KEPT),
        credits=(("amount", ledger.DISPUTED), _DISPUTE_FEE),
        needs=(("amount",),),
    ),
    Event.DISPUTE_LOST: Rule(
        "A dispute is lost, by policy with the invoice open again (to be collected, credited or written off) or as a "
        "loss of ours; a fee may come with it.",
        debits=(_RECEIVABLE, ("loss", ledger.DISPUTE_LOSSES), _DISPUTE_FEE),
        credits=(("disputed", ledger.DISPUTED), _FEE_KEPT),
        needs=(("receivable", "loss"), ("disputed",)),
    ),
    Event.DISPUTE_FEE_KEPT: Rule(
        "A gateway keeps a fee for a dispute, whoever wins it: it lessens what is in clearing there.",
        debits=(_DISPUTE_FEE,),
        credits=(_FEE_KEPT,),
        needs=(("fee",),),
    ),
    Event.DISPUTE_FEE_RETURNED: Rule(
        "A gateway gives the fee of a dispute back, as some do when it is won.",
        debits=(_FEE_KEPT,),
        credits=(_DISPUTE_FEE,),
        needs=(("fee",),),
    ),
    Event.GIFT_SOLD: Rule(
        "The invoice of a gift is finalised: what the giver owes us is owed to whoever will redeem the gift. Tax only "
        "where it is due at the sale.",
        debits=(_RECEIVABLE,),
        credits=(_GIFT, _TAX),
        needs=(("receivable",), ("gift",)),
    ),
    Event.GIFT_REDEEMED: Rule(
        "A gift is redeemed: from now on it is a subscription paid in advance, or account credit of the redeemer. Tax "
        "where it is due at redemption.",
        debits=(_GIFT,),
        credits=(_DEFERRED, _ACCOUNT_CREDIT, _TAX),
        needs=(("gift",), ("deferred", "account_credit")),
    ),
    Event.GIFT_EXPIRED: Rule(
        "A gift's claim window closed and nobody redeemed it: breakage.",
        debits=_amount(ledger.GIFT_LIABILITY),
        credits=_amount(ledger.BREAKAGE),
        needs=(("amount",),),
    ),
    Event.REVENUE_RECOGNISED: Rule(
        "What was delivered of that which was paid in advance is revenue; the amounts are those of the schedules "
        "(`revenue.to_recognise`).",
        debits=_amount(ledger.DEFERRED),
        credits=_amount(ledger.REVENUE),
        needs=(("amount",),),
    ),
}


class EntryRefused(ValueError):
    """An event or its amounts make no entry; the message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal entry. `document` is the reference of the document or event that made it, `document_date` that one's
    day; `posted_on` is the day it counts for in the books, another one where the period of the document was closed.
    Amounts of the postings in minor units of `currency`, no account more than once."""

    event: Event
    document: str
    document_date: date
    posted_on: date
    currency: str
    postings: tuple[Posting, ...]

    def moved(self, account: str) -> int:
        """Debit less credit of `account`."""
        return sum(each.debit - each.credit for each in self.postings if each.account == account)


def entry(
    event: str,
    amounts: Mapping[str, int],
    *,
    document: str,
    document_date: date,
    currency: str,
    posted_on: date | None = None,
) -> Entry:
    """The journal entry of `event`: `amounts` are its parts in minor units, named as in `ENTRIES`; `posted_on` is the
    document's date unless `accounting_periods.posting_day` said otherwise. Where the parts cancel out or are all zero
    the entry has no postings and need not be written.

    Raises EntryRefused for an event that is not in the table, no document, parts that it does not have, lacks or that
    are negative; Unbalanced when the debits are not the credits (law I1); MoneyError for an unknown currency.
    """
    rule = _rule(event)
    if not document:
        raise EntryRefused(f"the entry of {event} names no document: say which one made it")
    exponent(currency)
    _check_parts(event, rule, amounts)
    moved: dict[str, int] = {}
    for sign, side in ((1, rule.debits), (-1, rule.credits)):
        for part, account in side:
            moved[account] = moved.get(account, 0) + sign * amounts.get(part, 0)
    postings = tuple(
        Posting(account, amount, 0) if amount > 0 else Posting(account, 0, -amount)
        for account, amount in moved.items()
        if amount
    )
    check_balanced(postings)
    return Entry(
        Event(event),
        document,
        document_date,
        document_date if posted_on is None else posted_on,
        currency,
        postings,
    )


def trial_balance(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """Currency → account → debit less credit of all `entries`, minor units; each currency sums to zero (law I1).
    Accounts that nothing was posted to are left out."""
    books: dict[str, dict[str, int]] = {}
    for each in entries:
        accounts = books.setdefault(each.currency, {})
        for account, debit, credit in each.postings:
            accounts[account] = accounts.get(account, 0) + debit - credit
    return books


def _rule(event: str) -> Rule:
    try:
        return ENTRIES[Event(event)]
    except ValueError:
        raise EntryRefused(
            f"no entry is laid down for {event!r}; there is one for: {', '.join(Event)}"
        ) from None


def _check_parts(event: str, rule: Rule, amounts: Mapping[str, int]) -> None:
    known = dict.fromkeys(part for part, _ in (*rule.debits, *rule.credits))
    for part, amount in amounts.items():
        if part not in known:
            raise EntryRefused(f"{event} has no part {part!r}; its parts are: {', '.join(known)}")
        if type(amount) is not int:
            raise EntryRefused(f"{part} of {event} is {amount!r}: give whole minor units")
        if amount < 0 and not rule.signed:
            raise EntryRefused(
                f"{part} of {event} is {amount}: no part may be negative; is it another event?"
            )
    for group in rule.needs:
        if not any(part in amounts for part in group):
            raise EntryRefused(f"{event} lacks a part: give {' or '.join(group)}")
