"""Restored from a backup that was taken before more was sold: the gateway is asked, every charge is found, and none is
made again."""

from __future__ import annotations

import asyncio
import stat
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from temporalio.service import RPCError

from contracts.checkout import CheckoutStatus
from operations.backup.found import What
from runtime.backup.restoring import restore_backup
from runtime.backup.taking import Source, take_backup
from runtime.stack import launch
from runtime.stack.home import Home
from runtime.temporal import connect
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.runtime.backup.restored import TemporalOver, asked, brought_back, settings_of
from tests.workflows.selling import Shop, order
from workflows.checkout import CheckoutWorkflow
from workflows.checkout_starts import CheckoutHandle


async def held_back(shop: Shop, handle: CheckoutHandle) -> None:
    """Wait until the checkout's call was tried, and was told that nothing goes out."""
    async with asyncio.timeout(30):
        while True:
            seen = await shop.client.get_workflow_handle(handle.id).describe()
            waiting = seen.raw_description.pending_activities
            if any("external writes are held" in each.last_failure.message for each in waiting):
                return
            await asyncio.sleep(0.05)


async def test_every_charge_made_after_the_backup_is_found_and_none_is_made_again(
    pg_server: PostgresForTests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.errors.HELD_LOOK", timedelta(seconds=1))
    old, new = Home(tmp_path / "old"), Home(tmp_path / "new")
    old.prepare()
    file = tmp_path / "backup.tar"
    temporal = await asyncio.to_thread(TemporalOver, old.temporal_file)
    await asyncio.to_thread(launch.prepare_temporal, temporal.address, NAMESPACE, 30, 30)
    url = pg_server.fresh_database("backed_up")
    engine = make_engine(url)
    with StripeStandIn() as gateway:
        shop = Shop(engine, await connect(temporal.address, NAMESPACE), gateway)
        async with shop.working():
            _, before = await shop.sell(order())
            at_the_bank = await shop.start(order(card="threeDSecure2Required"))
            own = at_the_bank.id.partition("/")[2]
            await shop.until("the customer has to act", lambda: shop.row(own).status == "requires_action")
        just_begun = await shop.start(order("digital-monthly"))
        source = Source(url, old.temporal_file, NAMESPACE)
        manifest = await asyncio.to_thread(take_backup, source, file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        async with shop.working():
            async with httpx.AsyncClient() as browser:
                await browser.post(f"{shop.row(own).next_action_url}/approve")
            await at_the_bank.signal(CheckoutWorkflow.confirm, None)
            assert (await at_the_bank.result()).status is CheckoutStatus.COMPLETED
            assert (await just_begun.result()).status is CheckoutStatus.COMPLETED
            _, lost = await shop.sell(order("digital-monthly"))
        charged = gateway.count("charge")
        assert charged == 4
        engine.dispose()
        temporal.kill()

        done = await asyncio.to_thread(restore_backup, settings_of(new.root), file, actor="ops", force=False)
        assert (done.manifest, done.temporal) == (manifest, True)
        async with brought_back(new.root, gateway) as again:
            assert again.rows("select status from checkout where id = %s", before.id) == [("completed",)]
            async with again.working():
                # Held: what is begun now waits, and what was open asks only.
                handle = await again.start(order("digital-monthly"))
                await held_back(again, handle)
                assert (gateway.count("charge"), gateway.count("authorization")) == (charged, 4)
                told = await asked(again.engine, gateway)
                assert told.released, told
                found = {each.payment["reference"]: each.what for each in told.asked[0].found}
                assert found == {
                    f"checkout:{before.id}": What.KNOWN,
                    f"checkout:{own}": What.RESUMED,
                    f"checkout:{just_begun.id.partition('/')[2]}": What.RESUMED,
                    f"checkout:{lost.id}": What.PARKED,
                }
                for each in (at_the_bank, just_begun):
                    went_on = again.client.get_workflow_handle_for(CheckoutWorkflow.run, each.id)
                    with suppress(RPCError):  # it may have looked by itself, and be done
                        await went_on.signal(CheckoutWorkflow.confirm, None)
                    assert (await went_on.result()).status is CheckoutStatus.COMPLETED
                async with asyncio.timeout(60):
                    assert (await handle.result()).status is CheckoutStatus.COMPLETED
            for reference in found:
                assert gateway.effects.count("charge", reference) == 1, "something was charged again"
            assert gateway.count("charge") == charged + 1
            [(message, payload)] = again.rows(
                "select message, payload from parked where kind = 'restored' and resolved_at is null"
            )
            assert f"checkout:{lost.id}" in message
            assert (payload["amount"], payload["currency"]) == (lost.due, "USD")
            assert (await asked(again.engine, gateway)).hold is None
            again.check()
