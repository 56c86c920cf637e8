"""Playing a scenario: the days pass one by one, each step is one command, and what is refused is noted and leaves
everything as it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from domain.account import commands as verbs
from domain.account.acting import attempt, instant_of
from domain.account.days import advance
from domain.account.state import AccountState, open_account
from domain.catalog import Catalog
from domain.phase_prices import prices_of
from domain.price_book import PriceBook
from domain.simulation.scenario import MOST_YEARS, Scenario, StepOutOfOrder, StepTooFar

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A step that could not be carried out: its place (from 0), its day and verb, and why."""

    place: int
    day: date
    verb: str
    reason: str


@dataclass(slots=True)
class Played:
    """A scenario's account at its end, and the steps that were refused."""

    scenario: Scenario
    account: AccountState
    refused: list[Refusal] = field(default_factory=list)


def play(scenario: Scenario, catalog: Catalog) -> Played:
    """All steps of `scenario`, in their order. Raises StepOutOfOrder for a step that lies before the one above it, and
    StepTooFar for one more than a lifetime of subscriptions away."""
    account = open_world(scenario, catalog)
    played = Played(scenario, account)
    check_order(scenario)
    for step in scenario.steps:
        if isinstance(step, verbs.PaymentFails) and account.terms.auto_pay:
            day = instant_of(step.at, account.zone).date()
            while day <= (step.until or instant_of(step.at, account.zone).date()):
                account.failing[day] = step.code
                day += _DAY
    for place, step in enumerate(scenario.steps):
        advance(account, instant_of(step.at, account.zone).date())
        account.tell(str(place), "step")
        refused = attempt(account, step)
        if refused is not None:
            played.account, reason = refused
            account = played.account
            played.refused.append(Refusal(place, account.today, step.do, reason))
    return played


def check_order(scenario: Scenario) -> None:
    """Raises StepOutOfOrder, or StepTooFar for one that would be played for ages. Steps of one day may mix days and
    instants."""
    zone = ZoneInfo(scenario.account.timezone)
    latest = scenario.steps[0].at
    first = instant_of(latest, zone).date()
    for place, step in enumerate(scenario.steps):
        one, other = instant_of(step.at, zone), instant_of(latest, zone)
        if one.date() < other.date() or (
            isinstance(step.at, datetime) and isinstance(latest, datetime) and one < other
        ):
            raise StepOutOfOrder(place, step.at, latest)
        last = _last_day(step, one.date())
        if last.year - first.year > MOST_YEARS:
            raise StepTooFar(place, last, first)
        if isinstance(step.at, datetime) or one.date() > other.date():
            latest = step.at


def _last_day(step: verbs.Step, day: date) -> date:
    if isinstance(step, verbs.Bill):
        return step.to or day
    return (step.until or day) if isinstance(step, verbs.PaymentFails) else day


def open_world(scenario: Scenario, catalog: Catalog) -> AccountState:
    """The account at the beginning of `scenario`, before its first step."""
    first = scenario.steps[0].at
    price_ids: dict[tuple[str, int, str, str, str], str] = {}
    names: dict[str, tuple[str, str]] = {}
    for plan in catalog.plans:
        for version in plan.versions:
            for phase in version.phases:
                for price in prices_of(version, phase):
                    for currency in catalog.currencies:
                        no = f"00000000-0000-7000-9000-{len(names):012d}"
                        price_ids[plan.code, version.version, phase.kind.value, price.code, currency] = no
                        names[no] = (plan.code, price.code)
    book = PriceBook(
        {plan.code: plan.versions for plan in catalog.plans},
        {plan.code: plan.product for plan in catalog.plans},
        {product.code: product.tax_category for product in catalog.products},
        price_ids,
        scenario.policy.zero_usage,
    )
    day = first.date() if isinstance(first, datetime) else first
    return open_account(scenario.account, catalog, scenario.rules, book, names, day)
