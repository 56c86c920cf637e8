"""The fleet that is billed under faults: three currencies, discounts, bundles, stubs, metered plans, all due on `DUE`.

Of each 40 accounts 38 owe an invoice on `DUE`, one has used nothing (nothing due), and one falls due on `LATER` only.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import Engine

from domain.catalog import Catalog
from operations.catalog import load_catalog
from storage.database import transaction

DUE = date(2026, 12, 1)
LATER = date(2027, 1, 1)
GROUP = 40
UNUSED, DUE_LATER = 11, 19  # places in each group


def owing(accounts: int) -> int:
    """How many of `accounts`, a multiple of `GROUP`, get an invoice on `DUE`."""
    return accounts // GROUP * (GROUP - 2)


def selected(accounts: int) -> int:
    """How many of `accounts` a run on `DUE` selects."""
    return accounts // GROUP * (GROUP - 1)


def _price(code: str, usd: str, eur: str, jpy: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "type": "recurring", "amounts": {"USD": usd, "EUR": eur, "JPY": jpy}, **more}


def _plan(code: str, *prices: dict[str, Any], product: str = "news") -> dict[str, Any]:
    version = {
        "version": 1,
        "effective": date(2020, 1, 1),
        "interval": {"unit": "month"},
        "phases": [{"kind": "evergreen", "prices": prices}],
    }
    return {"code": code, "name": code.title(), "product": product, "versions": [version]}


def catalog() -> Catalog:
    """A small publisher's."""
    parts = [{"product": "news", "weight": 2}, {"product": "paper", "weight": 1}]
    articles = _price("articles", "0.25", "0.22", "40", type="usage", model="per_unit", meter="articles")
    rates = (
        ("US-XX", "news", "0.0825"),
        ("DE", "news", "0.07"),
        ("DE", "paper", "0.19"),
        ("JP", "news", "0.08"),
    )
    return Catalog.model_validate(
        {
            "format": "masthead.catalog/1",
            "publisher": "Faults",
            "currencies": ["USD", "EUR", "JPY"],
            "meters": [{"code": "articles", "name": "Articles", "unit": "article"}],
            "products": [
                {"code": "news", "name": "News", "tax_category": "news"},
                {"code": "paper", "name": "Paper", "tax_category": "paper"},
            ],
            "plans": [
                _plan("daily", _price("base", "12.90", "11.90", "1800")),
                _plan("weekend", _price("base", "7.50", "6.99", "990")),
                _plan("bundle", _price("base", "31.90", "29.90", "4400", parts=parts)),
                _plan("crossword", _price("base", "2.00", "1.90", "280")),
                _plan("reader", articles | {"allowance": "5"}),
                _plan("hybrid", _price("base", "4.90", "4.50", "700"), articles),
            ],
            "tax_rates": [
                {
                    "region": region,
                    "category": category,
                    "jurisdiction": f"{region} {category}",
                    "rate": rate,
                    "effective": date(2020, 1, 1),
                }
                for region, category, rate in rates
            ],
        }
    )


def build_fleet(engine: Engine, accounts: int) -> None:
    """Write `accounts` accounts (a multiple of `GROUP`) into an empty migrated database."""
    load_catalog(engine, catalog())
    places = {"group": GROUP, "unused": UNUSED, "later": DUE_LATER, "due": DUE, "later_on": LATER}
    with transaction(engine) as connection:
        connection.execute(
            """
            insert into account (id, external_key, currency, time_zone, locale, tax_region)
            select uuidv7(), 'acct-' || lpad(i::text, 7, '0'),
                   case i %% 10 when 9 then 'JPY' when 8 then 'EUR' when 7 then 'EUR' else 'USD' end,
                   case i %% 10 when 9 then 'Asia/Tokyo' when 8 then 'Europe/Berlin' else 'America/New_York' end,
                   'en-US', case i %% 10 when 9 then 'JP' when 8 then 'DE' when 7 then 'DE' else 'US-XX' end
            from generate_series(0, %s - 1) i
            """,
            (accounts,),
        )
        # Metered plans have a month of usage behind them, so that month is still to be charged as well.
        connection.execute(
            """
            create temporary table kinds on commit drop as
            select a.id, a.external_key, n, case when n %% %(group)s in (%(unused)s, 12, 13) then 'reader'
                       when n %% %(group)s in (21, 22) then 'hybrid'
                       when n %% 3 = 0 then 'daily' when n %% 3 = 1 then 'weekend' else 'bundle' end as plan
            from (select *, right(external_key, 7)::int as n from account) a
            """,
            places,
        )
        connection.execute(
            """
            insert into subscription (id, account_id, external_key, status, starts_on, anchor_on, anchor_day,
                interval_unit, interval_count, opening_on, charged_through, arrears_through, next_bill_on)
            select uuidv7(), id, external_key, 'active', date '2026-03-01', anchor, extract(day from anchor),
                   'month', 1, opens, opens, opens, opens
            from (select *, case when n %% 20 = 3 then date '2026-12-16' else date '2026-03-01' end as anchor,
                         case when plan in ('reader', 'hybrid') then date '2026-11-01'
                              when n %% %(group)s = %(later)s then %(later_on)s else %(due)s end as opens
                  from kinds order by id) k
            """,
            places,
        )
        connection.execute(
            """
            insert into subscription_item (id, subscription_id, plan_code, plan_version, starts_on)
            select uuidv7(), s.id, k.plan, 1, s.starts_on from subscription s join kinds k on k.id = s.account_id
            union all
            select uuidv7(), s.id, 'crossword', 1, s.starts_on from subscription s join kinds k on k.id = s.account_id
            where n % 10 = 7 and plan <> 'reader'
            """
        )
        connection.execute(
            """
            insert into subscription_discount (id, subscription_id, code, percent, starts_on)
            select uuidv7(), s.id, 'LOYAL15', 15, s.starts_on from subscription s join kinds k on k.id = s.account_id
            where n % 5 = 1
            """
        )
        connection.execute(
            """
            insert into usage_record (id, item_id, meter_code, at, quantity, key)
            select uuidv7(), i.id, 'articles', timestamptz '2026-11-02 12:00+00' + u * interval '1 day', 1 + k.n %% 4, u
            from subscription_item i join subscription s on s.id = i.subscription_id
                 join kinds k on k.id = s.account_id, generate_series(1, 12) u
            where i.plan_code in ('reader', 'hybrid') and k.n %% %(group)s <> %(unused)s
            """,
            places,
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("vacuum analyze")
