"""A scenario played twice: in memory by `play`, and step by step on an account in the database. What both come to is
told in the same words, so that it can be compared."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from psycopg.types.json import Jsonb
from sqlalchemy import Engine
from uuid_utils import uuid7

from domain.account import commands as verbs
from domain.account import lifecycle
from domain.account.acting import attempt, instant_of
from domain.account.state import AccountState
from domain.catalog import Catalog
from domain.simulation.outcome import outcome
from domain.simulation.play import Played, Refusal
from domain.simulation.scenario import Scenario
from operations.accounts.unit import build, changing
from operations.billrun.post import ChunkRef
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope
from operations.catalog import load_catalog
from operations.tariffs import Tariff, read_tariff
from storage.billable import Target
from storage.database import PgConnection, transaction
from storage.whole.journal import read_journal
from storage.whole.reading import read_whole

_DAY = timedelta(days=1)


class Mirror:
    """One account in the database that goes through the steps of a scenario."""

    def __init__(
        self,
        engine: Engine,
        scenario: Scenario,
        catalog: Catalog,
        *,
        own_rules: bool = True,
        runs: bool = False,
    ) -> None:
        self.engine = engine
        self.scenario = scenario
        self.refused: list[Refusal] = []
        self.latest: datetime | None = None
        load_catalog(engine, catalog)
        self.rule_book = f"book {uuid4()}" if own_rules else None
        self.runs = BillRuns(engine) if runs else None
        with transaction(engine) as connection:
            self.account_id = self._open(connection)
        with transaction(engine) as connection:
            self.tariff: Tariff = read_tariff(connection)
        self.place = 0

    def _open(self, connection: PgConnection) -> str:
        own, scenario = str(uuid7()), self.scenario
        account = scenario.account
        if self.rule_book is not None:
            rules = scenario.rules.model_dump(mode="json", by_alias=True, exclude_unset=True)
            connection.execute(
                "insert into rule_book (name, version, definition) values (%s, 1, %s)",
                (self.rule_book, Jsonb(rules)),
            )
        first = instant_of(scenario.steps[0].at, _zone(account.timezone)).date()
        declines: dict[str, str] = {}
        for step in scenario.steps:
            if isinstance(step, verbs.PaymentFails) and account.auto_pay:
                day = instant_of(step.at, _zone(account.timezone)).date()
                while day <= (step.until or instant_of(step.at, _zone(account.timezone)).date()):
                    declines[str(day)] = step.code
                    day += _DAY
        connection.execute(
            "insert into account (id, mode, external_key, currency, time_zone, locale, bill_cycle_day, tax_region,"
            " tax_inclusive, tax_treatment, auto_pay, payment_terms_days, rule_book, declines, settled_on)"
            " values (%s, 'test', %s, %s, %s, 'en', %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                own,
                own,
                account.currency,
                account.timezone,
                account.bill_cycle_day,
                account.tax.region,
                account.tax.inclusive,
                account.tax.treatment.value,
                account.auto_pay,
                scenario.policy.payment_terms_days
                if account.payment_terms_days is None
                else account.payment_terms_days,
                self.rule_book,
                Jsonb(declines),
                first,
            ),
        )
        return own

    def play(self) -> Mirror:
        """All steps."""
        for step in self.scenario.steps:
            self.step(step)
        # A bill run by the subscriptions alone leaves what is dated to whoever looks at the account next.
        self.look(instant_of(self.scenario.steps[-1].at, self.zone()))
        return self

    def look(self, at: datetime) -> None:
        """Have what is dated until `at` recorded."""
        with (
            transaction(self.engine) as connection,
            changing(connection, self.tariff, self.account_id, at, through=at.date()),
        ):
            pass

    def step(self, step: verbs.Step) -> None:
        """One step, in a transaction of its own."""
        zone = self.zone()
        at = instant_of(step.at, zone)
        if isinstance(step, verbs.Usage):
            self._use(step, at)
        elif isinstance(step, verbs.Bill) and self.runs is not None and step.to is None:
            self.bill(at.date())
        else:
            with (
                transaction(self.engine) as connection,
                changing(connection, self.tariff, self.account_id, at, through=at.date()) as unit,
            ):
                unit.account.latest = self.latest
                refused = attempt(unit.account, self._named(step))
                self.latest = unit.account.latest
                if refused is not None:
                    unit.account, reason = refused
                    self.refused.append(
                        Refusal(self.place, unit.account.today, step.do, self._unnamed(reason))
                    )
        self.place += 1

    def bill(self, day: date, now: datetime | None = None) -> None:
        """A real bill run dated `day` over the account alone, at `now` (on that day), chunk by chunk, as a run's
        activities carry it out."""
        runs = self.runs or BillRuns(self.engine)
        own = str(uuid4())
        target = Target(day, None, now)
        run_id = runs.open(
            workflow_id=own,
            workflow_run_id=own,
            mode="test",
            scope=Scope.parse(f"account:{self.account_id}"),
            target=target,
        )
        for wait in (False, True):
            for no in runs.unfinished(run_id):
                ref = ChunkRef(run_id, no, "test")
                runs.bill(ref, target, wait=wait, heartbeat=lambda _: None)
        runs.finish(run_id, canceled=False)

    def _use(self, step: verbs.Usage, at: datetime) -> None:
        # A day stands for its noon; the record is there before anything rates it.
        instant = at if isinstance(step.at, datetime) else at.replace(hour=12)
        self.look(at)  # an item that begins anew that day is there before what it is charged for
        with (
            transaction(self.engine) as connection,
            changing(connection, self.tariff, self.account_id, at, through=at.date()) as unit,
        ):
            try:
                self._record(connection, unit.account, step, instant)
            except ValueError as error:
                reason = self._unnamed(str(error))
                self.refused.append(Refusal(self.place, unit.account.today, step.do, reason))

    def _record(
        self, connection: PgConnection, account: AccountState, step: verbs.Usage, instant: datetime
    ) -> None:
        subscription = account.subscription(self._name(step.subscription))
        if (step.quantity is None) == (not step.events):
            raise ValueError("usage is a quantity or a list of events, one of the two")
        if not any(meter.code == step.meter for meter in account.catalog.meters):
            raise ValueError(f"the catalog has no meter {step.meter!r}")
        item = lifecycle.item_for_usage(account, subscription, step.meter, instant.date())
        for quantity in step.events or (step.quantity,):
            connection.execute(
                "insert into usage_record (id, item_id, meter_code, at, quantity, key)"
                " values (%s, %s, %s, %s, %s, %s)",
                (str(uuid7()), item, step.meter, instant, quantity, str(uuid7())),
            )

    def zone(self) -> Any:
        with transaction(self.engine) as connection:
            row = connection.execute(
                "select time_zone from account where id = %s", (self.account_id,)
            ).fetchone()
        assert row is not None
        return _zone(row[0])

    def _name(self, name: str) -> str:
        return f"{self.account_id} {name}"

    def _named(self, step: verbs.Step) -> verbs.Step:
        """Names of subscriptions are unique in a database, not in a scenario."""
        if isinstance(step, verbs.Subscribe):
            return step.model_copy(update={"name": self._name(step.name)})
        if hasattr(step, "subscription"):
            return step.model_copy(update={"subscription": self._name(step.subscription)})
        return step

    def _unnamed(self, text: str) -> str:
        return text.replace(f"{self.account_id} ", "")

    def account(self) -> AccountState:
        """The account as the database has it, with its whole journal."""
        with transaction(self.engine) as connection:
            rows = read_whole(connection, self.account_id, self.tariff.book, lock=False)
            found, _ = build(rows, self.tariff, datetime.now(_zone("UTC")))
            found.journal = read_journal(connection, self.account_id, rows.invoice_ids)
        found.subscriptions = {
            self._unnamed(name): replace(each, name=self._unnamed(name))
            for name, each in found.subscriptions.items()
        }
        return found

    def told(self) -> dict[str, Any]:
        """What the account comes to."""
        return outcome(Played(self.scenario, self.account(), self.refused))


def _zone(name: str) -> Any:
    return ZoneInfo(name)
