"""The rows of documents at tax engines, and the accounts whose billing waits for one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from psycopg.rows import dict_row
from uuid_utils import uuid7

from storage.billable import BILLED_STATES
from storage.copying import id_array
from storage.database import PgConnection

STATUSES = ("pending", "committed", "mismatch", "voided", "left_out")

_COLUMNS = """
    id::text, mode, invoice_id::text, credit_note_id::text, account_id::text, connection, code, source, currency, total,
    tax_date, recorded_total, status, step, call_id::text, void_requested_at, created_at, settled_at
"""


class TaxDocumentRow(NamedTuple):
    """A document at a tax engine. Amounts in minor units; settled_at: nothing is left to do."""

    id: str
    mode: str
    invoice_id: str
    credit_note_id: str | None
    account_id: str
    connection: str
    code: str
    source: str
    currency: str
    total: int
    tax_date: date
    recorded_total: int | None
    status: str
    step: str
    call_id: str
    void_requested_at: datetime | None
    created_at: datetime
    settled_at: datetime | None


def insert_document(
    connection: PgConnection,
    *,
    mode: str,
    invoice_id: str,
    credit_note_id: str | None,
    account_id: str,
    to: str,
    code: str,
    source: str,
    currency: str,
    total: int,
    tax_date: date,
    step: str,
    call_id: str,
    untold: int = 0,
) -> None:
    """Write a pending document. Raises psycopg's UniqueViolation where the invoice or credit note has one."""
    connection.execute(
        """
        insert into tax_document (id, mode, invoice_id, credit_note_id, account_id, connection, code, source, currency,
                                  total, untold, tax_date, step, call_id)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            str(uuid7()),
            mode,
            invoice_id,
            credit_note_id,
            account_id,
            to,
            code,
            source,
            currency,
            total,
            untold,
            tax_date,
            step,
            call_id,
        ),
    )


def lock_document(connection: PgConnection, document_id: str) -> TaxDocumentRow:
    """The document, its row locked. Raises LookupError."""
    row = connection.execute(
        f"select {_COLUMNS} from tax_document where id = %s for update".encode(), (document_id,)
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no tax document {document_id}")
    return TaxDocumentRow(*row)


def document_of(connection: PgConnection, invoice_id: str, *, lock: bool = False) -> TaxDocumentRow | None:
    """The document of an invoice; None where no engine has to know of it."""
    row = connection.execute(
        f"select {_COLUMNS} from tax_document where invoice_id = %s and credit_note_id is null"
        f" {'for update' if lock else ''}".encode(),
        (invoice_id,),
    ).fetchone()
    return TaxDocumentRow(*row) if row else None


def change_document(connection: PgConnection, document_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a locked row by name."""
    names = ", ".join(f"{name} = %({name})s" for name in changes)
    connection.execute(
        f"update tax_document set {names} where id = %(id)s".encode(), {**changes, "id": document_id}
    )


def postpone(connection: PgConnection, document_id: str, until: datetime | timedelta) -> None:
    """Look at it again at an instant, or after a while by the database's clock."""
    when = b"%s" if isinstance(until, datetime) else b"clock_timestamp() + %s"
    connection.execute(b"update tax_document set due_at = " + when + b" where id = %s", (until, document_id))


def due_documents(connection: PgConnection, to: str, limit: int) -> list[str]:
    """Ids of documents of a connection that something is to be done about by now, those that wait longest first."""
    rows = connection.execute(
        "select id::text from tax_document where connection = %s and settled_at is null"
        " and due_at <= clock_timestamp() order by due_at, id limit %s",
        (to, limit),
    )
    return [row[0] for row in rows]


def hasten(connection: PgConnection, calls: list[str]) -> None:
    """Look now at the documents of these calls: somebody has decided about them."""
    connection.execute(
        "update tax_document set due_at = clock_timestamp() where call_id = any(%s::uuid[])",
        (id_array(calls),),
    )


def hasten_decided(connection: PgConnection) -> None:
    """Look now at documents that wait, and whose call was decided about or made by somebody else. One that waits
    because it could not be worked on, or for the document that it refunds, goes on waiting."""
    connection.execute(
        """
        update tax_document d set due_at = clock_timestamp() from connector_call c
        where c.id = d.call_id and d.settled_at is null and d.due_at > clock_timestamp()
          and c.status in ('intent', 'succeeded', 'skipped', 'failed')
          and (d.credit_note_id is null or c.status <> 'intent')
          and not exists (
            select from parked p where p.mode = d.mode and p.kind = 'tax'
            and p.trace_key = d.connection || '/' || d.code and p.resolved_at is null)
        """
    )


def connections_due(connection: PgConnection) -> list[str]:
    """Connections with documents that something is to be done about by now. Reads a row or two of each."""
    rows = connection.execute(
        """
        with recursive known as (
            (select connection from tax_document where settled_at is null order by connection limit 1)
            union all
            select (select d.connection from tax_document d where d.settled_at is null
                    and d.connection > known.connection order by d.connection limit 1)
            from known where known.connection is not null)
        select connection from known where exists (
            select from tax_document d where d.connection = known.connection and d.settled_at is null
            and d.due_at <= clock_timestamp())
        """
    )
    return [row[0] for row in rows]


def unsettled(connection: PgConnection, to: str) -> tuple[int, datetime | None]:
    """How many documents of a connection are not settled, and since when the oldest is not."""
    row = connection.execute(
        "select count(*), min(created_at) from tax_document where connection = %s and settled_at is null",
        (to,),
    ).fetchone()
    return (int(row[0]), row[1]) if row else (0, None)


def resolve_tax_park(connection: PgConnection, trace_key: str, resolution: str) -> None:
    """Close what is parked in the open about a document or an engine."""
    connection.execute(
        "update parked set resolved_at = now(), resolution = %s where mode in ('live', 'test') and kind = 'tax'"
        " and trace_key = %s and resolved_at is null",
        (resolution, trace_key),
    )


def taxes_by_line(connection: PgConnection, invoice_id: str) -> dict[str, int]:
    """The tax of each line of an invoice that has any, by the line's number; minor units."""
    rows = connection.execute(
        "select parent_no::text, sum(amount)::bigint from invoice_line where invoice_id = %s and kind = 'tax'"
        " and parent_no is not null group by parent_no",
        (invoice_id,),
    )
    return dict(rows.fetchall())


def tax_places(
    connection: PgConnection, accounts: list[str]
) -> list[tuple[str, Mapping[str, Any] | None, str | None]]:
    """(account, address, tax region) of each of `accounts`."""
    rows = connection.execute(
        "select a.id::text, p.address, a.tax_region from account a left join person p on p.account_id = a.id"
        " where a.id = any(%s::uuid[])",
        (id_array(accounts),),
    )
    return rows.fetchall()


class PendingBilling(NamedTuple):
    """Accounts that a bill run had to leave because the tax engine was away; those that commands had to leave are one
    of their own, `run_id` COMMANDS. ready: it is time to try again."""

    run_id: str
    mode: str
    day: date | None
    instant: datetime | None
    accounts: int
    ready: bool


_PENDING = "p.kind = 'bill-run' and p.error_kind = 'tax_pending' and p.resolved_at is null"
COMMANDS = "commands"  # in place of a run's id
# A run whose workflow was terminated never ends.
_LEFT = (
    "(p.bill_run_id is null or r.ended_at is not null"
    " or r.id is not null and p.last_seen_at < clock_timestamp() - interval '15 min')"
)
# What a command left is billed for the day on which it came, wherever the account is.
_INSTANT = "case when p.bill_run_id is null then p.last_seen_at else r.target_instant end"
# Commands may leave others all the time.
_SINCE = "coalesce(min(p.last_seen_at) filter (where p.bill_run_id is null), max(p.last_seen_at))"
_PAUSE = "least(interval '10 min', interval '2 s' * power(2, least(max(p.times), 20)))"


def billing_pending(connection: PgConnection) -> list[PendingBilling]:
    """What waits for a tax engine, by the run that left it, the oldest run first. Runs that go on are left out. The
    more often it was tried, the longer until it is ready again: 4 s at first, 10 min at last."""
    rows = connection.execute(
        f"""
        select coalesce(r.id::text, '{COMMANDS}'), p.mode, r.target_date, max({_INSTANT}), count(*),
               {_SINCE} + {_PAUSE} <= clock_timestamp()
        from parked p left join bill_run r on r.id = p.bill_run_id
        where {_PENDING} and {_LEFT}
        group by r.id, p.mode order by r.started_at nulls last, r.id
        """.encode()
    )
    return [PendingBilling(*row) for row in rows]


def resolve_not_due(connection: PgConnection) -> int:
    """Close parks of accounts that wait for a tax engine and owe nothing any more: billed by another run, or ended."""
    done = connection.execute(
        f"""
        update parked set resolved_at = now(), resolution = 'nothing due' where id in (
            select p.id from parked p left join bill_run r on r.id = p.bill_run_id
            join account a on a.id = p.account_id
            cross join lateral (select coalesce(r.target_date, ({_INSTANT} at time zone a.time_zone)::date) as day) d
            where {_PENDING} and {_LEFT} and coalesce(a.whole_due_on > d.day, true) and not exists (
                select from subscription s where s.account_id = a.id and s.status in {BILLED_STATES}
                and s.next_bill_on <= d.day))
        """.encode()
    )
    return done.rowcount


def tax_overview(connection: PgConnection) -> dict[str, Any]:
    """`documents`: how many by connection, mode, source and status, and since when the oldest is not settled;
    `pending_accounts`: how many wait to be billed until their engine is back."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "select connection, mode, source, status, count(*) as count,"
            " min(created_at) filter (where settled_at is null) as unsettled_since"
            " from tax_document group by 1, 2, 3, 4 order by 1, 2, 3, 4"
        )
        documents = cursor.fetchall()
    waiting = connection.execute(f"select count(*) from parked p where {_PENDING}".encode()).fetchone()
    return {"documents": documents, "pending_accounts": waiting[0] if waiting else 0}


def list_documents(
    connection: PgConnection, limit: int, *, code: str | None = None, status: str | None = None
) -> list[dict[str, Any]]:
    """Documents, newest first, with how the call of each stands."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            """
            select d.code, d.connection, d.mode, d.status, d.source, d.tax_date, d.currency, d.total, d.untold,
                   d.recorded_total, d.step, d.void_requested_at, d.created_at, d.settled_at, d.invoice_id::text,
                   d.call_id::text, coalesce(c.status, 'missing') as call_status
            from tax_document d left join connector_call c on c.id = d.call_id
            where (%(code)s::text is null or d.code = %(code)s)
              and (%(status)s::text is null or d.status = %(status)s)
            order by d.id desc limit %(limit)s
            """,
            {"code": code, "status": status, "limit": limit},
        )
        return cursor.fetchall()
