"""Payment runs on the real things: who is charged, who is not, what a second run does, what operators may do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from temporalio.client import WorkflowUpdateFailedError

from bench.fleet import DUE
from contracts.bill_run import Control, RunStatus
from contracts.payment_run import PaymentRunRequest
from domain.rule_book import RuleBook
from runtime.temporal import connect
from storage.database import make_engine, transaction
from storage.payment_runs import run_items, run_summary
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.workflows.paying import CARDS, RESERVE, Till
from workflows.payment_run import PaymentRunWorkflow
from workflows.starts import start_payment_run

OPS = Control(actor="ops", reason="a look at the gateway")


@pytest.fixture
async def till(pg_server: PostgresForTests, temporal_address: str) -> AsyncIterator[Till]:
    """A till with workers in this process; after the test its laws are checked."""
    engine = make_engine(pg_server.fresh_database("till"))
    till = Till(engine, await connect(temporal_address, NAMESPACE))
    async with till.working():
        yield till
        till.lawful()
    engine.dispose()


async def test_a_run_charges_each_account_as_it_pays(till: Till) -> None:
    declined, bare, manual, debit, asked, *rest = till.fleet.accounts
    till.use(declined, CARDS, "pm_card_chargeDeclinedInsufficientFunds")
    till.fleet.do("delete from payment_method where account_id = %s", bare)
    till.fleet.do("update account set auto_pay = false where id = %s", manual)
    till.use(debit, RESERVE, "stored_pending")
    till.use(asked, CARDS, "pm_card_threeDSecure2Required")
    for account in rest[:3]:
        till.use(account, RESERVE)
    result = await till.run(chunk_size=5)
    assert result.status is RunStatus.COMPLETED
    assert result.selected == len(till.fleet.accounts) - 1
    assert result.charges == {"succeeded": len(rest), "failed": 2, "processing": 1}
    assert result.left == {"no_method": 1}
    assert (result.pending, result.parked, result.canceled) == (0, 0, 0)
    assert sum(result.paid.values()) == sum(amount for _, amount, _ in _paid(till))
    assert till.fleet.invoices(declined)[0][0] == till.fleet.invoices(debit)[0][0] == "open"
    assert till.fleet.payments(declined)[0][2] == "insufficient_funds"
    again = await till.run()
    assert (again.charges, again.left) == ({}, {"no_method": 1, "waits_for_retry": 2, "in_flight": 1})


def _paid(till: Till) -> list[tuple[str, int, str]]:
    return till.fleet.rows("select status, amount, code from payment where status = 'succeeded'")


async def test_a_preview_charges_nobody(till: Till) -> None:
    seen = await till.run(preview=True)
    assert seen.charges == {"intent": len(till.fleet.accounts)}
    assert till.fleet.rows("select count(*) from charge") == [(0,)]
    assert till.stripe.effects.count("charge") == 0
    ran = await till.run()
    assert (ran.charges["succeeded"], ran.paid) == (seen.charges["intent"], seen.in_flight)


async def test_two_runs_at_once_charge_nobody_twice(till: Till) -> None:
    one, other = await asyncio.gather(till.run(chunk_size=3), till.run("currency:USD", chunk_size=4))
    succeeded = one.charges.get("succeeded", 0) + other.charges.get("succeeded", 0)
    assert succeeded == len(till.fleet.accounts) == till.stripe.effects.count("charge")


async def test_a_gateway_that_is_away_gives_way_to_the_next(till: Till) -> None:
    till.fleet.rule(RuleBook.model_validate({"gateways": {"rules": [{"to": [CARDS, RESERVE]}]}}))
    for account in till.fleet.accounts:
        till.add(account, RESERVE)
    till.stripe.inject("unavailable", times=None)
    result = await till.run()
    assert result.charges == {"succeeded": len(till.fleet.accounts)}
    assert till.stripe.effects.count("charge") == 0
    assert till.adyen.effects.count("charge") == len(till.fleet.accounts)


async def test_refused_credentials_are_nobody_s_decline(till: Till) -> None:
    account = till.fleet.accounts[0]
    till.stripe.inject("unauthorized_forever")
    result = await till.run()
    assert result.charges == {"intent": len(till.fleet.accounts)}
    assert till.fleet.payments(account) == []
    assert till.fleet.collecting(account) is None


async def test_operators_pause_resume_and_cancel(till: Till) -> None:
    till.stripe.inject("stall_within", method="POST", seconds=0.3)
    request = PaymentRunRequest(as_of=DUE, concurrency=1, chunk_size=2)
    handle = await start_payment_run(till.client, request)

    async def is_running() -> bool:
        return (await handle.query(PaymentRunWorkflow.progress)).status is RunStatus.RUNNING

    async with asyncio.timeout(30):
        while not await is_running():  # noqa: ASYNC110 - there is nothing that tells it
            await asyncio.sleep(0.02)
    paused = await handle.execute_update(PaymentRunWorkflow.pause, OPS)
    assert paused.status is RunStatus.PAUSED
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update(PaymentRunWorkflow.pause, OPS)
    resumed = await handle.execute_update(PaymentRunWorkflow.resume, OPS)
    assert resumed.status is RunStatus.RUNNING
    await handle.execute_update(PaymentRunWorkflow.pause, OPS)
    await handle.execute_update(PaymentRunWorkflow.cancel, OPS)
    result = await handle.result()
    assert result.status is RunStatus.CANCELED
    assert result.canceled + sum(result.charges.values()) == result.selected
    assert result.canceled > 0
    actions = till.fleet.rows(
        "select action from audit where subject = %s order by at", f"payment-run/{result.run_id}"
    )
    assert [row[0] for row in actions] == ["pause", "resume", "pause", "cancel"]


async def test_its_accounts_can_be_read_one_by_one(till: Till) -> None:
    till.use(till.fleet.accounts[0], CARDS, "pm_card_chargeDeclinedExpiredCard")
    result = await till.run()
    with transaction(till.engine) as connection:
        first = run_items(connection, str(result.run_id), after=None, limit=5)
        rest = run_items(connection, str(result.run_id), after=first[-1].account_id, limit=50)
        failed = run_items(connection, str(result.run_id), after=None, limit=50, status="failed")
        counted = run_summary(connection, str(result.run_id))
    assert [each.account_id for each in (*first, *rest)] == till.fleet.accounts
    assert [(each.account_id, each.code) for each in failed] == [(till.fleet.accounts[0], "expired_card")]
    assert counted is not None
    assert counted["charges"] == result.charges
