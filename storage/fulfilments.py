"""The rows of licences and parcels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from storage.database import PgConnection

_JSON = frozenset({"terms"})


class FulfilmentRow(NamedTuple):
    """A licence, a parcel or a standing order as its row says. digest: of the address that the account has now."""

    id: str
    mode: str
    account_id: str
    source_kind: str
    source_id: str
    capability: str
    item: str
    number: int
    wish: str
    told: str
    terms: dict[str, Any]
    until: datetime | None
    given_until: datetime | None
    given_id: str | None
    due_at: datetime
    changeable_until: datetime | None
    connection: str | None
    attempt: int
    sent_to: str | None
    step: str | None
    call_id: str | None
    next_at: datetime | None
    outcome: str | None
    digest: str | None
    clock_at: datetime | None


_TEXT = {"id", "account_id", "source_id", "call_id"}
_COLUMNS = ", ".join(
    f"f.{name}::text" if name in _TEXT else f"f.{name}" for name in FulfilmentRow._fields[:-2]
)
# What can be compared of an address without being kept.
_SELECT = (
    f"select {_COLUMNS}, case when f.capability = 'shipping' then md5(coalesce(p.name, '') || p.address::text) end,"
    " a.clock_at from fulfilment f join account a on a.id = f.account_id left join person p on p.account_id = a.id"
)
# A test account's time is its clock's.
_DUE = (
    "f.next_at is not null and (f.mode = 'live' and f.next_at <= %(now)s"
    " or f.mode = 'test' and f.next_at <= coalesce(a.clock_at, %(now)s))"
)
# An account of a clock that is on its way is seen to by the clock, step by step.
_NOT_PLAYED = "not exists (select from test_clock t where t.id = a.test_clock_id and t.status = 'advancing')"
_NOT_PARKED = (
    "not exists (select from parked k where k.kind = 'fulfilment' and k.trace_key = f.account_id::text"
    " and k.resolved_at is null and k.last_seen_at > clock_timestamp() - interval '1 hour')"
)
_WAITING = (
    "select count(*) from fulfilment where account_id = %s and call_id is null and connection is null"
    " and told = 'nothing' and wish = 'given' and number <> 0"
)


def fulfilments_of(connection: PgConnection, account_id: str) -> list[FulfilmentRow]:
    """All of an account, in the order in which they were written."""
    rows = connection.execute(f"{_SELECT} where f.account_id = %s order by f.id".encode(), (account_id,))
    return [FulfilmentRow(*row) for row in rows]


def read_fulfilments(connection: PgConnection, ids: Sequence[str]) -> list[FulfilmentRow]:
    """Those of these ids that nobody else has in hand, locked."""
    rows = connection.execute(
        f"{_SELECT} where f.id = any(%s::uuid[]) order by f.id for update of f skip locked".encode(),
        (list(ids),),
    )
    return [FulfilmentRow(*row) for row in rows]


def insert_fulfilment(connection: PgConnection, values: Mapping[str, Any]) -> None:
    """Write a new one; one that is there under its key stays."""
    given = {"id": str(uuid7()), **_given(values)}
    places = ", ".join(f"%({name})s" for name in given)
    connection.execute(
        f"insert into fulfilment ({', '.join(given)}) values ({places})"
        " on conflict (source_id, capability, item, number) do nothing".encode(),
        given,
    )


def change_fulfilment(connection: PgConnection, own: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a row by name."""
    given = _given(changes)
    sets = ", ".join(f"{name} = %({name})s" for name in given)
    connection.execute(f"update fulfilment set {sets} where id = %(own)s".encode(), {**given, "own": own})


def due_fulfilments(
    connection: PgConnection,
    now: datetime,
    connected: Iterable[tuple[str, str]],
    limit: int,
    account: str | None,
) -> list[FulfilmentRow]:
    """Up to `limit` that something is to be done about at `now` and no call is under way for: of those capabilities
    that are connected, as (mode, capability), the standing orders left out; of one account, or of all but those whose
    clock is on its way. Locked; what others have in hand is left out."""
    pairs = [f"{mode}/{capability}" for mode, capability in connected]
    rows = connection.execute(
        f"{_SELECT} where {_DUE} and f.call_id is null and f.number <> 0"
        " and (f.mode || '/' || f.capability = any(%(pairs)s) or f.wish = 'ended')"
        f" and (f.account_id = %(account)s::uuid or %(account)s::uuid is null and {_NOT_PLAYED})"
        " order by f.next_at, f.id limit %(limit)s for update of f skip locked".encode(),
        {"now": now, "pairs": pairs, "limit": limit, "account": account},
    )
    return [FulfilmentRow(*row) for row in rows]


class SettledCall(NamedTuple):
    """An entry whose call has come to its end."""

    fulfilment_id: str
    status: str
    request: Any
    answer: Any
    at: datetime


