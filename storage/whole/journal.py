"""An account's journal as its rules write it: each entry with its event, its document and its postings."""

from __future__ import annotations

from collections.abc import Sequence

from domain.ledger import GIFT_LIABILITY, Posting
from domain.ledger_events import Entry, Event
from storage.database import PgConnection


def read_journal(connection: PgConnection, account_id: str, invoices: Sequence[str]) -> list[Entry]:
    """All entries of the account, whose invoices are `invoices` by their ids, in their order."""
    found: dict[str, Entry] = {}
    numbers = {own: number for number, own in enumerate(invoices, 1)}
    for own, kind, document, day, currency, account, debit, credit in connection.execute(
        "select e.id::text, e.kind, e.document, e.posted_on, e.currency, l.ledger_account, l.debit, l.credit"
        " from journal_entry e join journal_line l on l.entry_id = e.id"
        " where e.account_id = %s or e.id = any(%s::uuid[]) order by e.id, l.no",
        (account_id, list(invoices)),
    ):
        if kind == "invoice":
            gift = account == GIFT_LIABILITY or (own in found and found[own].event is Event.GIFT_SOLD)
            event = Event.GIFT_SOLD if gift else Event.INVOICE_FINALISED
            document = f"invoice {numbers[own]}"
        else:
            event = Event(kind)
        known = found.get(own)
        postings = (*(known.postings if known else ()), Posting(account, debit, credit))
        found[own] = Entry(event, document, day, day, currency, postings)
    return list(found.values())
