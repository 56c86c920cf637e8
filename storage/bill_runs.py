"""The rows of bill runs: selection into chunks, a chunk's pending accounts, outcomes, parks, totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from storage.billable import BILLED_STATES, Target
from storage.copying import id_array
from storage.database import PgConnection

_TOTALS = """
    select coalesce(jsonb_object_agg(currency, amount), '{}') from (
        select key as currency, sum(value::bigint) as amount
        from bill_run_chunk c, jsonb_each_text(c.totals) where c.bill_run_id = %(run)s group by key) t
"""


EVERYBODY = "true"  # the condition that everybody meets


def selection_sql(target: Target, scope_sql: str) -> str:
    """The statement that lists what a run selects: account ids, once each. `scope_sql`: a condition on the account `a`
    and the subscription `s`. The two reasons to be due stand apart, because few accounts have the second; of the first
    a subscription tells alone, as far as nothing is asked of its account."""
    account = "join account a on a.id = s.account_id"
    due = account if target.day is None or scope_sql != EVERYBODY else ""
    return f"""
        select s.account_id as id from subscription s {due}
        where s.mode = %(mode)s and {scope_sql}
          and s.next_bill_on <= {target.sql_day()} and s.status in {BILLED_STATES}
        union
        select s.account_id from subscription s {account}
        where s.mode = %(mode)s and {scope_sql} and a.whole_due_on <= {target.sql_day()}
    """


FEWEST = 250


class Cut(NamedTuple):
    """How a selection is cut: chunks of `size` accounts; or, with 0, `parts` chunks of FEWEST to `most` accounts each,
    and more where they hold no more."""

    size: int
    parts: int
    most: int


def cut_sql(target: Target, scope_sql: str) -> str:
    """Common table expressions that cut the selection into chunks: `cut` has `no` from 0, and the chunk's `accounts` in
    order. The parameters are a `Cut`'s."""
    return f"""
        listed as (select array_agg(id order by id) as ids, count(*) as many,
                          case when %(size)s::int > 0 then %(size)s::int
                               else least(%(most)s::int, greatest({FEWEST}, ceil(count(*) / %(parts)s::numeric)))
                          end::int as size from ({selection_sql(target, scope_sql)}) selected),
        cut as (select no, ids[no * size + 1 : (no + 1) * size] as accounts
                from listed, generate_series(0, (many + size - 1) / size - 1) no)
    """


def create_run(
    connection: PgConnection,
    *,
    run_id: str,
    workflow_id: str,
    workflow_run_id: str,
    mode: str,
    scope: str,
    target: Target,
) -> str:
    """Insert the run, or find the one that this workflow run already made; answers its id."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into bill_run (id, mode, workflow_id, workflow_run_id, scope, target_date, target_instant, preview,
                                  status)
            values (%s, %s, %s, %s, %s, %s, %s, false, 'selecting') on conflict (workflow_run_id) do nothing
            """,
            (run_id, mode, workflow_id, workflow_run_id, scope, target.day, target.instant),
        )
        cursor.execute("select id::text from bill_run where workflow_run_id = %s", (workflow_run_id,))
        row = cursor.fetchone()
    if row is None:
        raise RuntimeError("the bill run just written cannot be read")
    return str(row[0])


def select_chunks(
    connection: PgConnection,
    run_id: str,
    *,
    mode: str,
    target: Target,
    scope_sql: str,
    scope_parameters: Mapping[str, Any],
    cut: Cut,
) -> None:
    """Write the run's chunks, in account order, unless they are written already."""
    with connection.cursor() as cursor:
        cursor.execute("select status from bill_run where id = %s for update", (run_id,))
        row = cursor.fetchone()
        if row is None or row[0] != "selecting":
            return
        cursor.execute(
            f"""
            insert into bill_run_chunk (bill_run_id, no, selected, pending)
            with {cut_sql(target, scope_sql)} select %(run)s, no, cardinality(accounts), accounts from cut
            """,
            {"run": run_id, "mode": mode, "target": target.parameter, **cut._asdict(), **scope_parameters},
        )
        cursor.execute(
            """
            update bill_run set status = 'running', selected = coalesce(
                (select sum(selected) from bill_run_chunk where bill_run_id = %(run)s), 0) where id = %(run)s
            """,
            {"run": run_id},
        )


