"""Grants in their table: put as a whole, copied by the thousand, read for one subscriber and feature."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from uuid_utils import uuid7

from domain.allowances import period_text, read_allowance
from domain.entitlements import Because, Grant, SourceKind
from storage.copying import field
from storage.database import PgConnection
from storage.events import NewEvent
from storage.round_trip import TakesStatements
from storage.sight import Sight

GRANT_COLUMNS = (
    "account_id, id, mode, subscriber, feature, source_kind, source_id, starts_at, ends_at, ends_because,"
    " allowance_count, allowance_period"
)
_READ = (
    "subscriber, feature, source_kind, source_id::text, starts_at, ends_at, allowance_count, allowance_period,"
    " ends_because"
)

# All grants of a subscriber and feature, with their account: there are few of them, and the last one tells why there is
# no access. Parameters: subscriber, feature, mode.
FIND_GRANTS = (
    f"select {_READ}, account_id::text from entitlement_grant"
    " where subscriber = %s and feature = %s and mode = %s"
)

# All grants of the account %(account)s, for `stored_grant`.
ACCOUNT_GRANTS = (
    f"select account_id::text, id::text, version, {_READ} from entitlement_grant where account_id = %(account)s"
    " order by subscriber, feature, starts_at, id"
)


class StoredGrant(NamedTuple):
    """A grant as its row says."""

    account_id: str
    id: str
    version: int
    grant: Grant


def grant_of(row: Sequence[Any]) -> Grant:
    """The grant of a row of `FIND_GRANTS`."""
    subscriber, feature, kind, source, starts_at, ends_at, count, period, because = row[:9]
    return Grant(
        subscriber,
        feature,
        SourceKind(kind),
        source,
        starts_at,
        ends_at,
        read_allowance(count, period),
        because and Because(because),
    )


def list_grants(connection: TakesStatements, account_id: str) -> list[StoredGrant]:
    """All grants of an account, by reader and feature in order of time."""
    rows = connection.execute(ACCOUNT_GRANTS, {"account": account_id}).fetchall()
    return [stored_grant(row) for row in rows]


def page_of_grants(
    connection: PgConnection,
    sight: Sight,
    *,
    account_id: str | None,
    after: tuple[str, str] | None,
    limit: int,
) -> list[StoredGrant]:
    """Up to `limit` grants that `sight` has, of one account or of all, by account and id, behind the account and id
    `after`."""
    rows = connection.execute(
        f"""
        select g.account_id::text, g.id::text, g.version, {", ".join(f"g.{each}" for each in _READ.split(", "))}
        from entitlement_grant g join account a on a.id = g.account_id
        where {sight.within} and (%(account)s::uuid is null or g.account_id = %(account)s::uuid)
          and (%(after)s::uuid is null or (g.account_id, g.id) > (%(after)s::uuid, %(after_id)s::uuid))
        order by g.account_id, g.id limit %(limit)s
        """,
        {
            **sight.parameters,
            "account": account_id,
            "after": after and after[0],
            "after_id": after and after[1],
            "limit": limit,
        },
    ).fetchall()
    return [stored_grant(row) for row in rows]


def stored_grant(row: Sequence[Any]) -> StoredGrant:
    """The grant of a row of `ACCOUNT_GRANTS`."""
    account_id, grant_id, version, *grant = row
    return StoredGrant(account_id, grant_id, version, grant_of(grant))


def put_grants(
    connection: TakesStatements,
    account_id: str,
    mode: str,
    grants: Iterable[Grant],
    *,
    now: datetime,
    known: Sequence[StoredGrant] | None = None,
) -> list[NewEvent]:
    """Make `grants` all that the account has, writing only what differs, in the caller's transaction, which holds the
    account's row. The answer is what changed, to be appended in the same transaction: entitlement.granted, .revoked
    (it is gone, or its end is no longer ahead of `now`) and .changed. To put the same again changes nothing.
    `known`: what it has, where that was read already under the lock."""
    wanted = {_key(grant): grant for grant in grants}
    events = []
    kept = set()
    for stored in list_grants(connection, account_id) if known is None else known:
        key = _key(stored.grant)
        grant = wanted.get(key)
        if grant == stored.grant:
            kept.add(key)
            continue
        version = stored.version + 1
        if grant is None:
            connection.execute(
                "delete from entitlement_grant where account_id = %s and id = %s", (account_id, stored.id)
            )
            kind = "revoked"
        else:
            kept.add(key)
            connection.execute(
                "update entitlement_grant set ends_at = %s, ends_because = %s, allowance_count = %s,"
                " allowance_period = %s, version = %s where account_id = %s and id = %s",
                (*_changing(grant), version, account_id, stored.id),
            )
            kind = "revoked" if _open(stored.grant, now) and not _open(grant, now) else "changed"
        events.append(NewEvent(f"entitlement.{kind}", account_id, stored.id, version))
    for key, grant in wanted.items():
        if key in kept:
            continue
        grant_id = str(uuid7())
        connection.execute(
            f"insert into entitlement_grant ({GRANT_COLUMNS}) values ({', '.join(['%s'] * 12)})",
            (
                *(account_id, grant_id, mode, grant.subscriber, grant.feature),
                *(grant.source_kind.value, grant.source_id, grant.starts_at),
                *_changing(grant),
            ),
        )
        events.append(NewEvent("entitlement.granted", account_id, grant_id, 1))
    return events


def grant_row(grant: Grant) -> str:
    """What follows account, id, mode and subscriber in a row of GRANT_COLUMNS for COPY, the source left out as `%s`."""
    ends_at, because, count, period = _changing(grant)
    return (
        f"{field(grant.feature)}\t{grant.source_kind.value}\t%s\t{grant.starts_at}\t{field(ends_at)}"
        f"\t{field(because)}\t{field(count)}\t{field(period)}"
    )


def _key(grant: Grant) -> tuple[str, str, str, str, datetime]:
    return grant.subscriber, grant.feature, grant.source_kind.value, grant.source_id, grant.starts_at


def _changing(grant: Grant) -> tuple[datetime | None, str | None, int | None, str | None]:
    allowance = grant.allowance
    return (
        grant.ends_at,
        None if grant.because is None else grant.because.value,
        None if allowance is None else allowance.count,
        None if allowance is None else period_text(allowance),
    )


def _open(grant: Grant, now: datetime) -> bool:
    return grant.ends_at is None or now < grant.ends_at
