"""What waits, as gauges: by hand on rows of each kind, and nothing of test mode."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import Engine

from operations.metrics.backlog import BACKLOG
from operations.metrics.questions import answered
from runtime.telemetry.hub_metrics import UP, HubMetrics
from storage.database import make_engine
from storage.events import START, move_cursor, read_batch
from tests.conftest import PostgresForTests
from tests.operations.metrics.arrears import Book, new_id

AGO = "now() - interval '1 hour'"
Gauges = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    """A database in which something of each kind waits, since an hour, in live and in test mode."""
    url = pg_server.fresh_database("backlog")
    with psycopg.connect(url) as connection:
        for mode in ("live", "test"):
            _fill(connection, mode)
        connection.execute(
            f"insert into write_hold (id, reason, since, began_at) values (%s, 'restored', now(), {AGO})".encode(),
            (new_id(),),
        )
        book = Book(connection)
        unknown = book.charge(book.invoice(100), 100, datetime.now(UTC).date(), status="unknown")
        connection.execute(f"update charge set created_at = {AGO} where id = %s".encode(), (unknown,))
        connection.execute(
            (
                "insert into mail (id, event_key, template, account_id, subject_id, version, next_at)"
                f" values (%s, 'a', 'receipt', %s, %s, 1, {AGO}),"
                " (%s, 'b', 'receipt', %s, %s, 1, now() + interval '1 day')"
            ).encode(),
            tuple(new_id() for _ in range(6)),
        )
    _readers(url)
    return url


def _fill(connection: psycopg.Connection, mode: str) -> None:
    def add(table: str, columns: str, *values: object) -> None:
        places = ", ".join(["%s"] * len(values))
        connection.execute(f"insert into {table} ({columns}) values ({places})".encode(), values)

    hour, three = "1 hour", "3 hours"
    for kind, error in (("bill-run", "tax_pending"), ("bill-run", "rejected"), ("call", "unknown")):
        add(
            "parked",
            "id, mode, kind, trace_key, error_kind, message, remedy",
            *(new_id(), mode, kind, f"{mode} {error}", error, "it failed", "repair it"),
        )
    connection.execute(f"update parked set opened_at = {AGO}".encode())
    for ended, status in ((None, "running"), (hour, "completed")):
        add(
            "bill_run",
            "id, mode, workflow_id, workflow_run_id, scope, target_date, preview, status",
            *(new_id(), mode, "w", new_id(), "all", "2026-11-29", False, status),
        )
        connection.execute(
            "update bill_run set started_at = now() - %s::interval, ended_at = now() - %s::interval"
            " where status = %s and mode = %s",
            (three, ended, status, mode),
        )
        if status == "running":
            add(
                "payment_run",
                "id, mode, workflow_id, workflow_run_id, scope, target_date, status",
                *(new_id(), mode, "w", new_id(), "all", "2026-11-29", status),
            )
    account, case = new_id(), "account_id, opened_at, opened_by, state, currency, amount, invoices"
    add(
        "account",
        "id, mode, external_key, currency, time_zone, locale",
        *(account, mode, account, "SEK", "Europe/Stockholm", "sv"),
    )
    opened = datetime.now(UTC)
    add("dunning_case", f"id, {case}", new_id(), account, opened, "sweep", "grace", "SEK", 900, 1)
    add(
        "dunning_case",
        f"id, {case}, closed_at, outcome",
        *(new_id(), account, opened, "sweep", "grace", "SEK", 100, 1, opened, "paid"),
    )
    payment = new_id()
    add(
        "payment",
        "id, mode, account_id, no, made_on, currency, amount, status",
        *(payment, mode, account, 1, "2026-11-29", "SEK", 100, "succeeded"),
    )
    add(
        "refund",
        "id, mode, account_id, payment_id, no, currency, amount, reason, status, parts",
        *(new_id(), mode, account, payment, 1, "SEK", 100, "asked for", "processing", "[]"),
    )
    add(
        "tax_document",
        "id, mode, invoice_id, account_id, connection, code, source, currency, total, tax_date, step, call_id",
        *(
            new_id(),
            mode,
            new_id(),
            new_id(),
            "taxes",
            mode,
            "engine",
            "USD",
            5,
            "2026-11-29",
            "commit",
            new_id(),
        ),
    )
    for status in ("sent", "unknown", "succeeded"):
        add(
            "connector_call",
            "id, connection, capability, method, key, mode, status",
            *(new_id(), "crm", "crm", "upsert", status, mode, status),
        )
    add(
        "connection",
        "name, connector, mode, enabled, config_fingerprint, needs_authorisation",
        *(f"crm-{mode}", "hubspot", mode, True, "", "refused"),
    )
    endpoint = new_id()
    add(
        "inbound_endpoint",
        "id, mode, connection, recipe, token_hash, secrets, public_url",
        *(endpoint, mode, "cards", "stripe", mode.encode(), [], ""),
    )
    for number, status in enumerate(("new", "new", "done")):
        add(
            "webhook_delivery",
            "endpoint_id, delivery_key, kind, object_key, occurred_at, headers, body, status",
            *(endpoint, str(number), "k", "o", "2026-11-29", "{}", b"", status),
        )
    told = new_id()
    add(
        "webhook_endpoint",
        "id, mode, url, kinds, secret, from_epoch, from_xid",
        told,
        mode,
        "u",
        [],
        b"",
        1,
        "1",
    )
    for number, wait in enumerate(("-1 hour", "1 hour")):
        connection.execute(
            "insert into webhook_message (id, endpoint_id, event_epoch, event_xid, event_id, event_at, kind,"
            " subject_id, event_version, next_attempt_at)"
            " values (%s, %s, 1, '1', %s, now(), 'k', %s, 1, now() + %s::interval)",
            (new_id(), told, number, new_id(), wait),
        )


def _readers(url: str) -> None:
    """Two readers: one has read the first of three events, the other all of them."""
    with psycopg.connect(url) as connection:
        for _ in range(3):
            connection.execute(
                f"insert into event_log (at, kind, subject_id, version) values ({AGO}, 'k', %s, 1)".encode(),
                (new_id(),),
            )
    with psycopg.connect(url) as connection:
        for name, limit in (("slow", 1), ("fast", 10)):
            assert move_cursor(connection, name, START, read_batch(connection, START, limit=limit).upto)


@pytest.fixture(scope="module")
def gauges(url: str) -> Gauges:
    """Every sample by its name and labels."""
    with psycopg.connect(url) as connection:
        return {(each.measure.name, each.labels): each.value for each in answered(connection, BACKLOG)}


HOUR = pytest.approx(3600, abs=120)
MOMENT = pytest.approx(0, abs=120)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("runs", ("bill", "running"), 1),
        ("runs", ("bill", "completed"), 1),
        ("run_open_seconds", ("bill",), pytest.approx(3 * 3600, abs=120)),
        ("run_last_seconds", ("bill",), pytest.approx(2 * 3600, abs=1)),
        ("runs", ("payment", "running"), 1),
        ("run_open_seconds", ("payment",), MOMENT),
        ("dunning_accounts", ("SEK", "grace"), 1),
        ("dunning_at_risk_amount", ("SEK", "grace"), 900),
        ("refunds_open", ("processing",), 1),
        ("refunds_oldest_seconds", ("processing",), MOMENT),
        ("write_hold_seconds", (), HOUR),
        ("parked", ("bill-run",), 2),
        ("parked", ("call",), 1),
        ("parked_oldest_seconds", ("call",), HOUR),
        ("tax_pending", (), 1),
        ("tax_documents_unsettled", ("taxes",), 1),
        ("charges_open", ("cards", "unknown"), 1),
        ("charges_oldest_seconds", ("cards", "unknown"), HOUR),
        ("connector_calls_unsettled", ("crm", "sent"), 1),
        ("connector_calls_unsettled", ("crm", "unknown"), 1),
        ("connection_needs_authorisation", ("crm-live",), 1),
        ("event_reader_lag_events", ("slow",), 2),
        ("event_reader_lag_seconds", ("slow",), HOUR),
        ("event_reader_lag_events", ("fast",), 0),
        ("event_reader_lag_seconds", ("fast",), 0),
        ("oldest_transaction_seconds", (), 0),
        ("webhooks_in_waiting", ("cards",), 2),
        ("webhooks_in_oldest_seconds", ("cards",), MOMENT),
        ("webhooks_out_waiting", (), 1),
        ("webhooks_out_oldest_seconds", (), HOUR),
        ("webhook_endpoints", ("enabled",), 1),
        ("mails_waiting", ("waiting",), 1),
        ("mails_oldest_seconds", ("waiting",), HOUR),
    ],
)
def test_what_waits_in_live_mode(gauges: Gauges, name: str, labels: tuple[str, ...], value: float) -> None:
    assert gauges[f"masthead_{name}", labels] == value


def test_nothing_else_is_told(gauges: Gauges) -> None:
    names = {measure.name for question in BACKLOG for measure in question.measures}
    assert {name for name, _ in gauges} == names
    assert not [labels for _, labels in gauges if any("test" in label for label in labels)]


def test_an_open_transaction_is_seen(url: str) -> None:
    with psycopg.connect(url) as writer, psycopg.connect(url) as connection:
        writer.execute("select pg_current_xact_id()")
        samples = {each.measure.name: each.value for each in answered(connection, BACKLOG)}
    assert samples["masthead_oldest_transaction_seconds"] > 0


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An engine on the database."""
    engine = make_engine(url)
    yield engine
    engine.dispose()


def _values(metrics: HubMetrics) -> dict[str, list[float]]:
    return {each.name: [sample.value for sample in each.samples] for each in metrics.collect()}


def test_the_rows_are_read_again_only_after_a_while(url: str, engine: Engine) -> None:
    kept, anew = HubMetrics(engine), HubMetrics(engine, backlog_seconds=0)
    assert _values(kept)["masthead_tax_pending"] == _values(anew)["masthead_tax_pending"] == [1]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update parked set resolved_at = now() where error_kind = 'tax_pending'")
        try:
            assert _values(kept)["masthead_tax_pending"] == [1]
            assert _values(anew)["masthead_tax_pending"] == [0]
        finally:
            connection.execute("update parked set resolved_at = null where error_kind = 'tax_pending'")


def test_without_a_database_only_that_is_told() -> None:
    away = make_engine("postgresql://nobody@127.0.0.1:1/nothing")
    told = _values(HubMetrics(away))
    away.dispose()
    assert told.pop(UP) == [0]
    assert len(told) > 30
    assert not any(told.values())
