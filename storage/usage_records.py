"""Usage records, written once each, and what deciding about them needs of subscriptions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from domain.subscription_terms import Item
from storage.copying import id_array
from storage.database import PgConnection
from storage.sight import Sight


class Metered(NamedTuple):
    """A subscription as usage is charged to it. `next_bill_on` None: no bill is to come."""

    id: str
    mode: str
    currency: str
    zone: str
    ends_on: date | None
    next_bill_on: date | None
    items: list[Item]


class NewUsage(NamedTuple):
    """A record to be written. `key` is the caller's, unique for the item."""

    id: str
    item_id: str
    meter: str
    at: datetime
    quantity: Decimal
    key: str


class KnownUsage(NamedTuple):
    """A record that is there."""

    item_id: str
    meter: str
    at: datetime
    quantity: Decimal


def find_metered(connection: PgConnection, sight: Sight, ids: Collection[str]) -> dict[str, Metered]:
    """The subscriptions of `ids` that `sight` has, by id, with all their items in order. They stay as they are until
    the transaction ends: what changes one waits for it, and so sees the usage that it records. Others may record."""
    found: dict[str, Metered] = {}
    for subscription, *terms in connection.execute(
        f"""
        select s.id::text, s.mode, a.currency, a.time_zone, s.ends_on, s.next_bill_on
        from subscription s join account a on a.id = s.account_id
        where s.id = any(%(ids)s::uuid[]) and {sight.within} order by s.id for key share of s
        """.encode(),
        {"ids": id_array(ids), **sight.parameters},
    ):
        mode, currency, zone, ends_on, next_bill_on = terms
        found[subscription] = Metered(subscription, mode, currency, zone, ends_on, next_bill_on, [])
    for row in connection.execute(
        """
        select subscription_id::text, id::text, plan_code, plan_version, quantity, price_override, starts_on, ends_on
        from subscription_item where subscription_id = any(%s::uuid[]) order by subscription_id, id
        """,
        (id_array(found),),
    ):
        found[row[0]].items.append(Item(*row[1:]))
    return found


def lock_last_bill(connection: PgConnection, subscription_ids: Collection[str]) -> dict[str, date | None]:
    """Let a bill run that has rated subscriptions already, of which the last bill is to come, rate them anew: what is
    recorded now will be on that bill. Answers when each is billed next, None where the last bill was made. They are
    ones that `find_metered` holds, so this waits for nobody but others who record usage."""
    rows = connection.execute(
        """
        with locked as (select id from subscription where id = any(%s::uuid[]) order by id for no key update)
        update subscription s set version = version + (s.next_bill_on is not null)::int
        from locked where s.id = locked.id returning s.id::text, s.next_bill_on
        """,
        (id_array(subscription_ids),),
    )
    return dict(rows.fetchall())


def insert_usage(connection: PgConnection, records: Sequence[NewUsage]) -> set[str]:
    """Write `records`; answers the ids of those that were new. One whose key its item has already is left out."""
    columns = list(zip(*records, strict=True))
    rows = connection.execute(
        """
        insert into usage_record (id, item_id, meter_code, at, quantity, key)
        select * from unnest(%s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::numeric[], %s::text[])
        on conflict (item_id, key) do nothing returning id::text
        """,
        [list(column) for column in columns],
    )
    return {row[0] for row in rows}


def known_usage(
    connection: PgConnection, wanted: Collection[tuple[str, str]]
) -> dict[tuple[str, str], KnownUsage]:
    """What is recorded under each (subscription, key), on any item of the subscription."""
    subscriptions, keys = [each[0] for each in wanted], [each[1] for each in wanted]
    rows = connection.execute(
        """
        select w.subscription::text, w.key, u.item_id::text, u.meter_code, u.at, u.quantity
        from unnest(%s::uuid[], %s::text[]) as w(subscription, key)
        join subscription_item i on i.subscription_id = w.subscription
        join usage_record u on u.item_id = i.id and u.key = w.key
        """,
        (subscriptions, keys),
    )
    return {(row[0], row[1]): KnownUsage(*row[2:]) for row in rows}
