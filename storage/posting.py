"""Writing posted invoices: children first, then the number series' lock, then the invoices, all in the caller's
transaction and by COPY. A refused row raises psycopg's error and the caller's transaction is lost as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from domain.charge_key import charge_key
from domain.invoices import Draft, chain, content_digest
from domain.periods import iso
from domain.rating import ONE
from storage.copying import copy_rows, date_array, field, id_array
from storage.database import PgConnection

SERIES = {"live": "INV", "test": "TEST"}

LINE_COLUMNS = (
    "invoice_id, no, kind, item_id, price_id, part, period_start, period_end, quantity, amount, parent_no,"
    " reference, rate, charge_key"
)
POSTING_COLUMNS = "entry_id, no, ledger_account, debit, credit"
HEAD_COLUMNS = "id, mode, account_id, currency, issued_on, due_on, subtotal, tax, total"
_INVOICE_COLUMNS = f"{HEAD_COLUMNS}, series, number, status, balance, bill_run_id, chain_hash"
NULL = r"\N"


class Advance(NamedTuple):
    """Where a subscription stands once its charges are posted. `usage_mark` is set where usage was rated."""

    subscription_id: str
    version: int
    charged_through: date
    arrears_through: date
    next_bill_on: date | None
    usage_mark: tuple[int, str] | None


def lock_subscriptions(
    connection: PgConnection, subscriptions: Sequence[str], *, skip_locked: bool
) -> dict[str, int]:
    """Lock the rows in id order and answer their versions as they are now. With `skip_locked` rows that another
    transaction holds are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select id::text, version from subscription where id = any(%s::uuid[]) order by id for update"
            + (" skip locked" if skip_locked else ""),
            (id_array(subscriptions),),
        )
        return dict(cursor.fetchall())


def advance_subscriptions(connection: PgConnection, advances: Sequence[Advance]) -> None:
    """Move the billing dates of locked subscriptions, and their versions with them."""
    if not advances:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            update subscription s
            set charged_through = n.charged, arrears_through = n.arrears, next_bill_on = n.next_bill,
                version = s.version + 1
            from unnest(%s::uuid[], %s::date[], %s::date[], %s::date[]) as n(id, charged, arrears, next_bill)
            where s.id = n.id
            """,
            (
                id_array(advance.subscription_id for advance in advances),
                date_array(advance.charged_through for advance in advances),
                date_array(advance.arrears_through for advance in advances),
                date_array(advance.next_bill_on for advance in advances),
            ),
        )
        marked = [advance for advance in advances if advance.usage_mark is not None]
        if marked:
            cursor.execute(
                """
                update subscription s set usage_epoch = n.epoch, usage_seen = n.seen::xid8
                from unnest(%s::uuid[], %s::smallint[], %s::text[]) as n(id, epoch, seen) where s.id = n.id
                """,
                (
                    [advance.subscription_id for advance in marked],
                    [advance.usage_mark[0] for advance in marked if advance.usage_mark],
                    [advance.usage_mark[1] for advance in marked if advance.usage_mark],
                ),
            )


class Rows(NamedTuple):
    """An invoice as rows for COPY. The digest of the hash chain runs over these very texts, so that verification can
    read them back from the database and compare."""

    head: str
    lines: list[str]
    postings: list[str]

    def digest(self) -> bytes:
        """The digest of the document's content."""
        return content_digest([self.head, *self.lines, *self.postings])


