"""Subscriptions as callers see them: with account, items and discounts, as rows say."""

from __future__ import annotations

from typing import Any, NamedTuple

from psycopg.rows import dict_row

from storage.database import PgConnection
from storage.round_trip import TakesStatements
from storage.sight import Sight

Row = dict[str, Any]

_SELECT = """
    select s.id::text, s.external_key, s.mode, s.account_id::text, a.currency, a.time_zone, a.clock_at,
           s.status as recorded_status,
           s.starts_on, s.trial_ends_on, s.ends_on, s.interval_unit, s.interval_count, s.anchor_on,
           s.charged_through, s.next_bill_on, s.term_end, s.canceled_on, s.resumes_on, s.later_on as changes_on,
           s.version, s.created_at,
           coalesce((select jsonb_agg(jsonb_build_object('id', i.id, 'plan', i.plan_code, 'plan_name', p.name,
                       'version', i.plan_version, 'quantity', trim_scale(i.quantity)::text,
                       'price_override', i.price_override, 'starts_on', i.starts_on, 'ends_on', i.ends_on)
                       order by i.starts_on, i.id)
                from subscription_item i join plan p on p.code = i.plan_code where i.subscription_id = s.id),
                '[]') as items,
           coalesce((select jsonb_agg(jsonb_build_object('id', d.id, 'code', d.code,
                       'percent', trim_scale(d.percent)::text, 'amount', d.amount, 'starts_on', d.starts_on,
                       'ends_on', d.ends_on) order by d.id)
                from subscription_discount d where d.subscription_id = s.id), '[]') as discounts
    from subscription s join account a on a.id = s.account_id
"""


def find_subscription(connection: PgConnection, sight: Sight, subscription_id: str) -> Row | None:
    """The subscription of that id, if `sight` has its account."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            f"{_SELECT} where {sight.within} and s.id = %(id)s".encode(),
            {"id": subscription_id, **sight.parameters},
        )
        return cursor.fetchone()


class Place(NamedTuple):
    """Whose a subscription is, and the name that its account's rules know it by."""

    account_id: str
    external_key: str


def find_place(connection: PgConnection, sight: Sight, subscription_id: str) -> Place | None:
    """Where the subscription of that id is, if `sight` has its account."""
    return place_of(ask_place(connection, sight, subscription_id))


def ask_place(connection: TakesStatements, sight: Sight, subscription_id: str) -> Any:
    """Ask for what `find_place` answers; what came of it says `place_of`."""
    return connection.execute(
        "select s.account_id::text, s.external_key from subscription s join account a on a.id = s.account_id"
        f" where {sight.within} and s.id = %(id)s".encode(),
        {"id": subscription_id, **sight.parameters},
    )


def place_of(answer: Any) -> Place | None:
    """What `find_place` answers, of what came of `ask_place`."""
    row = answer.fetchone()
    return None if row is None else Place(*row)


def list_subscriptions(
    connection: PgConnection,
    sight: Sight,
    *,
    account_id: str | None,
    external_key: str | None,
    after: str | None,
    limit: int,
) -> list[Row]:
    """Up to `limit` subscriptions, newest first, behind the id `after`."""
    conditions = ""
    if account_id is not None:
        conditions += " and s.account_id = %(account_id)s"
    if external_key is not None:
        conditions += " and s.external_key = %(external_key)s and s.mode in ('live', 'test')"
    if after is not None:
        conditions += " and s.id < %(after)s"
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            f"{_SELECT} where {sight.within}{conditions} order by s.id desc limit %(limit)s".encode(),
            {
                "account_id": account_id,
                "external_key": external_key,
                "after": after,
                "limit": limit,
                **sight.parameters,
            },
        )
        return cursor.fetchall()
