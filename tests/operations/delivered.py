"""A reader on a test clock who gets a printed magazine and licences for its archive."""

from __future__ import annotations

from typing import Any, NamedTuple

from contracts.test_clock import Clock
from domain.rule_book import RuleBook
from operations.account_records import AccountChanges, amend_account
from operations.rule_books import load_rule_book
from operations.test_clocks.clocks import arrived, order_advance
from operations.test_clocks.delivering import deliver
from operations.test_clocks.playing import play_step
from storage.database import transaction
from storage.sight import EVERYTHING
from tests.operations.clocked import FIRST, Clocked, instant
from tests.operations.fulfilment.parcels import CONNECTED, Fulfilment

HOME = {"line1": "17 Canary Wharf Steps", "city": "Springfield", "postal_code": "12345", "country": "US"}
# Of the magazine, whose issues are dated the 1st and the 15th, and are ordered three days before.
CALENDAR = {
    "edition": "magazine",
    "zone": "America/New_York",
    "extra_days": [f"2026-{month:02}-{day:02}" for month in range(1, 7) for day in (1, 15)],
    "cut_off": {"at": "12:00", "days_before": 3},
}


class Asked(NamedTuple):
    """A call, and the local day on which the account stood."""

    day: str
    method: str
    about: str


class Reader:
    """A reader on a clock, and the systems that give licences and send parcels."""

    def __init__(
        self,
        clocked: Clocked,
        fulfilment: Fulfilment,
        *,
        connected: bool = True,
        clock: str = "clock",
        address: dict[str, str] | None = HOME,
    ) -> None:
        self.clocked = clocked
        self.fulfilment = fulfilment
        clocked.fulfilled_by = lambda _: CONNECTED if connected else {}
        load_rule_book(clocked.engine, RuleBook.model_validate({"delivery": CALENDAR}))
        self.clock: Clock = clocked.clock(clock)
        self.account = clocked.account(self.clock, "ada")
        with transaction(clocked.engine) as connection:
            amend_account(
                connection,
                EVERYTHING,
                self.account,
                AccountChanges(person={"name": "Ada", "address": address}),
                allowed=lambda _: True,
                now=instant(FIRST),
                actor="test",
            )

    async def lives(self, to: str) -> list[Asked]:
        """Play the account up to `to`, as the clock's activity does; the calls that were made."""
        engine, target, asked = self.clocked.engine, instant(to), []
        order_advance(engine, self.clock.id, target)
        asked += await self.delivered()
        while not (step := play_step(engine, self.clocked.tariffs.current(), self.account, target)).arrived:
            for subscription in step.waiting:
                self.clocked.tick(subscription, step.at)
            asked += await self.delivered()
        asked += await self.delivered()
        arrived(engine, self.clock.id)
        return asked

    async def delivered(self) -> list[Asked]:
        asked = []
        while calls := deliver(self.clocked.engine, self.clocked.fulfilled_by, self.account):
            [(day,)] = self.clocked.rows(
                "select (clock_at at time zone time_zone)::date::text from account where id = %s",
                self.account,
            )
            for call in calls:
                asked.append(Asked(day, call.method, call.about))
                await self.fulfilment.call(call)
        return asked

    def stands(self, capability: str) -> list[tuple[Any, ...]]:
        return self.clocked.rows(
            "select coalesce(terms->>'issue', 'order'), wish, told, outcome from fulfilment where capability = %s"
            " order by number",
            capability,
        )
