"""Which days of a subscription item are charged, and which should be (law I13)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from storage.copying import id_array
from storage.database import PgConnection


class Span(NamedTuple):
    """A charged span, `end` exclusive. `complete` says that each price and part of one phase is charged for it, once;
    `invoices` names where."""

    start: date | None
    end: date | None
    complete: bool
    invoices: str


class ItemCover(NamedTuple):
    """An item whose charges do not fit. It should be charged from `since` until `until`, every day if `always`."""

    item_id: str
    account: str
    subscription: str
    plan: str
    since: date
    until: date
    always: bool
    spans: list[Span]


# The recurring charges of a phase, each with a place of its own, so that a span's charges can be told to be all of
# them by one bit each.
_SLOT = """
    select d.*, row_number() over (charges order by price_id, product) - 1 as place, count(*) over charges as wanted,
           dense_rank() over (order by version_id, phase, currency) as group_no
    from (
        select distinct p.id as price_id, p.plan_version_id as version_id, p.phase, p.currency, part.product
        from price p join plan_version v on v.id = p.plan_version_id join plan on plan.code = v.plan_code
        cross join lateral jsonb_array_elements(v.definition -> 'phases') h
        cross join lateral jsonb_array_elements(h -> 'prices') c
        cross join lateral (
            select t ->> 'product' as product from jsonb_array_elements(c -> 'parts') t
            union all
            select coalesce(c ->> 'product', plan.product_code) where jsonb_array_length(c -> 'parts') = 0) part
        where h ->> 'kind' = p.phase and c ->> 'code' = p.code and c ->> 'type' = 'recurring') d
    window charges as (partition by version_id, phase, currency)
"""

# A plan whose phases all charge something recurring, in the version held and in those that renewal leads to, owes
# every day; one that charges in some phases only is looked at for double charges.
_PLAN = """
    select v.plan_code, v.version, bool_and(h.recurring) as always, bool_or(h.recurring) as sometimes
    from plan_version v join plan_version w on w.plan_code = v.plan_code
         and (w.version = v.version or (w.version > v.version and w.definition ->> 'applies_to' = 'renewal'))
    cross join lateral (
        select h -> 'prices' @> '[{"type": "recurring"}]' as recurring
        from jsonb_array_elements(w.definition -> 'phases') h where h ->> 'kind' <> 'trial') h
    group by v.plan_code, v.version
"""

_SPAN = """
    select l.item_id, l.period_start as starts, l.period_end as ends,
           count(s.place) = count(*) and min(s.wanted) = count(*) and min(s.group_no) = max(s.group_no)
               and bit_or(1::bigint << s.place::int) = (1::bigint << min(s.wanted)::int) - 1
               and min(l.period_start) < min(l.period_end) as complete
    from invoice_line l left join slot s on s.price_id = l.price_id and s.product = l.part
    where l.kind = 'recurring' and l.voided_at is null and {condition}
    group by l.item_id, l.period_start, l.period_end
"""

_ITEMS = """
    select i.id, i.subscription_id, i.plan_code, p.always, p.sometimes, greatest(i.starts_on, s.opening_on) as since,
           least(s.charged_through, i.ends_on) as until
    from subscription_item i join subscription s on s.id = i.subscription_id
    join plan_terms p on p.plan_code = i.plan_code and p.version = i.plan_version
"""

_MISFITS = f"""
    with slot as materialized ({_SLOT}), plan_terms as materialized ({_PLAN}),
    charged as (
        select item_id, bool_and(coalesce(complete, false)) as complete, sum(ends - starts) as length,
               range_agg(case when starts < ends then daterange(starts, ends) end) as days
        from ({_SPAN.format(condition="true")}) span group by item_id),
    item as (select *, case when sometimes and since < until then datemultirange(daterange(since, until))
                            else '{{}}' end as due
             from ({_ITEMS}) i)
    select i.id, i.subscription_id, i.plan_code, i.since, i.until, i.always, count(*) over () as misfits
    from item i left join charged c on c.item_id = i.id
    where not coalesce(c.complete, true)
       or coalesce(c.length, 0) <> coalesce((select sum(upper(r) - lower(r)) from unnest(c.days) r), 0)
       or not coalesce(c.days, '{{}}') <@ i.due
       or (i.always and coalesce(c.days, '{{}}') <> i.due)
    order by i.subscription_id, i.id limit %s
"""


def items_charged(connection: PgConnection) -> tuple[int, int]:
    """(items with recurring prices, those among them whose plan charges in some phases only)."""
    row = connection.execute(
        f"with plan_terms as ({_PLAN}) select count(*), count(*) filter (where not always)"
        f" from ({_ITEMS}) i where sometimes".encode()
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def misfits(connection: PgConnection, limit: int) -> tuple[int, list[ItemCover]]:
    """How many items are not charged exactly once for each of their days, and the first `limit` with their spans."""
    rows = connection.execute(_MISFITS.encode(), (limit,)).fetchall()
    if not rows:
        return 0, []
    names = _names(connection, [str(row[1]) for row in rows])
    spans = _spans(connection, [str(row[0]) for row in rows])
    covers = [
        ItemCover(str(item), *names[str(subscription)], plan, since, until, always, spans.get(str(item), []))
        for item, subscription, plan, since, until, always, _ in rows
    ]
    return int(rows[0][-1]), covers


def _names(connection: PgConnection, subscriptions: Sequence[str]) -> dict[str, tuple[str, str]]:
    rows = connection.execute(
        "select s.id::text, coalesce(a.external_key, s.account_id::text), s.external_key from subscription s"
        " left join account a on a.id = s.account_id where s.id = any(%s::uuid[])",
        (id_array(subscriptions),),
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def _spans(connection: PgConnection, items: Sequence[str]) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = {}
    of_items = "l.item_id = any(%s::uuid[])"
    rows = connection.execute(
        f"""
        with slot as ({_SLOT})
        select n.item_id::text, n.starts, n.ends, coalesce(n.complete, false),
               (select string_agg(distinct coalesce(i.series || '-' || i.number, l.invoice_id::text), ', ')
                from invoice_line l left join invoice i on i.id = l.invoice_id
                where {of_items} and l.item_id = n.item_id and l.kind = 'recurring' and l.voided_at is null
                  and l.period_start is not distinct from n.starts and l.period_end is not distinct from n.ends)
        from ({_SPAN.format(condition=of_items)}) n order by n.item_id, n.starts, n.ends
        """.encode(),
        (id_array(items), id_array(items)),
    )
    for item, start, end, complete, invoices in rows:
        found.setdefault(item, []).append(Span(start, end, complete, invoices or "?"))
    return found
