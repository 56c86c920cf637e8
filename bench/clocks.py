"""A clock with 50 accounts over 14 months: seconds, transactions and Temporal events. Prints JSON.

`python -m bench.clocks [ACCOUNTS]`
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import Engine
from temporalio.client import Client

from contracts.names import test_clock_id
from contracts.test_clock import Clock
from domain.account import commands as verbs
from domain.account.terms import AccountTerms, TaxTerms
from operations.accounts.commands import AccountCommands
from operations.catalog import load_catalog
from operations.test_clocks.clocks import ClockAccount, attach_accounts, create_clock, set_declines
from runtime.catalog_source import read_catalog_file
from runtime.clock_play import wait_for_clock
from runtime.process_exit import leave
from runtime.settings import Settings
from runtime.stack.client import ensure_stack
from runtime.temporal import connect
from storage.database import make_engine
from workflows.clock_starts import advance_clock

CATALOG = Path(__file__).parents[1] / "examples" / "catalog.yaml"
BEGINS, ENDS = datetime(2026, 1, 5, tzinfo=UTC), datetime(2027, 3, 5, tzinfo=UTC)
PLANS = ("digital-welcome", "digital-intro", "digital-monthly", "print-digital", "digital-trial")


def build(engine: Engine, count: int) -> Clock:
    """A clock with `count` accounts, each with a subscription; one in ten has a card that fails for a week."""
    load_catalog(engine, read_catalog_file(CATALOG).catalog)
    clock = create_clock(engine, f"bench of {count}", BEGINS)
    terms = AccountTerms(currency="USD", timezone="America/New_York", tax=TaxTerms(region="US-NY"))
    keys = [f"bench-{number:05}" for number in range(count)]
    accounts = attach_accounts(
        engine, clock.id, [ClockAccount(external_key=key, terms=terms) for key in keys]
    )
    commands = AccountCommands(engine)
    for number, (key, account) in enumerate(zip(keys, accounts, strict=True)):
        plan = PLANS[number % len(PLANS)]
        step = verbs.Subscribe(at=BEGINS.date(), do="subscribe", plan=plan, name=key)
        commands.carry_out(account, "subscribe", step, BEGINS)
        if number % 10 == 0:
            days = [date(2026, 6, day) for day in range(1, 31)]
            set_declines(engine, clock.id, key, dict.fromkeys(days, "insufficient_funds"))
    return clock


async def measure(engine: Engine, client: Client, clock: Clock) -> dict[str, object]:
    """Advance the clock by fourteen months."""
    began = time.monotonic()
    await advance_clock(client, clock.id, ENDS)
    await wait_for_clock(engine, clock.id, ENDS, seconds=3600)
    seconds = time.monotonic() - began
    driven = client.get_workflow_handle(test_clock_id(clock.id))
    result = await driven.result()
    own = (await driven.describe()).history_length
    episodes = events = 0
    async for run in client.list_workflows("WorkflowType = 'Subscription'"):
        episodes += 1
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        events += (await handle.describe()).history_length
    return {
        "accounts": clock.accounts,
        "seconds": round(seconds, 1),
        "steps": result["steps"],
        "events_of_the_clock": own,
        "episodes": episodes,
        "events_of_episodes": events,
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> int:
    """Build, advance, print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as home, ensure_stack(Settings(MASTHEAD_HOME=Path(home))) as stack:
        engine = make_engine(stack.database_url)
        clock = build(engine, count)
        clock = clock.model_copy(update={"accounts": count})

        async def go() -> dict[str, object]:
            return await measure(engine, await connect(stack.temporal_address, stack.namespace), clock)

        print(json.dumps(asyncio.run(go())))  # noqa: T201
        engine.dispose()
    return 0


if __name__ == "__main__":
    leave(main())
