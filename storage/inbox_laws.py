"""The law of webhooks as SQL: what is known of a vendor's objects is what its distinct deliveries told (I14)."""

from __future__ import annotations

from storage.books import Check

_OBJECT = "{connection}, {object_key} ({mode})"

# Purged deliveries are no longer there to be counted, so a fact may have seen more than the inbox holds.
INBOX_CHECKS: tuple[Check, ...] = (
    Check(
        "I14",
        """
        select e.mode, e.connection, d.object_key, count(*) as deliveries, coalesce(max(f.seen), 0) as seen
        from webhook_delivery d
        join inbound_endpoint e on e.id = d.endpoint_id
        left join vendor_fact f
          on (f.mode, f.connection, f.object_key) = (e.mode, e.connection, d.object_key)
        where d.effect in ('fact', 'superseded')
        group by e.mode, e.connection, d.object_key
        having count(*) > coalesce(max(f.seen), 0)
        order by e.mode, e.connection, d.object_key
        """,
        _OBJECT,
        "{deliveries} deliveries were applied, and {seen} are counted in what is known",
    ),
    Check(
        "I14",
        """
        select e.mode, e.connection, d.object_key, d.delivery_key
        from webhook_delivery d
        join inbound_endpoint e on e.id = d.endpoint_id
        join vendor_fact f on (f.mode, f.connection, f.object_key) = (e.mode, e.connection, d.object_key)
        where d.effect in ('fact', 'superseded') and (d.occurred_at, d.delivery_key) > (f.occurred_at, f.delivery_key)
        order by e.mode, e.connection, d.object_key
        """,
        _OBJECT,
        "delivery {delivery_key} tells of something later than what is known",
    ),
    Check(
        "I14",
        """
        select d.delivery_key, d.endpoint_id::text as endpoint
        from webhook_delivery d left join inbound_endpoint e on e.id = d.endpoint_id where e.id is null
        order by d.endpoint_id, d.delivery_key
        """,
        "delivery {delivery_key}",
        "came for the endpoint {endpoint}, which is not there",
    ),
)
