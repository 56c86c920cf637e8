"""Imports on a real database: counts that add up, interruptions, repetitions, rejected rows, memory."""

from __future__ import annotations

import csv
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from bench.import_rows import HEADER, measured_apart, write_rows
from domain.import_map import ImportMap
from operations.catalog import load_catalog
from operations.imports import run
from operations.imports.job import ImportBusy
from operations.imports.run import ImportRequest, ImportSummary, MapMismatch, import_file
from operations.imports.source import SourceError
from runtime.catalog_source import read_catalog_file
from runtime.yaml_source import load_document
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "examples"
TELCO = (
    Path(os.environ.get("MASTHEAD_SHARED", CHECKOUT.parent / "shared")) / "data" / "telco-customer-churn.csv"
)
AS_OF = date(2026, 12, 1)
CATALOG = read_catalog_file(EXAMPLES / "catalog.yaml").catalog
MAP = load_document(EXAMPLES / "subscribers.map.yaml", ImportMap)
TABLES = (
    "account",
    "person",
    "subscription",
    "subscription_item",
    "subscription_discount",
    "entitlement_grant",
    "event_log",
)


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    url = pg_server.fresh_database("import")
    load_catalog(make_engine(url), CATALOG)
    return url


@pytest.fixture
def engine(url: str) -> Engine:
    return make_engine(url)


def counts(summary: ImportSummary) -> tuple[int, int, int, int]:
    assert summary.rows == summary.imported + summary.existing + summary.rejected
    return summary.rows, summary.imported, summary.existing, summary.rejected


def table_counts(engine: Engine) -> dict[str, int]:
    with transaction(engine) as connection:
        found = {}
        for table in TABLES:
            which = " where kind = 'subscription.imported'" if table == "event_log" else ""
            row = connection.execute(f"select count(*) from {table}{which}".encode()).fetchone()
            assert row is not None
            found[table] = row[0]
        return found


def rows_file(folder: Path, *rows: str, name: str = "rows.csv") -> Path:
    """Rows given as `key,plan,started`, in the columns of the example."""
    file = folder / name
    lines = [HEADER]
    for row in rows:
        key, plan, started = row.split(",")
        lines.append(
            f"{key},Reader,r@example.com,US,USD,Asia/Tokyo,en,JP,,{plan},1,{started},,2026-11-30,tok,,,,,,"
        )
    file.write_text("\n".join(lines) + "\n")
    return file


def test_the_example_is_imported_whole_and_once(engine: Engine) -> None:
    request = ImportRequest(EXAMPLES / "subscribers.csv", MAP, AS_OF)
    assert counts(import_file(engine, request)) == (500, 500, 0, 0)
    before = table_counts(engine)
    assert before["account"] == before["person"] == before["subscription"] == before["event_log"] == 500
    assert before["subscription_item"] > 500
    assert counts(import_file(engine, request)) == (500, 0, 500, 0)
    assert table_counts(engine) == before
    with transaction(engine) as connection:
        currencies = connection.execute("select distinct currency from account").fetchall()
        zones = connection.execute("select distinct time_zone from account").fetchall()
        days = {row[0] for row in connection.execute("select distinct anchor_day from subscription")}
        jobs = connection.execute(
            "select rows_done, existing, finished_at is null from import_job"
        ).fetchall()
    assert len(currencies) == 3
    assert len(zones) >= 8
    assert {15, 28, 29, 30, 31} <= days
    assert jobs == [(500, 500, False)]


@pytest.mark.skipif(not TELCO.exists(), reason=f"{TELCO} is not there; MASTHEAD_SHARED names its folder")
def test_the_public_file_is_all_active_and_due_on_the_day(engine: Engine) -> None:
    import_map = load_document(EXAMPLES / "telco.map.yaml", ImportMap)
    assert counts(import_file(engine, ImportRequest(TELCO, import_map, AS_OF))) == (7043, 7043, 0, 0)
    with transaction(engine) as connection:
        assert connection.execute(
            "select status, next_bill_on, interval_unit, interval_count, count(*) from subscription group by 1, 2, 3, 4"
        ).fetchall() == [("active", AS_OF, "month", 1, 7043)]
        assert connection.execute("select sum(price_override) from subscription_item").fetchone() == (
            45611660,
        )
        assert dict(
            connection.execute("select plan_code, count(*) from subscription_item group by 1").fetchall()
        ) == {
            "flex-monthly": 3875, "flex-one-year": 1473, "flex-two-year": 1695,
            "streaming-tv": 2707, "streaming-movies": 2732,
        }  # fmt: skip
        assert connection.execute(
            "select count(*), count(tax_region), count(distinct payment_method) from account"
        ).fetchone() == (7043, 0, 4)


