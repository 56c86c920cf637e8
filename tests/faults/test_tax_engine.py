"""A bill run whose tax an engine gives: quoted before it is posted, recorded once afterwards, through outages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from temporalio.client import WorkflowFailureError

from activities import tax_quotes
from api.security import hash_key
from contracts.bill_run import RunStatus
from contracts.parked import Action
from domain.account import commands as verbs
from operations.accounts.commands import AccountCommands
from operations.parked.decide import Decision, decide
from runtime import taxing
from storage.database import make_engine
from tests.api.served import client_for
from tests.faults.books import check_books, rows, value
from tests.faults.conftest import Fleets, Runs, Workers, died_by_sigkill, until
from tests.faults.fleet import DUE, GROUP, owing, selected
from tests.faults.taxed import PENDING, QUOTES, RECORDS, Taxed, engine
from workflows.call_starts import tell

INVOICES = owing(GROUP * 2)


@pytest.fixture
def taxed(
    fleets: Fleets, workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Taxed]:
    monkeypatch.setenv("AVATAX_KEY", "sandbox-licence")
    # What catches up by itself does so after moments, where the worker is in this process.
    monkeypatch.setattr(tax_quotes, "LEFT_ALONE_SECONDS", 0.5)
    monkeypatch.setattr(taxing, "PENDING_EVERY_SECONDS", 0.5)
    monkeypatch.setattr(taxing, "START_AGAIN_SECONDS", 0.5)
    with engine() as stand_in:
        yield Taxed(fleets, workers, tmp_path, stand_in)


async def test_quoted_then_posted_then_recorded(taxed: Taxed, runs: Runs) -> None:
    async with taxed.working(runs.client):
        result = await runs.result(await runs.start())
        assert (result.status, result.invoices, result.parked) == (RunStatus.COMPLETED, INVOICES, 0)
        await taxed.until_committed(INVOICES)
        taxed.check_recorded_once()
        check_books(taxed.url, invoices=INVOICES)
        # Texas where the address says so, though the tax region is New York.
        lines = rows(
            taxed.url,
            "select distinct l.reference from invoice_line l join invoice i on i.id = l.invoice_id join account a"
            " on a.id = i.account_id where l.kind = 'tax' and a.external_key like '%%3' order by 1",
        )
        assert [each for (each,) in lines] == ["AUSTIN", "AUSTIN TRANSIT", "TX"]
        assert (
            value(taxed.url, "select count(distinct invoice_id) from invoice_line where kind = 'tax'")
            == INVOICES
        )


async def test_an_account_that_is_billed_whole_is_taxed_by_the_engine_too(taxed: Taxed, runs: Runs) -> None:
    due = "select a.id::text, a.currency from account a join subscription s on s.account_id = a.id"
    account, currency = rows(taxed.url, f"{due} where s.next_bill_on <= %s order by a.id limit 1", DUE)[0]
    engine = make_engine(taxed.url)
    commands = AccountCommands(engine)
    today = datetime(DUE.year, DUE.month, DUE.day, 12, tzinfo=UTC)
    amount = "1" if currency == "JPY" else "0.01"
    commands.carry_out(account, "credit", verbs.GrantCredit(at=DUE, do="grant_credit", amount=amount), today)
    async with taxed.working(runs.client):
        result = await runs.result(await runs.start())
        assert (result.status, result.invoices, result.parked) == (RunStatus.COMPLETED, INVOICES, 0)
        await taxed.until_committed(INVOICES)
        taxed.check_recorded_once()
        used = "select used from invoice_settlement t join invoice i on i.id = t.invoice_id where i.account_id = %s"
        assert rows(taxed.url, used, account) == [(1,)]
        note = verbs.WriteCreditNote(at=DUE, do="credit_note", invoice=1, amount=amount, reason="late")
        commands.carry_out(account, "note", note, today)
        await taxed.until_committed(INVOICES + 1)
        check_books(taxed.url, invoices=INVOICES)
    engine.dispose()


async def test_an_engine_that_is_away_posts_nothing_and_billing_catches_up_by_itself(
    taxed: Taxed, runs: Runs
) -> None:
    port = int(taxed.engine.base_url.rpartition(":")[2])
    taxed.engine.stop()
    async with taxed.working(runs.client):
        result = await runs.result(await runs.start())
        assert result.status is RunStatus.COMPLETED_WITH_PARKED
        # Who has nothing due needs no tax.
        assert (result.selected, result.invoices, result.parked) == (selected(GROUP * 2), 0, INVOICES)
        assert taxed.invoices() == 0
        assert value(taxed.url, "select last_number from number_series where code = 'INV'") == 0
        park = taxed.parks()[0]
        assert park["error_kind"] == "tax_pending"
        assert "avatax could not be asked for the tax" in park["message"]
        assert "by itself, for the same day" in park["remedy"]
        check_books(taxed.url, invoices=0)
        taxed.engine.start(port)
        await until("all are billed", lambda: value(taxed.url, PENDING) == 0)
        await taxed.until_committed(INVOICES)
        taxed.check_recorded_once()
        check_books(taxed.url, invoices=INVOICES)
        # For the day of the run that left them.
        days = rows(taxed.url, "select distinct issued_on, target_date from invoice, bill_run order by 1, 2")
        assert days == [(DUE, DUE)]


async def test_what_a_command_had_to_leave_is_billed_by_itself_once_the_engine_is_back(
    taxed: Taxed, runs: Runs, tmp_path: Path
) -> None:
    with psycopg.connect(taxed.url) as connection:
        connection.execute(
            "insert into api_key (id, name, key_hash, scopes) values (uuidv7(), 'operator', %s, '{*}')",
            (hash_key("mh_operator"),),
        )
    with client_for(taxed.url, tmp_path, MASTHEAD_CONFIG=str(taxed.file)) as client:

        def ask(path: str, order: object) -> dict[str, Any]:
            answer = client.post(path, json=order, headers={"Idempotency-Key": str(uuid4())})
            assert answer.is_success, answer.text
            return dict(answer.json())

        home = {
            "line1": "1 Main St",
            "city": "New York",
            "region": "NY",
            "postal_code": "10018",
            "country": "US",
        }
        opened = {
            "external_key": "upgrader",
            "currency": "USD",
            "time_zone": "UTC",
            "person": {"address": home},
        }
        account = ask("/v1/accounts", opened)["id"]
        order = {"external_key": "upgraded", "plan": "weekend", "invoice_now": True}
        began = ask(f"/v1/accounts/{account}/subscriptions", order)
        assert began["tax_by"] == "engine"
        port = int(taxed.engine.base_url.rpartition(":")[2])
        taxed.engine.stop()
        change = {"to": "bundle", "invoice_now": True}
        left = ask(f"/v1/subscriptions/{began['subscription']['id']}/change-plan", change)
    assert (left["invoices"], left["tax_pending"]) == ([], "engine_away")
    assert left["pending"] > 0
    assert taxed.invoices() == 1
    async with taxed.working(runs.client):
        assert value(taxed.url, PENDING) == 1
        taxed.engine.start(port)
        await taxed.until_committed(2)
    taxed.check_recorded_once()
    assert value(taxed.url, PENDING) == 0
    assert rows(taxed.url, "select distinct account_id::text from invoice") == [(account,)]
    scope = "select scope, status, mode from bill_run"
    assert rows(taxed.url, scope) == [("tax-pending:commands", "completed", "live")]


@pytest.mark.deep
async def test_an_engine_that_goes_away_in_the_middle(taxed: Taxed, runs: Runs) -> None:
    taxed.engine.inject("unavailable", None, path=QUOTES, skip=20)
    async with taxed.working(runs.client):
        result = await runs.result(await runs.start(concurrency=1))
        assert result.status is RunStatus.COMPLETED_WITH_PARKED
        assert 0 < result.invoices < INVOICES
        assert result.invoices + result.parked == INVOICES
        taxed.engine.faults.clear()
        await until("all are billed", lambda: value(taxed.url, PENDING) == 0)
        await taxed.until_committed(INVOICES)
        taxed.check_recorded_once()
        check_books(taxed.url, invoices=INVOICES)


async def test_the_built_in_table_where_the_policy_says_so(taxed: Taxed, runs: Runs) -> None:
    taxed.configure("fallback")
    port = int(taxed.engine.base_url.rpartition(":")[2])
    taxed.engine.stop()
    with psycopg.connect(taxed.url) as connection:
        connection.execute("update tax_rate set region = 'US-NY' where region = 'US-XX'")
    async with taxed.working(runs.client):
        result = await runs.result(await runs.start())
        assert (result.status, result.invoices) == (RunStatus.COMPLETED, INVOICES)
        assert rows(taxed.url, "select source, count(*) from tax_document group by 1") == [
            ("fallback", INVOICES)
        ]
        # By the table: 8.25 % in New York, where the engine would have taken 8.875 %.
        table = "select distinct l.rate from invoice_line l join invoice i on i.id = l.invoice_id where l.kind = 'tax'"
        assert {rate for (rate,) in rows(taxed.url, f"{table} and i.currency = 'USD'")} == {Decimal("0.0825")}
        taxed.engine.start(port)
        await taxed.until_committed(INVOICES)
        taxed.check_recorded_once()
        check_books(taxed.url, invoices=INVOICES)


async def test_answers_lost_on_the_way_back_record_once(taxed: Taxed, runs: Runs) -> None:
    taxed.engine.inject("drop_after", 5, path=RECORDS)
    taxed.engine.inject("truncated_json", 3, path=RECORDS)
    taxed.engine.inject("drop_before", 3, path=RECORDS)
    taxed.engine.inject("rate_limited_seconds", 2, path=RECORDS, after=1)
    async with taxed.working(runs.client):
        await runs.result(await runs.start())
        await taxed.until_committed(INVOICES)
        taxed.check_recorded_once()
        check_books(taxed.url, invoices=INVOICES)


async def test_faults_while_quoting_are_tried_again_and_park_nobody(taxed: Taxed, runs: Runs) -> None:
    for fault in ("drop_before", "drop_after", "unavailable", "bad_gateway", "rate_limited_plain"):
        taxed.engine.inject(fault, 1, path=QUOTES, skip=3)
    async with taxed.working(runs.client):
        result = await runs.result(await runs.start())
        assert (result.status, result.invoices) == (RunStatus.COMPLETED, INVOICES)
        await taxed.until_committed(INVOICES)
        taxed.check_recorded_once()


async def test_an_engine_away_after_posting_is_waited_for(taxed: Taxed, runs: Runs) -> None:
    taxed.engine.inject("unavailable", None, path=RECORDS)
    async with taxed.working(runs.client):
        result = await runs.result(await runs.start())
        assert (result.status, result.invoices) == (RunStatus.COMPLETED, INVOICES)
        assert taxed.documents() == {"pending": INVOICES}
        assert taxed.parks() == []
        assert taxed.engine.count() == 0
        # Of a whole outage a few calls were tried, not all.
        tried = sum(request.path == RECORDS for request in taxed.engine.requests)
        assert tried < INVOICES
        taxed.engine.faults.clear()
        await taxed.until_committed(INVOICES)
        taxed.check_recorded_once()


@pytest.mark.deep
async def test_two_runs_at_once(taxed: Taxed, runs: Runs) -> None:
    for _ in range(2):
        taxed.work()
    both = [await runs.start(), await runs.start("currency:USD")]
    results = [await runs.result(handle) for handle in both]
    assert sum(result.invoices for result in results) == INVOICES
    await taxed.until_committed(INVOICES)
    taxed.check_recorded_once()
    check_books(taxed.url, invoices=INVOICES)


POINTS = [
    *(("after-commit", count) for count in (1, 2, 4)),
    *(("after-copy", count) for count in (1, 3)),
    *(("before-tax-call", count) for count in (1, 30, INVOICES)),
    *(("after-tax-call", count) for count in (1, 5, 30, INVOICES)),
]


@pytest.mark.deep
@pytest.mark.parametrize(("point", "count"), POINTS)
async def test_a_worker_killed_at(point: str, count: int, taxed: Taxed, runs: Runs, tmp_path: Path) -> None:
    spec = f"{point}:{count}:{tmp_path / 'killed'}"
    first = taxed.work(MASTHEAD_FAIL_POINT=spec)
    handle = await runs.start()
    await until("the worker has killed itself", lambda: died_by_sigkill(first))
    taxed.work(MASTHEAD_FAIL_POINT=spec)
    assert (await runs.result(handle)).invoices == INVOICES
    await taxed.until_committed(INVOICES)
    taxed.check_recorded_once()
    check_books(taxed.url, invoices=INVOICES)


async def test_an_address_that_the_engine_refuses_parks_that_account_alone(taxed: Taxed, runs: Runs) -> None:
    with psycopg.connect(taxed.url) as connection:
        connection.execute(
            "update account set tax_region = case external_key when 'acct-0000004' then 'US-XX' end"
            " where external_key in ('acct-0000004', 'acct-0000005')"
        )
    async with taxed.working(runs.client):
        result = await runs.result(await runs.start())
        assert (result.status, result.invoices, result.parked) == (
            RunStatus.COMPLETED_WITH_PARKED,
            INVOICES - 2,
            2,
        )
        assert {park["error_kind"] for park in taxed.parks()} == {"tax_rejected", "no_tax_address"}
        with psycopg.connect(taxed.url) as connection:
            connection.execute(
                "update account set tax_region = 'US-NY' where tax_region is null or tax_region = 'US-XX'"
            )
        await runs.result(await runs.start("parked"))
        await taxed.until_committed(INVOICES)
        taxed.check_recorded_once()
        assert taxed.parks() == []


async def test_a_preview_asks_and_records_nothing(taxed: Taxed, runs: Runs) -> None:
    async with taxed.working(runs.client):
        seen = await runs.result(await runs.start(preview=True))
        assert taxed.engine.count() == 0
        assert taxed.invoices() == 0
        done = await runs.result(await runs.start())
        assert (seen.invoices, seen.totals) == (done.invoices, done.totals)


async def test_a_cancel_while_quoting_ends_it(taxed: Taxed, runs: Runs) -> None:
    taxed.engine.inject("stall_before", None, path=QUOTES, seconds=600)
    async with taxed.working(runs.client):
        handle = await runs.start()
        await until("quotes are waited for", lambda: taxed.engine.faults.held > 0)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await runs.result(handle, 15)
        assert taxed.invoices() == 0


async def test_a_refused_record_goes_on_once_a_person_says_so(taxed: Taxed, runs: Runs) -> None:
    taxed.engine.inject("rejected", 2, path=RECORDS)
    async with taxed.working(runs.client):
        await runs.result(await runs.start())
        await until(
            "the others are committed", lambda: taxed.documents() == {"committed": INVOICES - 2, "pending": 2}
        )
        calls = rows(taxed.url, "select id::text from parked where kind = 'call' and resolved_at is null")
        for park, action in zip((row[0] for row in calls), (Action.RETRY, Action.SKIP), strict=True):
            with psycopg.connect(taxed.url) as connection:
                decided = decide(connection, park, Decision(action, "ann", "seen to"))
            await tell(runs.client, decided)
        done = {"committed": INVOICES - 1, "left_out": 1}
        await until("what was decided is carried out", lambda: taxed.documents() == done)
    assert len(taxed.recorded()) == INVOICES - 1
    assert taxed.parks() == []


@pytest.mark.deep
async def test_a_run_of_an_instant_catches_up_for_each_account_s_own_day(taxed: Taxed, runs: Runs) -> None:
    taxed.engine.inject("unavailable", None)
    # In Tokyo it is the first of December already, in New York not yet.
    instant = datetime(2026, 11, 30, 20, 0, tzinfo=UTC)
    async with taxed.working(runs.client):
        result = await runs.result(await runs.start(as_of=None, instant=instant))
        assert (result.invoices, result.parked > 0) == (0, True)
        taxed.engine.faults.clear()
        await until("all are billed", lambda: value(taxed.url, PENDING) == 0)
    assert taxed.invoices() == result.parked
    zones = rows(
        taxed.url,
        "select distinct a.time_zone, i.issued_on from invoice i join account a on a.id = i.account_id",
    )
    assert ("Asia/Tokyo", DUE) in zones
    assert all(day == date(2026, 11, 30) for zone, day in zones if zone != "Asia/Tokyo")


async def test_who_owes_nothing_any_more_waits_no_longer(taxed: Taxed, runs: Runs) -> None:
    taxed.engine.inject("unavailable", None)
    async with taxed.working(runs.client, keeping=False):
        await runs.result(await runs.start())
    with psycopg.connect(taxed.url) as connection:
        connection.execute("update subscription set status = 'canceled', next_bill_on = null")
    taxed.engine.faults.clear()
    async with taxed.working(runs.client):
        await until("nobody waits", lambda: value(taxed.url, PENDING) == 0)
    assert taxed.invoices() == 0
    assert (
        value(taxed.url, "select count(distinct resolution) from parked where resolution = 'nothing due'")
        == 1
    )
