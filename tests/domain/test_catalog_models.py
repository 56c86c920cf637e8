"""What a catalog may say of intervals, phases, charge models and bundles, and what is found wrong with it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from domain.catalog import AppliesTo, Billed, Catalog, IntervalSpec, ZeroUsage
from domain.catalog_checks import find_problems
from domain.periods import Align, Interval, Unit
from tests.domain.books import LONG_AGO, recurring, usage


def catalog(*prices: dict[str, Any], **more: Any) -> Catalog:
    """A catalog in dollars and yen of one plan, whose evergreen phase has `prices`."""
    version = {
        "version": 1,
        "effective": LONG_AGO,
        "interval": {"unit": "month"},
        "phases": [{"kind": "evergreen", "prices": prices or [recurring()]}],
        **more,
    }
    return Catalog.model_validate(
        {
            "format": "masthead.catalog/1",
            "publisher": "The Test Post",
            "currencies": ["USD", "JPY"],
            "meters": [{"code": "articles", "name": "Articles", "unit": "article"}],
            "products": [
                {"code": code, "name": code, "tax_category": code} for code in ("digital", "print", "books")
            ],
            "plans": [{"code": "plan", "name": "Plan", "product": "digital", "versions": [version]}],
        }
    )


def found(*prices: dict[str, Any], **more: Any) -> list[str]:
    """The problems as `place: words`, the place without the plan and version before it."""
    texts = []
    for problem in find_problems(catalog(*prices, **more)):
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem.path)
        texts.append(f"{place.removeprefix('.plans[0].versions[0].')}: {problem.message}")
    return texts


def share(**more: Any) -> dict[str, Any]:
    return {
        "code": "tips",
        "type": "usage",
        "model": "percentage",
        "meter": "articles",
        "percentage": {"rate": "2.5", **more},
    }


def minimum(**more: Any) -> dict[str, Any]:
    amounts = {"USD": "20.00", "JPY": "2000"}
    return {"code": "least", "type": "usage", "model": "minimum", "amounts": amounts, **more}


FEE = {"USD": "0.10", "JPY": "10"}
PRICE = "phases[0].prices[0]"


@pytest.mark.parametrize(
    ("spec", "interval"),
    [
        ({"unit": "day", "count": 10}, Interval(Unit.DAY, 10)),
        ({"unit": "week", "count": 4}, Interval(Unit.WEEK, 4)),
        ({"unit": "month"}, Interval(Unit.MONTH)),
        ({"unit": "quarter"}, Interval(Unit.MONTH, 3)),
        ({"unit": "quarter", "count": 2}, Interval(Unit.MONTH, 6)),
        ({"unit": "half_year"}, Interval(Unit.MONTH, 6)),
        ({"unit": "half_year", "count": 3}, Interval(Unit.MONTH, 18)),
        ({"unit": "year", "count": 2}, Interval(Unit.YEAR, 2)),
    ],
)
def test_an_interval_is_counted_in_days_weeks_months_or_years(
    spec: dict[str, Any], interval: Interval
) -> None:
    parsed = IntervalSpec.model_validate(spec)
    assert parsed.interval() == interval
    assert parsed.align is Align.ANCHOR


def test_what_is_left_out_is_as_it_was() -> None:
    price = catalog().plans[0].versions[0].phases[0].prices[0]
    assert (price.billed, price.zero_usage, price.percentage) == (Billed.ADVANCE, ZeroUsage.OMIT, None)


@pytest.mark.parametrize(
    "prices",
    [
        [share()],
        [
            share(
                fixed_fees=FEE,
                min_amounts={"USD": "0.125", "JPY": "1"},
                max_amounts={"USD": "0.125", "JPY": "9"},
            )
        ],
        [share(free_amounts={"USD": "10.00", "JPY": "1000"}), minimum()],
        [minimum()],
        [recurring(billed="arrears")],
        [usage(zero_usage="line")],
        [recurring(), recurring(code="later", billed="arrears"), usage(), minimum()],
        [recurring(parts=[{"product": "print", "weight": 7}, {"product": "books", "weight": 3}])],
        [
            recurring(
                parts=[
                    {"product": "print", "standalone": {"USD": "40.00", "JPY": "4000"}},
                    {"product": "books", "standalone": {"USD": "0", "JPY": "0"}},
                ]
            )
        ],
    ],
)
def test_what_can_be_billed_is_sound(prices: list[dict[str, Any]]) -> None:
    assert found(*prices) == []


@pytest.mark.parametrize(
    ("price", "place", "words"),
    [
        (
            recurring(model="percentage"),
            f"{PRICE}.model",
            "only a usage price can be a percentage, not a recurring",
        ),
        (
            recurring(model="minimum"),
            f"{PRICE}.model",
            "only a usage price can be a minimum, not a recurring",
        ),
        (share() | {"percentage": None}, PRICE, "a percentage price needs percentage, with a rate"),
        (usage(percentage={"rate": "1"}), f"{PRICE}.percentage", "a per_unit price has no percentage"),
        (share() | {"amounts": FEE}, f"{PRICE}.amounts", "has its amounts in percentage and no amounts"),
        (
            share() | {"tiers": [{"unit_amounts": FEE}]},
            f"{PRICE}.tiers",
            "has its amounts in percentage and no tiers",
        ),
        (share() | {"allowance": "5"}, f"{PRICE}.allowance", "are its free_events and free_amounts"),
        (share() | {"meter": None}, PRICE, "a usage price needs a meter"),
        (share() | {"package_size": "5"}, f"{PRICE}.package_size", "a percentage price has no package_size"),
        (
            share(fixed_fees={"USD": "0.10"}),
            f"{PRICE}.percentage.fixed_fees",
            "price tips has no amount in JPY",
        ),
        (
            share(free_amounts={"USD": "0.105", "JPY": "1"}),
            f"{PRICE}.percentage.free_amounts.USD",
            "USD has (2)",
        ),
        (share(min_amounts={"USD": "-1", "JPY": "1"}), f"{PRICE}.percentage.min_amounts.USD", "below zero"),
        (
            share(max_amounts={"USD": "1", "JPY": "1", "EUR": "1"}),
            f"{PRICE}.percentage.max_amounts.EUR",
            "not among the catalog's currencies",
        ),
        (
            share(min_amounts=FEE, max_amounts={"USD": "0.09", "JPY": "10"}),
            f"{PRICE}.percentage.max_amounts.USD",
            "0.09 is below the least amount of an event, 0.10",
        ),
        (minimum(meter="articles"), f"{PRICE}.meter", "is for all usage of its phase and has no meter"),
        (minimum(allowance="5"), f"{PRICE}.allowance", "is for all usage of its phase and has no allowance"),
        (minimum(zero_usage="line"), f"{PRICE}.zero_usage", "set zero_usage on the usage prices"),
        (minimum(amounts={"USD": "20.005", "JPY": "1"}), f"{PRICE}.amounts.USD", "USD has (2)"),
        (minimum(amounts={}), PRICE, "price least has no amount in USD, JPY"),
        (recurring(product="tv"), f"{PRICE}.product", "there is no product 'tv'"),
        (recurring(allowance="5"), f"{PRICE}.allowance", "only a usage price has an allowance"),
        (usage(model="flat"), f"{PRICE}.model", "a flat price does not depend on usage"),
        (
            usage(model="volume", tiers=[{"unit_amounts": FEE}], amounts=FEE),
            f"{PRICE}.amounts",
            "a volume price has its amounts in tiers",
        ),
        (usage(model="volume", amounts={}), PRICE, "a volume price needs tiers"),
        (usage(billed="arrears"), f"{PRICE}.billed", "only a recurring price is billed in arrears by choice"),
        (recurring(zero_usage="line"), f"{PRICE}.zero_usage", "only a usage price"),
        (
            recurring(parts=[{"product": "print", "weight": 1}, {"product": "books", "standalone": FEE}]),
            f"{PRICE}.parts",
            "give the same one of the two to every part",
        ),
        (
            recurring(parts=[{"product": "print", "weight": 1, "standalone": FEE}]),
            f"{PRICE}.parts",
            "give the same one of the two to every part",
        ),
        (
            recurring(parts=[{"product": "print", "standalone": FEE}, {"product": "books"}]),
            f"{PRICE}.parts[1]",
            "part books needs a weight, or a standalone price in USD, JPY",
        ),
        (
            recurring(parts=[{"product": "print", "standalone": {"USD": "1.005", "JPY": "1"}}]),
            f"{PRICE}.parts[0].standalone.USD",
            "USD has (2)",
        ),
        (
            recurring(parts=[{"product": "print", "standalone": {"USD": "1", "JPY": "0"}}]),
            f"{PRICE}.parts",
            "no part has a standalone price above 0 in JPY",
        ),
    ],
)
def test_a_price_that_cannot_be_billed_is_refused_at_its_place(
    price: dict[str, Any], place: str, words: str
) -> None:
    matching = [text for text in found(price) if text.startswith(f"{place}: ") and words in text]
    assert len(matching) == 1, found(price)


def test_all_that_is_wrong_is_said_at_once() -> None:
    price = share(min_amounts={"USD": "2"}, max_amounts={"USD": "1"}) | {"allowance": "5", "meter": "clicks"}
    assert len(found(price, recurring(zero_usage="line"))) == 6


EVERGREEN = {"kind": "evergreen", "prices": [recurring()]}
PHASE = "phases[0]"


@pytest.mark.parametrize(
    "first",
    [
        {"kind": "trial", "days": 14},
        {"kind": "trial", "until": LONG_AGO},
        {"kind": "intro", "periods": 3, "percent": "50"},
        {"kind": "intro", "periods": 3, "percent": "0"},
        {"kind": "intro", "periods": 3, "prices": [recurring("1.00")]},
    ],
)
def test_a_first_phase_may_be(first: dict[str, Any]) -> None:
    assert found(phases=[first, EVERGREEN]) == []


@pytest.mark.parametrize(
    ("first", "place", "words"),
    [
        ({"kind": "trial"}, PHASE, "a trial needs its length: days, or until with a date"),
        ({"kind": "trial", "days": 3, "until": LONG_AGO}, f"{PHASE}.until", "not both"),
        ({"kind": "trial", "days": 3, "percent": "50"}, f"{PHASE}.percent", "only an intro"),
        (
            {"kind": "intro", "periods": 3, "until": LONG_AGO, "percent": "5"},
            f"{PHASE}.until",
            "only a trial is measured in days",
        ),
        (
            {"kind": "intro", "periods": 3, "days": 3, "percent": "5"},
            f"{PHASE}.days",
            "only a trial is measured in days",
        ),
        ({"kind": "intro", "percent": "50"}, PHASE, "an intro needs its length: periods"),
        ({"kind": "intro", "periods": 3}, PHASE, "the intro phase has no price"),
        (
            {"kind": "intro", "periods": 3, "percent": "50", "prices": [recurring()]},
            f"{PHASE}.prices",
            "an intro has prices of its own or a percent",
        ),
    ],
)
def test_a_phase_that_contradicts_itself_is_refused(first: dict[str, Any], place: str, words: str) -> None:
    texts = found(phases=[first, EVERGREEN])
    assert len(texts) == 1, texts
    assert texts[0].startswith(f"{place}: ")
    assert words in texts[0]


def test_an_evergreen_phase_has_no_length() -> None:
    assert found(phases=[{**EVERGREEN, "periods": 3}]) == [
        "phases[0].periods: only an intro is measured in periods"
    ]


@pytest.mark.parametrize("text", ["12,00", "1e3", "", "12.", "1234567890123"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount; write it like"):
        catalog(recurring(amounts={"USD": text}))


def test_the_version_on_a_day_is_the_newest_in_force() -> None:
    plan = catalog().plans[0]
    later = plan.versions[0].model_copy(update={"version": 2, "effective": date(2026, 3, 1)})
    plan = plan.model_copy(update={"versions": (*plan.versions, later)})
    assert plan.version_on(LONG_AGO - timedelta(days=1)) is None
    for day, number in ((LONG_AGO, 1), (date(2026, 2, 28), 1), (date(2026, 3, 1), 2)):
        sold = plan.version_on(day)
        assert sold is not None
        assert sold.version == number


def test_a_percent_of_nothing_and_of_an_evergreen_phase_are_refused() -> None:
    of_usage = [{"kind": "intro", "periods": 1, "percent": "50"}, {"kind": "evergreen", "prices": [usage()]}]
    assert found(phases=of_usage) == [
        "phases[0].percent: the evergreen phase has no recurring price that a percent could be taken of"
    ]
    assert found(phases=[{**EVERGREEN, "percent": "50"}]) == [
        "phases[0].percent: only an intro is charged at a percentage of the evergreen prices"
    ]
    without_end = found(phases=[{"kind": "intro", "periods": 1, "percent": "50"}])
    assert without_end == [
        "phases[0].kind: the last phase must be evergreen; add one with the price that goes on"
    ]


@pytest.mark.parametrize("percent", ["-1", "100", "100.5"])
def test_an_intro_at_the_full_price_or_more_is_none(percent: str) -> None:
    with pytest.raises(ValueError, match="percent"):
        catalog(phases=[{"kind": "intro", "periods": 3, "percent": percent}, EVERGREEN])


def test_a_phase_has_one_minimum() -> None:
    assert found(usage(), minimum(), minimum(code="more")) == [
        "phases[0].prices[2].model: a phase has one minimum, for all its usage together"
    ]


@pytest.mark.parametrize("others", [[usage()], [recurring(billed="arrears")], [minimum()]])
def test_a_one_time_price_needs_a_period_paid_in_advance(others: list[dict[str, Any]]) -> None:
    once = {"code": "set-up", "type": "one_time", "amounts": FEE}
    assert len(found(*others, once)) == 1
    assert "charged with the first period paid in advance" in found(*others, once)[0]
    assert found(recurring(code="fee"), *others, once) == [] == found(once)


@pytest.mark.parametrize(
    ("interval", "problems"),
    [
        ({"unit": "quarter"}, 0),
        ({"unit": "month", "count": 3, "align": "calendar"}, 0),
        ({"unit": "month"}, 1),
        ({"unit": "half_year"}, 1),
    ],
)
def test_a_version_that_reaches_all_is_billed_as_often_however_that_is_written(
    interval: dict[str, Any], problems: int
) -> None:
    plan = catalog(interval={"unit": "month", "count": 3}).plans[0]
    later = plan.versions[0].model_copy(
        update={
            "version": 2,
            "effective": LONG_AGO.replace(year=2030),
            "applies_to": AppliesTo.RENEWAL,
            "interval": IntervalSpec.model_validate(interval),
        }
    )
    both = catalog().model_copy(
        update={"plans": (plan.model_copy(update={"versions": (*plan.versions, later)}),)}
    )
    assert len(find_problems(both)) == problems
