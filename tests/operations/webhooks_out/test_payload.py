"""What messages of access say: the grant as it stands, and only ids once it is gone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import psycopg
import uuid_utils

from domain.catalog import FeatureAllowance
from domain.entitlements import Because, Grant, SourceKind
from operations.webhooks_out.payload import bodies
from storage.entitlements import put_grants
from storage.events import NewEvent
from storage.webhook_messages import DueMessage
from tests.conftest import PostgresForTests

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def told(connection: psycopg.Connection[Any], event: NewEvent) -> dict[str, Any]:
    message = DueMessage("m", NOW, event.kind, event.account_id, event.subject_id, event.version, 0, 0)
    (body,) = bodies(connection, [message])
    return dict(json.loads(body)["data"])


def test_a_message_of_access_has_the_grant_as_it_stands(pg_server: PostgresForTests) -> None:
    account = str(uuid_utils.uuid7())
    end = datetime(2026, 4, 1, tzinfo=UTC)
    grant = Grant(
        "reader", "news", SourceKind.GIFT, account, NOW, end, FeatureAllowance(count=5), Because.ENDED
    )
    with psycopg.connect(pg_server.fresh_database("payload")) as connection:
        (granted,) = put_grants(connection, account, "live", [grant], now=NOW)
        assert told(connection, granted) == {
            "id": granted.subject_id,
            "account_id": account,
            "subscriber": "reader",
            "feature": "news",
            "source_kind": "gift",
            "source_id": account,
            "starts_at": "2026-03-01T12:00:00+00:00",
            "ends_at": "2026-04-01T00:00:00+00:00",
            "because": "ended",
            "allowance_count": 5,
            "allowance_period": "calendar_month",
            "version": 1,
            "event_version": 1,
        }
        (revoked,) = put_grants(connection, account, "live", [], now=NOW)
        assert told(connection, revoked) == {
            "id": granted.subject_id,
            "account_id": account,
            "event_version": 2,
        }
