"""Charges that were sent after the backup: each is found at the gateway, written under its own number, and its invoice
is not charged again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest

from activities.call_attempt import Attempt, Patience
from activities.charges import ChargeSender
from activities.errors import Held
from connectors.sdk.methods import method
from operations.backup.found import What
from operations.charges.begin import Begun, Why
from operations.charges.outcome import call_of, outcome, told_by_call
from operations.charges.run import PaymentRuns
from runtime.backup.errors import BackupError
from runtime.backup.restoring import restore_backup
from runtime.backup.taking import Source, take_backup
from runtime.settings import Settings, load_settings
from sandbox.stripe.stand_in import StripeStandIn
from storage.charges import charge_key, read_charge
from storage.database import make_engine, transaction
from storage.write_holds import WritesHeld
from tests.conftest import PostgresForTests
from tests.holding import writes_held
from tests.names import NAMESPACE
from tests.operations.billed import bill
from tests.operations.charges.charged import NOW, Fleet
from tests.runtime.backup.restored import asked, connected

NEXT_BILL = date(2027, 1, 1)
LATER = datetime(2027, 1, 1, 15, tzinfo=UTC)


async def carried_out(fleet: Fleet, gateway: StripeStandIn, begun: Sequence[Begun]) -> None:
    """Send the charges and write what they came to."""
    async with connected(fleet.engine, gateway) as connections:
        for each in begun:
            attempt = Attempt(fleet.engine, Patience(), method(each.call.method), each.call.call_id, None)
            await attempt.go(connections.open)
            with transaction(fleet.engine) as connection:
                call = call_of(connection, read_charge(connection, each.charge_id))
                assert call is not None
                told = told_by_call(call)
                assert told is not None
                outcome(connection, fleet.tariffs.current(connection), each.charge_id, told, NOW)


@pytest.fixture
def empty(pg_server: PostgresForTests, tmp_path: Path) -> Settings:
    """Settings of a database of one's own that has nothing in it."""
    name = f"restored_{tmp_path.name}".lower().replace("-", "_")
    with psycopg.connect(pg_server.server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            f"create database {name} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'"
            " locale_provider builtin builtin_locale 'C.UTF-8'".encode()
        )
    return load_settings(
        home=tmp_path / "home",
        database_url=pg_server.server.url(name),
        temporal_address="127.0.0.1:9",
        temporal_namespace=NAMESPACE,
    )


async def test_each_charge_made_after_the_backup_is_found_once(
    pg_server: PostgresForTests, empty: Settings, tmp_path: Path
) -> None:
    url = pg_server.fresh_database("charged")
    engine = make_engine(url)
    fleet = Fleet(engine, 12)
    paid, in_flight, declined, lost, billed_later = fleet.accounts[:5]
    fleet.do(
        "update payment_method set method = 'pm_card_chargeDeclinedInsufficientFunds' where account_id = %s",
        declined,
    )
    file = tmp_path / "backup.tar"
    with StripeStandIn() as gateway:
        await carried_out(fleet, gateway, fleet.begin(paid).begun)
        sent_later = fleet.begin(in_flight, declined).begun
        manifest = await asyncio.to_thread(take_backup, Source(url, None, NAMESPACE), file)
        assert manifest.temporal is None
        await carried_out(fleet, gateway, sent_later)
        await carried_out(fleet, gateway, fleet.begin(lost, billed_later).begun)
        bill(engine, NEXT_BILL)
        again = fleet.begin(billed_later, now=LATER).begun
        await carried_out(fleet, gateway, again)
        engine.dispose()
        made = gateway.count("charge")

        await asyncio.to_thread(restore_backup, empty, file, actor="ops", force=False)
        assert empty.database_url is not None
        restored = Fleet.there(make_engine(empty.database_url))
        try:
            # One that nobody has sent is in doubt as well, until the gateway has told all.
            told = await asked(restored.engine, gateway, NOW)
            assert told.released, told
            found = {each.payment["reference"]: each.what for each in told.asked[0].found}
            assert found == {
                charge_key(paid, 1): What.KNOWN,
                charge_key(in_flight, 1): What.RECORDED,
                charge_key(declined, 1): What.RECORDED,
                charge_key(lost, 1): What.RECORDED,
                charge_key(billed_later, 1): What.RECORDED,
                charge_key(billed_later, 2): What.RECORDED,
            }
            for account in (paid, in_flight, lost, billed_later):
                assert restored.invoices(account) == [("paid", 0)]
            assert [row[0] for row in restored.payments(declined)] == ["failed"]
            restored.lawful()
            # What was billed after the backup is billed again, and paid by what was charged for it then.
            bill(restored.engine, NEXT_BILL)
            [left] = restored.begin(billed_later, now=LATER).left
            assert left.why in (Why.NOTHING_DUE, Why.PAID_BY_CREDIT)
            assert restored.invoices(billed_later) == [("paid", 0), ("paid", 0)]
            [left] = restored.begin(lost, paid).left[:1]
            assert left.why is Why.NOTHING_DUE
            await carried_out(restored, gateway, restored.begin().begun)
            for reference in found:
                assert gateway.effects.count("charge", reference) <= 1
            assert gateway.count("charge") > made, "the others are charged as usual"
            restored.lawful()
            assert (await asked(restored.engine, gateway, NOW)).hold is None
        finally:
            restored.engine.dispose()


