"""What a restore does to the rows besides bringing them back, as statements for the transaction of the restore.

Transaction ids begin anew on another server, so the epoch of events and usage is raised. What was being sent, or was to
be sent, when the backup was taken may have been sent since: such calls are in doubt. Until the gateways have been asked
what happened, external writes are held.
"""

from __future__ import annotations

from datetime import datetime

from psycopg import sql
from uuid_utils import uuid7

EVERYTHING_OUT = """
do $$
declare statement text;
begin
    for statement in
        select format('drop table %s cascade', oid::regclass) from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
        union all
        select format('drop routine %s cascade', oid::regprocedure) from pg_proc
        where pronamespace = 'public'::regnamespace
    loop
        execute statement;
    end loop;
end $$;
"""

_EPOCH = """
set search_path = public;
do $$
declare next int;
begin
    select max(pg_get_expr(d.adbin, d.adrelid)::int) + 1 into strict next
    from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
    where d.adrelid in ('event_log'::regclass, 'usage_record'::regclass) and a.attname = 'epoch';
    execute format('alter table event_log alter column epoch set default %s', next);
    execute format('alter table usage_record alter column epoch set default %s', next);
end $$;
"""

# A mail may go out twice, which harms nobody; that it waited for a person would.
_DOUBT = """
update connector_call
set status = case status when 'intent' then 'unknown' else status end,
    first_sent_at = coalesce(first_sent_at, {since}), last_sent_at = now()
where status in ('intent', 'sent', 'unknown', 'parked') and capability <> 'mail';
"""

_HOLD = """
update write_hold set released_at = now(), released_by = 'restore', release_reason = 'another restore'
where released_at is null;
insert into write_hold (id, reason, since) values ({id}, {reason}, {since});
insert into audit (id, actor, action, subject, reason)
values ({audit}, {actor}, 'restore', {subject}, {reason});
"""


def after_restore(taken_at: datetime, actor: str, backup: str) -> str:
    """The statements that follow the rows of a backup that was taken at `taken_at`."""
    reason = f"restored from a backup of {taken_at:%Y-%m-%d %H:%M:%S} UTC"
    values = {
        "since": sql.Literal(taken_at),
        "reason": sql.Literal(reason),
        "id": sql.Literal(str(uuid7())),
        "audit": sql.Literal(str(uuid7())),
        "actor": sql.Literal(actor),
        "subject": sql.Literal(backup),
    }
    return _EPOCH + sql.SQL(_DOUBT + _HOLD).format(**values).as_string(None)
