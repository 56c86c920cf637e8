"""A fleet of accounts for benchmarks: believable variety, made by the database in seconds.

Six plans; every fifth account has a discount, every tenth two items, every twentieth starts with a prorated stub;
they began in any of forty months; all are taxed; all fall due on `DUE`.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import Engine

from domain.catalog import Catalog
from operations.catalog import load_catalog
from storage.database import transaction

DUE = date(2026, 12, 1)
PLANS = ("daily", "weekend", "premium", "family", "student", "archive")
_PRICES = ("12.90", "7.50", "24.00", "31.90", "4.90", "9.99")


def bench_catalog() -> Catalog:
    """Six monthly plans and an add-on, in dollars, with a rate of tax."""

    def plan(code: str, amount: str) -> dict[str, Any]:
        price = {"code": "base", "type": "recurring", "amounts": {"USD": amount}}
        version = {
            "version": 1,
            "effective": date(2020, 1, 1),
            "interval": {"unit": "month"},
            "phases": [{"kind": "evergreen", "prices": [price]}],
        }
        return {"code": code, "name": code.title(), "product": "news", "versions": [version]}

    return Catalog.model_validate(
        {
            "format": "masthead.catalog/1",
            "publisher": "Bench",
            "currencies": ["USD"],
            "products": [{"code": "news", "name": "News", "tax_category": "digital-news"}],
            "plans": [*map(plan, PLANS, _PRICES), plan("crossword", "2.00")],
            "tax_rates": [
                {
                    "region": "US-XX",
                    "category": "digital-news",
                    "jurisdiction": "State of Bench",
                    "rate": "0.0825",
                    "effective": date(2020, 1, 1),
                }
            ],
        }
    )


def build_fleet(engine: Engine, accounts: int) -> None:
    """Write `accounts` accounts, each with one subscription due on `DUE`, into an empty database, and analyze."""
    load_catalog(engine, bench_catalog())
    with transaction(engine) as connection:
        connection.execute(
            """
            insert into account (id, external_key, currency, time_zone, locale, tax_region)
            select uuidv7(), 'bench-' || lpad(i::text, 9, '0'), 'USD', 'America/New_York', 'en-US', 'US-XX'
            from generate_series(1, %s) i
            """,
            (accounts,),
        )
        connection.execute(
            """
            insert into subscription (id, account_id, external_key, status, starts_on, anchor_on, anchor_day,
                interval_unit, interval_count, opening_on, charged_through, arrears_through, next_bill_on)
            select uuidv7(), id, external_key, 'active',
                   (date '2023-01-01' + make_interval(months => n / 7 %% 40))::date,
                   case when n %% 20 = 3 then date '2026-12-16' else date '2023-01-01' end,
                   case when n %% 20 = 3 then 16 else 1 end,
                   'month', 1, %(due)s, %(due)s, %(due)s, %(due)s
            from (select *, right(external_key, 9)::int as n from account order by id) a
            """,
            {"due": DUE},
        )
        connection.execute(
            """
            insert into subscription_item (id, subscription_id, plan_code, plan_version, starts_on)
            select uuidv7(), id, (%s::text[])[1 + n %% 6], 1, starts_on
            from (select *, right(external_key, 9)::int as n from subscription order by id) s
            """,
            (list(PLANS),),
        )
        connection.execute(
            """
            insert into subscription_item (id, subscription_id, plan_code, plan_version, starts_on)
            select uuidv7(), id, 'crossword', 1, starts_on from subscription
            where right(external_key, 9)::int % 10 = 7
            """
        )
        connection.execute(
            """
            insert into subscription_discount (id, subscription_id, code, percent, starts_on)
            select uuidv7(), id, 'LOYAL15', 15, starts_on from subscription where right(external_key, 9)::int % 5 = 1
            """
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("vacuum analyze")
