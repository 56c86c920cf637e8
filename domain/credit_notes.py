"""Credit notes: documents that correct a finalised invoice, which itself never changes (law 9). A note is over the
whole invoice, over lines, or of an amount, always with the tax that was billed, never more than is left (law 5).

The charges of an invoice are corrected, not the credits on it: those are corrections of other documents. So the
limit is what was billed on the charges, and only a void takes the credits of an invoice back as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from domain.credits import (
    BilledLine,
    CreditLine,
    TaxAmount,
    TooMuchCredit,
    credit_gross,
    credit_rest,
    left_of,
)
from domain.money import allocate


class CreditNoteError(ValueError):
    """A credit note that cannot be written; the message says why."""


class Heading(NamedTuple):
    """What the caller assigns: the number from its series, the local day, and the reason as the customer reads it."""

    number: str
    issued_on: date
    reason: str


@dataclass(frozen=True, slots=True)
class CreditNote:
    """A credit note against `invoice`. The amounts of its lines, and so `net`, `tax` and `gross`, are negative."""

    invoice: str
    number: str
    issued_on: date
    reason: str
    lines: tuple[CreditLine, ...]

    @property
    def net(self) -> int:
        """All lines without tax, minor units, negative."""
        return sum(line.net for line in self.lines)

    @property
    def tax(self) -> int:
        """All taxes, minor units, negative."""
        return sum(line.tax for line in self.lines)

    @property
    def gross(self) -> int:
        """All together, minor units, negative."""
        return self.net + self.tax

    @property
    def amount(self) -> int:
        """What the customer gets back, minor units, above zero."""
        return -self.gross

    @property
    def taxes(self) -> tuple[TaxAmount, ...]:
        """The tax given back by jurisdiction and rate, in the order of the lines, negative."""
        amounts: dict[tuple[str, Decimal], int] = {}
        for line in self.lines:
            for tax in line.taxes:
                key = (tax.jurisdiction, tax.rate)
                amounts[key] = amounts.get(key, 0) + tax.amount
        return tuple(TaxAmount(*key, amount) for key, amount in amounts.items())


def charges_of(billed: Sequence[BilledLine]) -> list[BilledLine]:
    """The lines that can be credited: those that asked for money."""
    return [line for line in billed if line.gross > 0]


def whole(billed: Sequence[BilledLine], credits: Sequence[CreditLine]) -> tuple[CreditLine, ...]:
    """All that the earlier `credits` left of every charge of an invoice, so that nothing is left; empty when nothing
    was."""
    rests = (credit_rest(line, credits) for line in charges_of(billed))
    return tuple(rest for rest in rests if rest is not None)


def by_line(
    billed: Sequence[BilledLine], credits: Sequence[CreditLine], amounts: Mapping[str, int | None]
) -> tuple[CreditLine, ...]:
    """A credit for each charge that `amounts` names by its key: that many minor units, tax included, or all that is
    left of it for None. Raises CreditNoteError for a key that is no charge of the invoice, TooMuchCredit for an
    amount that is not above zero or more than is left."""
    charges = {line.key: line for line in charges_of(billed)}
    lines = []
    for key, gross in amounts.items():
        if key not in charges:
            raise CreditNoteError(
                f"{key} is no charge of this invoice: credit notes are over its charges only"
            )
        rest = credit_rest(charges[key], credits)
        left = -rest.gross if rest is not None else 0
        if rest is None or (gross is not None and not 0 < gross <= left):
            raise TooMuchCredit(
                f"{'all' if gross is None else gross} is to be credited of line {key}, in minor units, and {left} is "
                "left of it: give an amount above zero and at most that"
            )
        lines.append(rest if gross is None else credit_gross(charges[key], credits, gross))
    return tuple(lines)


def by_amount(
    billed: Sequence[BilledLine], credits: Sequence[CreditLine], gross: int
) -> tuple[CreditLine, ...]:
    """`gross` minor units, tax included, spread over the charges by what is left of each: largest remainder, the
    earlier line first on a tie, no unit lost. Raises TooMuchCredit for an amount that is not above zero or more than
    is left in all."""
    charges = charges_of(billed)
    weights = [left_of(line, credits).gross for line in charges]
    if not 0 < gross <= sum(weights):
        raise TooMuchCredit(
            f"{gross} minor units are to be credited and {sum(weights)} are left of the invoice's charges: give an "
            "amount above zero and at most that"
        )
    shares = zip(charges, allocate(gross, weights), strict=True)
    return tuple(credit_gross(line, credits, share) for line, share in shares if share)


def credit_note(
    heading: Heading,
    billed: Sequence[BilledLine],
    credits: Sequence[CreditLine],
    lines: Sequence[CreditLine],
) -> CreditNote:
    """The credit note over `lines` (from `whole`, `by_line`, `by_amount`, or credits for time) against the invoice
    whose lines are `billed`, after the earlier `credits`.

    Raises CreditNoteError without a number, a reason or an amount, for lines of several invoices, or a credit of
    what is no charge or tax of this one; TooMuchCredit where the net amount or a tax of a line is more than is left
    (law 5).
    """
    documents = {line.document for line in billed}
    if len(documents) != 1:
        raise CreditNoteError(f"a credit note corrects one invoice, not {len(documents)}: write one for each")
    if not heading.number.strip() or not heading.reason.strip():
        raise CreditNoteError("a credit note needs its number and a reason that the customer can read")
    charges = {line.key: line for line in charges_of(billed)}
    before = list(credits)
    for line in lines:
        if line.corrects not in charges:
            raise CreditNoteError(f"{line.corrects} is no charge of invoice {documents.pop()}")
        _check_within(left_of(charges[line.corrects], before), line)
        before.append(line)
    note = CreditNote(documents.pop(), *heading, tuple(lines))
    if not note.amount:
        raise CreditNoteError(f"nothing is left to be credited on invoice {note.invoice}")
    return note


def _check_within(left: BilledLine, credit: CreditLine) -> None:
    """Raises CreditNoteError for a tax that was not billed, TooMuchCredit where less is left than is credited."""
    taxes = {tax.jurisdiction: tax.amount for tax in left.taxes}
    pairs = [("net", left.net, -credit.net)]
    for tax in credit.taxes:
        if tax.jurisdiction not in taxes:
            raise CreditNoteError(f"no tax of {tax.jurisdiction} was billed on line {left.key}")
        pairs.append((tax.jurisdiction, taxes[tax.jurisdiction], -tax.amount))
    for name, rest, wanted in pairs:
        if not min(rest, 0) <= wanted <= max(rest, 0):
            raise TooMuchCredit(
                f"{wanted} minor units ({name}) are to be credited on line {left.key}, and {rest} are left of it"
            )
