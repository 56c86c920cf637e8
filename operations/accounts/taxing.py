"""Tax by a connected engine for an account that is billed whole: its drafts are asked for while nothing is locked, and
what was answered is put on the same drafts when they are written. One that has become another is asked for anew."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from domain.invoices import Draft
from domain.lines import Line
from domain.tax_documents import EngineTax, put_tax_on
from operations.accounts.unit import Changing
from operations.tax.documents import Taxed, record_tax_documents
from storage.database import PgConnection
from storage.posting import SERIES


class DraftMoved(Exception):
    """A draft is another one than was asked for: the account changed meanwhile. `draft` is the one to ask for."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        super().__init__("the account changed after its tax was asked for")


@dataclass(slots=True)
class Quotes:
    """What the engine said of drafts, by what the drafts say; and `used`, the drafts that were taxed by it."""

    known: dict[Hashable, EngineTax | None] = field(default_factory=dict)
    used: list[tuple[Draft, EngineTax | None]] = field(default_factory=list)

    def ask(self, engine: Callable[[Draft], EngineTax | None]) -> Callable[[Draft], None]:
        """Taxes drafts by what is known, and others by asking `engine`, which puts on what it answers; that is kept."""

        def tax(draft: Draft) -> None:
            key = saying(draft)
            if key in self.known:
                _put(draft, self.known[key])
            else:
                self.known[key] = engine(draft)

        return tax

    def put(self) -> Callable[[Draft], None]:
        """Taxes drafts by what was answered. Raises DraftMoved for one that was not asked for."""

        def tax(draft: Draft) -> None:
            key = saying(draft)
            if key not in self.known:
                raise DraftMoved(draft)
            _put(draft, self.known[key])
            self.used.append((draft, self.known[key]))

        return tax

    def record(self, connection: PgConnection, unit: Changing) -> None:
        """Note the documents of the invoices that `unit` wrote, in its transaction."""
        made = len(unit.written.invoices)
        account = unit.account
        taxes = {_charges(draft.lines): tax for draft, tax in self.used}
        invoices = account.invoices[len(account.invoices) - made :]
        written = zip(invoices, unit.written.invoices, unit.written.numbers, strict=True)
        documents = [
            (own, f"{SERIES[account.mode]}-{number}", taxes[_charges(invoice.lines)])
            for invoice, own, number in written
        ]
        record_tax_documents(
            connection,
            [
                Taxed(own, account.id, account.mode, code, tax)
                for own, code, tax in documents
                if tax is not None
            ],
        )


def _put(draft: Draft, tax: EngineTax | None) -> None:
    if tax is not None:
        put_tax_on(draft, tax)


def _charges(lines: Sequence[Line]) -> Hashable:
    """What an invoice charges, by the keys that no other invoice has."""
    return tuple(line.charge_key for line in lines if line.kind != "tax")


def saying(draft: Draft) -> Hashable:
    """What a draft says, ids left out: they are made anew each time that it is."""
    return (
        draft.issued_on,
        draft.payer.id,
        tuple(
            (
                line.kind,
                line.price_id,
                line.part,
                line.period_start,
                line.period_end,
                line.quantity,
                line.amount,
                line.parent,
                line.reference,
                line.category,
            )
            for line in draft.lines
        ),
    )
