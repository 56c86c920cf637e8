"""What waits, and for how long: runs, parked work, charges without an end, readers, webhooks, mails, calls, tax.

Test mode is left out. Each statement reads by a partial index of what is open, or a table of few rows; what may grow is
counted up to `most`.
"""

from __future__ import annotations

from operations.metrics.questions import Measure, Question

_AGE = "extract(epoch from clock_timestamp() - {})::float8"


def _age(column: str) -> str:
    return _AGE.format(column)


_RUNS = {"bill": "bill_run where mode = 'live' and not preview", "payment": "payment_run where mode = 'live'"}


def _last_run(kind: str, runs: str) -> str:
    return f"""
        select '{kind}', coalesce((select {_age("min(started_at)")} from {runs} and ended_at is null), 0),
               extract(epoch from ended.ended_at - ended.started_at)::float8,
               extract(epoch from ended.ended_at)::float8
        from (select) one left join lateral (
            select started_at, ended_at from {runs} and ended_at is not null order by started_at desc limit 1
        ) ended on true
    """


RUNS = Question(
    ("kind", "status"),
    (Measure("masthead_runs", "runs of the last seven days by where they stand"),),
    " union all ".join(
        f"select '{kind}', status, count(*) from {runs} and started_at > now() - interval '7 days' group by status"
        for kind, runs in _RUNS.items()
    ),
)
RUN_TIMES = Question(
    ("kind",),
    (
        Measure("masthead_run_open_seconds", "age of the oldest run that has not ended; 0: there is none"),
        Measure("masthead_run_last_seconds", "how long the run took that was started last and has ended"),
        Measure("masthead_run_last_ended_timestamp_seconds", "when that run ended, seconds since 1970"),
    ),
    " union all ".join(_last_run(kind, runs) for kind, runs in _RUNS.items()),
)
PARKED = Question(
    ("kind",),
    (
        Measure("masthead_parked", "work that waits for a person's decision"),
        Measure("masthead_parked_oldest_seconds", "for how long the oldest of it has waited"),
    ),
    f"select kind, count(*), {_age('min(opened_at)')} from parked"
    " where resolved_at is null and mode = 'live' group by kind",
)
TAX_PENDING = Question(
    (),
    (Measure("masthead_tax_pending", "accounts that wait for a tax engine before they can be billed"),),
    "select count(*) from parked where resolved_at is null and mode = 'live' and error_kind = 'tax_pending'",
)
TAX_DOCUMENTS = Question(
    ("connection",),
    (
        Measure("masthead_tax_documents_unsettled", "documents that a tax engine has not settled"),
        Measure("masthead_tax_documents_oldest_seconds", "age of the oldest of them"),
    ),
    f"select connection, count(*), {_age('min(created_at)')} from tax_document"
    " where settled_at is null and mode = 'live' group by connection",
)
CHARGES = Question(
    ("connection", "status"),
    (
        Measure("masthead_charges_open", "charges whose end is not known, by where they stand"),
        Measure("masthead_charges_oldest_seconds", "age of the oldest of them"),
    ),
    f"select connection, status, count(*), {_age('min(created_at)')} from charge"
    " where ended_at is null and mode = 'live' group by connection, status",
)
DUNNING = Question(
    ("currency", "state"),
    (
        Measure("masthead_dunning_accounts", "accounts that are being dunned, by the state that they are in"),
        Measure("masthead_dunning_at_risk_amount", "what is open of theirs, minor units"),
    ),
    "select d.currency, d.state, count(*), sum(d.amount) from dunning_case d join account a on a.id = d.account_id"
    " where d.closed_at is null and a.mode = 'live' group by d.currency, d.state",
)
REFUNDS = Question(
    ("status",),
    (
        Measure(
            "masthead_refunds_open", "refunds that were promised and have not been paid, by where they stand"
        ),
        Measure("masthead_refunds_oldest_seconds", "age of the oldest of them"),
    ),
    f"select status, count(*), {_age('min(created_at)')} from refund"
    " where promise = 'standing' and mode = 'live' group by status",
)
WRITE_HOLD = Question(
    (),
    (
        Measure(
            "masthead_write_hold_seconds",
            "for how long nothing has been written to other systems, since a restore; 0: all may be",
        ),
    ),
    f"select coalesce({_age('min(began_at)')}, 0) from write_hold where released_at is null",
)
CALLS = Question(
    ("connection", "status"),
    (
        Measure(
            "masthead_connector_calls_unsettled", "calls to other systems that are sent, unknown or parked"
        ),
        Measure("masthead_connector_calls_oldest_seconds", "age of the oldest of them"),
    ),
    f"select connection, status, count(*), {_age('min(created_at)')} from connector_call"
    " where status in ('sent', 'unknown', 'parked') and mode = 'live' group by connection, status",
)
CONNECTIONS = Question(
    ("connection",),
    (Measure("masthead_connection_needs_authorisation", "1: a person has to authorise the connection anew"),),
    "select name, (needs_authorisation is not null)::int from connection where enabled and mode = 'live'",
)
READERS = Question(
    ("reader",),
    (
        Measure(
            "masthead_event_reader_lag_events", "events that the reader has before it, counted up to 10,000"
        ),
        Measure("masthead_event_reader_lag_seconds", "for how long the first of them has been there"),
    ),
    f"""
    with readers as (
        select name, epoch, xid, id from event_cursor
        union all
        select 'flow/' || l.connection || '/' || l.flow || '/' || l.lane, l.epoch, l.xid, l.event_id
        from sync_lane l join connection c on c.name = l.connection and c.enabled where l.lane = 'live'),
    current as (select max(epoch) as epoch from readers)
    select r.name, ahead.events, coalesce({_age("ahead.first")}, 0)
    from readers r cross join current,
    lateral (select count(*) as events, min(at) as first from (
        select e.at from event_log e
        where (e.xid, e.id) > (case when r.epoch < current.epoch then '0'::xid8 else r.xid end,
                               case when r.epoch < current.epoch then 0 else r.id end)
          and e.epoch = current.epoch and e.xid < pg_snapshot_xmin(pg_current_snapshot())
        order by e.xid, e.id limit %(most)s) next) ahead
    """,
)
OLDEST_TRANSACTION = Question(
    (),
    (
        Measure(
            "masthead_oldest_transaction_seconds",
            "age of the oldest transaction on the server that writes: it holds every reader of the event log back",
        ),
    ),
    """
    select coalesce(extract(epoch from max(clock_timestamp() - began)), 0)::float8 from (
        select xact_start as began from pg_stat_activity
        where backend_xid is not null and pid <> pg_backend_pid()
        union all select prepared from pg_prepared_xacts) running
    """,
)
WEBHOOKS_IN = Question(
    ("connection",),
    (
        Measure("masthead_webhooks_in_waiting", "deliveries that wait to be applied, counted up to 10,000"),
        Measure("masthead_webhooks_in_oldest_seconds", "for how long the oldest of them has waited"),
    ),
    f"""
    select e.connection, sum(waiting.deliveries), coalesce({_age("min(waiting.first)")}, 0)
    from inbound_endpoint e, lateral (
        select count(*) as deliveries, min(received_at) as first from (
            select received_at from webhook_delivery
            where endpoint_id = e.id and status = 'new' order by id limit %(most)s) first) waiting
    where e.mode = 'live' group by e.connection
    """,
)
WEBHOOKS_OUT = Question(
    (),
    (
        Measure("masthead_webhooks_out_waiting", "messages to endpoints that are due, counted up to 10,000"),
        Measure("masthead_webhooks_out_oldest_seconds", "for how long the oldest of them has been due"),
    ),
    f"""
    select coalesce(sum(due.messages), 0), coalesce({_age("min(due.first)")}, 0)
    from webhook_endpoint e, lateral (
        select count(*) as messages, min(next_attempt_at) as first from (
            select next_attempt_at from webhook_message
            where endpoint_id = e.id and status = 'pending' and next_attempt_at <= now()
            order by next_attempt_at limit %(most)s) first) due
    where e.mode = 'live' and e.status = 'enabled'
    """,
)
WEBHOOK_ENDPOINTS = Question(
    ("status",),
    (Measure("masthead_webhook_endpoints", "endpoints of others by whether they are told of events"),),
    "select status, count(*) from webhook_endpoint where mode = 'live' and status <> 'deleted' group by status",
)
MAILS = Question(
    ("status",),
    (
        Measure("masthead_mails_waiting", "mails that are due and not sent"),
        Measure("masthead_mails_oldest_seconds", "for how long the oldest of them has been due"),
    ),
    f"select status, count(*), {_age('min(next_at)')} from mail"
    " where status in ('waiting', 'sending') and next_at <= now() and mode = 'live' group by status",
)

BACKLOG = (
    RUNS,
    RUN_TIMES,
    PARKED,
    TAX_PENDING,
    TAX_DOCUMENTS,
    CHARGES,
    DUNNING,
    REFUNDS,
    WRITE_HOLD,
    CALLS,
    CONNECTIONS,
    READERS,
    OLDEST_TRANSACTION,
    WEBHOOKS_IN,
    WEBHOOKS_OUT,
    WEBHOOK_ENDPOINTS,
    MAILS,
)
