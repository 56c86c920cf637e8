"""The laws of the books as SQL: each `Check` finds the rows that break a law, whatever constraints and triggers say.

The foreign keys of invoices, lines and journal rows are left out because they cost at every posting; the checks of
the law "references" stand in for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, LiteralString, NamedTuple

from psycopg.rows import dict_row

from storage.database import PgConnection

SHOWN = 20  # violations of a check that are named; the rest are counted

Row = Mapping[str, Any]


class Check(NamedTuple):
    """One way to break a law. `sql` answers the rows that do; `detail`, where given, reads them as `shown` (the first
    `SHOWN`) and adds what is only worth looking up for those. `where` and `what` are templates over their columns, in
    which columns named `*_minor` are amounts in minor units of the column `currency`."""

    law: str
    sql: LiteralString
    where: str
    what: str
    detail: LiteralString = "select * from shown"


class Broken(NamedTuple):
    """How many rows break a law (`total`), and the first of them."""

    total: int
    rows: Sequence[Row]


COUNTS: dict[str, LiteralString] = {
    "I1": "select count(*) from journal_entry",
    "I2": "select count(*) from invoice",
    "I3": "select count(*) from invoice_line",
    "I4": "select count(*) from invoice",
    "I9": "select count(*) from invoice",
    "I12": "select count(*) from bill_run where ended_at is not null",
    "I6": "select count(*) from charge",
    "I7": "select count(*) from charge",
    "I14": "select count(*) from webhook_delivery",
    "tax": "select count(*) from tax_document",
    "refunds": "select count(*) from refund",
    "references": "select (select count(*) from invoice_line) + (select count(*) from invoice)",
}

_RUN = "bill run {run} ({scope}, as of {target})"
_RUNS = (
    "(select *, id::text as run, coalesce(target_date::text, target_instant::text) as target from bill_run) r"
)

CHECKS: tuple[Check, ...] = (
    Check(
        "I1",
        """
        select entry_id, sum(debit) as debit_minor, sum(credit) as credit_minor
        from journal_line group by entry_id having sum(debit) <> sum(credit)
        """,
        "journal entry {entry} ({document})",
        "debits of {debit_minor}, credits of {credit_minor}",
        """
        select s.*, s.entry_id::text as entry, coalesce(i.series || '-' || i.number, e.kind, 'missing') as document,
               e.currency
        from shown s left join journal_entry e on e.id = s.entry_id left join invoice i on i.id = s.entry_id
        order by s.entry_id
        """,
    ),
    Check(
        "I1",
        """
        select e.mode, e.currency, sum(l.debit) as debit_minor, sum(l.credit) as credit_minor
        from journal_line l join journal_entry e on e.id = l.entry_id
        group by e.mode, e.currency having sum(l.debit) <> sum(l.credit)
        """,
        "{mode} books in {currency}",
        "debits of {debit_minor}, credits of {credit_minor}",
    ),
    Check(
        "I1",
        """
        select sum(debit) as debit, sum(credit) as credit from journal_line having sum(debit) <> sum(credit)
        """,
        "the whole ledger",
        "debits of {debit} minor units, credits of {credit}",
    ),
    Check(
        "I1",
        """
        select e.id::text as entry, e.kind, e.posted_on from journal_entry e
        where not exists (select from journal_line l where l.entry_id = e.id)
        """,
        "journal entry {entry}",
        "has no lines ({kind}, posted on {posted_on})",
    ),
    Check(
        "I1",
        """
        select l.entry_id::text as entry, count(*) as lines from journal_line l
        where not exists (select from journal_entry e where e.id = l.entry_id) group by l.entry_id
        """,
        "journal entry {entry}",
        "is missing, and {lines} journal lines name it",
    ),
    Check(
        "I1",
        """
        select l.ledger_account, count(*) as lines, min(l.entry_id::text) as entry from journal_line l
        where not exists (select from ledger_account a where a.code = l.ledger_account) group by l.ledger_account
        """,
        "ledger account {ledger_account}",
        "is not in the chart of accounts, and {lines} journal lines name it, the first in entry {entry}",
    ),
    Check(
        "I2",
        """
        select coalesce(l.mode, i.mode) as mode, coalesce(l.currency, i.currency) as currency,
               coalesce(l.control, 0) as control_minor, coalesce(i.balance, 0) as balance_minor,
               coalesce(l.control, 0) - coalesce(i.balance, 0) as difference_minor
        from (select e.mode, e.currency, sum(l.debit - l.credit) as control
              from journal_line l join journal_entry e on e.id = l.entry_id
              where l.ledger_account = 'accounts_receivable' group by e.mode, e.currency) l
        full join (select mode, currency, sum(balance) as balance from invoice
                   where status = 'open' or balance < 0 group by mode, currency) i
                  on i.mode = l.mode and i.currency = l.currency
        where coalesce(l.control, 0) <> coalesce(i.balance, 0)
        """,
        "{mode} books in {currency}",
        "accounts receivable stands at {control_minor}, open invoices at {balance_minor}: {difference_minor} apart"
        "{suspects}",
        """
        select s.*, coalesce((
            select '; balance and total differ on ' || string_agg(name, ', ')
            from (select i.series || '-' || i.number as name from invoice i
                  where i.mode = s.mode and i.currency = s.currency and i.balance <> i.total
                  order by i.series, i.number limit 10) suspect), '') as suspects
        from shown s
        """,
    ),
    Check(
        "I2",
        """
        select mode, series, number, currency, status, balance as balance_minor from invoice
        where case when status = 'open' then balance <= 0 else balance > 0 end
        """,
        "invoice {series}-{number} ({mode})",
        "is {status} with a balance of {balance_minor}",
    ),
    Check(
        "I3",
        "select invoice_id, no, kind from invoice_line where charge_key is null",
        "line {no} ({kind}) of {document}",
        "has no charge key",
        """
        select s.*, coalesce('invoice ' || i.series || '-' || i.number, s.invoice_id::text) as document
        from shown s left join invoice i on i.id = s.invoice_id
        """,
    ),
    Check(
        "I3",
        """
        select charge_key, count(*) as lines from invoice_line where voided_at is null
        group by charge_key having count(*) > 1
        """,
        "charge key {charge_key}",
        "one charge is billed {lines} times: {places}",
        """
        select s.charge_key::text, s.lines, s.violations, string_agg(format('%s line %s (%s)',
                   coalesce(i.series || '-' || i.number, l.invoice_id::text), l.no, l.kind), ', '
                   order by i.series, i.number, l.no) as places
        from shown s join invoice_line l on l.charge_key = s.charge_key and l.voided_at is null
             left join invoice i on i.id = l.invoice_id
        group by s.charge_key, s.lines, s.violations
        """,
    ),
    Check(
        "I3",
        """
        select 1 where not exists (
            select from pg_index x join pg_attribute a on a.attrelid = x.indrelid and a.attnum = x.indkey[0]
            where x.indrelid = 'invoice_line'::regclass and x.indisunique and x.indisvalid and x.indnkeyatts = 1
              and a.attname = 'charge_key'
              and coalesce(pg_get_expr(x.indpred, x.indrelid), '(voided_at IS NULL)') = '(voided_at IS NULL)')
        """,
        "index invoice_line_charge_key",
        "the unique index that stops double billing is missing or invalid",
    ),
    Check(
        "I4",
        """
        select mode, series, number,
               case when number = before then 'stands twice'
                    when before = 0 then format('is the first, so 1 to %s are missing', number - 1)
                    when number = before + 2 then format('follows %s, so %s is missing', before, number - 1)
                    else format('follows %s, so %s to %s are missing', before, before + 1, number - 1) end as problem
        from (select mode, series, number,
                     lag(number, 1, 0::bigint) over (partition by mode, series order by number) as before
              from invoice) n
        where number <> before + 1
        """,
        "invoice {series}-{number} ({mode})",
        "{problem}",
    ),
    Check(
        "I4",
        """
        select coalesce(s.mode, i.mode) as mode, coalesce(s.code, i.series) as series,
               coalesce(s.last_number::text, 'nothing') as recorded, coalesce(i.last, 0) as last
        from number_series s
        full join (select mode, series, max(number) as last from invoice group by mode, series) i
                  on i.mode = s.mode and i.series = s.code
        where s.last_number is distinct from coalesce(i.last, 0)
        """,
        "number series {series} ({mode})",
        "{recorded} is recorded as its last number, and its last invoice has {last}",
    ),
    Check(
        "I9",
        """
        select i.mode, i.series, i.number, i.currency, i.subtotal as subtotal_minor, i.tax as tax_minor,
               i.total as total_minor, s.lines as lines_minor, s.taxes as taxes_minor
        from invoice i join (
            select invoice_id, coalesce(sum(amount) filter (where kind <> 'tax'), 0) as lines,
                   coalesce(sum(amount) filter (where kind = 'tax'), 0) as taxes
            from invoice_line group by invoice_id) s on s.invoice_id = i.id
        where i.subtotal <> s.lines or i.tax <> s.taxes or i.total <> s.lines + s.taxes
        """,
        "invoice {series}-{number} ({mode})",
        "says {subtotal_minor} and tax of {tax_minor} make {total_minor}; its lines come to {lines_minor} and tax of"
        " {taxes_minor}",
    ),
    Check(
        "I9",
        """
        select mode, series, number from invoice i
        where not exists (select from invoice_line l where l.invoice_id = i.id)
        """,
        "invoice {series}-{number} ({mode})",
        "has no lines",
    ),
    Check(
        "I9",
        """
        select l.invoice_id::text as id, count(*) as lines from invoice_line l
        where not exists (select from invoice i where i.id = l.invoice_id) group by l.invoice_id
        """,
        "invoice {id}",
        "is missing, and {lines} invoice lines name it",
    ),
    Check(
        "I9",
        """
        select l.invoice_id, l.no, l.kind, coalesce(l.parent_no::text, 'nothing') as parent from invoice_line l
        where l.kind in ('discount', 'tax') and not exists (
            select from invoice_line p
            where p.invoice_id = l.invoice_id and p.no = l.parent_no and p.kind not in ('discount', 'tax'))
        """,
        "line {no} of {document}",
        "is a {kind} line that belongs to no charge (it names {parent} as its line)",
        """
        select s.*, coalesce('invoice ' || i.series || '-' || i.number, s.invoice_id::text) as document
        from shown s left join invoice i on i.id = s.invoice_id
        """,
    ),
    Check(
        "I12",
        f"""
        select r.run, r.scope, r.target, c.no, c.selected, c.billed, c.nothing_due, c.parked, c.canceled,
               cardinality(c.pending) as pending
        from {_RUNS} join bill_run_chunk c on c.bill_run_id = r.id
        where r.ended_at is not null
          and (c.selected <> c.billed + c.nothing_due + c.parked + c.canceled or cardinality(c.pending) > 0)
        """,
        _RUN + ", chunk {no}",
        "{selected} selected, but {billed} billed, {nothing_due} with nothing due, {parked} parked, {canceled}"
        " canceled, {pending} pending",
    ),
    Check(
        "I12",
        f"""
        select r.run, r.scope, r.target, r.selected, coalesce(c.outcomes, 0) as outcomes
        from {_RUNS} left join (select bill_run_id, sum(billed + nothing_due + parked + canceled) as outcomes
                                from bill_run_chunk group by bill_run_id) c on c.bill_run_id = r.id
        where r.ended_at is not null and r.selected <> coalesce(c.outcomes, 0)
        """,
        _RUN,
        "{selected} accounts selected, but its chunks account for {outcomes}",
    ),
    Check(
        "I12",
        f"""
        select r.run, r.scope, r.target, coalesce(c.billed, 0) as billed, coalesce(i.invoices, 0) as invoices
        from {_RUNS}
        left join (select bill_run_id, sum(billed) as billed from bill_run_chunk group by bill_run_id) c
                  on c.bill_run_id = r.id
        left join (select bill_run_id, count(*) as invoices from invoice where bill_run_id is not null
                   group by bill_run_id) i on i.bill_run_id = r.id
        where r.ended_at is not null and coalesce(c.billed, 0) <> coalesce(i.invoices, 0)
        """,
        _RUN,
        "reports {billed} accounts billed, and {invoices} invoices are there",
    ),
    Check(
        "I12",
        f"""
        select r.run, r.scope, r.target, n.currency, n.reported as reported_minor, n.posted as posted_minor
        from {_RUNS} join (
            select bill_run_id, currency, coalesce(c.amount, 0) as reported, coalesce(i.amount, 0) as posted
            from (select bill_run_id, key as currency, sum(value::bigint) as amount
                  from bill_run_chunk, jsonb_each_text(totals) group by 1, 2) c
            full join (select bill_run_id, currency, sum(total) as amount from invoice where bill_run_id is not null
                       group by 1, 2) i using (bill_run_id, currency)) n on n.bill_run_id = r.id
        where r.ended_at is not null and n.reported <> n.posted
        """,
        _RUN,
        "reports {reported_minor}, and its invoices come to {posted_minor}",
    ),
    Check(
        "I12",
        f"""
        select r.run, r.scope, r.target, r.status from {_RUNS}
        where (r.ended_at is not null) <> (r.status in ('completed', 'completed_with_parked', 'canceled'))
        """,
        _RUN,
        "has the status {status}, which contradicts whether it ended",
    ),
)


def counted(connection: PgConnection, law: str) -> int:
    """How many rows the checks of `law` look at."""
    row = connection.execute(COUNTS[law]).fetchone()
    return int(row[0]) if row else 0


def broken_rows(connection: PgConnection, check: Check) -> Broken:
    """Run `check`: how many rows break the law, and the first `SHOWN`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            f"""
            with shown as materialized (
                select broken.*, count(*) over () as violations from ({check.sql}) broken limit {SHOWN})
            {check.detail}
            """
        )
        rows = cursor.fetchall()
    return Broken(int(rows[0]["violations"]) if rows else 0, rows)


def running_runs(connection: PgConnection) -> Iterator[tuple[str, str, str, str]]:
    """(id, scope, target, status) of the bill runs that have not ended."""
    yield from connection.execute(
        f"select r.run, r.scope, r.target, r.status from {_RUNS} where r.ended_at is null order by r.started_at"
    )


def settle_in(connection: PgConnection) -> None:
    """Prepare the current transaction for reading all rows: text forms as they were when the rows were written,
    some memory for joins and sorts (beyond that Postgres uses disk), and no compiling."""
    for name, value in (
        ("datestyle", "ISO, YMD"),
        ("work_mem", "32MB"),
        ("jit", "off"),
        ("client_encoding", "UTF8"),
    ):
        connection.execute("select set_config(%s, %s, true)", (name, value))