def run_size(connection: PgConnection, run_id: str) -> tuple[int, int]:
    """(number of chunks, selected accounts) of the run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*), coalesce(sum(selected), 0) from bill_run_chunk where bill_run_id = %s",
            (run_id,),
        )
        row = cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def pending_accounts(connection: PgConnection, run_id: str, no: int, *, lock: bool = False) -> list[str]:
    """The accounts of a chunk that have no outcome yet; with `lock` the chunk's row stays locked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select array_to_string(pending, ',') from bill_run_chunk where bill_run_id = %s and no = %s"
            + (" for update" if lock else ""),
            (run_id, no),
        )
        row = cursor.fetchone()
    if row is None:
        raise LookupError(f"bill run {run_id} has no chunk {no}")
    return str(row[0]).split(",") if row[0] else []


def lock_chunk(connection: PgConnection, run_id: str, no: int, accounts: Sequence[str]) -> bool:
    """Lock a chunk's row. True when `accounts` are the first of its pending ones in just this order, which saves
    reading them all; else ask `pending_accounts`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select pending[1:%s] = %s::uuid[] from bill_run_chunk where bill_run_id = %s and no = %s for update",
            (len(accounts), id_array(accounts), run_id, no),
        )
        row = cursor.fetchone()
    if row is None:
        raise LookupError(f"bill run {run_id} has no chunk {no}")
    return bool(row[0])


def record_outcome(
    connection: PgConnection,
    run_id: str,
    no: int,
    *,
    pending: Sequence[str] | int,
    billed: int = 0,
    nothing_due: int = 0,
    parked: int = 0,
    canceled: int = 0,
    totals: Mapping[str, int] | None = None,
) -> None:
    """Add to a chunk's counts and say which accounts remain; a number says how many of the first are done. Goes into
    the transaction that did the work."""
    remain = "pending[%s + 1:]" if isinstance(pending, int) else "%s::uuid[]"
    argument = pending if isinstance(pending, int) else id_array(pending)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            update bill_run_chunk c
            set pending = {remain}, billed = billed + %s, nothing_due = nothing_due + %s, parked = parked + %s,
                canceled = canceled + %s,
                totals = (select coalesce(jsonb_object_agg(currency, amount), '{{}}') from (
                    select key as currency, sum(value::bigint) as amount
                    from (select * from jsonb_each_text(c.totals)
                          union all select * from jsonb_each_text(%s)) both_sides
                    group by key) t)
            where bill_run_id = %s and no = %s
            """.encode(),
            (argument, billed, nothing_due, parked, canceled, Jsonb(dict(totals or {})), run_id, no),
        )


def park_accounts(
    connection: PgConnection, run_id: str, mode: str, refusals: Mapping[str, tuple[str, str, str]]
) -> None:
    """Park accounts with (error kind, message, remedy). An account is parked once in the open: a second refusal
    counts up and renews the reason."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into parked (id, mode, kind, trace_key, account_id, bill_run_id, error_kind, message, remedy)
            values (%s, %s, 'bill-run', %s, %s, %s, %s, %s, %s)
            on conflict (mode, kind, trace_key) where resolved_at is null do update
            set times = parked.times + 1, last_seen_at = now(), bill_run_id = excluded.bill_run_id,
                error_kind = excluded.error_kind, message = excluded.message, remedy = excluded.remedy
            """,
            [
                (str(uuid7()), mode, f"bill-run/account/{account}", account, run_id, *reason)
                for account, reason in refusals.items()
            ],
        )


