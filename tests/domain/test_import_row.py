"""Which plans a row may have, by the currencies of their prices and the length of their intervals."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from domain.catalog import PlanVersion
from domain.import_map import ImportMap
from domain.import_record import ImportedRow
from domain.import_row import Offer, RowReader, RowRejected
from tests.domain.books import minimum, one_time, percentage, recurring, usage, version

AS_OF = date(2026, 12, 1)
MAP = ImportMap.model_validate(
    {
        "format": "masthead.import-map/1",
        "account": {
            "key": {"column": "key"},
            "currency": {"column": "currency"},
            "time_zone": {"value": "Europe/Berlin"},
        },
        "subscription": {"start": {"value": "2026-11-15"}},
        "items": [
            {"plan": {"value": "main"}},
            {"plan": {"value": "more"}, "when": {"column": "more", "equals": ["yes"]}},
        ],
    }
)


def read(currency: str, together: bool = False, **plans: PlanVersion) -> ImportedRow:
    offer = Offer({code: (found,) for code, found in plans.items()}, frozenset())
    return RowReader(MAP, ("key", "currency", "more"), offer, AS_OF).read(
        ["A-1", currency, "yes" if together else ""]
    )


TIERS = [
    {"up_to": 10, "unit_amounts": {"USD": "0.10"}, "flat_amounts": {"USD": "1.00", "EUR": "1.00"}},
    {"unit_amounts": {"USD": "0.05"}},
]
FREE = percentage(free_events=3)


@pytest.mark.parametrize(
    ("prices", "taken", "refused"),
    [
        ([recurring()], "USD JPY", "EUR"),
        # Every price counts, whatever its type.
        ([recurring(), one_time(amounts={"USD": "5.00"})], "USD", "JPY"),
        ([recurring(), usage(model="graduated", tiers=TIERS)], "USD", "JPY EUR"),
        ([recurring(amounts={"EUR": "1.00"}), usage(model="volume", tiers=TIERS)], "EUR", "USD"),
        # A percentage is in the currencies of its amounts, whichever of them it has,
        ([recurring(), percentage(fixed_fees={"USD": "0.10"})], "USD", "JPY"),
        ([recurring(), percentage(max_amounts={"JPY": "500"}), minimum()], "JPY", "USD"),
        # and without any in each that the catalog names.
        ([recurring(), FREE], "USD JPY", "EUR"),
        ([FREE], "USD JPY EUR", "GBP"),
        ([recurring(billed="arrears"), FREE], "USD JPY", "EUR"),
    ],
)
def test_a_plan_is_imported_in_the_currencies_of_all_its_prices(
    prices: list[dict[str, Any]], taken: str, refused: str
) -> None:
    plan = version(*prices)
    other = version(recurring(amounts={"USD": "1.00", "JPY": "100", "EUR": "1.00"}))
    for currency in taken.split():
        assert [item.plan for item in read(currency, main=plan, other=other).items] == ["main"]
    for currency in refused.split():
        with pytest.raises(RowRejected, match=f"^plan main version 1 has no price in {currency}; correct"):
            read(currency, main=plan, other=other)


def test_an_intro_at_a_percentage_is_in_the_currencies_of_the_evergreen_prices() -> None:
    plan = version(
        phases=[
            {"kind": "intro", "periods": 1, "percent": "50"},
            {"kind": "evergreen", "prices": [recurring()]},
        ]
    )
    assert read("JPY", main=plan).currency == "JPY"
    with pytest.raises(RowRejected, match="no price in EUR"):
        read("EUR", main=plan)


def test_a_catalog_that_names_no_currency_takes_every_one() -> None:
    assert read("GBP", main=version(FREE)).currency == "GBP"
    with pytest.raises(RowRejected, match="'EURO' is not an ISO 4217"):
        read("EURO", main=version(FREE))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"unit": "quarter"}, {"unit": "month", "count": 3}),
        ({"unit": "month", "count": 6}, {"unit": "half_year"}),
        ({"unit": "half_year", "count": 2}, {"unit": "quarter", "count": 4}),
        # The periods of both are those of the first.
        ({"unit": "month"}, {"unit": "month", "align": "calendar"}),
    ],
)
def test_plans_are_billed_together_by_the_length_of_their_intervals(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    row = read("USD", together=True, main=version(interval=one), more=version(interval=other))
    assert [item.plan for item in row.items] == ["main", "more"]
    assert row.opening.anchor_on == date(2026, 11, 15)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (
            {"unit": "quarter"},
            {"unit": "month", "count": 4},
            r"more is billed every 4 month\(s\) and main every 1 quarter\(s\)",
        ),
        (
            {"unit": "year"},
            {"unit": "half_year"},
            r"more is billed every 1 half-year\(s\) and main every 1 year\(s\)",
        ),
    ],
)
def test_plans_of_other_lengths_are_no_one_subscription(
    one: dict[str, Any], other: dict[str, Any], words: str
) -> None:
    with pytest.raises(RowRejected, match=words):
        read("USD", together=True, main=version(interval=one), more=version(interval=other))


def reader(*versions: PlanVersion, discounts: Any = (), **item: Any) -> RowReader:
    """Rows of (key, start, number, more, percent), by one conditional item on `main`."""
    items = [{"plan": {"value": "main"}, "when": {"column": "more", "equals": ["yes"]}, **item}]
    import_map = {
        "format": "masthead.import-map/1",
        "account": {
            "key": {"column": "key"},
            "currency": {"value": "USD"},
            "time_zone": {"value": "Europe/Berlin"},
        },
        "subscription": {"start": {"column": "start"}},
        "items": items,
        "discounts": list(discounts),
    }
    offer = Offer({"main": versions or (version(),)}, frozenset())
    return RowReader(
        ImportMap.model_validate(import_map), ("key", "start", "number", "more", "percent"), offer, AS_OF
    )


def test_a_version_that_the_map_names_is_taken_whatever_was_sold() -> None:
    later = version(number=2, effective=date(2026, 11, 1))
    pinned = reader(version(), later, version={"column": "number"})
    assert [
        pinned.read(["A", "2026-11-15", number, "yes", ""]).items[0].version for number in ("1", "2", "")
    ] == [1, 2, 2]
    with pytest.raises(RowRejected, match=r"^plan main has no version 3$"):
        pinned.read(["A", "2026-11-15", "3", "yes", ""])


def test_a_row_without_any_item_is_rejected() -> None:
    with pytest.raises(RowRejected, match="no item applies to this row; give the map's items a condition"):
        reader().read(["A", "2026-11-15", "", "no", ""])


def test_a_discount_that_does_not_apply_is_none_and_one_without_start_adds_no_reason() -> None:
    rule = {
        "code": {"value": "X"},
        "percent": {"column": "percent"},
        "when": {"column": "number", "equals": ["1"]},
    }
    rows = reader(discounts=[rule])
    assert rows.read(["A", "2026-11-15", "2", "yes", "10"]).discounts == ()
    assert [each.percent for each in rows.read(["A", "2026-11-15", "1", "yes", "10"]).discounts] == ["10"]
    with pytest.raises(RowRejected) as caught:
        rows.read(["A", "", "1", "yes", "10"])
    assert caught.value.reasons == ("start: is empty, and it is required",)


def test_what_is_remembered_of_rows_is_bounded_and_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["A", f"2026-11-{day:02}", "", "yes", ""] for day in (3, 4, 3, 5, 3)]
    wanted = [reader().read(row).opening for row in rows]
    monkeypatch.setattr("domain.import_row._REMEMBERED", 1)
    forgetful = reader()
    assert [forgetful.read(row).opening for row in rows] == wanted
    assert [opening.anchor_on.day for opening in wanted] == [3, 4, 3, 5, 3]
