"""Loading a catalog: once, twice, changed, and never by half."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine

from domain.catalog import Catalog, Plan
from domain.delivered import Issues, Shipping
from domain.price_book import PriceBook
from operations.catalog import CatalogConflict, load_catalog, read_catalog
from runtime.catalog_source import read_catalog_file
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests

EXAMPLE = read_catalog_file(Path(__file__).parents[2] / "examples" / "catalog.yaml").catalog


@pytest.fixture
def engine(pg_server: PostgresForTests) -> Engine:
    return make_engine(pg_server.fresh_database("catalog"))


def everything(engine: Engine) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    with transaction(engine) as connection:
        for table in ("product", "meter", "plan", "plan_version", "price", "tax_rate"):
            rows += connection.execute(
                f"select '{table}', t::text from {table} t order by 2".encode()
            ).fetchall()
    return rows


def with_plan(catalog: Catalog, plan: Plan) -> Catalog:
    others = tuple(other for other in catalog.plans if other.code != plan.code)
    return catalog.model_copy(update={"plans": (*others, plan)})


def plan_of(code: str) -> Plan:
    return next(plan for plan in EXAMPLE.plans if plan.code == code)


def test_loading_twice_changes_nothing(engine: Engine) -> None:
    first = load_catalog(engine, EXAMPLE)
    assert len(first.added["plans"]) == len(EXAMPLE.plans)
    before = everything(engine)
    second = load_catalog(engine, EXAMPLE)
    assert (second.added, second.changed) == ({}, {})
    assert second.unchanged["plan versions"] == sum(len(plan.versions) for plan in EXAMPLE.plans)
    assert everything(engine) == before


def test_what_is_read_back_is_what_was_loaded(engine: Engine) -> None:
    load_catalog(engine, EXAMPLE)
    with transaction(engine) as connection:
        rows = read_catalog(connection)
    assert rows.plans == {plan.code: plan.versions for plan in EXAMPLE.plans}
    assert rows.plan_products["print-digital"] == "print-paper"
    assert rows.product_tax["print-paper"] == "print"
    assert {currency for *_, currency in rows.price_ids} == {"USD", "EUR", "JPY"}
    assert ("article-pass", 1, "evergreen", "reading", "JPY") in rows.price_ids
    assert sorted(rows.tax_rates, key=str) == sorted(EXAMPLE.tax_rates, key=str)


def test_a_loaded_version_keeps_its_terms_and_the_rest_of_the_file_stays_out(engine: Engine) -> None:
    load_catalog(engine, EXAMPLE)
    before = everything(engine)
    plan = plan_of("digital-monthly")
    changed = plan.versions[0].model_copy(update={"effective": date(2016, 1, 1)})
    new = plan_of("digital-student").model_copy(update={"code": "another"})
    catalog = with_plan(EXAMPLE, plan.model_copy(update={"versions": (changed, plan.versions[1])}))
    with pytest.raises(CatalogConflict) as caught:
        load_catalog(engine, with_plan(catalog, new))
    assert "digital-monthly version 1 is loaded with other terms (differs in effective)" in str(caught.value)
    assert "add version 3" in str(caught.value)
    assert everything(engine) == before


def test_a_new_version_is_added_and_the_old_prices_keep_their_ids(engine: Engine) -> None:
    load_catalog(engine, EXAMPLE)
    with transaction(engine) as connection:
        before = read_catalog(connection).price_ids
    plan = plan_of("print-yearly")
    second = plan.versions[0].model_copy(update={"version": 2, "effective": date(2027, 6, 1)})
    done = load_catalog(
        engine, with_plan(EXAMPLE, plan.model_copy(update={"versions": (*plan.versions, second)}))
    )
    assert done.added == {"plan versions": ["print-yearly version 2"]}
    with transaction(engine) as connection:
        after = read_catalog(connection).price_ids
    assert before.items() <= after.items()
    assert len(after) == len(before) + 3


def test_a_version_of_another_file_may_not_share_its_day(engine: Engine) -> None:
    load_catalog(engine, EXAMPLE)
    plan = plan_of("print-yearly")
    alone = plan.versions[0].model_copy(update={"version": 2})
    with pytest.raises(CatalogConflict, match="version 1, loaded before, is effective on 2015-01-01 too"):
        load_catalog(engine, with_plan(EXAMPLE, plan.model_copy(update={"versions": (alone,)})))


def test_a_plan_keeps_its_product(engine: Engine) -> None:
    load_catalog(engine, EXAMPLE)
    with pytest.raises(CatalogConflict, match="it belongs to product print-paper"):
        load_catalog(
            engine, with_plan(EXAMPLE, plan_of("print-yearly").model_copy(update={"product": "video"}))
        )


MODELS = Catalog.model_validate(
    {
        "format": "masthead.catalog/1",
        "publisher": "The Test Post",
        "currencies": ["USD", "JPY"],
        "meters": [{"code": "tips", "name": "Tips", "unit": "cent"}],
        "products": [
            {"code": "digital", "name": "Digital", "tax_category": "digital"},
            {"code": "print", "name": "Print", "tax_category": "print"},
        ],
        "plans": [
            {
                "code": "creator",
                "name": "Creator",
                "product": "digital",
                "versions": [
                    {
                        "version": 1,
                        "effective": "2020-01-01",
                        "interval": {"unit": "half_year", "align": "calendar"},
                        "phases": [
                            {"kind": "trial", "until": "2027-01-01"},
                            {"kind": "intro", "periods": 2, "percent": "50"},
                            {
                                "kind": "evergreen",
                                "prices": [
                                    {
                                        "code": "fee",
                                        "type": "recurring",
                                        "billed": "arrears",
                                        "amounts": {"USD": "12.99", "JPY": "1999"},
                                        "parts": [
                                            {
                                                "product": "digital",
                                                "standalone": {"USD": "10", "JPY": "1500"},
                                            },
                                            {"product": "print", "standalone": {"USD": "5", "JPY": "500"}},
                                        ],
                                    },
                                    {
                                        "code": "tips",
                                        "type": "usage",
                                        "model": "percentage",
                                        "meter": "tips",
                                        "zero_usage": "line",
                                        "percentage": {"rate": "2.5", "free_events": 3},
                                    },
                                    {
                                        "code": "least",
                                        "type": "usage",
                                        "model": "minimum",
                                        "amounts": {"USD": "20.00", "JPY": "2000"},
                                    },
                                ],
                            },
                        ],
                    }
                ],
            }
        ],
    }
)


def test_every_field_of_a_plan_is_read_back_and_every_price_has_an_id(engine: Engine) -> None:
    load_catalog(engine, MODELS)
    with transaction(engine) as connection:
        rows = read_catalog(connection)
    assert rows.plans == {"creator": MODELS.plans[0].versions}
    assert {key[2:] for key in rows.price_ids} == {
        (phase, code, currency)
        for phase in ("intro", "evergreen")
        for code in ("fee", "tips", "least")
        for currency in ("USD", "JPY")
    }
    again = load_catalog(engine, MODELS)
    assert (again.added, again.changed) == ({}, {})
    # Prices at a percentage are rated by the ids that were stored for them.
    book = PriceBook(rows.plans, rows.plan_products, rows.product_tax, rows.price_ids)
    intro, evergreen = book.version("creator", 1, "USD").phases
    assert (intro.arrears[0].flat, evergreen.arrears[0].flat) == (650, 1299)
    assert intro.arrears[0].id == rows.price_ids["creator", 1, "intro", "fee", "USD"]


def test_what_reads_the_stored_plan_finds_the_prices_of_an_intro_at_a_percentage(engine: Engine) -> None:
    load_catalog(engine, MODELS)
    with transaction(engine) as connection:
        row = connection.execute(
            "select p ->> 'code', p -> 'amounts' ->> 'USD' from plan_version v,"
            " jsonb_array_elements(v.definition -> 'phases') h, jsonb_array_elements(h -> 'prices') p"
            " where h ->> 'kind' = 'intro' order by 1"
        ).fetchall()
    assert row == [("fee", "6.50"), ("least", "20.00"), ("tips", None)]


def test_a_version_with_another_percentage_is_another_version(engine: Engine) -> None:
    load_catalog(engine, MODELS)
    plan = MODELS.plans[0]
    version = plan.versions[0]
    phases = (version.phases[0], version.phases[1].model_copy(update={"percent": 40}), version.phases[2])
    changed = plan.model_copy(update={"versions": (version.model_copy(update={"phases": phases}),)})
    with pytest.raises(CatalogConflict, match="creator version 1 is loaded with other terms"):
        load_catalog(engine, with_plan(MODELS, changed))


def test_what_is_delivered_may_change_without_a_new_version(engine: Engine) -> None:
    """A paper that becomes heavier is no other offer; a plan says it for itself, or its product for all."""
    load_catalog(engine, EXAMPLE)
    heavier = Shipping(sku="QD-PRINT", weight=400, issues=Issues(weekdays=("sat",)))
    magazine = next(plan for plan in EXAMPLE.plans if plan.code == "quarterdeck")
    changed = with_plan(EXAMPLE, magazine.model_copy(update={"shipping": heavier}))
    assert load_catalog(engine, changed).changed == {"plans": ["quarterdeck"]}
    papers = tuple(
        product.model_copy(update={"shipping": Shipping(sku="PAPER", weight=250)})
        if product.code == "print-paper"
        else product
        for product in changed.products
    )
    assert load_catalog(engine, changed.model_copy(update={"products": papers})).changed == {
        "products": ["print-paper"]
    }
    with transaction(engine) as connection:
        delivered = read_catalog(connection).delivered
    assert set(delivered) == {
        "harbor-lights-ebook",
        "quarterdeck",
        "print-digital",
        "print-weekend",
        "print-yearly",
    }
    assert [each.weight for each in delivered["quarterdeck"].shipping] == [400]
    (paper,) = delivered["print-digital"].shipping
    assert paper.sender == EXAMPLE.ships_from