def settled_fulfilments(
    connection: PgConnection, now: datetime, limit: int, account: str | None
) -> list[SettledCall]:
    """Up to `limit` entries whose call is settled, which do not say so yet, of one account, or of all but those whose
    clock is on its way; `at` is `now`, or what time it is by the account's clock."""
    rows = connection.execute(
        "select f.id::text, c.status, c.request, c.answer, coalesce(a.clock_at, %(now)s)"
        " from fulfilment f join connector_call c on c.id = f.call_id join account a on a.id = f.account_id"
        " where f.call_id is not null and c.status in ('succeeded', 'skipped', 'failed')"
        f" and (f.account_id = %(account)s::uuid or %(account)s::uuid is null and {_NOT_PLAYED})"
        " order by f.id limit %(limit)s".encode(),
        {"now": now, "limit": limit, "account": account},
    )
    return [SettledCall(*row) for row in rows]


def accounts_to_look_at(connection: PgConnection, now: datetime, limit: int) -> list[str]:
    """Accounts of which an edition's next issue is to be ordered by `now`, or which have licences that were billed
    further than they were given; without those that are parked, which are tried again every hour, and those whose clock
    is on its way."""
    rows = connection.execute(
        f"""
        (select f.account_id::text from fulfilment f join account a on a.id = f.account_id
         where f.number = 0 and {_DUE} and {_NOT_PARKED} and {_NOT_PLAYED} order by f.next_at limit %(limit)s)
        union
        (select f.account_id::text
         from fulfilment f join account a on a.id = f.account_id join subscription s on s.id = f.source_id
         where f.capability = 'drm' and f.wish = 'given' and f.until < %(now)s + interval '3 days'
           and f.until > %(now)s - interval '60 days'
           and (s.ends_on is null or s.ends_on > (f.until at time zone a.time_zone)::date)
           and coalesce(s.next_bill_on, s.charged_through) + coalesce((f.terms->>'grace_days')::int, 0)
               > (f.until at time zone a.time_zone)::date
           and {_NOT_PARKED} and {_NOT_PLAYED}
         limit %(limit)s)
        """.encode(),
        {"now": now, "limit": limit},
    )
    return [row[0] for row in rows]


def fulfilment_looks(connection: PgConnection, account_id: str) -> list[datetime | None]:
    """When each entry of an account is looked at next."""
    rows = connection.execute("select next_at from fulfilment where account_id = %s", (account_id,))
    return [at for (at,) in rows]


def calls_of(
    connection: PgConnection, account_id: str, statuses: Sequence[str]
) -> list[tuple[str, str, dict[str, Any]]]:
    """The calls of an account's entries that have one of these statuses: (id, item, terms)."""
    rows = connection.execute(
        "select c.id::text, f.item, f.terms from fulfilment f join connector_call c on c.id = f.call_id"
        " where f.account_id = %s and c.status = any(%s) order by c.id",
        (account_id, list(statuses)),
    )
    return list(rows)


def has_entries(connection: PgConnection, source_id: str) -> bool:
    """Whether parcels of a subscription or purchase are written down."""
    row = connection.execute(
        "select exists (select from fulfilment where source_id = %s and capability = 'shipping')",
        (source_id,),
    ).fetchone()
    return bool(row and row[0])


def unconnected(connection: PgConnection, account_id: str) -> int:
    """How many entries of an account wait for a connection."""
    row = connection.execute(_WAITING, (account_id,)).fetchone()
    return int(row[0]) if row else 0


class PaidPurchase(NamedTuple):
    """A plan that was bought once and paid for, and not given back."""

    id: str
    plan: str
    bought_on: date
    quantity: int


def paid_purchases(connection: PgConnection, account_id: str) -> list[PaidPurchase]:
    """What the account bought once, without that whose invoice is void or was credited in full."""
    rows = connection.execute(
        "select p.id::text, p.plan_code, p.bought_on, p.quantity::int"
        " from purchase p join invoice i on i.id = p.invoice_id"
        " where p.account_id = %s and p.paid_at is not null and i.status <> 'void' and (i.total = 0 or i.total + "
        "  coalesce((select sum(c.total) from credit_note c where c.account_id = p.account_id"
        "            and c.invoice_id = i.id), 0) > 0)"
        " order by p.id",
        (account_id,),
    )
    return [PaidPurchase(*row) for row in rows]


def parcel_address(connection: PgConnection, account_id: str) -> tuple[str, dict[str, Any]]:
    """To whom and where the account's parcels go; empty where nobody said."""
    row = connection.execute(
        "select coalesce(name, ''), address from person where account_id = %s", (account_id,)
    ).fetchone()
    return (row[0], row[1] or {}) if row else ("", {})


def note_address_change(connection: PgConnection, account_id: str, now: datetime) -> list[FulfilmentRow]:
    """Have the account's parcels looked at that could still be sent elsewhere; those with a call under way, locked."""
    connection.execute(
        "update fulfilment set next_at = %s where account_id = %s and capability = 'shipping' and number <> 0"
        " and wish = 'given' and told <> 'ended' and call_id is null and changeable_until > %s",
        (now, account_id, now),
    )
    rows = connection.execute(
        f"{_SELECT} where f.account_id = %s and f.capability = 'shipping' and f.call_id is not null"
        " order by f.id for update of f".encode(),
        (account_id,),
    )
    return [FulfilmentRow(*row) for row in rows]


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Jsonb(value) if name in _JSON else value for name, value in values.items()}
