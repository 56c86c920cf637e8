"""Writing posted invoices: children first, then the number series' lock, then the invoices, all in the caller's
transaction and by COPY. A refused row raises psycopg's error and the caller's transaction is lost as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

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
_INVOICE_COLUMNS = (
    "id, mode, account_id, currency, issued_on, due_on, subtotal, tax, total, series, number, status, balance,"
    " bill_run_id, chain_hash"
)
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
    """A draft as rows for COPY. The digest of the hash chain runs over these very texts, so that verification can
    read them back with COPY and compare."""

    head: str
    lines: list[str]
    postings: list[str]

    def digest(self) -> bytes:
        """The digest of the document's content."""
        return content_digest([self.head, *self.lines, *self.postings])


HEAD_COLUMNS = "id, mode, account_id, currency, issued_on, due_on, subtotal, tax, total"


def rows_of(draft: Draft) -> Rows:
    """`draft` as rows: head (`HEAD_COLUMNS`), lines (`LINE_COLUMNS`) and postings (`POSTING_COLUMNS`)."""
    invoice_id = draft.id
    payer = draft.payer
    lines = []
    no = 0
    for line in draft.lines:
        no += 1
        kind = line.kind
        quantity = "1" if line.quantity is ONE else f"{line.quantity:f}"
        if line.parent is None:
            lines.append(
                f"{invoice_id}\t{no}\t{kind}\t{line.item_id}\t{line.price_id}\t{line.part}\t"
                f"{NULL if line.period_start is None else iso(line.period_start)}\t{NULL if line.period_end is None else iso(line.period_end)}\t{quantity}\t{line.amount}\t{NULL}\t{NULL}\t"
                f"{NULL}\t{line.charge_key}"
            )
        else:
            rate = NULL if line.rate is None else f"{line.rate:f}"
            lines.append(
                f"{invoice_id}\t{no}\t{kind}\t{NULL}\t{NULL}\t{NULL}\t{NULL}\t{NULL}\t{quantity}\t{line.amount}\t"
                f"{line.parent + 1}\t{field(line.reference)}\t{rate}\t{line.charge_key}"
            )
    no = 0
    postings = []
    for account, debit, credit in draft.postings:
        no += 1
        postings.append(f"{invoice_id}\t{no}\t{account}\t{debit}\t{credit}")
    head = (
        f"{invoice_id}\t{payer.mode}\t{payer.id}\t{payer.currency}\t{iso(draft.issued_on)}\t{iso(draft.due_on)}\t"
        f"{draft.subtotal}\t{draft.tax}\t{draft.subtotal + draft.tax}"
    )
    return Rows(head, lines, postings)


def copy_children(connection: PgConnection, drafts: Sequence[Draft], rows: Sequence[Rows]) -> None:
    """Lines, journal entries with their lines, and an event for each draft."""
    copy_rows(connection, "invoice_line", LINE_COLUMNS, [line for each in rows for line in each.lines])
    entries = [
        f"{draft.id}\t{draft.payer.mode}\tinvoice\t{draft.payer.currency}\t{iso(draft.issued_on)}"
        for draft in drafts
        if draft.postings
    ]
    copy_rows(connection, "journal_entry", "id, mode, kind, currency, posted_on", entries)
    copy_rows(
        connection, "journal_line", POSTING_COLUMNS, [posting for each in rows for posting in each.postings]
    )
    events = [f"invoice.posted\t{draft.payer.id}\t{draft.id}\t1" for draft in drafts]
    copy_rows(connection, "event_log", "kind, account_id, subject_id, version", events)


def copy_invoices(
    connection: PgConnection,
    mode: str,
    drafts: Sequence[Draft],
    rows: Sequence[Rows],
    bill_run_id: str | None,
) -> list[int]:
    """Number the drafts in their order under the series' lock, chain them, and write them. The lock is held until
    the transaction ends, so this comes last. Answers the numbers."""
    if not drafts:
        return []
    series = SERIES[mode]
    digests = [each.digest() for each in rows]
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
        for draft, each, digest in zip(drafts, rows, digests, strict=True):
            number += 1
            link = chain(link, series, number, digest)
            total = draft.subtotal + draft.tax
            status = "open" if total > 0 else "paid"
            written.append(f"{each.head}\t{series}\t{number}\t{status}\t{total}\t{run}\t\\\\x{link.hex()}")
        copy_rows(connection, "invoice", _INVOICE_COLUMNS, written)
        cursor.execute(
            "update number_series set last_number = %s, last_hash = %s where mode = %s and code = %s",
            (number, link, mode, series),
        )
    return list(range(first, number + 1))