async def test_what_is_there_is_not_overwritten(
    pg_server: PostgresForTests, empty: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "backup.tar"
    source = Source(pg_server.fresh_database("kept"), None, NAMESPACE)
    await asyncio.to_thread(take_backup, source, file)
    with pytest.raises(BackupError, match="is there already"):
        await asyncio.to_thread(take_backup, source, file)
    await asyncio.to_thread(restore_backup, empty, file, actor="ops", force=False)
    with pytest.raises(BackupError, match="is not empty: it has"):
        await asyncio.to_thread(restore_backup, empty, file, actor="ops", force=False)
    url = str(empty.database_url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table stranger (id int)")
        connection.execute(
            "insert into audit (id, actor, action, subject, reason) values (uuidv7(), 'a', 'b', 'c', 'd')"
        )
    await asyncio.to_thread(restore_backup, empty, file, actor="ops", force=True)
    with psycopg.connect(url) as connection:
        assert connection.execute("select to_regclass('stranger')").fetchone() == (None,)
        assert connection.execute("select action from audit").fetchall() == [("restore",)]
        assert connection.execute("select count(*) from write_hold where released_at is null").fetchone() == (
            1,
        )


async def test_a_damaged_backup_changes_nothing(
    pg_server: PostgresForTests, empty: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "backup.tar"
    await asyncio.to_thread(take_backup, Source(pg_server.fresh_database(), None, NAMESPACE), file)
    whole = file.read_bytes()
    for damaged, words in (
        (whole[:5000], "is no backup"),
        (b"nothing of the kind", "is no backup"),
        (
            whole[:20_000] + bytes([whole[20_000] ^ 1]) + whole[20_001:],
            "postgres.dump is not what was written",
        ),
    ):
        file.write_bytes(damaged)
        with pytest.raises(BackupError, match=words):
            await asyncio.to_thread(restore_backup, empty, file, actor="ops", force=False)
    with psycopg.connect(str(empty.database_url)) as connection:
        assert connection.execute(
            "select count(*) from pg_tables where schemaname = 'public'"
        ).fetchone() == (0,)


async def test_no_charge_is_begun_or_sent_while_writes_are_held(pg_server: PostgresForTests) -> None:
    url = pg_server.fresh_database("held")
    fleet = Fleet(make_engine(url), 12)
    try:
        begun = fleet.begin(fleet.accounts[0]).begun
        with StripeStandIn() as gateway, writes_held(url):
            async with connected(fleet.engine, gateway) as connections:
                sender = ChargeSender(fleet.engine, connections.open, fleet.tariffs)
                charges = [(each.charge_id, each.call.call_id) for each in begun]
                with pytest.raises(WritesHeld, match="masthead reconcile"):
                    await sender.send(charges, NOW)
                one = Attempt(fleet.engine, Patience(), method("payment.charge"), begun[0].call.call_id, None)
                with pytest.raises(Held):
                    await one.go(connections.open)
            with pytest.raises(WritesHeld):
                PaymentRuns(fleet.engine).begin("any", 0, NOW, None)
            assert gateway.count("charge") == 0
        assert fleet.rows("select status, first_sent_at from connector_call") == [("intent", None)]
    finally:
        fleet.engine.dispose()
