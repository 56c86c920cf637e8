"""Law I13 for prices in arrears: every day to which arrears are charged stands once, and damage to it is named."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta

import psycopg
import pytest

from operations.verify import LawResult, verify
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.arrears import ITEMS, late_fleet, subscribe
from tests.operations.billed import bill, copied, tamper

DAYS = [date(2026, 12, 1), date(2026, 12, 18), date(2027, 1, 10), date(2027, 2, 1), date(2027, 3, 9)]


@pytest.fixture(scope="module")
def good(pg_server: PostgresForTests, tmp_path_factory: pytest.TempPathFactory) -> str:
    return late_fleet(pg_server, tmp_path_factory.mktemp("late"), DAYS)


@pytest.fixture
def copy(pg_server: PostgresForTests, good: str) -> str:
    return copied(pg_server, good)


def laws(url: str) -> dict[str, LawResult]:
    engine = make_engine(url)
    try:
        return {result.law: result for result in verify(engine)}
    finally:
        engine.dispose()


def broken(url: str) -> dict[str, str]:
    return {
        law: "\n".join(f"{found.where}: {found.what}" for found in result.violations)
        for law, result in laws(url).items()
        if not result.ok
    }


def test_a_fleet_in_advance_and_in_arrears_keeps_every_law_after_each_bill(
    pg_server: PostgresForTests, tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = pg_server.fresh_database("late_by_day")
    engine = make_engine(url)
    try:
        subscribe(engine, tmp_path_factory.mktemp("readers"))
        assert broken(url) == {}
        for day in DAYS:
            bill(engine, day)
            assert broken(url) == {}, day
    finally:
        engine.dispose()


def test_the_days_in_arrears_are_those_of_the_rows(good: str) -> None:
    """The same law, counted day by day and price by price."""
    charged: dict[tuple[str, str, str], list[date]] = defaultdict(list)
    with psycopg.connect(good) as connection:
        for key, plan, price, part, start, end in connection.execute(
            "select s.external_key, i.plan_code, p.code, l.part, l.period_start, l.period_end from invoice_line l"
            " join subscription_item i on i.id = l.item_id join subscription s on s.id = i.subscription_id"
            " join price p on p.id = l.price_id where l.kind = 'recurring' and i.plan_code in ('later', 'mixed')"
        ):
            charged[key, f"{plan}/{price}", part] += [start + timedelta(n) for n in range((end - start).days)]
        rows = {
            key: tuple(days)
            for key, *days in connection.execute(
                "select external_key, opening_on, charged_through, arrears_through from subscription"
            )
        }
    wanted = {"later/access": 2, "mixed/base": 1, "mixed/fee": 2, "mixed/page": 2}
    assert {price for _, price, _ in charged} == set(wanted)
    assert len(charged) == 7 * 5  # of each subscription: a price of two parts, and three of one
    for (key, price, _), days in charged.items():
        opening, through = rows[key][0], rows[key][wanted[price]]
        assert sorted(days) == [opening + timedelta(n) for n in range((through - opening).days)], (key, price)


def test_items_are_counted_and_those_that_charge_in_some_phases_only_are_noted(good: str) -> None:
    result = laws(good)["I13"]
    assert result.checked == ITEMS
    assert result.notes == [
        "7 items have plans that charge in some phases only: looked at for double days, not for missing"
    ]


def _line(subscription: str, price: str, first: str, plan: str = "") -> str:
    """The lines of a price of a subscription, by where their period starts."""
    return (
        "(invoice_id, no) in (select l.invoice_id, l.no from invoice_line l"
        " join subscription_item i on i.id = l.item_id join subscription s on s.id = i.subscription_id"
        " join price p on p.id = l.price_id"
        f" where s.external_key = '{subscription}' and p.code = '{price}' and l.period_start = '{first}'"
        f" and l.kind = 'recurring' and i.plan_code = '{plan or subscription.split('-')[0]}')"
    )


def _price(plan: str, code: str) -> str:
    return (
        "(select p.id from price p join plan_version v on v.id = p.plan_version_id"
        f" where v.plan_code = '{plan}' and p.code = '{code}' and p.phase = 'evergreen')"
    )


def _moved(subscription: str, days: int) -> str:
    return f"update subscription set arrears_through = arrears_through + {days} where external_key = '{subscription}'"


# Periods of `later-old` begin on the 31st, those of `mixed-old` on the 10th, when its trial was over.
OLD = _line("later-old", "access", "2026-12-31")
DAMAGE: dict[str, tuple[list[str], str, list[str]]] = {
    "a day in arrears not charged": (
        [f"update invoice_line set period_start = period_start + 1 where {OLD}"],
        "I5 I13",
        ["item later (", "2026-12-31 to 2027-01-01 not charged in arrears; charged by INV-"],
    ),
    "a period in arrears voided": (
        [f"update invoice_line set voided_at = now() where {OLD}"],
        "I13",
        ["2026-12-31 to 2027-01-31 not charged in arrears; charged by INV-"],
    ),
    "a period in arrears charged twice": (
        [
            f"update invoice_line set period_start = period_start - 31, period_end = '2026-12-31' where {OLD}",
        ],
        "I5 I13",
        ["2026-12-31 to 2027-01-31 not charged in arrears", "charged in arrears with other prices or parts"],
    ),
    "a day in arrears charged twice": (
        [f"update invoice_line set period_end = period_end + 1 where {OLD}"],
        "I5 I13",
        ["2027-01-31 to 2027-02-01 charged in arrears more than once; charged by"],
    ),
    "arrears charged past their day": (
        [_moved("later-old", -10)],
        "I13",
        ["charged in arrears, outside of 2026-11-30 to 2027-02-18"],
    ),
    "arrears that moved on without a charge": (
        [_moved("mixed-old", 3)],
        "I13",
        ["subscription mixed-old, item mixed", "2027-02-10 to 2027-02-13 not charged in arrears; charged by"],
    ),
    "a part of a bundle in arrears that is not sold": (
        [f"update invoice_line set part = 'other' where {OLD} and part = 'puzzles'"],
        "I5 I13",
        [
            "item later (",
            "2026-12-31 to 2027-01-31 charged in arrears with other prices or parts than the plan's",
        ],
    ),
    "one of two prices in arrears voided": (
        [f"update invoice_line set voided_at = now() where {_line('mixed-old', 'page', '2026-12-10')}"],
        "I13",
        ["item mixed (", "2026-12-10 to 2027-01-10 charged in arrears with other prices or parts"],
    ),
    # The other side of a mixed plan is none of it.
    "the price in advance of a mixed plan voided": (
        [f"update invoice_line set voided_at = now() where {_line('mixed-old', 'base', '2026-12-10')}"],
        "I13",
        ["item mixed (", "2026-12-10 to 2027-01-10 not charged; charged by"],
    ),
    "a charge in arrears of a plan that is paid ahead": (
        [
            f"update invoice_line set price_id = {_price('mixed', 'fee')}"
            f" where {_line('ahead-old', 'access', '2026-12-31')}"
        ],
        "I5 I13 references",
        [
            "item ahead (",
            "2026-12-31 to 2027-01-31 not charged; charged by",
            "charged in arrears, which the plan never does; 2026-12-31 to 2027-01-31 charged in arrears with other",
        ],
    ),
    "a charge ahead of a plan that is paid in arrears": (
        [f"update invoice_line set price_id = {_price('ahead', 'access')} where {OLD} and part = 'news'"],
        "I5 I13 references",
        [
            "item later (",
            "2026-12-31 to 2027-01-31 charged in advance, which the plan never does; charged by",
            "2026-12-31 to 2027-01-31 charged in arrears with other prices or parts",
        ],
    ),
    "a charge of another item of the subscription": (
        [
            "update invoice_line set item_id = (select i.id from subscription_item i join subscription s"
            " on s.id = i.subscription_id where s.external_key = 'later-more' and i.plan_code = 'ahead')"
            f" where {_line('later-more', 'access', '2026-12-08', 'later')}"
        ],
        "I5 I13 references",
        [
            "item ahead (",
            "2026-12-08 to 2027-01-08 charged in arrears, which the plan never does; charged by",
            "item later (",
            "2026-12-08 to 2027-01-08 not charged in arrears; charged by",
        ],
    ),
    "a day charged twice by a plan that charges in arrears in some phases only": (
        [
            "update invoice_line set period_start = period_start - 1"
            f" where {_line('turning-old', 'access', '2026-12-31')}"
        ],
        "I5 I13",
        ["item turning (", "2026-12-30 to 2026-12-31 charged in arrears more than once; charged by"],
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_in_arrears_is_found_and_named(copy: str, damage: str) -> None:
    statements, expected, words = DAMAGE[damage]
    tamper(copy, *statements)
    found = broken(copy)
    assert set(found) == set(expected.split()), found
    for word in words:
        assert word in found["I13"], found["I13"]
