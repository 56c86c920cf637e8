"""Writing an account's documents: invoices with lines and entries, credit notes, and what settles them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from uuid_utils import uuid7

from domain.account.state import AccountState, Invoice
from domain.credits import CreditLine
from domain.invoices import content_digest
from domain.ledger_events import Entry, Event
from domain.lines import Line
from domain.periods import iso
from storage.copying import field
from storage.packing import (
    ID_LENGTH,
    big_field,
    day_field,
    decimal_field,
    id_field,
    packed_id,
    small_field,
    text_field,
)
from storage.posting import LINE_ROW, POSTING_ROW, Document, heading
from storage.round_trip import TakesStatements, execute_each

CREDIT_NOTE_SERIES = {"live": "CN", "test": "TCN"}
OF_INVOICE = (Event.INVOICE_FINALISED, Event.GIFT_SOLD)


class LinePlace(NamedTuple):
    """Where a billed line stands: the invoice's id and the line's number on it."""

    invoice_id: str
    no: int


def places(invoices: Sequence[Invoice], ids: Sequence[str]) -> dict[str, LinePlace]:
    """Where the line with each key stands."""
    return {
        line.charge_key: LinePlace(own, no)
        for invoice, own in zip(invoices, ids, strict=True)
        for no, line in enumerate(invoice.lines, 1)
    }


def entry_of(account: AccountState, invoice: Invoice) -> Entry | None:
    """The entry that the invoice itself made, None for one of nothing."""
    for entry in account.journal:
        if entry.document == f"invoice {invoice.number}" and entry.event in OF_INVOICE:
            return entry
    return None


def document(account: AccountState, invoice: Invoice) -> Document:
    """A new invoice of `account`, ready to be written under a new id."""
    new = uuid7()
    own = str(new)
    balance = invoice.balance
    texts = [
        f"{own}\t{account.mode}\t{account.id}\t{account.currency}\t{iso(invoice.issued_on)}\t{iso(balance.due_on)}"
        f"\t{invoice.subtotal}\t{invoice.tax}\t{invoice.total}"
    ]
    rows: list[bytes] = []
    for no, line in enumerate(invoice.lines, 1):
        text, row = _line(own, new.bytes, no, line)
        texts.append(text)
        rows.append(row)
    entry = entry_of(account, invoice)
    postings: list[bytes] = []
    for no, posting in enumerate(entry.postings if entry else (), 1):
        texts.append(f"{own}\t{no}\t{posting.account}\t{posting.debit}\t{posting.credit}")
        postings += (
            POSTING_ROW,
            new.bytes,
            small_field(no) + text_field(posting.account),
            big_field(posting.debit) + big_field(posting.credit),
        )
    said = heading(
        account.mode,
        account.currency,
        (invoice.issued_on, balance.due_on),
        (invoice.subtotal, invoice.tax),
        (balance.status.value, balance.open),
    )
    return Document(
        new.bytes,
        packed_id(account.id),
        said,
        content_digest(texts),
        b"".join(rows),
        b"".join(postings),
    )


def _line(own: str, packed: bytes, no: int, line: Line) -> tuple[str, bytes]:
    quantity = f"{line.quantity:f}"
    start, end = _day(line.period_start), _day(line.period_end)
    rate = None if line.rate is None else f"{line.rate:f}"
    parent = None if line.parent is None else line.parent + 1
    item = line.item_id
    text = "\t".join(
        map(
            field,
            (
                own,
                no,
                line.kind,
                item,
                line.price_id,
                line.part,
                start and iso(start),
                end and iso(end),
                quantity,
                line.amount,
                parent,
                line.reference,
                rate,
                line.charge_key,
            ),
        )
    )
    row = b"".join(
        (
            LINE_ROW,
            packed,
            small_field(no),
            text_field(line.kind),
            id_field(item),
            id_field(line.price_id),
            text_field(line.part),
            day_field(start),
            day_field(end),
            decimal_field(quantity),
            big_field(line.amount),
            _NULL if parent is None else small_field(parent),
            text_field(line.reference),
            _NULL if rate is None else decimal_field(rate),
            ID_LENGTH,
            packed_id(line.charge_key),
        )
    )
    return text, row


_NULL = b"\xff\xff\xff\xff"


def _day(moment: object) -> date | None:
    if moment is not None and type(moment) is not date:
        raise ValueError("the books keep whole days: proration by the second can be simulated, not billed")
    return moment


def write_settlement(connection: TakesStatements, invoice_id: str, invoice: Invoice) -> None:
    """What is settled of an invoice, and the status and balance that follow."""
    balance = invoice.balance
    connection.execute(
        "update invoice set status = %s, balance = %s where id = %s",
        (balance.status.value, balance.open, invoice_id),
    )
    connection.execute(
        "insert into invoice_settlement (invoice_id, paid, credited, used, written_off, refunded)"
        " values (%s, %s, %s, %s, %s, %s) on conflict (invoice_id) do update set paid = excluded.paid,"
        " credited = excluded.credited, used = excluded.used, written_off = excluded.written_off,"
        " refunded = excluded.refunded",
        (invoice_id, balance.paid, balance.credited, balance.used, balance.written_off, balance.refunded),
    )


def void_lines(connection: TakesStatements, invoice_id: str) -> None:
    """The lines of a voided invoice count no more: their charges may be made again (law I3)."""
    connection.execute(
        "update invoice_line set voided_at = now() where invoice_id = %s and voided_at is null", (invoice_id,)
    )


def write_credit_notes(
    connection: TakesStatements, account: AccountState, first: int, invoice_ids: Sequence[str]
) -> list[tuple[str, str]]:
    """The credit notes of `account` from the place `first` on, numbered under their series' lock; the id of each, and
    its number as people read it."""
    notes = account.credit_notes[first:]
    if not notes:
        return []
    series = CREDIT_NOTE_SERIES[account.mode]
    row = connection.execute(
        "update document_series set last_number = last_number + %s where mode = %s and code = %s"
        " returning last_number",
        (len(notes), account.mode, series),
    ).fetchone()
    if row is None:
        raise RuntimeError(f"document series {series!r} ({account.mode}) is missing: run the migrations")
    ids = [str(uuid7()) for _ in notes]
    numbers = range(int(row[0]) - len(notes) + 1, int(row[0]) + 1)
    execute_each(
        connection,
        "insert into credit_note (id, mode, account_id, invoice_id, series, number, currency, issued_on, reason,"
        " subtotal, tax, total) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (
                own,
                account.mode,
                account.id,
                invoice_ids[int(note.invoice) - 1],
                series,
                number,
                account.currency,
                note.issued_on,
                note.reason,
                note.net,
                note.tax,
                note.gross,
            )
            for own, note, number in zip(ids, notes, numbers, strict=True)
        ],
    )
    return [(own, f"{series}-{number}") for own, number in zip(ids, numbers, strict=True)]


def write_credit_lines(
    connection: TakesStatements,
    account: AccountState,
    first: int,
    found: dict[str, LinePlace],
    of_note: dict[int, str],
) -> None:
    """The credits of `account` from the place `first` on; `of_note` says which of them, by their numbers, stand on
    which credit note."""
    execute_each(
        connection,
        "insert into credit_line (account_id, no, credit_note_id, invoice_id, line_no, kind, starts_on, ends_on,"
        " net, taxes) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (
                account.id,
                no,
                of_note.get(no),
                *found[credit.corrects],
                credit.kind,
                _day(credit.start),
                _day(credit.end),
                credit.net,
                _taxes(credit),
            )
            for no, credit in enumerate(account.credits[first:], first + 1)
        ],
    )


def _taxes(credit: CreditLine) -> str:
    return json.dumps([[tax.jurisdiction, str(tax.rate), tax.amount] for tax in credit.taxes])


def write_entries(connection: TakesStatements, account: AccountState, entries: Sequence[Entry]) -> None:
    """Journal entries beside those of the invoices, each under an id of its own."""
    rows = [(str(uuid7()), entry) for entry in entries]
    execute_each(
        connection,
        "insert into journal_entry (id, mode, kind, currency, posted_on, account_id, document)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        [
            (
                own,
                account.mode,
                entry.event.value,
                entry.currency,
                entry.document_date,
                account.id,
                entry.document,
            )
            for own, entry in rows
        ],
    )
    execute_each(
        connection,
        "insert into journal_line (entry_id, no, ledger_account, debit, credit) values (%s, %s, %s, %s, %s)",
        [
            (own, no, posting.account, posting.debit, posting.credit)
            for own, entry in rows
            for no, posting in enumerate(entry.postings, 1)
        ],
    )