def test_rejected_rows_go_to_a_file_of_their_own_and_leave_nothing_behind(
    engine: Engine, tmp_path: Path
) -> None:
    file = rows_file(
        tmp_path, "A,digital-monthly,2026-01-15", "B,gold,2026-01-15", "C,digital-monthly,2027-01-15",
        "A,digital-monthly,2026-02-15", "D,digital-monthly,2026-01-15",
    )  # fmt: skip
    summary = import_file(engine, ImportRequest(file, MAP, AS_OF))
    assert counts(summary) == (5, 2, 0, 3)
    assert summary.rejected_file == tmp_path / "rows.rejected.csv"
    assert stat.S_IMODE(summary.rejected_file.stat().st_mode) == 0o600
    with summary.rejected_file.open(newline="") as stream:
        rejected = list(csv.DictReader(stream))
    assert [row["key"] for row in rejected] == ["B", "C", "A"]
    reasons = [row["rejected_because"] for row in rejected]
    assert "no plan 'gold'" in reasons[0]
    assert "lies after the as-of date" in reasons[1]
    assert "first at row 2" in reasons[2]
    assert [line for _row, line, _reason in summary.first_rejections] == [3, 4, 5]
    found = table_counts(engine)
    several = ("subscription_discount", "entitlement_grant")
    assert {found[table] for table in TABLES if table not in several} == {2}
    assert found["entitlement_grant"] == 4  # two features each
    # Mended where they stand, they come in with the same map; the reason column is in nobody's way.
    summary.rejected_file.write_text(
        summary.rejected_file.read_text()
        .replace("gold", "digital-monthly")
        .replace("2027-01-15", "2026-03-31")
    )
    again = import_file(engine, ImportRequest(summary.rejected_file, MAP, AS_OF))
    assert counts(again) == (3, 2, 1, 0)
    assert again.rejected_file is None
    # The old file again: what is in exists, what was wrong is wrong still, the duplicate still a duplicate.
    assert counts(import_file(engine, ImportRequest(file, MAP, AS_OF))) == (5, 0, 2, 3)


def test_no_file_is_written_when_no_row_is_rejected(engine: Engine, tmp_path: Path) -> None:
    file = rows_file(tmp_path, "A,digital-monthly,2026-01-15")
    assert import_file(engine, ImportRequest(file, MAP, AS_OF)).rejected_file is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv"]


def test_a_duplicate_is_found_across_batches(engine: Engine, tmp_path: Path) -> None:
    file = rows_file(tmp_path, *[f"K{no},digital-monthly,2026-01-15" for no in (1, 2, 3, 4, 5, 1)])
    for dry_run in (True, False):
        summary = import_file(engine, ImportRequest(file, MAP, AS_OF, dry_run=dry_run, batch_rows=2))
        assert counts(summary) == (6, 5, 0, 1)
        assert "first at row 2" in summary.first_rejections[0][2]


def test_a_dry_run_counts_the_same_and_writes_nothing(engine: Engine, tmp_path: Path) -> None:
    import_file(engine, ImportRequest(rows_file(tmp_path, "A,digital-monthly,2026-01-15"), MAP, AS_OF))
    before = table_counts(engine)
    file = rows_file(
        tmp_path, "A,digital-monthly,2026-01-15", "B,print-yearly,2026-01-15", "C,x,2026-01-15", name="n.csv"
    )
    summary = import_file(engine, ImportRequest(file, MAP, AS_OF, dry_run=True))
    assert counts(summary) == (3, 1, 1, 1)
    assert summary.rejected_file is None
    assert table_counts(engine) == before
    assert not (tmp_path / "n.rejected.csv").exists()
    with transaction(engine) as connection:
        assert connection.execute("select count(*) from import_job").fetchone() == (1,)


