"""The ledger: which entry each document makes. Debits equal credits by construction, and are checked all the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from domain.rating import Line

RECEIVABLE = "accounts_receivable"
DEFERRED = "deferred_revenue"
REVENUE = "revenue"
TAX_PAYABLE = "tax_payable"

# What a line's kind credits: paid in advance is owed to the reader until it is delivered; usage was already
# delivered, and a one-time purchase is delivered with the sale.
_DEFERRED = frozenset({"recurring", "unused_credit", "delivery_credit"})
_EARNED = frozenset({"usage", "one_time", "minimum", "adjustment"})


class Posting(NamedTuple):
    """A line of a journal entry, minor units; one of debit and credit is zero, neither is negative."""

    account: str
    debit: int
    credit: int


class Unbalanced(ValueError):
    """An entry whose debits are not its credits."""


def settle(lines: list[Line]) -> tuple[int, int, list[Posting]]:
    """(sum of the lines, sum of the tax, ledger entry) of an invoice: the receivable against deferred revenue,
    earned revenue and tax payable. A discount follows the line it reduces; nothing owed makes no postings."""
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
        if kind in _DEFERRED:
            deferred += amount
        elif kind not in _EARNED:
            raise ValueError(f"no ledger account is laid down for lines of kind {kind!r}")
    postings: list[Posting] = []
    total = subtotal + tax
    if total:
        postings.append(Posting(RECEIVABLE, total, 0) if total > 0 else Posting(RECEIVABLE, 0, -total))
    for account, amount in ((DEFERRED, deferred), (REVENUE, subtotal - deferred), (TAX_PAYABLE, tax)):
        if amount:
            postings.append(Posting(account, 0, amount) if amount > 0 else Posting(account, -amount, 0))
    check_balanced(postings)
    return subtotal, tax, postings


def check_balanced(postings: Iterable[Posting]) -> None:
    """Raises Unbalanced when the debits are not the credits (law I1)."""
    difference = 0
    for _, debit, credit in postings:
        difference += debit - credit
    if difference:
        raise Unbalanced(f"debits and credits differ by {difference} minor units")
