"""Plan versions and phases: which prices a period is charged by."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalog import PhaseKind, PlanVersion
from domain.money import MoneyError
from tests.domain.books import LONG_AGO, book, both, minimum, one_time, recurring, uid, usage, version

INTRO_THEN_EVERGREEN = [
    {"kind": "trial", "days": 14},
    {"kind": "intro", "periods": 3, "prices": [recurring("1.00")]},
    {"kind": "evergreen", "prices": [recurring("12.00")]},
]


def test_a_compiled_price_knows_its_id_amount_product_and_tax_category() -> None:
    found = book(plan=version(recurring("12.00"), usage("0.10", allowance="10"), one_time("5.00"))).version(
        "plan", 1, "USD"
    )
    (phase,) = found.phases
    (access,), (reading,), (setup,) = phase.recurring, phase.usage, phase.one_time
    assert access.id == uid("plan/1/evergreen/access/USD")
    assert (access.terms.whole, setup.terms.whole) == (1200, 500)
    assert (reading.meter, reading.allowance, reading.terms.unit) == ("articles", Fraction(10), Fraction(10))
    assert [(part.product, part.category, part.weight) for part in access.parts] == [
        ("digital", "digital", 1)
    ]
    assert found.has_usage


def test_a_bundle_names_its_parts_and_a_price_may_name_its_own_product() -> None:
    parts = [{"product": "print", "weight": 70}, {"product": "digital", "weight": 30}]
    found = book(plan=version(recurring(parts=parts), recurring(code="book", product="books"))).version(
        "plan", 1, "JPY"
    )
    bundle, ebook = found.phases[0].recurring
    assert [(part.product, part.category, part.weight) for part in bundle.parts] == [
        ("print", "print", 70),
        ("digital", "digital", 30),
    ]
    assert [(part.product, part.category) for part in ebook.parts] == [("books", "ebook")]
    assert not found.has_usage


@pytest.mark.parametrize(
    ("standalone", "usd", "jpy"),
    [
        (({"USD": "40.00", "JPY": "4000"}, {"USD": "20.00", "JPY": "1000"}), [4000, 2000], [4000, 1000]),
        (({"USD": "0.005", "JPY": "0"}, {"USD": "0.0025", "JPY": "3"}), [2, 1], [0, 3]),
    ],
)
def test_parts_may_share_by_what_they_cost_alone(
    standalone: tuple[dict[str, str], dict[str, str]], usd: list[int], jpy: list[int]
) -> None:
    parts = [
        {"product": "print", "standalone": standalone[0]},
        {"product": "digital", "standalone": standalone[1]},
    ]
    prices = book(plan=version(recurring("49.90", parts=parts)))
    for currency, weights in (("USD", usd), ("JPY", jpy)):
        (bundle,) = prices.version("plan", 1, currency).phases[0].recurring
        assert [part.weight for part in bundle.parts] == weights


def test_a_part_without_a_price_of_its_own_in_the_currency_is_refused() -> None:
    prices = book(plan=version(recurring(parts=[{"product": "print", "standalone": {"USD": "1"}}])))
    with pytest.raises(MoneyError, match="part 'print' of a bundle has no stand-alone price in JPY"):
        prices.version("plan", 1, "JPY")


def test_a_phase_knows_what_is_billed_when_and_which_price_an_override_replaces() -> None:
    (phase,) = (
        book(
            plan=version(
                recurring("1.00", code="a", billed="arrears"),
                recurring("2.00", code="b"),
                usage(),
                minimum(),
                one_time(),
            )
        )
        .version("plan", 1, "USD")
        .phases
    )
    assert [price.code for price in phase.recurring] == ["a", "b"]
    assert ([price.code for price in phase.advance], [price.code for price in phase.arrears]) == (
        ["b"],
        ["a"],
    )
    assert [price.code for price in phase.usage] == ["reading"]
    assert [price.code for price in phase.minimum] == ["least"]
    assert [price.overridden for price in (*phase.recurring, *phase.usage, *phase.one_time)] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("index", "kind", "cents"),
    [
        (-7, "intro", 100),  # what comes before the first period is of its phase
        (0, "intro", 100),
        (1, "intro", 100),
        (2, "intro", 100),
        (3, "evergreen", 1200),
        (400, "evergreen", 1200),
    ],
)
def test_an_intro_is_counted_in_periods_and_a_trial_is_not_among_them(
    index: int, kind: str, cents: int
) -> None:
    found = book(plan=version(phases=INTRO_THEN_EVERGREEN)).version("plan", 1, "USD")
    phase = found.phase(index)
    assert (phase.kind, phase.recurring[0].terms.whole) == (PhaseKind(kind), cents)


def test_where_no_phase_goes_on_the_last_one_does() -> None:
    prices = book(plan=version(phases=[{"kind": "intro", "periods": 2, "prices": [recurring("1.00")]}]))
    assert prices.version("plan", 1, "USD").phase(2).recurring[0].flat == 100


@pytest.mark.parametrize(
    ("plan", "number", "currency", "words"),
    [
        ("other", 1, "USD", "no version 1 of plan 'other'"),
        ("plan", 2, "USD", "no version 2 of plan 'plan'"),
        ("plan", 1, "EUR", "no price 'access' in EUR"),
    ],
)
def test_what_the_catalog_lacks_is_refused_by_name(plan: str, number: int, currency: str, words: str) -> None:
    with pytest.raises(MoneyError, match=words):
        book(plan=version()).version(plan, number, currency)


def priced(number: int, usd: str, effective: date, applies_to: str) -> PlanVersion:
    return version(recurring(usd), number=number, effective=effective, applies_to=applies_to)


VERSIONS = (
    priced(1, "10.00", LONG_AGO, "new"),
    priced(2, "11.00", date(2025, 1, 1), "renewal"),
    priced(3, "12.00", date(2026, 1, 1), "new"),
    priced(4, "13.00", date(2027, 1, 1), "renewal"),
)


@pytest.mark.parametrize(
    ("pinned", "renewed_on", "reached"),
    [
        (1, "2024-12-31", 1),
        (1, "2025-01-01", 2),  # in force on the day of the renewal
        (1, "2026-06-01", 2),  # version 3 is for new subscribers only
        (2, "2026-06-01", 2),
        (3, "2026-06-01", 3),  # never back to an older one
        (1, "2027-01-01", 4),
        (3, "2027-01-01", 4),
        (4, "2030-01-01", 4),
    ],
)
def test_a_renewal_reaches_the_newest_version_meant_for_it(
    pinned: int, renewed_on: str, reached: int
) -> None:
    prices = book(plan=VERSIONS)
    found = prices.renewed(
        "plan", prices.version("plan", pinned, "USD"), "USD", date.fromisoformat(renewed_on)
    )
    assert found.version == reached


def test_a_version_is_compiled_once_and_pinned_whatever_came_after() -> None:
    prices = book(plan=VERSIONS)
    assert prices.version("plan", 1, "USD") is prices.version("plan", 1, "USD")
    assert prices.version("plan", 1, "USD").phases[0].recurring[0].terms.whole == 1000


def test_usage_is_looked_for_where_a_later_version_brings_it() -> None:
    later = version(recurring(), usage(), number=2, effective=date(2027, 1, 1), applies_to="renewal")
    unreachable = version(recurring(), usage(), number=2, effective=date(2027, 1, 1), applies_to="new")
    assert book(plan=(version(), later)).version("plan", 1, "USD").has_usage
    assert not book(plan=(version(), unreachable)).version("plan", 1, "USD").has_usage


@given(st.lists(st.tuples(st.integers(0, 900), st.booleans()), min_size=1, max_size=6), st.integers(0, 1000))
def test_a_renewal_never_reaches_what_is_not_in_force_or_not_meant(
    later: list[tuple[int, bool]], day: int
) -> None:
    versions = [version()]
    for number, (since, for_all) in enumerate(sorted(later, key=lambda entry: entry[0]), 2):
        more: dict[str, Any] = {"effective": LONG_AGO + timedelta(days=since)}
        versions.append(
            version(recurring("1.00"), number=number, applies_to="renewal" if for_all else "new", **more)
        )
    prices = book(plan=tuple(versions))
    on = LONG_AGO + timedelta(days=day)
    reached = prices.renewed("plan", prices.version("plan", 1, "USD"), "USD", on).version
    meant = [v.version for v in versions if v.applies_to == "renewal" and v.effective <= on]
    assert reached == max(meant, default=1)


def test_amounts_keep_their_exact_value() -> None:
    reading = usage(
        "0",
        tiers=[{"up_to": "5", "unit_amounts": both("0.125")}, {"flat_amounts": both("1.00")}],
        model="graduated",
    )
    (price,) = book(plan=version(reading)).version("plan", 1, "USD").phases[0].usage
    assert [(tier.up_to, tier.unit, tier.flat) for tier in price.terms.tiers] == [
        (Fraction(5), Fraction(Decimal("12.5")), Fraction(0)),
        (None, Fraction(0), Fraction(100)),
    ]
