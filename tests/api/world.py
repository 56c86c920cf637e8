"""A small world to call the API in: two readers in live mode and one in test mode, each with a metered subscription, a
discount and a posted invoice; and keys that see all of it, one account, or one mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import psycopg
from fastapi.testclient import TestClient
from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from api.app import create_app
from api.security import hash_key
from contracts.scopes import SCOPES
from domain.catalog import Catalog
from domain.subscriptions import open_subscription
from operations.catalog import load_catalog
from runtime.settings import Settings
from storage.database import make_engine
from storage.dunning import insert_case
from storage.events import NewEvent, append_events
from tests.api.served import NOWHERE
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.operations.billed import bill

STARTED, BILLED = date(2026, 1, 1), date(2026, 3, 1)
_PRICES: list[dict[str, Any]] = [
    {"code": "base", "type": "recurring", "amounts": {"EUR": "11.00", "USD": "12.90"}},
    {
        "code": "reading",
        "type": "usage",
        "model": "per_unit",
        "meter": "articles",
        "allowance": "2",
        "amounts": {"EUR": "0.25", "USD": "0.25"},
    },
]
CATALOG = Catalog.model_validate(
    {
        "format": "masthead.catalog/1",
        "publisher": "The Test Post",
        "currencies": ["EUR", "USD"],
        "features": [{"code": "archive", "name": "The archive"}],
        "meters": [
            {"code": "articles", "name": "Articles", "unit": "article"},
            {"code": "tips", "name": "Tips", "unit": "cent"},
        ],
        "products": [{"code": "digital", "name": "Digital", "tax_category": "digital-news"}],
        "plans": [
            {
                "code": "reader",
                "name": "Reader",
                "product": "digital",
                "versions": [
                    {
                        "version": number,
                        "effective": effective,
                        "interval": {"unit": "month"},
                        "features": ["archive"],
                        "phases": [
                            {"kind": "intro", "periods": 1, "percent": "50"},
                            {"kind": "evergreen", "prices": _PRICES},
                        ],
                    }
                    for number, effective in ((1, "2020-01-01"), (2, "2099-01-01"))
                ],
            }
        ],
        "tax_rates": [
            {
                "region": "US-XX",
                "category": "digital-news",
                "jurisdiction": "State of Test",
                "rate": "0.0825",
                "effective": "2020-01-01",
            }
        ],
    }
)


class Reader(NamedTuple):
    """An account of the world, and what it has."""

    account: str
    key: str
    subscription: str
    item: str
    invoice: str
    credit_note: str
    checkout: str
    payment: str = ""
    refund: str = ""
    dispute: str = ""


class World(NamedTuple):
    """The database with its readers. Keys: mh_operator (everything), mh_mine and mh_theirs (one account each, all
    that such keys may do), mh_live and mh_test (everything in one mode)."""

    url: str
    mine: Reader
    theirs: Reader
    test: Reader


def build_world(server: PostgresForTests, name: str) -> World:
    """Make the world in a fresh database."""
    url = server.fresh_database(name)
    engine = make_engine(url)
    load_catalog(engine, CATALOG)
    with psycopg.connect(url) as connection:
        readers = [_reader(connection, key, mode) for key, mode in READERS]
    for mode in ("live", "test"):
        bill(engine, BILLED, mode=mode)
    engine.dispose()
    with psycopg.connect(url) as connection:
        for no, reader in enumerate(readers):
            row = connection.execute(
                "select id::text from invoice where account_id = %s", (reader.account,)
            ).fetchone()
            assert row is not None
            note = _credit_note(connection, reader.account, READERS[no][1], row[0])
            money = _money_back(connection, reader.account, READERS[no][1])
            readers[no] = reader._replace(invoice=row[0], credit_note=note, **money)
            if READERS[no][1] == "live":
                insert_case(
                    connection, reader.account, "sweep", "current", "EUR", datetime(2026, 4, 1, tzinfo=UTC)
                )
        mine, theirs, test = readers
        bound = [name for name, scope in SCOPES.items() if scope.for_accounts]
        add_key(connection, "operator", ["*"])
        add_key(connection, "live", ["*"], mode="live")
        add_key(connection, "test", ["*"], mode="test")
        add_key(connection, "mine", bound, account=mine.account)
        add_key(connection, "theirs", bound, account=theirs.account)
    return World(url, mine, theirs, test)


READERS = (("mine", "live"), ("theirs", "live"), ("tested", "test"))


def add_key(
    connection: psycopg.Connection[Any],
    name: str,
    scopes: list[str],
    *,
    mode: str | None = None,
    account: str | None = None,
) -> str:
    """A key whose secret is mh_ and `name`; answers its id."""
    key_id = str(uuid7())
    connection.execute(
        "insert into api_key (id, name, key_hash, scopes, mode, account_id) values (%s, %s, %s, %s, %s, %s)",
        (key_id, name, hash_key(f"mh_{name}"), scopes, mode, account),
    )
    return key_id


def with_key(name: str) -> dict[str, str]:
    """The header that sends the key of that name."""
    return {"Authorization": f"Bearer mh_{name}"}


def settings_for(url: str, home: Path, temporal: str = NOWHERE, **settings: str) -> Settings:
    """Settings of an API over the world; without `temporal` that is away all the time."""
    return Settings(
        MASTHEAD_HOME=home,
        DATABASE_URL=url,
        TEMPORAL_ADDRESS=temporal,
        TEMPORAL_NAMESPACE=NAMESPACE,
        **settings,
    )


@contextmanager
def calling(world: World, home: Path, **settings: str) -> Iterator[TestClient]:
    """A client of the API over the world, with the operator's key."""
    app = create_app(settings_for(world.url, home, **settings))
    with TestClient(app, headers=with_key("operator")) as client:
        yield client


