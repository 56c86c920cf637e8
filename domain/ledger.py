"""The ledger: the chart of accounts, postings, and the entry that an invoice makes of its lines. The entries of all
events are in `ledger_events`. Debits equal credits by construction, and are checked all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from domain.rating import Line

RECEIVABLE = "accounts_receivable"
CASH = "cash"
CLEARING = "payments_in_clearing"
DISPUTED = "payments_in_dispute"
DEFERRED = "deferred_revenue"
GIFT_LIABILITY = "gift_liability"
ACCOUNT_CREDIT = "account_credit"
REFUNDS_PAYABLE = "refunds_payable"
TAX_PAYABLE = "tax_payable"
REVENUE = "revenue"
BREAKAGE = "breakage_revenue"
PAYMENT_FEES = "payment_fees"
DISPUTE_FEES = "dispute_fees"
DISPUTE_LOSSES = "dispute_losses"
BAD_DEBT = "bad_debt"
GOODWILL = "goodwill"


class LedgerAccount(NamedTuple):
    """An account of the chart; `kind` is asset, liability, income or expense."""

    code: str
    name: str
    kind: str


CHART = tuple(
    LedgerAccount(*row)
    for row in (
        (RECEIVABLE, "Accounts receivable", "asset"),
        (CASH, "Cash at bank", "asset"),
        (CLEARING, "Payments in clearing at gateways", "asset"),
        (DISPUTED, "Payments in dispute", "asset"),
        (DEFERRED, "Deferred revenue", "liability"),
        (GIFT_LIABILITY, "Gifts sold and not redeemed", "liability"),
        (ACCOUNT_CREDIT, "Account credit of customers", "liability"),
        (REFUNDS_PAYABLE, "Refunds payable", "liability"),
        (TAX_PAYABLE, "Tax payable", "liability"),
        (REVENUE, "Revenue", "income"),
        (BREAKAGE, "Breakage revenue", "income"),
        (PAYMENT_FEES, "Payment fees", "expense"),
        (DISPUTE_FEES, "Dispute fees", "expense"),
        (DISPUTE_LOSSES, "Losses of disputes", "expense"),
        (BAD_DEBT, "Bad debt", "expense"),
        (GOODWILL, "Goodwill given", "expense"),
    )
)

# What a line's kind credits: paid in advance is owed to the reader until it is delivered (what is recurring and billed
# in arrears is not: `revenue.earned_at_issue`); usage was already delivered, and a one-time purchase is delivered with
# the sale.
DEFERRED_KINDS = frozenset({"recurring", "unused_credit", "delivery_credit"})
EARNED_KINDS = frozenset({"usage", "one_time", "minimum", "adjustment"})


class Posting(NamedTuple):
    """A line of a journal entry, minor units; one of debit and credit is zero, neither is negative."""

    account: str
    debit: int
    credit: int


class Unbalanced(ValueError):
    """An entry whose debits are not its credits."""


class WrongPart(ValueError):
    """A part of a line that is no part of it."""


def settle(
    lines: list[Line], deferred_parts: Mapping[int, int] | None = None
) -> tuple[int, int, list[Posting]]:
    """(sum of the lines, sum of the tax, ledger entry) of an invoice: the receivable against deferred revenue,
    earned revenue and tax payable. A discount follows the line it reduces; nothing owed makes no postings.

    `deferred_parts` says for lines by their place how much of their net (the amount with its discounts, minor units,
    signed) is of deferred revenue, the rest being of earned revenue; other lines follow their kind. It is for credits,
    which reverse revenue as far as it was recognised (`revenue.split_credit`), for time that is over when it is billed
    (`revenue.earned_at_issue`), and for purchases delivered later.
    Raises ValueError for a kind of line without account, WrongPart for a part that is not from zero to the line's net.
    """
    subtotal = tax = deferred = 0
    for line in lines:
        kind = line.kind
        amount = line.amount
        if kind == "tax":
            tax += amount
            continue
        subtotal += amount
        if kind == "discount" and line.parent is not None:
            kind = lines[line.parent].kind
        if kind in DEFERRED_KINDS:
            deferred += amount
        elif kind not in EARNED_KINDS:
            raise ValueError(f"no ledger account is laid down for lines of kind {kind!r}")
    if deferred_parts:
        deferred += _moved(lines, deferred_parts)
    postings: list[Posting] = []
    total = subtotal + tax
    if total:
        postings.append(Posting(RECEIVABLE, total, 0) if total > 0 else Posting(RECEIVABLE, 0, -total))
    for account, amount in ((DEFERRED, deferred), (REVENUE, subtotal - deferred), (TAX_PAYABLE, tax)):
        if amount:
            postings.append(Posting(account, 0, amount) if amount > 0 else Posting(account, -amount, 0))
    check_balanced(postings)
    return subtotal, tax, postings


def _moved(lines: Sequence[Line], deferred_parts: Mapping[int, int]) -> int:
    """By how much deferred revenue differs from what the kinds of the lines alone would say."""
    net = {place: line.amount for place, line in enumerate(lines) if line.parent is None}
    for line in lines:
        if line.kind == "discount" and line.parent in net:
            net[line.parent] += line.amount
    moved = 0
    for place, part in deferred_parts.items():
        whole = net.get(place)
        if whole is None:
            raise WrongPart(
                f"line {place + 1} is a discount or tax, or is not there: name the line it belongs to"
            )
        if not min(0, whole) <= part <= max(0, whole):
            raise WrongPart(
                f"{part} minor units of line {place + 1} are said to be deferred: its net is {whole}, and the part "
                "has to lie between zero and that"
            )
        moved += part - (whole if lines[place].kind in DEFERRED_KINDS else 0)
    return moved


def check_balanced(postings: Iterable[Posting]) -> None:
    """Raises Unbalanced when the debits are not the credits (law I1)."""
    difference = 0
    for _, debit, credit in postings:
        difference += debit - credit
    if difference:
        raise Unbalanced(f"debits and credits differ by {difference} minor units")