def resolve_parks(connection: PgConnection, accounts: Sequence[str]) -> None:
    """Close the open parks of accounts that have now been billed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update parked set resolved_at = now(), resolution = 'billed' where kind = 'bill-run'"
            " and resolved_at is null and account_id = any(%s::uuid[])",
            (id_array(accounts),),
        )


def unfinished_chunks(connection: PgConnection, run_id: str) -> list[int]:
    """The chunks that still have pending accounts, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select no from bill_run_chunk where bill_run_id = %s and cardinality(pending) > 0 order by no",
            (run_id,),
        )
        return [row[0] for row in cursor]


def set_status(connection: PgConnection, run_id: str, status: str) -> None:
    """Record a run's status; a run that has ended keeps the one it ended with."""
    with connection.cursor() as cursor:
        cursor.execute("update bill_run set status = %s where id = %s and ended_at is null", (status, run_id))


def cancel_pending(connection: PgConnection, run_id: str) -> None:
    """Count what has no outcome as canceled: posted invoices stay."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update bill_run_chunk set canceled = canceled + cardinality(pending), pending = '{}'"
            " where bill_run_id = %s and cardinality(pending) > 0",
            (run_id,),
        )


def finish_run(connection: PgConnection, run_id: str, *, canceled: bool) -> None:
    """End the run: its status follows from its chunks."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            update bill_run r set ended_at = now(), status = case when %s then 'canceled'
                when (select sum(parked) from bill_run_chunk where bill_run_id = r.id) > 0
                then 'completed_with_parked' else 'completed' end
            where id = %s and ended_at is null
            """,
            (canceled, run_id),
        )


def run_summary(connection: PgConnection, run_id: str) -> dict[str, Any] | None:
    """The run as its rows tell it: scope, target, status, counts, and totals in minor units by currency."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select r.id::text, r.workflow_id, r.scope, coalesce(r.target_date::text, r.target_instant::text), r.status,
                   r.mode, r.selected, r.started_at, r.ended_at, coalesce(sum(c.billed), 0),
                   coalesce(sum(c.nothing_due), 0), coalesce(sum(c.parked), 0), coalesce(sum(c.canceled), 0),
                   coalesce(sum(cardinality(c.pending)), 0), ({_TOTALS})
            from bill_run r left join bill_run_chunk c on c.bill_run_id = r.id
            where r.id = %(run)s group by r.id
            """,
            {"run": run_id},
        )
        row = cursor.fetchone()
    if row is None:
        return None
    names = (
        "id workflow_id scope target status mode selected started_at ended_at invoices nothing_due parked canceled"
        " pending totals"
    )
    return dict(zip(names.split(), row, strict=True))


def recent_runs(
    connection: PgConnection, limit: int, *, mode: str | None = None, after: str | None = None
) -> list[str]:
    """Ids of the newest runs, newest first, behind the run `after`; with `mode` only those of accounts in it."""
    conditions = ["true"]
    if mode is not None:
        conditions.append("mode = %(mode)s")
    if after is not None:
        conditions.append("(started_at, id) < (select started_at, id from bill_run where id = %(after)s)")
    with connection.cursor() as cursor:
        cursor.execute(
            f"select id::text from bill_run where {' and '.join(conditions)}"
            " order by started_at desc, id desc limit %(limit)s",
            {"mode": mode, "after": after, "limit": limit},
        )
        return [row[0] for row in cursor]


def run_by_workflow(connection: PgConnection, workflow_run_id: str) -> str | None:
    """The run that a workflow run made, if it has made it yet."""
    with connection.cursor() as cursor:
        cursor.execute("select id::text from bill_run where workflow_run_id = %s", (workflow_run_id,))
        row = cursor.fetchone()
    return str(row[0]) if row else None


def scope_is_known(connection: PgConnection, scope_sql: str, scope_parameters: Mapping[str, Any]) -> bool:
    """Whether any subscription at all, due or not, is within the scope."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"select exists (select from subscription s join account a on a.id = s.account_id where {scope_sql})",
            dict(scope_parameters),
        )
        row = cursor.fetchone()
    return bool(row and row[0])
