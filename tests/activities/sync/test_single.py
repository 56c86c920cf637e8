"""Flows to a method that takes one thing at a time: one call for each, whatever happens in between."""

from __future__ import annotations

import psycopg
import pytest
import uuid_utils
from sqlalchemy import Engine

from activities.sync_flow import ConnectionFlows
from contracts.connector_call import CallRef
from operations.sync.lanes import TellsNoHistory, backfill_flow, reset_flow
from sandbox.reference.stand_in import ReferenceStandIn
from storage.calls import read_call
from storage.database import PgConnection
from storage.events import NewEvent, append_events
from tests.synced import NAME, Synced, add_account, parks, shipped


def add_invoice(connection: PgConnection, account: str, number: int) -> str:
    """A posted invoice of 12.34 EUR, told of as the bill run does."""
    invoice = str(uuid_utils.uuid7())
    connection.execute(
        "insert into invoice (id, account_id, series, number, currency, issued_on, due_on, status, subtotal, tax,"
        " total, balance, chain_hash)"
        " values (%s, %s, 'INV', %s, 'EUR', '2026-11-01', '2026-11-15', 'open', 1034, 200, 1234,"
        " 1234, '')",
        (invoice, account, number),
    )
    append_events(connection, [NewEvent("invoice.posted", account, invoice, 1)])
    return invoice


@pytest.fixture
async def receipts(engine: Engine, stand_in: ReferenceStandIn, connection: PgConnection) -> Synced:
    """The house's receipts by mail, begun after one old invoice was posted."""
    made = Synced(engine, stand_in, [shipped("mail-receipts")])
    add_invoice(connection, add_account(connection, "old"), 1)
    await made.turn()
    assert made.calls == []  # what was before is not told
    return made


async def test_each_invoice_is_told_in_one_call(receipts: Synced, connection: PgConnection, url: str) -> None:
    account = add_account(connection, "a")
    invoice = add_invoice(connection, account, 2)
    assert (await receipts.turn()).written == 1
    (ref,) = receipts.calls
    assert (ref.method, ref.key) == ("mail.send", f"sync:mail-receipts:{invoice}")
    sent = read_call(connection, ref.call_id)
    assert sent.account_id == account
    assert sent.request["to"] == "a@example.com"
    assert sent.request["subject"] == "Your invoice INV-2"
    assert sent.request["text"].splitlines() == [
        "Dear Reader a,",
        "",
        "your invoice INV-2 of 2026-11-01 is 12.34 EUR.",
        "It is due on 2026-11-15.",
    ]
    append_events(connection, [NewEvent("invoice.posted", account, invoice, 1)])
    assert (await receipts.turn()).written == 0
    connection.execute("update person set email = null where account_id = %s", (account,))
    without_address = add_invoice(connection, account, 3)
    assert (await receipts.turn()).rejected == 1
    assert parks(url) == [(f"crm/mail-receipts/{without_address}", "drift", None)]


async def test_a_call_that_was_written_down_and_not_started_is_started_later(
    receipts: Synced, connection: PgConnection
) -> None:
    add_invoice(connection, add_account(connection, "a"), 2)
    started = receipts.calls

    async def die(ref: CallRef) -> None:
        raise ConnectionError("the process ends here")

    receipts.start = die
    with pytest.raises(ConnectionError):
        await receipts.turn()
    receipts.start = receipts.note
    await receipts.turn()
    assert started == []  # not before the first process may be thought dead
    connection.execute("update synced_record set due_at = now()")
    await receipts.turn()
    assert [ref.method for ref in started] == ["mail.send"]
    await receipts.turn()
    assert len(started) == 1


async def test_a_newer_state_makes_an_older_call_superfluous(
    engine: Engine, stand_in: ReferenceStandIn, connection: PgConnection, tmp_path: object
) -> None:
    """Transactions are brought to a state in batches, and an invoice without changes is told once."""
    synced = Synced(engine, stand_in, [shipped("crm-transactions")])
    synced.flows = ConnectionFlows(NAME, "live", (shipped("crm-transactions"),))
    account = add_account(connection, "a")
    invoice = add_invoice(connection, account, 2)
    await synced.turn()
    fields = synced.records()["INV-2"]
    assert (fields["amount"], fields["dealname"], fields["description"]) == ("12.34", "INV-2 · a", "open")
    with psycopg.connect(connection.info.dsn) as other:
        other.execute("update invoice set status = 'paid', balance = 0 where id = %s", (invoice,))
        append_events(other, [NewEvent("invoice.posted", account, invoice, 1)])
    await synced.turn()
    assert synced.records()["INV-2"]["description"] == "paid"


async def test_what_was_before_a_flow_that_tells_no_history_is_not_told_by_beginning_it_anew(
    receipts: Synced, connection: PgConnection
) -> None:
    assert receipts.flows is not None
    plan = receipts.flows.plan(receipts.flows.flows[0])
    with pytest.raises(TellsNoHistory, match="history: true"):
        reset_flow(connection, plan)
    with pytest.raises(TellsNoHistory, match="history: true"):
        backfill_flow(connection, plan)
    await receipts.turn()
    assert receipts.calls == []
