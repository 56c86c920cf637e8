"""Time on a clock: in order, once, for test accounts only, and without a trace among live ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from uuid_utils import uuid7

from contracts.test_clock import ClockStatus
from domain.account import commands as verbs
from operations.subscriptions import follow_up_subscription
from operations.test_clocks.clocks import (
    ClockAccount,
    ClockRefused,
    NoSuchClock,
    attach_accounts,
    create_clock,
    end_clock,
    failed,
    order_advance,
    read_clock,
    set_declines,
)
from operations.test_clocks.playing import play_step
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.operations.clocked import FIRST, TERMS, Clocked, events, instant


@pytest.fixture
def clocked(pg_server: PostgresForTests) -> Iterator[Clocked]:
    engine = make_engine(pg_server.fresh_database("clocked"))
    yield Clocked(engine)
    engine.dispose()


def pause_in_march(clocked: Clocked, account: str, name: str) -> None:
    clocked.do(account, verbs.Pause(at=FIRST, do="pause", subscription=name, until=date(2026, 3, 20)))


def test_a_trial_an_intro_and_a_pause_end_on_their_days(clocked: Clocked) -> None:
    clock = clocked.clock()
    account = clocked.account(clock, "ada")
    own = clocked.subscribe(account, "ada main")
    clocked.advance(clock, "2026-03-05")
    pause_in_march(clocked, account, "ada main")
    clocked.advance(clock, "2026-05-01")
    assert clocked.rows("select issued_on::text, total from invoice order by number") == [
        ("2026-01-19", 109),
        ("2026-02-19", 109),
        ("2026-03-20", 106),
        ("2026-04-19", 1307),
    ]
    assert clocked.follow_ups(own) == [
        ("2026-01-05", "access/1", "not connected"),
        ("2026-01-16", "trial-ends-soon/2026-01-19", "event notice.trial-ends-soon"),
        ("2026-03-05", "access/2", "not connected"),
        ("2026-03-05", "paused/2026-03-05", "event notice.paused"),
        ("2026-03-20", "access-on/2026-03-20", "not connected"),
        ("2026-03-20", "resumed/2026-03-05/2026-03-20", "event notice.resumed"),
    ]
    [(status, next_due)] = clocked.rows("select status, next_due from subscription")
    assert (status, next_due) == ("active", None)
    assert read_clock(clocked.engine, "clock").frozen_at == instant("2026-05-01")


def test_a_step_taken_again_changes_nothing(clocked: Clocked) -> None:
    clock = clocked.clock()
    account = clocked.account(clock, "ada")
    clocked.subscribe(account, "ada main")
    to = instant("2026-06-01")
    clocked.advance(clock, to)
    before = clocked.rows("select max(id) from event_log")
    rows = clocked.rows("select xmin::text, version from subscription")
    assert play_step(clocked.engine, clocked.tariffs.current(), account, to).arrived
    assert play_step(clocked.engine, clocked.tariffs.current(), account, instant("2026-02-01")).arrived
    assert clocked.rows("select max(id) from event_log") == before
    assert clocked.rows("select xmin::text, version from subscription") == rows


def test_what_dies_on_the_last_day_goes_on_with_it(clocked: Clocked) -> None:
    """The day of the target is one on which an episode has to act before it is billed: the account stands there then,
    and is not through."""
    to = instant("2026-02-05")
    clock = clocked.clock()
    for key in ("ada", "bob"):
        clocked.subscribe(clocked.account(clock, key), f"{key} main", "digital-monthly")
    order_advance(clocked.engine, clock.id, to)
    [ada, bob] = [own for (own,) in clocked.rows("select id::text from account order by external_key")]
    clocked.do(ada, verbs.Pause(at=FIRST, do="pause", subscription="ada main", until=date(2026, 2, 5)))
    clocked.do(bob, verbs.Pause(at=FIRST, do="pause", subscription="bob main", until=date(2026, 2, 5)))
    while not (step := play_step(clocked.engine, clocked.tariffs.current(), ada, to)).waiting or step.at < to:
        for subscription in step.waiting:
            clocked.tick(subscription, step.at)
    clocked.advance(clock, to)
    billed = clocked.rows(
        "select a.external_key, i.issued_on, i.total from invoice i join account a on a.id = i.account_id order by 1, 2"
    )
    assert [(*rest,) for key, *rest in billed if key == "ada"] == [
        (*rest,) for key, *rest in billed if key == "bob"
    ]
    assert [day for key, day, _ in billed if key == "ada"][-1] == date(2026, 2, 5)
    assert clocked.rows("select 1 from follow_up where done_at is null and due_at <= %s", to) == []


def test_a_long_way_and_many_short_ones_come_to_the_same(
    clocked: Clocked, pg_server: PostgresForTests
) -> None:
    engine = make_engine(pg_server.fresh_database("clocked"))
    other = Clocked(engine)
    for each in (clocked, other):
        clock = each.clock()
        each.subscribe(each.account(clock, "ada"), "ada main")
        set_declines(each.engine, clock.id, "ada", {date(2026, 4, 19): "insufficient_funds"})
    clocked.advance(clocked.clock(), "2026-07-01")
    day = FIRST
    while day < date(2026, 7, 1):
        day += timedelta(days=1)
        other.advance(other.clock(), day)
    assert clocked.dump() == other.dump()
    kinds = ["subscription.changed", "invoice.paid", "payment.failed", "payment.succeeded"]
    kinds += ["notice.trial-ends-soon", "entitlement.granted"]
    for kind in kinds:
        assert events(clocked, [kind]) == events(other, [kind]), kind
    engine.dispose()


def test_a_year_on_a_clock_leaves_live_accounts_as_they_were(clocked: Clocked) -> None:
    with transaction(clocked.engine) as connection:
        live = str(uuid7())
        connection.execute(
            "insert into account (id, mode, external_key, currency, time_zone, locale, auto_pay)"
            " values (%s, 'live', 'ada', 'USD', 'America/New_York', 'en', true)",
            (live,),
        )
    clocked.subscribe(live, "live main")
    before = clocked.dump("live")
    rows = clocked.rows("select * from account where mode = 'live'")
    told = clocked.rows("select count(*) from event_log where account_id = %s", live)
    follow_ups = clocked.rows("select * from follow_up where account_id = %s", live)
    clock = clocked.clock()
    account = clocked.account(clock, "ada")  # the same key in the other mode
    clocked.subscribe(account, "ada main")
    clocked.advance(clock, "2027-01-05")
    assert clocked.rows("select count(*) from invoice where mode = 'test'") == [(12,)]
    assert clocked.dump("live") == before
    assert any('"account":"ada"' in line for line in before)
    assert clocked.rows("select * from account where mode = 'live'") == rows
    assert clocked.rows("select count(*) from event_log where account_id = %s", live) == told
    assert clocked.rows("select * from follow_up where account_id = %s", live) == follow_ups


def test_the_database_keeps_live_accounts_off_clocks_and_test_accounts_on_theirs(clocked: Clocked) -> None:
    clock = clocked.clock()
    account = clocked.account(clock, "ada")
    other = clocked.clock("other")
    for statement in (
        "insert into account (id, mode, external_key, currency, time_zone, locale, test_clock_id, clock_at)"
        f" values ('{uuid7()}', 'live', 'eve', 'USD', 'UTC', 'en', '{clock.id}', now())",
        f"update account set mode = 'live' where id = '{account}'",
        f"update account set test_clock_id = null where id = '{account}'",
        f"update account set test_clock_id = '{other.id}' where id = '{account}'",
    ):
        with pytest.raises(psycopg.errors.IntegrityError), transaction(clocked.engine) as connection:
            connection.execute(statement.encode())


def test_what_cannot_be_on_a_clock_is_refused(clocked: Clocked) -> None:
    clock = clocked.clock()
    clocked.account(clock, "ada")
    with transaction(clocked.engine) as connection:
        for key, mode, settled in (
            ("live", "live", None),
            ("old", "test", date(2026, 2, 1)),
            ("new", "test", None),
        ):
            connection.execute(
                "insert into account (id, mode, external_key, currency, time_zone, locale, settled_on)"
                " values (%s, %s, %s, 'USD', 'UTC', 'en', %s)",
                (str(uuid7()), mode, key, settled),
            )

    def attach(key: str, *, new: bool = False) -> str:
        account = ClockAccount(external_key=key, terms=TERMS if new else None)
        return attach_accounts(clocked.engine, clock.id, [account])[0]

    with pytest.raises(ClockRefused, match="live account"):
        attach("live")
    with pytest.raises(ClockRefused, match="2026-02-01"):
        attach("old")
    with pytest.raises(ClockRefused, match="give its terms"):
        attach("nobody")
    with pytest.raises(ClockRefused, match="leave its terms out"):
        attach("new", new=True)
    assert attach("new") == attach("new")
    assert read_clock(clocked.engine, clock.id).accounts == 2
    with pytest.raises(ClockRefused, match="another clock"):
        attach_accounts(clocked.engine, clocked.clock("other").id, [ClockAccount(external_key="new")])


def test_a_clock_goes_forwards_only_and_one_way_at_a_time(clocked: Clocked) -> None:
    clock = clocked.clock()
    engine = clocked.engine
    assert create_clock(engine, "clock", instant(FIRST)).id == clock.id
    with pytest.raises(ClockRefused, match="another name"):
        create_clock(engine, "clock", instant("2026-02-01"))
    with pytest.raises(ClockRefused, match="never goes back"):
        order_advance(engine, clock.id, instant("2026-01-01"))
    with pytest.raises(ClockRefused, match="years away"):
        order_advance(engine, clock.id, instant("2056-01-01"))
    with pytest.raises(NoSuchClock):
        read_clock(engine, "nobody's")
    to = instant("2026-02-01")
    assert order_advance(engine, clock.id, to).status is ClockStatus.ADVANCING
    assert order_advance(engine, clock.id, to).target == to
    with pytest.raises(ClockRefused, match="on its way"):
        order_advance(engine, clock.id, instant("2026-03-01"))
    with pytest.raises(ClockRefused, match="on its way"):
        end_clock(engine, clock.id)
    with pytest.raises(ClockRefused, match="while it is ready"):
        clocked.account(clock, "late")
    assert failed(engine, clock.id, "an account is stuck").problem == "an account is stuck"
    with pytest.raises(ClockRefused, match="never goes back"):
        order_advance(engine, clock.id, instant("2026-01-20"))
    assert order_advance(engine, clock.id, to).problem is None
    clocked.advance(clock, to)
    assert end_clock(engine, clock.id).status is ClockStatus.ENDED
    with pytest.raises(ClockRefused, match="has ended"):
        order_advance(engine, clock.id, instant("2026-03-01"))


def test_an_account_s_time_is_its_clock_s_whatever_the_wall_says(clocked: Clocked) -> None:
    clock = clocked.clock()
    account = clocked.account(clock, "ada")
    own = clocked.subscribe(account, "ada main", "digital-monthly")  # given the wall's time, years later
    [(starts_on,)] = clocked.rows("select starts_on from subscription where id = %s", own)
    assert starts_on == FIRST
    assert datetime.now(UTC).date() > FIRST


def test_access_is_provided_once_for_each_change_with_what_the_grants_say(clocked: Clocked) -> None:
    clock = clocked.clock()
    account = clocked.account(clock, "ada")
    own = clocked.subscribe(account, "ada main", "digital-monthly")
    at = instant(FIRST)
    for _ in range(2):
        follow_up_subscription(clocked.engine, own, at, {"test": "users"}.get)
    [(call, request, mode, outcome)] = clocked.rows(
        "select c.id::text, c.request, c.mode, f.outcome from connector_call c, follow_up f"
        " where c.connection = 'users' and c.method = 'provisioning.put' and f.key = 'access/1'"
    )
    assert (outcome, mode) == (f"call {call}", "test")
    assert (request["external_id"], request["active"], request["features"]) == (account, True, ["news"])
