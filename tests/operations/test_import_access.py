"""What imported subscriptions give access to, written in the transaction that brings them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from bench.import_rows import HEADER
from domain.import_map import ImportMap
from domain.periods import start_of_day
from operations.catalog import load_catalog
from operations.imports.run import ImportRequest, import_file
from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import load_document
from storage.database import make_engine, transaction
from storage.entitlements import StoredGrant, list_grants
from tests.conftest import PostgresForTests

EXAMPLES = Path(__file__).parents[2] / "examples"
AS_OF = date(2026, 12, 1)
CATALOG = read_catalog_file(EXAMPLES / "catalog.yaml").catalog
MAP = load_document(EXAMPLES / "subscribers.map.yaml", ImportMap)
FEATURES = {(plan.code, v.version): set(v.features) for plan in CATALOG.plans for v in plan.versions}


@pytest.fixture
def engine(pg_server: PostgresForTests) -> Engine:
    url = pg_server.fresh_database("access")
    engine = make_engine(url)
    load_catalog(engine, CATALOG)
    return engine


def brought(engine: Engine, folder: Path, row: str, **request: object) -> tuple[str, list[StoredGrant]]:
    """Import one row; the account's id and its grants."""
    file = folder / "rows.csv"
    file.write_text(f"{HEADER}\n{row}\n")
    summary = import_file(engine, ImportRequest(file, MAP, AS_OF, **request))  # type: ignore[arg-type]
    assert summary.imported == 1, summary.first_rejections
    with transaction(engine) as connection:
        accounts = connection.execute("select id::text from account").fetchall()
        return (accounts[0][0], list_grants(connection, accounts[0][0])) if accounts else ("", [])


def test_all_who_are_served_on_the_day_may_read_what_their_plans_give(engine: Engine) -> None:
    import_file(engine, ImportRequest(EXAMPLES / "subscribers.csv", MAP, AS_OF))
    with transaction(engine) as connection:
        wanted: dict[str, set[str]] = {}
        for account, plan, version in connection.execute(
            "select s.account_id::text, i.plan_code, i.plan_version from subscription s"
            " join subscription_item i on i.subscription_id = s.id where s.status in ('active', 'trialing')"
        ):
            wanted.setdefault(account, set()).update(FEATURES[plan, version])
        found: dict[str, set[str]] = {}
        for account, subscriber, source, feature in connection.execute(
            "select g.account_id::text, g.subscriber, g.source_id::text, g.feature from entitlement_grant g"
            " join account a on a.id = g.account_id"
            " where g.starts_at <= timestamp '2026-12-01 12:00' at time zone a.time_zone"
            " and (g.ends_at is null or g.ends_at > timestamp '2026-12-01 12:00' at time zone a.time_zone)"
        ):
            assert subscriber == account
            assert source != account
            found.setdefault(account, set()).add(feature)
    assert len(found) > 450
    assert found == wanted


def test_a_grant_begins_and_ends_with_the_accounts_own_days(engine: Engine, tmp_path: Path) -> None:
    row = "k1,Reader,r@example.com,US,USD,Asia/Tokyo,en,JP,,digital-lite,1,2026-11-10,,2026-12-10,tok,,,,,,"
    account, (stored,) = brought(engine, tmp_path, row)
    grant = stored.grant
    assert (grant.subscriber, grant.feature, stored.version) == (account, "news", 1)
    assert grant.starts_at == start_of_day(date(2026, 11, 10), ZoneInfo("Asia/Tokyo"))
    assert grant.ends_at is None
    assert grant.allowance is not None
    assert (grant.allowance.count, grant.allowance.window.kind) == (30, "rolling")


def test_a_version_that_will_reach_the_subscriber_is_granted_from_its_renewal(
    engine: Engine, tmp_path: Path
) -> None:
    row = "k1,Reader,r@example.com,US,USD,UTC,en,,,digital-monthly,1,2026-11-10,,2026-12-10,tok,,,,,,"
    _, found = brought(engine, tmp_path, row)
    assert [(each.grant.feature, each.grant.starts_at.date()) for each in found] == [
        ("epaper", date(2027, 3, 10)),
        ("news", date(2026, 11, 10)),
    ]


def test_test_accounts_have_grants_of_their_mode_and_a_dry_run_writes_none(
    engine: Engine, tmp_path: Path
) -> None:
    row = "k1,Reader,r@example.com,US,USD,UTC,en,,,digital-student,1,2026-11-10,,2026-12-10,tok,,,,,,"
    assert brought(engine, tmp_path, row, dry_run=True) == ("", [])
    with transaction(engine) as connection:
        assert connection.execute("select from entitlement_grant").fetchall() == []
    brought(engine, tmp_path, row, mode="test")
    with transaction(engine) as connection:
        assert connection.execute("select mode, feature from entitlement_grant").fetchall() == [
            ("test", "news")
        ]
