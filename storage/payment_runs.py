"""The rows of payment runs: selection into chunks, what a chunk has left to do, counts by what the charges came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from storage.billable import Target
from storage.database import PgConnection


class LeftRow(NamedTuple):
    """An account that a run did not charge, and why."""

    account_id: str
    why: str
    words: str


def selection_sql(target: Target, scope_sql: str) -> str:
    """The statement that lists what a run selects: ids of accounts that pay by themselves and owe something, once
    each. Those on a test clock are that clock's."""
    return f"""
        select distinct a.id from invoice i join account a on a.id = i.account_id
        where i.mode = %(mode)s and i.status = 'open' and a.auto_pay and a.test_clock_id is null
          and i.due_on <= {target.sql_day()} and {scope_sql}
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
    connection.execute(
        "insert into payment_run (id, mode, workflow_id, workflow_run_id, scope, target_date, target_instant, status)"
        " values (%s, %s, %s, %s, %s, %s, %s, 'selecting') on conflict (workflow_run_id) do nothing",
        (run_id, mode, workflow_id, workflow_run_id, scope, target.day, target.instant),
    )
    found = run_by_workflow(connection, workflow_run_id)
    if found is None:
        raise RuntimeError("the payment run just written cannot be read")
    return found


def select_chunks(
    connection: PgConnection,
    run_id: str,
    *,
    mode: str,
    target: Target,
    scope: tuple[str, Mapping[str, Any]],
    chunk_size: int,
) -> None:
    """Write the run's chunks of `chunk_size` accounts, in account order, unless they are written already."""
    row = connection.execute("select status from payment_run where id = %s for update", (run_id,)).fetchone()
    if row is None or row[0] != "selecting":
        return
    scope_sql, parameters = scope
    connection.execute(
        f"""
        insert into payment_run_chunk (payment_run_id, no, accounts, pending)
        with selected as materialized ({selection_sql(target, scope_sql)}),
             numbered as (select id, row_number() over (order by id) as place from selected),
             cut as (select (place - 1) / %(size)s as no, array_agg(id order by id) as ids from numbered group by 1)
        select %(run)s, no, ids, ids from cut
        """.encode(),
        {"run": run_id, "size": chunk_size, "mode": mode, "target": target.parameter, **parameters},
    )
    connection.execute(
        "update payment_run set status = 'running', selected = coalesce((select sum(cardinality(accounts))"
        " from payment_run_chunk where payment_run_id = %(run)s), 0) where id = %(run)s",
        {"run": run_id},
    )
    if not run_size(connection, run_id)[1]:
        why = unselected(connection, mode=mode, target=target, scope=scope)
        connection.execute("update payment_run set unselected = %s where id = %s", (Jsonb(why), run_id))


def unselected(
    connection: PgConnection, *, mode: str, target: Target, scope: tuple[str, Mapping[str, Any]]
) -> dict[str, int]:
    """Why a run would select nobody: how many accounts each reason keeps out, each account under the first that holds.

    on_test_clock: its clock charges it. outside_scope. nothing_open: it owes nothing. not_due: later. no_auto_pay: it
    does not pay by itself.
    """
    scope_sql, parameters = scope
    rows = connection.execute(
        f"""
        select case when a.test_clock_id is not null then 'on_test_clock'
                    when not ({scope_sql}) then 'outside_scope'
                    when o.account_id is null then 'nothing_open'
                    when not o.due then 'not_due'
                    when not a.auto_pay then 'no_auto_pay' end as why, count(*)
        from account a left join (
            select i.account_id, bool_or(i.due_on <= {target.sql_day()}) as due
            from invoice i join account a on a.id = i.account_id
            where i.mode = %(mode)s and i.status = 'open' group by i.account_id) o on o.account_id = a.id
        where a.mode = %(mode)s group by 1
        """.encode(),
        {"mode": mode, "target": target.parameter, **parameters},
    ).fetchall()
    return {why: count for why, count in sorted(rows, key=lambda row: row[0] or "") if why is not None}


