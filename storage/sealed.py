"""The sealed content of invoices: read back as the very texts that posting wrote and hashed, and the triggers that
keep it from change (law I5)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from storage.copying import BINARY_HEADER, BINARY_TRAILER
from storage.database import PgConnection

# As `storage.posting` writes them, column by column; `concat_ws` leaves out what has no rows.
_HEAD = r"""
    concat_ws(E'\t', i.id, i.mode, i.account_id, i.currency, i.issued_on, i.due_on, i.subtotal, i.tax, i.total)
"""
_LINE = r"""
    concat_ws(E'\t', invoice_id, no, kind, coalesce(item_id::text, '\N'), coalesce(price_id::text, '\N'),
        coalesce(part, '\N'), coalesce(period_start::text, '\N'), coalesce(period_end::text, '\N'), quantity, amount,
        coalesce(parent_no::text, '\N'), coalesce(replace(replace(replace(replace(reference, '\', '\\'), E'\t', '\t'),
        E'\n', '\n'), E'\r', '\r'), '\N'), coalesce(rate::text, '\N'), charge_key)
"""
_POSTING = r"concat_ws(E'\t', entry_id, no, ledger_account, debit, credit)"

# What each guarded table's trigger leaves free to change.
_GUARDS = {
    "invoice": "status balance",
    "invoice_line": "voided_at",
    "journal_entry": "",
    "journal_line": "",
    "event_log": "",
    "audit": "",
}


# COPY's binary form, read by hand because it runs by the million: a count of fields, then each with its length.
_FIRST_FIELDS = Struct(">2x4xqi")  # past count and length: the number, then the length of the link
_LENGTH = 4


class Sealed(NamedTuple):
    """A document as it stands in its series, with the link of the chain that was stored for it."""

    number: int
    link: bytes
    content: str


class Series(NamedTuple):
    """A number series: `last_link` is the chain's last link as the series records it (None: there is no record),
    `documents` how many invoices there are."""

    mode: str
    code: str
    last_link: bytes | None
    documents: int


def number_series(connection: PgConnection) -> list[Series]:
    """The series that are recorded or that an invoice names."""
    rows = connection.execute(
        """
        select coalesce(s.mode, i.mode), coalesce(s.code, i.series), s.last_hash, coalesce(i.documents, 0)
        from number_series s
        full join (select mode, series, count(*) as documents from invoice group by mode, series) i
                  on i.mode = s.mode and i.series = s.code
        order by 1, 2
        """
    )
    return [
        Series(mode, code, None if link is None else bytes(link), count) for mode, code, link, count in rows
    ]


def sealed_documents(connection: PgConnection, mode: str, series: str) -> Iterator[Sealed]:
    """The documents of a series in number order, streamed. One lookup of lines and postings a document, by primary
    key: nothing is sorted, so memory stays flat and the first document comes at once."""
    statement = f"""
        copy (
            select i.number, i.chain_hash, concat_ws(E'\\n', {_HEAD}, l.rows, p.rows)
            from invoice i
            left join lateral (select string_agg({_LINE}, E'\\n' order by no) as rows
                               from invoice_line where invoice_id = i.id) l on true
            left join lateral (select string_agg({_POSTING}, E'\\n' order by no) as rows
                               from journal_line where entry_id = i.id) p on true
            where i.mode = %s and i.series = %s order by i.number
        ) to stdout (format binary)
    """
    connection.execute("set local max_parallel_workers_per_gather = 0")
    with connection.cursor() as cursor, cursor.copy(statement, (mode, series)) as copy:
        for message in copy:  # a row each; the first comes with the format's header, the last is its trailer
            row = bytes(message)
            if row.startswith(BINARY_HEADER):
                row = row[len(BINARY_HEADER) :]
            if len(row) <= len(BINARY_TRAILER):
                continue
            number, size = _FIRST_FIELDS.unpack_from(row)
            content = _FIRST_FIELDS.size + max(size, 0)
            yield Sealed(number, row[_FIRST_FIELDS.size : content], row[content + _LENGTH :].decode())


def missing_guards(connection: PgConnection) -> list[tuple[str, str]]:
    """(table, trigger) of the triggers against change that are missing, disabled, or leave other columns free than
    they should."""
    found = connection.execute(
        """
        select w.relation, w.name
        from unnest(%s::text[], %s::text[]) as g(relation, free),
             lateral (values (g.relation, g.relation || '_immutable', g.free, 'refuse_change', 27),
                             (g.relation, g.relation || '_kept', '', 'refuse_truncate', 34))
                 as w(relation, name, free, function, kind)
        where not exists (
            select from pg_trigger t
            where t.tgrelid = to_regclass(w.relation) and t.tgname = w.name and t.tgenabled in ('O', 'A')
              and t.tgfoid = to_regproc(w.function) and t.tgtype = w.kind and t.tgqual is null
              and btrim(replace(encode(t.tgargs, 'escape'), '\\000', ' ')) = w.free)
        order by 1, 2
        """,
        (list(_GUARDS), list(_GUARDS.values())),
    )
    return [(str(table), str(trigger)) for table, trigger in found]
