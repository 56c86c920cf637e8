"""Between the lines of a draft and what they were billed as: a charge with its discounts and taxes, a credit of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from domain.charge_key import charge_key
from domain.credits import BilledLine, CreditLine, TaxAmount
from domain.lines import ONE, Line
from domain.proration import Moment

# A credit brings its own tax, so the table has nothing to say about it.
UNTAXED = ""


def billed_lines(document: str, lines: Sequence[Line]) -> list[BilledLine]:
    """The charges among the `lines` of `document`, each with its discounts taken off and its taxes. Credits are no
    charges."""
    net = {place: line.amount for place, line in enumerate(lines) if _is_charge(line)}
    taxes: dict[int, list[TaxAmount]] = {place: [] for place in net}
    for line in lines:
        if line.parent is None or line.parent not in net:
            continue
        if line.kind == "discount":
            net[line.parent] += line.amount
        else:
            tax = TaxAmount(line.reference or "", line.rate or Decimal(0), line.amount)
            taxes[line.parent].append(tax)
    return [
        BilledLine(
            lines[place].charge_key,
            document,
            lines[place].kind,
            lines[place].category,
            lines[place].item_id,
            lines[place].price_id,
            lines[place].part,
            lines[place].period_start,
            lines[place].period_end,
            lines[place].quantity,
            amount,
            tuple(taxes[place]),
        )
        for place, amount in net.items()
    ]


def _is_charge(line: Line) -> bool:
    if line.kind == "adjustment":
        return line.amount >= 0
    return line.kind not in ("discount", "tax", "unused_credit", "delivery_credit")


def credit_lines(credit: CreditLine, billed: BilledLine, cause: str, first: int = 0) -> list[Line]:
    """`credit` against `billed` as lines of an invoice: the net amount, and a tax line for each tax given back. `cause`
    is the id of the command or missed issue; `first` the place of the credit's line on the invoice."""
    text = f"{credit.kind}|{_text(credit.start)}|{_text(credit.end)}|{cause}"
    line = _line(credit.kind, billed, credit.start, credit.end, credit.net, billed.key, text, billed.key)
    # On a document, its taxes are settled; one that is not final yet is taxed with the rest of the invoice.
    if billed.document:
        line.category = UNTAXED
    return [line, *_tax_lines(line, credit.taxes, first)]


def restored_lines(credit: CreditLine, billed: BilledLine, item_id: str, first: int = 0) -> list[Line]:
    """Lines that charge again, for the item `item_id`, exactly what `credit` gave back of `billed`."""
    text = f"{billed.price_id}|{billed.product}|{_text(credit.start)}|{_text(credit.end)}|restored"
    line = _line(billed.kind, billed, credit.start, credit.end, -credit.net, None, text, item_id)
    line.item_id = item_id
    if billed.document:
        line.category = UNTAXED
    taxes = [tax._replace(amount=-tax.amount) for tax in credit.taxes]
    return [line, *_tax_lines(line, taxes, first)]


def _tax_lines(parent: Line, taxes: Sequence[TaxAmount], first: int) -> list[Line]:
    found = []
    for tax in taxes:
        text = f"tax|{tax.jurisdiction}"
        key = charge_key(parent.charge_key, text)
        found.append(
            Line(
                "tax",
                None,
                None,
                None,
                None,
                None,
                ONE,
                tax.amount,
                first,
                tax.jurisdiction,
                tax.rate,
                key,
                text,
                "",
            )
        )
    return found


def _line(
    kind: str,
    billed: BilledLine,
    start: Moment | None,
    end: Moment | None,
    amount: int,
    reference: str | None,
    text: str,
    owner: str,
) -> Line:
    return Line(
        kind,
        billed.item_id,
        billed.price_id,
        billed.product,
        start,
        end,
        billed.quantity,
        amount,
        None,
        reference,
        None,
        charge_key(owner, text),
        text,
        billed.category,
    )


def _text(moment: Moment | None) -> str:
    if moment is None:
        return ""
    return moment.isoformat(timespec="seconds") if isinstance(moment, datetime) else moment.isoformat()