def _reader(connection: psycopg.Connection[Any], key: str, mode: str) -> Reader:
    account, subscription, item = (str(uuid7()) for _ in range(3))
    zone = "America/New_York"
    opening = open_subscription(
        CATALOG.plans[0].versions[0],
        starts_on=STARTED,
        as_of=STARTED,
        charged_through=None,
        bill_cycle_day=None,
        ends_on=None,
        zone=ZoneInfo(zone),
    )
    connection.execute(
        "insert into account (id, mode, external_key, currency, time_zone, locale, tax_region)"
        " values (%s, %s, %s, 'USD', %s, 'en-US', 'US-XX')",
        (account, mode, key, zone),
    )
    connection.execute(
        "insert into person (account_id, name, email, address) values (%s, %s, %s, %s)",
        (account, f"Reader {key}", f"{key}@example.com", Jsonb({"city": "Springfield", "country": "US"})),
    )
    connection.execute(
        "insert into subscription (id, mode, account_id, external_key, status, starts_on, anchor_on, anchor_day,"
        " interval_unit, interval_count, opening_on, charged_through, arrears_through, next_bill_on)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            *(subscription, mode, account, key, opening.status, opening.starts_on, opening.anchor_on),
            *(opening.anchor_day, opening.interval_unit, opening.interval_count, opening.opening_on),
            *(opening.charged_through, opening.arrears_through, opening.next_bill_on),
        ),
    )
    connection.execute(
        "insert into subscription_item (id, subscription_id, plan_code, plan_version, starts_on)"
        " values (%s, %s, 'reader', 1, %s)",
        (item, subscription, STARTED),
    )
    connection.execute(
        "insert into subscription_discount (id, subscription_id, code, percent, starts_on)"
        " values (%s, %s, 'FRIENDS', 10, %s)",
        (str(uuid7()), subscription, STARTED),
    )
    append_events(connection, [NewEvent("subscription.imported", account, subscription, 1)])
    checkout = str(uuid7())
    connection.execute(
        "insert into checkout (id, mode, key, fingerprint, status, account_id, opens_account, cart, as_of,"
        " ended_at) values (%s, %s, %s, '', 'completed', %s, false, '[]', now(), now())",
        (checkout, mode, f"of {key}", account),
    )
    return Reader(account, key, subscription, item, "", "", checkout)


def _credit_note(connection: psycopg.Connection[Any], account: str, mode: str, invoice: str) -> str:
    """A credit note over one dollar, free of tax, on the first line of the invoice."""
    note = str(uuid7())
    connection.execute(
        "insert into credit_note (id, mode, account_id, invoice_id, series, number, currency, issued_on, reason,"
        " subtotal, tax, total) select %s, %s, %s, %s, 'OLD', coalesce(max(number), 0) + 1, 'USD', %s, 'goodwill',"
        " -100, 0, -100 from credit_note",
        (note, mode, account, invoice, BILLED),
    )
    connection.execute(
        "insert into credit_line (account_id, no, credit_note_id, invoice_id, line_no, kind, net, taxes)"
        " select %s, 1, %s, %s, min(no), 'adjustment', -100, '[]' from invoice_line where invoice_id = %s",
        (account, note, invoice, invoice),
    )
    return note


def _money_back(connection: psycopg.Connection[Any], account: str, mode: str) -> dict[str, str]:
    """A payment of five dollars, one of them once to be refunded, and a dispute of it."""
    made = {name: str(uuid7()) for name in ("payment", "refund", "dispute")}
    connection.execute(
        "insert into payment (id, mode, account_id, no, made_on, currency, amount, status, refunded)"
        " values (%s, %s, %s, 1, %s, 'USD', 500, 'succeeded', 0)",
        (made["payment"], mode, account, BILLED),
    )
    connection.execute("update account set known_whole = true where id = %s", (account,))
    connection.execute(
        "insert into refund (id, mode, account_id, payment_id, no, currency, amount, reason, status, promise,"
        " parts, ended_at) values (%s, %s, %s, %s, 1, 'USD', 100, 'late delivery', 'failed', 'credited', '[]', now())",
        (made["refund"], mode, account, made["payment"]),
    )
    connection.execute(
        "insert into dispute (id, mode, connection, gateway_id, gateway_payment, reference, account_id, payment_id,"
        " currency, amount, stage, status) values (%s, %s, 'cards', %s, 'pi', '', %s, %s, 'USD', 500, 'announced',"
        " 'open')",
        (made["dispute"], mode, f"dp_{account}", account, made["payment"]),
    )
    return made
