"""What another system tells us: applied once, newest first in force, and never a game of ping-pong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from contracts.parked import Action
from operations.parked.decide import CannotDecide, Decision, decide
from operations.sync.commands import (
    COMMANDS,
    ConsentChange,
    ContactChange,
    Refused,
    set_consent,
    update_contact,
)
from runtime.flow_source import SHIPPED
from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import PgConnection
from tests.synced import Synced, add_account, flow_of, parks, shipped

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def person(connection: PgConnection, account: str) -> tuple[Any, ...]:
    row = connection.execute(
        "select name, email, consent, version from person join account a on a.id = account_id where a.id = %s",
        (account,),
    ).fetchone()
    assert row is not None
    return row


def changes_told(connection: PgConnection) -> int:
    return len(connection.execute("select 1 from event_log where kind = 'account.changed'").fetchall())


async def test_a_change_there_comes_here_and_both_come_to_rest(
    engine: Engine, stand_in: ReferenceStandIn, connection: PgConnection, url: str
) -> None:
    synced = Synced(engine, stand_in, [shipped("crm-contacts"), shipped("crm-contact-changes")])
    account = add_account(connection, "a")
    await synced.turn()
    assert synced.records()["a"]["lastname"] == "a"
    (row,) = stand_in.memory.rows["record"].values()
    stand_in.memory.touch(row, fields={**row["fields"], "firstname": "Ada", "lastname": "Byron"})
    await synced.turn()
    assert person(connection, account)[:2] == ("Ada Byron", "a@example.com")
    before = (changes_told(connection), synced.writes())
    for _ in range(3):
        await synced.turn()
    assert (changes_told(connection), synced.writes()) == before
    assert synced.records()["a"]["firstname"] == "Ada"
    assert parks(url) == []


async def test_what_cannot_be_applied_is_parked_and_holds_up_nothing(
    engine: Engine, stand_in: ReferenceStandIn, connection: PgConnection, url: str
) -> None:
    synced = Synced(engine, stand_in, [shipped("crm-contact-changes")])
    account = add_account(connection, "known")
    for key, email in (("unknown", "x@example.com"), ("known", "new@example.com")):
        stand_in.memory.add("record", kind="contact", key=key, place=key, fields={"email": email})
    await synced.turn()
    assert person(connection, account)[1] == "new@example.com"
    ((trace, kind, _),) = parks(url)
    assert (trace.startswith("crm/crm-contact-changes/"), kind) == (True, "rejected")


async def test_a_nul_character_from_there_is_parked_and_holds_up_nothing(
    engine: Engine, stand_in: ReferenceStandIn, connection: PgConnection, url: str
) -> None:
    synced = Synced(engine, stand_in, [shipped("crm-contact-changes")])
    account = add_account(connection, "known")
    for key, email in (("kn\0own", "x@example.com"), ("known", "new@example.com")):
        stand_in.memory.add("record", kind="contact", key=key, place=key, fields={"email": email})
    await synced.turn()
    assert person(connection, account)[1] == "new@example.com"
    assert [kind for _, kind, _ in parks(url)] == ["rejected"]
    assert connection.execute("select payload->>'account' from parked").fetchone() == ("known",)


@pytest.mark.parametrize("action", [Action.RETRY, Action.EDIT])
async def test_what_was_told_to_us_is_not_tried_again_from_here(
    engine: Engine, stand_in: ReferenceStandIn, connection: PgConnection, action: Action
) -> None:
    synced = Synced(engine, stand_in, [shipped("crm-contact-changes")])
    stand_in.memory.add(
        "record", kind="contact", key="unknown", place="unknown", fields={"email": "x@example.com"}
    )
    await synced.turn()
    ((park,),) = connection.execute("select id::text from parked").fetchall()
    with pytest.raises(CannotDecide, match="skip this one"), connection.transaction():
        decide(connection, park, Decision(action, "ops", "again", {}))
    with connection.transaction():
        decide(connection, park, Decision(Action.SKIP, "ops", "nobody of ours"))


async def test_what_is_asked_once_a_day_is_not_asked_anew_by_the_next_turn(
    engine: Engine, stand_in: ReferenceStandIn, connection: PgConnection, tmp_path: Path
) -> None:
    daily = (SHIPPED / "crm-contact-changes.yaml").read_text()
    synced = Synced(engine, stand_in, [flow_of(tmp_path, daily, every="every: 86400")])
    account = add_account(connection, "a")
    await synced.turn()
    stand_in.memory.add("record", kind="contact", key="a", place="a", fields={"email": "new@example.com"})
    await synced.turn()
    assert person(connection, account)[1] == "a@example.com"
    connection.execute("update sync_lane set state = state || jsonb_build_object('ask_at', 0)")  # a day later
    await synced.turn()
    assert person(connection, account)[1] == "new@example.com"


def test_an_older_change_does_not_undo_a_newer_one(connection: PgConnection) -> None:
    account = add_account(connection, "a")

    def tell(minutes: int, **fields: Any) -> str:
        change = ContactChange(account="a", at=NOON + timedelta(minutes=minutes), **fields)
        return update_contact(connection, "live", change)

    assert tell(10, name="New") == "changed"
    assert tell(5, name="Old") == "superseded"
    assert tell(20, name="New") == "unchanged"
    assert tell(15, name="Late") == "superseded"
    assert tell(30, name="", email="") == "unchanged"  # what is not known there is not erased here
    assert person(connection, account) == ("New", "a@example.com", None, 2)
    consent = ConsentChange(account="a", at=NOON, consent=True)  # older than the contact, and its own matter
    assert set_consent(connection, "live", consent) == "changed"
    assert set_consent(connection, "live", consent) == "unchanged"
    assert person(connection, account) == ("New", "a@example.com", True, 3)
    assert connection.execute("select detail->>'consent' from audit").fetchall() == [("true",)]
    assert changes_told(connection) == 2


def test_a_command_for_nobody_is_refused(connection: PgConnection) -> None:
    add_account(connection, "a", mode="test")
    for command in COMMANDS.values():
        given = command.model.model_validate(
            {"account": "a"} | ({"consent": True} if "consent" in command.about else {})
        )
        with pytest.raises(Refused, match="no account with that key"):
            command.run(connection, "live", given)