class Template:
    """A finished draft with its ids taken out: what it says can be said again for every account of the same shape,
    for the price of filling in ids and charge keys."""

    def __init__(self, draft: Draft, item_ids: Sequence[str]) -> None:
        payer = draft.payer
        places = {item: place for place, item in enumerate(item_ids)}
        self.mode = payer.mode
        self.currency = payer.currency
        self.total = draft.total
        self.issued_on = draft.issued_on
        self.has_entry = bool(draft.postings)
        self._head = "\t".join(
            map(
                str,
                (
                    payer.currency,
                    iso(draft.issued_on),
                    iso(draft.due_on),
                    draft.subtotal,
                    draft.tax,
                    draft.total,
                ),
            )
        )
        self._lines: list[tuple[int | None, int, str, str, str]] = []
        for no, line in enumerate(draft.lines, start=1):
            quantity = "1" if line.quantity is ONE else f"{line.quantity:f}"
            if line.parent is None:
                start = NULL if line.period_start is None else iso(line.period_start)
                end = NULL if line.period_end is None else iso(line.period_end)
                before = f"\t{no}\t{line.kind}\t"
                after = (
                    f"\t{line.price_id}\t{line.part}\t{start}\t{end}\t{quantity}\t{line.amount}\t"
                    f"{NULL}\t{NULL}\t{NULL}\t"
                )
                self._lines.append((places[line.item_id or ""], 0, line.charge, before, after))
            else:
                rate = NULL if line.rate is None else f"{line.rate:f}"
                before = (
                    f"\t{no}\t{line.kind}\t{NULL}\t{NULL}\t{NULL}\t{NULL}\t{NULL}\t{quantity}\t{line.amount}\t"
                    f"{line.parent + 1}\t{field(line.reference)}\t{rate}\t"
                )
                self._lines.append((None, line.parent, line.charge, before, ""))
        self._postings = [
            f"\t{no}\t{posting.account}\t{posting.debit}\t{posting.credit}"
            for no, posting in enumerate(draft.postings, start=1)
        ]

    def rows(self, invoice_id: str, account_id: str, item_ids: Sequence[str]) -> Rows:
        """The rows of the invoice `invoice_id` that says this for an account and its items."""
        keys: list[str] = []
        lines: list[str] = []
        for place, parent, charge, before, after in self._lines:
            if place is None:
                key = charge_key(keys[parent], charge)
                lines.append(f"{invoice_id}{before}{key}")
            else:
                item = item_ids[place]
                key = charge_key(item, charge)
                lines.append(f"{invoice_id}{before}{item}{after}{key}")
            keys.append(key)
        return Rows(
            f"{invoice_id}\t{self.mode}\t{account_id}\t{self._head}",
            lines,
            [invoice_id + posting for posting in self._postings],
        )


class Document(NamedTuple):
    """An invoice ready to be written."""

    invoice_id: str
    account_id: str
    template: Template
    rows: Rows


def copy_children(connection: PgConnection, documents: Sequence[Document]) -> None:
    """Lines, journal entries with their lines, and an event for each document."""
    lines: list[str] = []
    entries: list[str] = []
    postings: list[str] = []
    events: list[str] = []
    for invoice_id, account_id, template, rows in documents:
        lines += rows.lines
        postings += rows.postings
        if template.has_entry:
            entries.append(
                f"{invoice_id}\t{template.mode}\tinvoice\t{template.currency}\t{iso(template.issued_on)}"
            )
        events.append(f"invoice.posted\t{account_id}\t{invoice_id}\t1")
    copy_rows(connection, "invoice_line", LINE_COLUMNS, lines)
    copy_rows(connection, "journal_entry", "id, mode, kind, currency, posted_on", entries)
    copy_rows(connection, "journal_line", POSTING_COLUMNS, postings)
    copy_rows(connection, "event_log", "kind, account_id, subject_id, version", events)


def copy_invoices(
    connection: PgConnection, mode: str, documents: Sequence[Document], bill_run_id: str | None
) -> list[int]:
    """Number the documents in their order under the series' lock, chain them, and write them. The lock is held until
    the transaction ends, so this comes last. Answers the numbers."""
    if not documents:
        return []
    series = SERIES[mode]
    digests = [document.rows.digest() for document in documents]
    with connection.cursor() as cursor:
        cursor.execute(
            "select last_number, last_hash from number_series where mode = %s and code = %s for update",
            (mode, series),
        )
        found = cursor.fetchone()
        if found is None:
            raise RuntimeError(f"number series {series!r} ({mode}) is missing: run the migrations")
        first, link = int(found[0]) + 1, bytes(found[1])
        run = bill_run_id or NULL
        number = first - 1
        written: list[str] = []
        for document, digest in zip(documents, digests, strict=True):
            number += 1
            link = chain(link, series, number, digest)
            total = document.template.total
            status = "open" if total > 0 else "paid"
            written.append(
                f"{document.rows.head}\t{series}\t{number}\t{status}\t{total}\t{run}\t\\\\x{link.hex()}"
            )
        copy_rows(connection, "invoice", _INVOICE_COLUMNS, written)
        cursor.execute(
            "update number_series set last_number = %s, last_hash = %s where mode = %s and code = %s",
            (number, link, mode, series),
        )
    return list(range(first, number + 1))