def selected_behind(
    connection: PgConnection,
    *,
    mode: str,
    target: Target,
    scope: tuple[str, Mapping[str, Any]],
    after: str | None,
    limit: int,
) -> list[str]:
    """The next accounts behind the id `after` that a run would select, in the order of ids."""
    scope_sql, parameters = scope
    rows = connection.execute(
        f"select id::text from ({selection_sql(target, scope_sql)}) selected"
        " where %(after)s::uuid is null or id > %(after)s::uuid order by id limit %(limit)s".encode(),
        {"mode": mode, "target": target.parameter, "after": after, "limit": limit, **parameters},
    )
    return [row[0] for row in rows]


def run_size(connection: PgConnection, run_id: str) -> tuple[int, int]:
    """(number of chunks, selected accounts) of the run."""
    row = connection.execute(
        "select (select count(*) from payment_run_chunk where payment_run_id = r.id), r.selected"
        " from payment_run r where r.id = %s",
        (run_id,),
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def take_pending(connection: PgConnection, run_id: str, no: int) -> list[str]:
    """The accounts of a chunk that have no outcome yet; its row stays locked. Raises LookupError."""
    row = connection.execute(
        "select array_to_string(pending, ',') from payment_run_chunk where payment_run_id = %s and no = %s for update",
        (run_id, no),
    ).fetchone()
    if row is None:
        raise LookupError(f"payment run {run_id} has no chunk {no}")
    return str(row[0]).split(",") if row[0] else []


def note_outcomes(
    connection: PgConnection, run_id: str, no: int, *, pending: Sequence[str], left: Sequence[LeftRow]
) -> None:
    """Say which accounts of a chunk remain, and why others were left. Goes into the transaction that did the work."""
    connection.execute(
        "update payment_run_chunk set pending = %s::uuid[] where payment_run_id = %s and no = %s",
        (list(pending), run_id, no),
    )
    if left:
        connection.execute(
            "insert into payment_run_left (payment_run_id, account_id, why, words)"
            " select %s, * from unnest(%s::uuid[], %s::text[], %s::text[])",
            (run_id, *(list(column) for column in zip(*left, strict=True))),
        )


def charges_to_send(connection: PgConnection, run_id: str, no: int) -> list[tuple[str, str]]:
    """(charge, its call) of a chunk's charges whose end is not known, in the order of the charges."""
    return connection.execute(
        """
        select c.id::text, l.id::text
        from payment_run_chunk k join charge c on c.account_id = any(k.accounts) and c.run_id = k.payment_run_id
        join connector_call l on l.mode = c.mode and l.connection = c.connection and l.method = 'payment.charge'
            and l.key = 'charge:' || c.account_id || ':' || c.no
        where k.payment_run_id = %s and k.no = %s and c.status in ('intent', 'unknown') order by c.id
        """,
        (run_id, no),
    ).fetchall()


def set_status(connection: PgConnection, run_id: str, status: str) -> None:
    """Record a run's status; a run that has ended keeps the one it ended with."""
    connection.execute(
        "update payment_run set status = %s where id = %s and ended_at is null", (status, run_id)
    )


def finish_run(connection: PgConnection, run_id: str, *, canceled: bool) -> None:
    """End the run: what has no outcome counts as canceled, its status follows from what was parked."""
    if canceled:
        connection.execute(
            "update payment_run_chunk set canceled = canceled + cardinality(pending), pending = '{}'"
            " where payment_run_id = %s and cardinality(pending) > 0",
            (run_id,),
        )
    connection.execute(
        """
        update payment_run r set ended_at = now(), status = case when %s then 'canceled'
            when exists (select from payment_run_left where payment_run_id = r.id and why = 'parked')
            then 'completed_with_parked' else 'completed' end
        where id = %s and ended_at is null
        """,
        (canceled, run_id),
    )


_LAST = """
    select distinct on (account_id) account_id, status, currency, amount from charge
    where run_id = %(run)s order by account_id, no desc
"""
_SUMMARY = f"""
    with last as materialized ({_LAST}),
         sums as (select case when status = 'succeeded' then 'paid'
                              when status in ('failed', 'withdrawn') then 'declined'
                              else 'in_flight' end as kind, currency, sum(amount) as amount from last group by 1, 2)
    select r.id::text, r.workflow_id, r.scope, coalesce(r.target_date::text, r.target_instant::text), r.status, r.mode,
           r.selected, r.unselected, r.started_at, r.ended_at,
           (select coalesce(jsonb_object_agg(status, n), '{{}}')
            from (select status, count(*) as n from last group by 1) c),
           (select coalesce(jsonb_object_agg(why, n), '{{}}') from (select why, count(*) as n from payment_run_left
            where payment_run_id = r.id and why <> 'parked' group by 1) w),
           (select count(*) from payment_run_left where payment_run_id = r.id and why = 'parked'),
           (select coalesce(sum(canceled), 0) from payment_run_chunk where payment_run_id = r.id),
           (select coalesce(sum(cardinality(pending)), 0) from payment_run_chunk where payment_run_id = r.id),
           (select coalesce(jsonb_object_agg(currency, amount), '{{}}') from sums where kind = 'paid'),
           (select coalesce(jsonb_object_agg(currency, amount), '{{}}') from sums where kind = 'in_flight'),
           (select coalesce(jsonb_object_agg(currency, amount), '{{}}') from sums where kind = 'declined')
    from payment_run r where r.id = %(run)s
"""
_NAMES = (
    "id", "workflow_id", "scope", "target", "status", "mode", "selected", "unselected", "started_at", "ended_at",
    "charges", "left", "parked", "canceled", "pending", "paid", "in_flight", "declined",
)  # fmt: skip


def run_summary(connection: PgConnection, run_id: str) -> dict[str, Any] | None:
    """The run as the rows tell it now: what was in flight when it ended may have come in since."""
    row = connection.execute(_SUMMARY.encode(), {"run": run_id}).fetchone()
    return None if row is None else dict(zip(_NAMES, row, strict=True))


class ItemRow(NamedTuple):
    """What a run did with one account. status: of its last charge, or why it was left."""

    account_id: str
    external_key: str
    status: str
    words: str
    charge_id: str | None
    connection: str | None
    currency: str | None
    amount: int | None
    code: str | None


def run_items(
    connection: PgConnection, run_id: str, *, after: str | None, limit: int, status: str | None = None
) -> list[ItemRow]:
    """The run's accounts behind the id `after`, in the order of ids; with `status` only those."""
    rows = connection.execute(
        """
        select i.account_id::text, a.external_key, i.status, i.words, i.charge_id::text, i.connection, i.currency,
               i.amount, i.code
        from (select account_id, why as status, words, null::uuid as charge_id, null as connection, null as currency,
                     null::bigint as amount, null as code
              from payment_run_left where payment_run_id = %(run)s
              union all
              select * from (select distinct on (account_id) account_id, status, '', id, connection, currency, amount,
                                    code from charge where run_id = %(run)s order by account_id, no desc) c) i
        join account a on a.id = i.account_id
        where (%(after)s::uuid is null or i.account_id > %(after)s::uuid)
          and (%(status)s::text is null or i.status = %(status)s)
        order by i.account_id limit %(limit)s
        """,
        {"run": run_id, "after": after, "limit": limit, "status": status},
    )
    return [ItemRow(*row) for row in rows]


def recent_runs(
    connection: PgConnection, limit: int, *, mode: str | None = None, after: str | None = None
) -> list[str]:
    """Ids of the newest runs, newest first, behind the run `after`; with `mode` only those of accounts in it."""
    rows = connection.execute(
        """
        select id::text from payment_run
        where (%(mode)s::text is null or mode = %(mode)s)
          and (%(after)s::uuid is null
               or (started_at, id) < (select started_at, id from payment_run where id = %(after)s::uuid))
        order by started_at desc, id desc limit %(limit)s
        """,
        {"mode": mode, "after": after, "limit": limit},
    )
    return [row[0] for row in rows]


def run_by_workflow(connection: PgConnection, workflow_run_id: str) -> str | None:
    """The run that a workflow run made, if it has made it yet."""
    row = connection.execute(
        "select id::text from payment_run where workflow_run_id = %s", (workflow_run_id,)
    ).fetchone()
    return str(row[0]) if row else None
