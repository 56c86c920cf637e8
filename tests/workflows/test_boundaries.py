"""A date that a bill and an episode both meet: whichever comes first, the rows are the same."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine
from temporalio.client import Client
from uuid_utils import uuid7

from activities.subscription import Episodes
from contracts.subscription import EpisodeRef
from domain.account import commands as verbs
from domain.policy import Behaviour
from operations.billrun.post import ChunkRef
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope
from runtime.temporal import connect
from storage.billable import Target
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.operations.clocked import Clocked
from tests.workflows.clocked import clock_worker

DAY = timedelta(days=1)
TODAY = datetime.now(UTC).date()
Story = Callable[["Live"], None]


class Live(Clocked):
    """A live account in UTC that has lived until a while ago, day by day as it was told."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.account_id = str(uuid7())
        self.own = ""
        with transaction(engine) as connection:
            connection.execute(
                "insert into account (id, external_key, currency, time_zone, locale, tax_region)"
                " values (%s, 'ada', 'USD', 'UTC', 'en', 'US-NY')",
                (self.account_id,),
            )

    def on(self, day: date, step: verbs.Step) -> None:
        self.given += 1
        done = self.commands.carry_out(
            self.account_id,
            f"command {self.given}",
            step,
            datetime(day.year, day.month, day.day, 9, tzinfo=UTC),
        )
        self.own = str(done.answer["subscription"]["id"])

    def begin(self, day: date, plan: str) -> None:
        self.on(day, verbs.Subscribe(at=day, do="subscribe", plan=plan, name="main"))

    def bill(self, day: date) -> None:
        target = Target(day, None)
        runs = BillRuns(self.engine)
        run = runs.open(
            workflow_id=f"bill-run/all/{day}",
            workflow_run_id=str(uuid.uuid4()),
            mode="live",
            scope=Scope.parse("all"),
            target=target,
        )
        for chunk in range(runs.size(run)[0]):
            runs.bill(ChunkRef(run, chunk, "live"), target, wait=True, heartbeat=lambda _: None)
        assert runs.finish(run, canceled=False)["parked"] == 0

    def rows_beside(self) -> list[tuple]:
        """What the dump leaves out, because it is when something will be done, not what was."""
        return self.rows(
            "select status, next_due, resumes_on, later_on, (select array_agg((key, due_at, outcome) order by key)"
            " from follow_up f where f.subscription_id = s.id and due_at <= now()) from subscription s"
        )


def trial_end(live: Live) -> None:
    live.begin(TODAY - 14 * DAY, "digital-welcome")


def phase_change(live: Live) -> None:
    live.begin(TODAY - 14 * DAY - 93 * DAY, "digital-welcome")  # the intro ended today, or some days ago
    live.bill(TODAY - 40 * DAY)


def pause_end(live: Live) -> None:
    live.begin(TODAY - 40 * DAY, "digital-monthly")
    live.bill(TODAY - 40 * DAY)
    live.on(TODAY - 20 * DAY, verbs.Pause(at=TODAY, do="pause", subscription="main", until=TODAY))


def waiting_change(live: Live) -> None:
    live.begin(TODAY - 31 * DAY, "digital-monthly")
    live.bill(TODAY - 31 * DAY)
    step = verbs.ChangePlan(
        at=TODAY, do="change_plan", subscription="main", to="digital-yearly", behaviour=Behaviour.PERIOD_END
    )
    live.on(TODAY - 10 * DAY, step)


def waiting_item(live: Live) -> None:
    live.begin(TODAY - 31 * DAY, "digital-monthly")
    live.bill(TODAY - 31 * DAY)
    step = verbs.ChangePlan(at=TODAY, do="change_plan", subscription="main", to="digital-student")
    live.on(TODAY - 10 * DAY, step)


def end_of_term(live: Live) -> None:
    live.begin(TODAY - 31 * DAY, "digital-monthly")
    live.bill(TODAY - 31 * DAY)
    live.on(TODAY - 10 * DAY, verbs.Cancel(at=TODAY, do="cancel", subscription="main", when="end_of_period"))


async def follow(client: Client, live: Live) -> None:
    """Let the episode run until nothing of its subscription is overdue."""
    overdue = (
        "select 1 from subscription s where next_due <= now() or exists (select 1 from follow_up f"
        " where f.subscription_id = s.id and done_at is null and due_at <= now())"
    )
    async with clock_worker(client, live.engine) as queue:
        await Episodes(client, queue).signal(EpisodeRef(live.own, live.account_id))
        async with asyncio.timeout(60):
            while True:
                described = await client.get_workflow_handle(f"subscription/{live.own}").describe()
                done = described.close_time is not None or described.history_length > 5
                if done and not live.rows(overdue):
                    break
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "story", [trial_end, phase_change, pause_end, waiting_change, waiting_item, end_of_term]
)
async def test_a_bill_and_an_episode_meet_a_date_in_both_orders(
    pg_server: PostgresForTests, temporal_address: str, story: Story
) -> None:
    client = await connect(temporal_address, NAMESPACE)
    found = []
    for billed_first in (True, False):
        engine = make_engine(pg_server.fresh_database("boundary"))
        live = Live(engine)
        story(live)
        before = live.dump()
        if billed_first:
            live.bill(TODAY)
            await follow(client, live)
        else:
            await follow(client, live)
            live.bill(TODAY)
        assert live.dump() != before
        found.append((live.dump(), live.rows_beside()))
        engine.dispose()
    for one, other in zip(*found, strict=True):
        assert one == other