def test_an_import_killed_between_batches_goes_on_at_the_next(
    url: str, engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "many.csv"
    write_rows(file, 2_000)
    program = (
        "import os, signal, sys, time\nfrom pathlib import Path\n"
        "from tests.operations.test_import import AS_OF, MAP\n"
        "from operations.imports.run import ImportRequest, import_file\nfrom storage.database import make_engine\n"
        "def progress(done, total):\n"
        "    if done >= 1000:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "request = ImportRequest(Path(sys.argv[2]), MAP, AS_OF, batch_rows=200)\n"
        "import_file(make_engine(sys.argv[1]), request, progress)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, url, str(file)], cwd=CHECKOUT, check=False)
    assert killed.returncode == -signal.SIGKILL
    done = table_counts(engine)["account"]
    assert 1_000 <= done < 2_000
    summary = import_file(engine, ImportRequest(file, MAP, AS_OF, batch_rows=200))
    assert counts(summary) == (2_000, 2_000, 0, 0)
    assert summary.resumed_after == done
    assert table_counts(engine)["event_log"] == 2_000


def test_a_resumed_import_reports_the_rows_that_were_rejected_before(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = rows_file(
        tmp_path, *[f"K{no},{'gold' if no in (1, 6) else 'print-yearly'},2026-01-15" for no in range(8)]
    )
    request = ImportRequest(file, MAP, AS_OF, batch_rows=2)

    def stop(done: int, _total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(engine, request, stop)
    summary = import_file(engine, request)
    assert counts(summary) == (8, 6, 0, 2)
    assert summary.rejected_file is not None
    assert [row["key"] for row in csv.DictReader(summary.rejected_file.open())] == ["K1", "K6"]


def test_the_same_import_twice_at_once_is_refused(engine: Engine, tmp_path: Path) -> None:
    file = rows_file(tmp_path, *[f"K{no},print-yearly,2026-01-15" for no in range(6)])
    request = ImportRequest(file, MAP, AS_OF, batch_rows=2)
    seen: list[int] = []

    def interfere(done: int, _total: int) -> None:
        seen.append(done)
        if done == 2 and len(seen) == 2:
            import_file(engine, request)

    with pytest.raises(ImportBusy):
        import_file(engine, request, interfere)
    assert table_counts(engine)["account"] == 6


def test_a_key_taken_in_the_meantime_is_no_failure(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rows_file(tmp_path, "A,print-yearly,2026-01-15", "B,print-yearly,2026-01-15")
    other = rows_file(tmp_path, "B,print-yearly,2026-01-15", name="other.csv")
    looked: list[int] = []
    post = run.post_batch

    def post_late(*arguments: object, **named: object) -> object:
        if not looked:
            looked.append(1)
            monkeypatch.setattr(run, "post_batch", post)
            import_file(engine, ImportRequest(other, MAP, AS_OF))
            raise psycopg.errors.UniqueViolation("somebody was faster")
        raise AssertionError

    monkeypatch.setattr(run, "post_batch", post_late)
    assert counts(import_file(engine, ImportRequest(first, MAP, AS_OF))) == (2, 1, 1, 0)


SEPARATE = """\
format: masthead.import-map/1
file: {delimiter: ";", encoding: cp1252}
account: {key: {column: customer}, name: {column: name}, currency: {column: money}, time_zone: {value: Europe/Paris}}
subscription: {key: {column: contract}, start: {value: 2026-01-15}}
items: [{plan: {column: plan}}]
"""


def test_several_rows_of_one_account_with_keys_of_their_own(engine: Engine, tmp_path: Path) -> None:
    map_file, file = tmp_path / "map.yaml", tmp_path / "contracts.csv"
    map_file.write_text(SEPARATE)
    import_map = load_document(map_file, ImportMap)
    file.write_bytes(
        "customer;contract;name;money;plan\n"
        "C1;S1;Zoë;EUR;digital-monthly\nC1;S2;Zoë;EUR;print-yearly\nC1;S1;Zoë;EUR;print-weekend\n"
        "C2;S2;Max;EUR;print-weekend\nC1;S3;Zoë;USD;print-weekend\nC2;S4;Max;EUR;print-weekend\n".encode(
            "cp1252"
        )
    )
    summary = import_file(engine, ImportRequest(file, import_map, AS_OF, batch_rows=2))
    assert counts(summary) == (6, 3, 0, 3)
    reasons = [reason for _row, _line, reason in summary.first_rejections]
    assert "duplicate subscription key" in reasons[0]
    assert "taken by a subscription of another account" in reasons[1]
    assert "billed in EUR, and this row says USD" in reasons[2]
    with transaction(engine) as connection:
        assert connection.execute(
            "select a.external_key, p.name, array_agg(s.external_key order by s.external_key) from account a"
            " join person p on p.account_id = a.id join subscription s on s.account_id = a.id group by 1, 2 order by 1"
        ).fetchall() == [("C1", "Zoë", ["S1", "S2"]), ("C2", "Max", ["S4"])]
    assert "Zoë" in (tmp_path / "contracts.rejected.csv").read_text(encoding="cp1252")


def test_what_only_the_database_refuses_is_one_rejected_row(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(engine) as connection:
        connection.execute("alter table account add constraint no_k3 check (external_key <> 'K3')")
    file = rows_file(tmp_path, *[f"K{no},print-yearly,2026-01-15" for no in range(8)])
    summary = import_file(engine, ImportRequest(file, MAP, AS_OF))
    assert counts(summary) == (8, 7, 0, 1)
    assert "the database refuses the row (no_k3)" in summary.first_rejections[0][2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (HEADER.encode() + b"\n", "no rows"),
        (b"key,key\n1,2\n", ":1: the column 'key' stands twice"),
        (b'key,name\n1,"open\n2,b\n', ":2: a quote .* never closed"),
        (b"key,name\n1,caf\xe9\n", "is not utf-8 text"),
        (b"key,name\n1,a\0b\n", "zero bytes"),
    ],
)
def test_a_file_that_cannot_be_read_writes_nothing(
    engine: Engine, tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(content)
    with pytest.raises(SourceError, match=words.replace("(", r"\(")):
        import_file(engine, ImportRequest(file, MAP, AS_OF))
    assert set(table_counts(engine).values()) == {0}


def test_a_map_that_does_not_fit_writes_nothing(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "short.csv"
    file.write_text("key,name\n1,Reader\n")
    with pytest.raises(MapMismatch) as caught:
        import_file(engine, ImportRequest(file, MAP, AS_OF))
    assert "the file has no column 'email'; it has: key, name" in str(caught.value)
    assert set(table_counts(engine).values()) == {0}


def _at_most_300_mb(url: str, tmp_path: Path, rows: int) -> dict[str, object]:
    file = tmp_path / "many.csv"
    write_rows(file, rows)
    answer = measured_apart(file, url)
    assert (answer["imported"], answer["rejected"]) == (rows, 0)
    assert isinstance(answer["peak_rss_mb"], float)
    assert answer["peak_rss_mb"] < 300, json.dumps(answer)
    return answer


@pytest.mark.deep
def test_fifty_thousand_rows_take_little_memory(url: str, tmp_path: Path) -> None:
    _at_most_300_mb(url, tmp_path, 50_000)


@pytest.mark.deep
@pytest.mark.timeout(1_800)
def test_a_million_rows_take_little_memory(
    url: str, tmp_path: Path, record_property: Callable[..., None]
) -> None:
    record_property("import", _at_most_300_mb(url, tmp_path, 1_000_000))


def test_text_arrives_as_it_stands_in_the_file(engine: Engine, tmp_path: Path) -> None:
    keys = ["\\N", "\\.", "a\\tb", "O'Hara", "{x}", "%s", "読者"]
    file = rows_file(tmp_path, *[f"{key},print-yearly,2026-01-15" for key in keys])
    assert counts(import_file(engine, ImportRequest(file, MAP, AS_OF))) == (7, 7, 0, 0)
    with transaction(engine) as connection:
        found = {row[0] for row in connection.execute("select external_key from account")}
    assert found == set(keys)
    assert counts(import_file(engine, ImportRequest(file, MAP, AS_OF))) == (7, 0, 7, 0)


def test_a_card_number_that_was_refused_is_kept_nowhere(engine: Engine, tmp_path: Path) -> None:
    import_map = load_document(EXAMPLES / "subscribers.map.yaml", ImportMap)
    header, first, *_ = (EXAMPLES / "subscribers.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), first.split(","), strict=True)) | {
        "payment_method": "4111 1111 1111 1111"
    }
    file = tmp_path / "cards.csv"
    file.write_text(f"{header}\n{','.join(cells.values())}\n")
    summary = import_file(engine, ImportRequest(file, import_map, AS_OF))
    assert counts(summary) == (1, 0, 0, 1)
    assert summary.rejected_file is not None
    with transaction(engine) as connection:
        kept = str(connection.execute("select reason, cells from import_rejection").fetchall())
    for text in (kept, summary.rejected_file.read_text()):
        assert "4111 1111" not in text
        assert "************1111" in text


def test_test_accounts_are_apart_from_live_ones(engine: Engine, tmp_path: Path) -> None:
    file = rows_file(tmp_path, "A,digital-monthly,2026-01-15")
    assert counts(import_file(engine, ImportRequest(file, MAP, AS_OF))) == (1, 1, 0, 0)
    assert counts(import_file(engine, ImportRequest(file, MAP, AS_OF, mode="test"))) == (1, 1, 0, 0)
    assert counts(import_file(engine, ImportRequest(file, MAP, AS_OF, mode="test"))) == (1, 0, 1, 0)
    with transaction(engine) as connection:
        found = connection.execute("select mode, external_key from account order by mode").fetchall()
        of = connection.execute(
            "select a.mode, s.mode from subscription s join account a on a.id = s.account_id order by 1"
        ).fetchall()
    assert found == [("live", "A"), ("test", "A")]
    assert of == [("live", "live"), ("test", "test")]
