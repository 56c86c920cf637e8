"""Turns of a sync against a stand-in on a real socket: everything is told, once, and nothing bad holds up the rest."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from activities.sync_flow import ConnectionFlows
from connectors.sdk.errors import RateLimited, Transient, Unauthorized, Unknown
from connectors.sdk.methods import method
from connectors.sdk.values import RecordOutcome
from contracts.parked import Action
from operations.parked.decide import Decision, decide
from operations.sync.batch import TRIES_BEFORE_PARKING
from operations.sync.lanes import backfill_flow, reset_flow
from storage.database import PgConnection
from tests.synced import (
    CONTACTS,
    CRM,
    NAME,
    Synced,
    add_account,
    flow_of,
    opener,
    parks,
    set_name,
    set_status,
    until,
)


async def test_what_was_there_and_what_changes_is_told_once(synced: Synced, connection: PgConnection) -> None:
    first = add_account(connection, "a")
    add_account(connection, "b")
    add_account(connection, "c", mode="test")
    done = await synced.turn()
    assert synced.records() == {
        "a": {"email": "a@example.com", "name": "Reader a", "status": "active"},
        "b": {"email": "b@example.com", "name": "Reader b", "status": "active"},
    }
    assert (done.written, done.rejected) == (2, 0)
    set_status(connection, first, "paused")
    set_status(connection, first, "active")
    assert (await synced.turn()).written == 0  # it is as it was written last
    set_status(connection, first, "paused")
    assert (await synced.turn()).written == 1
    assert synced.records()["a"]["status"] == "paused"
    assert synced.writes() == 3
    assert [(lane.lane, lane.behind) for lane in (await synced.turn()).lanes] == [("live", 0)]


async def test_a_record_that_is_refused_is_parked_until_a_newer_state_goes_through(
    synced: Synced, connection: PgConnection, url: str
) -> None:
    bad = add_account(connection, "bad", email="nowhere")
    add_account(connection, "good")
    done = await synced.turn()
    assert (done.written, done.rejected) == (1, 1)
    assert parks(url) == [(f"crm/contacts/{bad}", "rejected", "invalid")]
    row = connection.execute("select payload->0->'fields'->>'email', fields, method from parked").fetchone()
    assert row == ("nowhere", {"email": "is no address"}, "crm.upsert")
    assert (await synced.turn()).rejected == 0  # it waits for a person or a change
    connection.execute("update person set email = 'right@example.com' where account_id = %s", (bad,))
    set_name(connection, bad, "Right")
    assert (await synced.turn()).written == 1
    assert parks(url) == []
    assert synced.records()["bad"]["email"] == "right@example.com"


async def test_a_person_has_a_parked_record_tried_again(
    synced: Synced, connection: PgConnection, url: str
) -> None:
    bad = add_account(connection, "bad", email="nowhere")
    await synced.turn()
    connection.execute("update person set email = 'right@example.com' where account_id = %s", (bad,))
    ((park,),) = connection.execute("select id::text from parked").fetchall()
    with connection.transaction():
        decide(connection, park, Decision(Action.RETRY, actor="ops", reason="corrected"))
    assert (await synced.turn()).written == 1
    assert synced.records()["bad"]["email"] == "right@example.com"
    assert parks(url) == []
    assert (await synced.turn()).written == 0


async def test_what_a_person_has_edited_is_sent_once_instead_of_what_the_map_makes(
    synced: Synced, connection: PgConnection, url: str
) -> None:
    bad = add_account(connection, "bad", email="nowhere")
    await synced.turn()
    ((park,),) = connection.execute("select id::text from parked").fetchall()
    edit = Decision(Action.EDIT, "ops", "their address", [{"fields": {"email": "right@example.com"}}])
    with connection.transaction():
        decide(connection, park, edit, check=lambda name, payload: method(name).problems(payload))
    assert (await synced.turn()).written == 1
    assert synced.records()["bad"] == {"email": "right@example.com", "name": "Reader bad", "status": "active"}
    set_name(connection, bad, "Worse")
    assert (await synced.turn()).rejected == 1  # here it is as it was


async def test_a_system_that_refuses_whole_batches_is_told_one_by_one(
    synced: Synced, connection: PgConnection, url: str
) -> None:
    for key in ("a", "b", "c", "d"):
        add_account(connection, key)
    synced.stand_in.inject("rejected", times=3, path="/crm/upsert")  # all four, the first two, the first
    done = await synced.turn()
    assert (done.written, done.rejected) == (3, 1)
    assert len(synced.records()) == 3
    assert [kind for _, kind, _ in parks(url)] == ["rejected"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("unavailable", Transient),
        ("rate_limited_seconds", RateLimited),
        ("drop_after", Unknown),
        ("server_error_after", Unknown),
        ("html", Unknown),
        ("unauthorized_forever", Unauthorized),
    ],
)
async def test_after_an_error_it_goes_on_where_it_was(
    synced: Synced, connection: PgConnection, url: str, fault: str, error: type[Exception]
) -> None:
    add_account(connection, "a")
    synced.stand_in.inject(fault, times=None if fault == "unauthorized_forever" else 1, path="/crm/upsert")
    with pytest.raises(error):
        await synced.turn()
    synced.stand_in.faults.clear()
    assert (await synced.turn()).written == 1
    assert set(synced.records()) == {"a"}
    assert synced.writes() == 1  # the same key went out again
    assert parks(url) == []


async def test_what_was_written_before_an_error_is_not_written_again(
    synced: Synced, connection: PgConnection, tmp_path: Path
) -> None:
    synced.flows = ConnectionFlows(NAME, "live", (flow_of(tmp_path, batch="batch: 2"),))
    for no in range(5):
        add_account(connection, f"k{no}")
    synced.stand_in.inject("unavailable", times=1, skip=2, path="/crm/upsert")
    with pytest.raises(Transient):
        await synced.turn()
    assert synced.writes() == 4
    assert (await synced.turn()).written == 1
    assert synced.writes() == 5


async def test_a_reset_writes_everything_again_and_a_backfill_what_differs(
    synced: Synced, connection: PgConnection
) -> None:
    for key in ("a", "b"):
        add_account(connection, key)
    await synced.turn()
    assert synced.flows is not None
    (flow,) = synced.flows.flows
    synced.stand_in.memory.rows["record"].clear()  # the other system has lost what it had
    backfill_flow(connection, synced.flows.plan(flow))
    assert (await synced.turn()).written == 0
    assert reset_flow(connection, synced.flows.plan(flow)) == 2
    assert (await synced.turn()).written == 2
    assert set(synced.records()) == {"a", "b"}


async def test_what_changes_goes_before_what_was_there(
    synced: Synced, connection: PgConnection, tmp_path: Path
) -> None:
    synced.flows = ConnectionFlows(NAME, "live", (flow_of(tmp_path, batch="batch: 1"),))
    for no in range(3):
        add_account(connection, f"old{no}")
    synced.stand_in.inject("unavailable", times=1, path="/crm/upsert")  # the lanes are open, nothing is told
    with pytest.raises(Transient):
        await synced.turn()
    add_account(connection, "new")
    await synced.turn()
    assert next(iter(synced.records())) == "new"
    assert set(synced.records()) == {"new", "old0", "old1", "old2"}


async def test_a_second_worker_waits_until_the_first_has_let_go(
    synced: Synced, connection: PgConnection
) -> None:
    add_account(connection, "a")
    first, second = synced.made(), synced.made()
    release, ended = asyncio.Event(), asyncio.Event()
    holding = asyncio.create_task(first.run(release.is_set))
    await until(lambda: first.idle_rounds > 0)
    waiting = asyncio.create_task(second.run(ended.is_set))
    add_account(connection, "b")
    await until(lambda: "b" in synced.records())
    release.set()
    await holding
    assert (first.output.written, second.output.written) == (2, 0)
    add_account(connection, "c")
    await until(lambda: second.output.written == 1)
    ended.set()
    await waiting


@pytest.mark.parametrize("policy", ["park", "drop_field", "freeze"])
async def test_a_record_that_does_not_fit_the_map(
    synced: Synced, connection: PgConnection, url: str, tmp_path: Path, policy: str
) -> None:
    text = CONTACTS.replace("status: status", "mark: \"lookup(person.name, 'marks')\"")
    strict = flow_of(tmp_path, text, drift=f"drift: {policy}", tables="tables: {marks: {Reader good: A}}")
    other = flow_of(tmp_path, name="name: others")
    synced.flows = ConnectionFlows(NAME, "live", (strict, other))
    strange = add_account(connection, "strange")
    add_account(connection, "good")
    await synced.turn()
    marks = {key: fields.get("mark") for key, fields in synced.records().items()}
    parked = [(trace, kind) for trace, kind, _ in parks(url)]
    if policy == "park":
        assert parked == [(f"crm/contacts/{strange}", "drift")]
    elif policy == "drop_field":
        assert parked == []
        assert marks.keys() == {"strange", "good"}
    else:
        assert parked == [("crm/contacts", "drift")]
    ((written,),) = connection.execute(
        "select count(*) from synced_record where flow = 'contacts' and fingerprint is not null"
    ).fetchall()
    assert written == {"park": 1, "drop_field": 2, "freeze": 0}[policy]
    ((others,),) = connection.execute("select count(*) from synced_record where flow = 'others'").fetchall()
    assert others == 2  # the other flow is not held up


async def test_a_flow_of_which_nothing_is_taken_is_held_instead_of_parking_everybody(
    synced: Synced, connection: PgConnection, url: str, tmp_path: Path
) -> None:
    wrong = flow_of(tmp_path, CONTACTS.replace("status: status", "no_such_field: status"))
    synced.flows = ConnectionFlows(NAME, "live", (wrong,))
    for no in range(12):
        add_account(connection, f"k{no}")
    await synced.turn()
    assert parks(url) == [("crm/contacts", "rejected", None)]
    synced.flows = ConnectionFlows(NAME, "live", (flow_of(tmp_path),))
    assert (await synced.turn()).written == 12
    assert parks(url) == []


async def test_a_person_has_a_whole_flow_tried_again(
    synced: Synced, connection: PgConnection, url: str, tmp_path: Path
) -> None:
    wrong = flow_of(tmp_path, CONTACTS.replace("status: status", "no_such_field: status"))
    synced.flows = ConnectionFlows(NAME, "live", (wrong,))
    for no in range(12):
        add_account(connection, f"k{no}")
    await synced.turn()
    ((park,),) = connection.execute("select id::text from parked").fetchall()
    with connection.transaction():
        decide(connection, park, Decision(Action.RETRY, actor="ops", reason="corrected"))
    synced.flows = ConnectionFlows(NAME, "live", (flow_of(tmp_path),))
    done = await synced.turn()
    assert (done.written, [lane.trouble for lane in done.lanes]) == (12, [None])
    assert parks(url) == []


async def test_a_decision_about_a_flow_that_is_not_listed_now_is_kept_until_it_is(
    synced: Synced, connection: PgConnection, tmp_path: Path
) -> None:
    bad = add_account(connection, "bad", email="nowhere")
    await synced.turn()
    connection.execute("update person set email = 'right@example.com' where account_id = %s", (bad,))
    ((park,),) = connection.execute("select id::text from parked").fetchall()
    with connection.transaction():
        decide(connection, park, Decision(Action.RETRY, actor="ops", reason="corrected"))
    listed = synced.flows
    synced.flows = ConnectionFlows(
        NAME, "live", (flow_of(tmp_path, name="name: others", history="history: false"),)
    )
    await synced.turn()
    synced.flows = listed
    assert (await synced.turn()).written == 1


class Odd(CRM):  # type: ignore[misc, valid-type]
    """The same, but of some records the other system does not tell whether it wrote them, or says odd things."""

    poison = frozenset({"poison"})

    async def upsert(self, records: Any, key: Any) -> list[RecordOutcome]:
        """As it is without poison."""
        if any(record.key in self.poison for record in records):
            raise Unknown("HTTP 500", status=500)
        return [
            RecordOutcome(
                key=record.key, status="rejected", code="o\0dd", message="a\0b", fields={"c\0": "d\0"}
            )
            if record.key == "odd"
            else RecordOutcome(key=record.key, status="written", vendor_id=f"v\0{record.key}")
            for record in records
        ]


def open_odd(synced: Synced) -> None:
    """Let the connection be one to an odd system."""

    synced.open = opener(synced.stand_in, Odd)


async def test_a_record_of_unknown_outcome_holds_up_no_other_and_is_parked_in_the_end(
    synced: Synced, connection: PgConnection, url: str
) -> None:
    open_odd(synced)
    for key in ("a", "poison", "b", "c"):
        add_account(connection, key)
    for _ in range(2):
        with pytest.raises(Unknown):
            await synced.turn()
    assert (await synced.turn()).written == 3
    for _ in range(TRIES_BEFORE_PARKING):
        connection.execute("update synced_record set due_at = now() where due_at is not null")
        await synced.turn()
    ((trace, kind, _),) = parks(url)
    assert (trace.startswith("crm/contacts/"), kind) == (True, "transient")


async def test_a_system_that_answers_nothing_known_at_all_is_held_and_no_record_is_blamed(
    synced: Synced, connection: PgConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_odd(synced)
    monkeypatch.setattr(Odd, "poison", {f"k{no}" for no in range(5)})
    for no in range(5):
        add_account(connection, f"k{no}")
    for _ in range(4):
        with pytest.raises(Unknown):
            await synced.turn()
    assert connection.execute("select count(*) from synced_record").fetchone() == (0,)
    monkeypatch.setattr(Odd, "poison", frozenset())
    assert (await synced.turn()).written == 5


async def test_a_refusal_with_a_nul_character_is_written_down_with_the_rest(
    synced: Synced, connection: PgConnection
) -> None:
    open_odd(synced)
    for key in ("a", "odd"):
        add_account(connection, key)
    done = await synced.turn()
    assert (done.written, done.rejected) == (1, 1)
    assert connection.execute("select message, error_code, fields from parked").fetchone() == (
        "ab",
        "odd",
        {"c": "d"},
    )
    assert connection.execute(
        "select vendor_id from synced_record where vendor_id is not null"
    ).fetchall() == [("va",)]
