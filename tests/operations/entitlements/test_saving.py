"""Grants in their table: put as a whole, with the events of what changed and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import psycopg
import pytest
import uuid_utils

from domain.entitlements import AccessFacts, Grant, SourceKind, Span, Subscribed, grants_of
from domain.policy import AccessPolicy
from domain.subscriptions import State
from operations.entitlements.saving import save_grants
from storage.database import PgConnection
from storage.entitlements import list_grants, put_grants
from storage.events import NewEvent
from tests.conftest import PostgresForTests
from tests.domain.entitled import NEW_YORK, ORDINARY, PLANS, item, terms

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
JAN, FEB, APR = date(2026, 1, 1), date(2026, 2, 1), date(2026, 4, 1)


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("grants")


@pytest.fixture
def connection(url: str) -> Iterator[PgConnection]:
    with psycopg.connect(url) as connection:
        yield connection


@pytest.fixture
def account() -> str:
    return str(uuid_utils.uuid7())


def facts(account: str, plan: str, **more: object) -> AccessFacts:
    held = terms(item(plan, JAN))
    held.id = account  # as good an id as any
    for name, value in more.items():
        setattr(held, name, value)
    return AccessFacts(account, NEW_YORK, (Subscribed(held),))


def save(
    connection: PgConnection, account: str, given: AccessFacts, policy: AccessPolicy = ORDINARY
) -> list[str]:
    events = save_grants(connection, account, "live", given, PLANS, policy, now=NOW)
    found = list_grants(connection, account)
    assert [stored.grant for stored in found] == grants_of(given, PLANS, policy)
    return sorted(event.kind for event in events)


def logged(connection: PgConnection, account: str) -> list[tuple[str, str, int]]:
    return connection.execute(
        "select kind, subject_id::text, version from event_log where account_id = %s order by id", (account,)
    ).fetchall()


def test_the_same_again_writes_nothing(connection: PgConnection, account: str) -> None:
    assert save(connection, account, facts(account, "plus")) == ["entitlement.granted"] * 2
    before = connection.execute(
        "select ctid, xmin, * from entitlement_grant where account_id = %s", (account,)
    ).fetchall()
    connection.commit()
    assert save(connection, account, facts(account, "plus")) == []
    after = connection.execute(
        "select ctid, xmin, * from entitlement_grant where account_id = %s", (account,)
    ).fetchall()
    assert after == before
    assert len(logged(connection, account)) == 2


def test_what_differs_is_changed_and_the_rest_stays(connection: PgConnection, account: str) -> None:
    save(connection, account, facts(account, "plus"))
    assert save(connection, account, facts(account, "lite")) == ["entitlement.changed", "entitlement.revoked"]
    (left,) = list_grants(connection, account)
    assert (left.version, left.grant.allowance and left.grant.allowance.count) == (2, 5)


def test_an_end_ahead_is_a_change_and_one_that_has_come_is_a_revocation(
    connection: PgConnection, account: str
) -> None:
    save(connection, account, facts(account, "digital"))
    assert save(connection, account, facts(account, "digital", ends_on=APR)) == ["entitlement.changed"]
    assert save(connection, account, facts(account, "digital", ends_on=FEB, status=State.CANCELED)) == [
        "entitlement.revoked"
    ]
    # It is over; that it was over earlier is no second revocation.
    earlier = date(2026, 1, 20)
    assert save(connection, account, facts(account, "digital", ends_on=earlier, status=State.CANCELED)) == [
        "entitlement.changed"
    ]
    (stored,) = list_grants(connection, account)
    assert logged(connection, account) == [
        ("entitlement.granted", stored.id, 1),
        ("entitlement.changed", stored.id, 2),
        ("entitlement.revoked", stored.id, 3),
        ("entitlement.changed", stored.id, 4),
    ]


def test_access_that_comes_back_is_a_grant_of_its_own(connection: PgConnection, account: str) -> None:
    paused = terms(item("digital", JAN), status=State.PAUSED)
    paused.id = account
    save(connection, account, AccessFacts(account, NEW_YORK, (Subscribed(paused, (Span(FEB, None),)),)))
    assert save(
        connection, account, AccessFacts(account, NEW_YORK, (Subscribed(paused, (Span(FEB, APR),)),))
    ) == ["entitlement.granted"]
    assert [stored.version for stored in list_grants(connection, account)] == [1, 1]


def test_events_and_rows_are_one_transaction(url: str, account: str) -> None:
    with psycopg.connect(url) as connection:
        save(connection, account, facts(account, "plus"))
        connection.rollback()
        assert list_grants(connection, account) == []
        assert logged(connection, account) == []


def test_the_database_takes_no_grant_twice_and_none_that_ends_before_it_begins(
    connection: PgConnection, account: str
) -> None:
    grant = Grant(account, "news", SourceKind.SUBSCRIPTION, account, NOW, None)
    events = put_grants(connection, account, "live", [grant], now=NOW)
    assert events == [NewEvent("entitlement.granted", account, events[0].subject_id, 1)]
    with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
        put_grants(connection, str(uuid_utils.uuid7()), "live", [grant], now=NOW)
    backwards = Grant(account, "tv", SourceKind.SUBSCRIPTION, account, NOW, NOW)
    with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
        put_grants(connection, account, "live", [grant, backwards], now=NOW)
    visitor = Grant("visitor:x", "tv", SourceKind.SUBSCRIPTION, account, NOW, None)
    with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
        put_grants(connection, account, "live", [grant, visitor], now=NOW)
