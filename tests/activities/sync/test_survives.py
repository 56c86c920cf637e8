"""No event is lost and every record ends as it is now, whatever happens to readers, writers and the server."""

from __future__ import annotations

import asyncio
import random
import threading

import psycopg

from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import PgConnection
from storage.events import NewEvent, append_events
from tests.synced import Synced, add_account, set_name, set_status

STATUSES = ("active", "paused", "past_due", "canceled")
ACCOUNTS = 12
DEATHS = 12


def expected(connection: PgConnection) -> dict[str, dict[str, str]]:
    """What each account's contact has to say in the end."""
    rows = connection.execute(
        "select a.external_key, h.email, h.name, s.status from account a join person h on h.account_id = a.id"
        " join subscription s on s.account_id = a.id"
    )
    return {key: {"email": email, "name": name, "status": status} for key, email, name, status in rows}


def write(url: str, accounts: list[str], seed: int, stop: threading.Event) -> None:
    """Changes that commit in any order; some are rolled back."""
    chance = random.Random(seed)
    own = accounts[seed::4]
    no = 0
    with psycopg.connect(url) as writer:
        while not stop.is_set():
            no += 1
            account = own[no % len(own)]
            if chance.random() < 0.5:
                set_status(writer, account, chance.choice(STATUSES))
            else:
                set_name(writer, account, f"Reader {seed} {no}")
            writer.execute("select pg_sleep(%s)", (chance.random() * 0.01,))
            writer.rollback() if chance.random() < 0.2 else writer.commit()


def hold(url: str, stop: threading.Event) -> None:
    """A long transaction in another database of the server, again and again."""
    elsewhere = url.replace(url.rpartition("/")[2].partition("?")[0], "postgres")
    while not stop.is_set():
        with psycopg.connect(elsewhere) as other:
            other.execute("select pg_current_xact_id(), pg_sleep(0.15)")


async def test_readers_die_while_writers_commit_in_any_order(
    synced: Synced, connection: PgConnection, url: str, stand_in: ReferenceStandIn
) -> None:
    """The reader's session is cut, its task is canceled, answers get lost; each time another one goes on."""
    accounts = [add_account(connection, f"k{no}") for no in range(ACCOUNTS)]
    stop = threading.Event()
    writers = [threading.Thread(target=write, args=(url, accounts, seed, stop)) for seed in range(4)]
    holder = threading.Thread(target=hold, args=(url, stop))
    for thread in (*writers, holder):
        thread.start()
    chance = random.Random(7)
    deaths = 0
    while deaths < DEATHS:
        if chance.random() < 0.3:
            stand_in.inject(chance.choice(["drop_after", "server_error_after", "drop_before"]), times=1)
        turn = asyncio.create_task(synced.made().run(lambda: False))
        await asyncio.sleep(chance.random() * 0.15)
        if chance.random() < 0.5:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'masthead leader' and datname = current_database()"
            )
            await asyncio.wait({turn}, timeout=0.5)
        turn.cancel()
        deaths += isinstance((await asyncio.gather(turn, return_exceptions=True))[0], BaseException)
    stop.set()
    for thread in (*writers, holder):
        thread.join()
    stand_in.faults.clear()
    await synced.turn()
    assert synced.records() == expected(connection)


async def test_events_that_commit_late_are_told(synced: Synced, connection: PgConnection, url: str) -> None:
    slow_one, quick_one = add_account(connection, "slow"), add_account(connection, "quick")
    await synced.turn()
    with psycopg.connect(url) as slow:
        set_status(slow, slow_one, "paused")
        set_status(connection, quick_one, "paused")
        await synced.turn()
        assert synced.records()["quick"]["status"] == "active"  # nobody may read past what is not decided
        slow.commit()
    await synced.turn()
    assert {each["status"] for each in synced.records().values()} == {"paused"}


async def test_after_a_restore_the_old_cursor_reads_the_new_events(
    synced: Synced, connection: PgConnection
) -> None:
    """A dump is restored on a server whose transaction ids begin anew, far below those of the old rows and cursors."""
    account = add_account(connection, "a")
    await synced.turn()
    connection.execute("update sync_lane set xid = '4000000000'::xid8")
    connection.execute("alter table event_log alter column epoch set default 2")
    set_status(connection, account, "paused")
    await synced.turn()
    assert synced.records()["a"]["status"] == "paused"


async def test_a_late_and_a_repeated_event_do_no_harm(synced: Synced, connection: PgConnection) -> None:
    account = add_account(connection, "a")
    set_status(connection, account, "canceled")
    await synced.turn()
    append_events(connection, [NewEvent("subscription.changed", account, account, 1)] * 3)
    assert (await synced.turn()).written == 0
    assert synced.records()["a"]["status"] == "canceled"
