"""Which gateway charges what, and when another one may."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.declines import DECLINES, UNRESOLVED
from domain.gateway_routing import (
    TECHNICAL_DECLINES,
    Attempt,
    ChargeAt,
    Gateways,
    Route,
    Stay,
    brand_name,
    next_gateway,
    route,
    unknown_gateways,
)
from domain.received_payments import PaymentStatus
from domain.rule_book import RuleBook

RULES = Gateways.model_validate(
    {
        "rules": [
            {"brands": ["amex"], "to": ["stripe"]},
            {"currencies": ["EUR", "SEK"], "to": ["adyen", "stripe"]},
            {"currencies": ["USD"], "brands": ["visa", "mastercard"], "to": ["stripe", "adyen"]},
        ]
    }
)
BOTH = ("stripe", "adyen")


@pytest.mark.parametrize(
    ("currency", "brand", "held", "expected"),
    [
        ("EUR", "visa", BOTH, ("adyen", "stripe")),
        ("EUR", "", BOTH, ("adyen", "stripe")),
        ("EUR", "amex", BOTH, ("stripe",)),
        ("EUR", "American Express", BOTH, ("stripe",)),
        ("USD", "mc", BOTH, ("stripe", "adyen")),
        ("USD", "visa", ("adyen",), ("adyen",)),
        # No rule: the default payment method's gateway, and no other.
        ("USD", "jcb", BOTH, ("stripe",)),
        ("USD", "", ("adyen", "stripe"), ("adyen",)),
        ("GBP", "visa", ("adyen", "stripe"), ("adyen",)),
    ],
)
def test_the_first_rule_that_applies_says_where_to(
    currency: str, brand: str, held: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert route(RULES, currency=currency, brand=brand, held=held) == Route(expected)


def test_where_it_can_go_nowhere_it_says_why() -> None:
    nothing = route(RULES, currency="EUR", brand="visa", held=())
    assert nothing.gateways == ()
    assert "no payment method" in nothing.reason
    elsewhere = route(RULES, currency="EUR", brand="amex", held=("adyen",))
    assert elsewhere.gateways == ()
    for said in ("EUR", "amex", "stripe", "adyen", "ask for a new one"):
        assert said in elsewhere.reason
    assert next_gateway(elsewhere, []) == Stay(elsewhere.reason)


def test_without_rules_a_charge_goes_where_the_first_payment_method_is() -> None:
    assert RuleBook().gateways == Gateways()
    assert route(Gateways(), currency="EUR", brand="visa", held=BOTH) == Route(("stripe",))


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ([{"to": []}], "rules.0.to"),
        ([{"to": ["a", "b", "a"]}], "'a' stands here twice"),
        ([{"to": ["a"]}, {"currencies": ["EUR"], "to": ["b"]}], r"rules\[0\] takes them all"),
        (
            [
                {"currencies": ["EUR", "SEK"], "to": ["a"]},
                {"currencies": ["SEK"], "brands": ["visa"], "to": ["b"]},
            ],
            "no charge comes here",
        ),
        ([{"brands": ["mc"], "to": ["a"]}], "'mastercard'"),
        ([{"brands": [""], "to": ["a"]}], "no card brand"),
        ([{"currencies": ["euro"], "to": ["a"]}], "euro"),
        ([{"to": ["a"], "fallback": ["b"]}], "fallback"),
    ],
)
def test_rules_that_are_of_no_use_are_told_by_place(rules: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Gateways.model_validate({"rules": rules})


def test_a_narrower_rule_may_stand_before_a_wider_one() -> None:
    made = Gateways.model_validate(
        {
            "rules": [
                {"currencies": ["EUR"], "brands": ["visa"], "to": ["a"]},
                {"currencies": ["EUR"], "to": ["b"]},
                {"brands": ["visa"], "to": ["c"]},
                {"to": ["d"]},
            ]
        }
    )
    chosen = [
        route(made, currency=currency, brand=brand, held=("a", "b", "c", "d")).gateways
        for currency, brand in (("EUR", "visa"), ("EUR", "amex"), ("USD", "visa"), ("USD", "amex"))
    ]
    assert chosen == [("a",), ("b",), ("c",), ("d",)]


def test_gateways_that_are_not_connected_are_told_by_place() -> None:
    problem, *_ = unknown_gateways(RULES, ["stripe"])
    assert problem.path == ("rules", 1, "to", 0)
    assert "'adyen'" in problem.message
    assert "there are: stripe" in problem.message
    assert list(unknown_gateways(RULES, BOTH)) == []


FAILED, UNKNOWN = PaymentStatus.FAILED, PaymentStatus.UNKNOWN
TWO = Route(("adyen", "stripe"))


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([], "adyen"),
        ([Attempt("adyen", FAILED, technical=True)], "stripe"),
        ([Attempt("adyen", FAILED, "Acquirer Error")], "stripe"),
        ([Attempt("adyen", FAILED, "processing-error")], "stripe"),
        ([Attempt("adyen", FAILED, technical=True), Attempt("stripe", FAILED, technical=True)], None),
        ([Attempt("adyen", FAILED, "insufficient_funds")], None),
        ([Attempt("adyen", FAILED, "Refused")], None),
        ([Attempt("adyen", FAILED, "expired_card", technical=True)], None),
        ([Attempt("adyen", FAILED)], None),
        ([Attempt("adyen", UNKNOWN)], None),
        ([Attempt("adyen", UNKNOWN, technical=True)], None),
        ([Attempt("adyen", FAILED, "gateway_timeout", technical=True)], None),
        ([Attempt("adyen", FAILED, "duplicate_transaction")], None),
        ([Attempt("adyen", PaymentStatus.PROCESSING)], None),
        ([Attempt("adyen", PaymentStatus.REQUIRES_ACTION)], None),
        ([Attempt("adyen", PaymentStatus.SUCCEEDED)], None),
        # What is not known at one gateway counts although another failed for sure after it.
        ([Attempt("adyen", UNKNOWN), Attempt("stripe", FAILED, technical=True)], None),
    ],
)
def test_a_second_gateway_only_when_the_first_is_known_not_to_have_charged(
    attempts: list[Attempt], expected: str | None
) -> None:
    following = next_gateway(TWO, attempts)
    if expected is None:
        assert isinstance(following, Stay)
        assert following.reason
    else:
        assert following == ChargeAt(expected)


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (Attempt("adyen", FAILED, "Expired Card"), "declined (Expired Card)"),
        (Attempt("adyen", FAILED), "declined (no code)"),
        (Attempt("adyen", UNKNOWN), "nobody knows"),
        (Attempt("adyen", FAILED, "timeout"), "nobody knows"),
        (Attempt("adyen", PaymentStatus.PROCESSING), "in flight"),
        (Attempt("adyen", PaymentStatus.DISPUTED), "disputed"),
    ],
)
def test_it_says_why_it_stays(attempt: Attempt, said: str) -> None:
    following = next_gateway(TWO, [attempt])
    assert isinstance(following, Stay)
    assert said in following.reason


@pytest.mark.parametrize(
    ("said", "name"), [("mc", "mastercard"), ("MasterCard", "mastercard"), ("VISA", "visa"), ("", "")]
)
def test_brands_have_one_name(said: str, name: str) -> None:
    assert brand_name(said) == name


NAMES = st.sampled_from(["a", "b", "c", "d"])
ATTEMPTS = st.builds(
    Attempt,
    NAMES,
    st.sampled_from(list(PaymentStatus)),
    st.sampled_from(["", *sorted(TECHNICAL_DECLINES), *sorted(UNRESOLVED), *sorted(DECLINES)[:20], "odd"]),
    st.booleans(),
)


@given(st.lists(NAMES, unique=True, max_size=4), st.lists(ATTEMPTS, max_size=4))
def test_no_gateway_is_asked_while_another_may_have_charged(
    names: list[str], attempts: list[Attempt]
) -> None:
    following = next_gateway(Route(tuple(names)), attempts)
    if isinstance(following, Stay):
        assert following.reason
        free = all(each.not_charged for each in attempts)
        assert not (free and set(names) - {each.gateway for each in attempts})
        return
    assert following.gateway in names
    assert following.gateway not in {each.gateway for each in attempts}
    for each in attempts:
        assert each.status is FAILED
        assert each.technical or each.code in TECHNICAL_DECLINES
        assert each.code in TECHNICAL_DECLINES or each.code not in DECLINES
        assert each.code not in UNRESOLVED


@given(
    st.lists(NAMES, unique=True, min_size=1, max_size=4),
    st.lists(st.sampled_from(["fails", "unknown", "declined", "paid"]), min_size=4, max_size=4),
)
def test_a_collection_charges_at_most_once_and_ends(names: list[str], ends: list[str]) -> None:
    """Played to its end: each gateway is asked once at most, and what is paid or unknown is the last."""
    attempts: list[Attempt] = []
    made = {
        "fails": lambda at: Attempt(at, FAILED, technical=True),
        "unknown": lambda at: Attempt(at, UNKNOWN),
        "declined": lambda at: Attempt(at, FAILED, "insufficient_funds"),
        "paid": lambda at: Attempt(at, PaymentStatus.SUCCEEDED),
    }
    while isinstance(following := next_gateway(Route(tuple(names)), attempts), ChargeAt):
        attempts.append(made[ends[len(attempts)]](following.gateway))
    assert [each.gateway for each in attempts] == names[: len(attempts)]
    assert all(each.not_charged for each in attempts[:-1])
    assert attempts


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "currencies": st.lists(st.sampled_from(["EUR", "USD"]), unique=True),
                "brands": st.lists(st.sampled_from(["visa", "amex"]), unique=True),
                "to": st.lists(NAMES, unique=True, min_size=1, max_size=3),
            }
        ),
        max_size=3,
    ),
    st.lists(NAMES, unique=True, max_size=4),
    st.sampled_from(["EUR", "USD", "GBP"]),
    st.sampled_from(["visa", "amex", "jcb", ""]),
)
def test_a_route_is_of_gateways_that_hold_a_payment_method(
    rules: list[dict[str, Any]], held: list[str], currency: str, brand: str
) -> None:
    try:
        gateways = Gateways.model_validate({"rules": rules})
    except ValidationError:
        return
    found = route(gateways, currency=currency, brand=brand, held=held)
    assert set(found.gateways) <= set(held)
    assert bool(found.gateways) != bool(found.reason)
    assert len(set(found.gateways)) == len(found.gateways)
