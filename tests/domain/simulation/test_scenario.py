"""Scenarios as documents: the order of steps, what they refer to, and what the report says of a play."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from domain.simulation.references import unknown_references
from domain.simulation.scenario import StepOutOfOrder, StepTooFar
from tests.domain.simulation.playing import CATALOG, SUBSCRIBED, played, scenario, step, told


def test_steps_of_one_day_may_mix_days_and_instants() -> None:
    found = told(
        step("2026-04-01T09:00", "subscribe", plan="news"),
        step("2026-04-01", "bill"),
        step("2026-04-01T10:00", "change_quantity", quantity=2),
    )
    assert found["refused"] == []


@pytest.mark.parametrize(
    ("second", "zone"),
    [
        ("2026-03-31", "UTC"),
        ("2026-04-01T08:59", "UTC"),
        ("2026-04-01T08:59+00:00", "UTC"),
        # 31 March in New York
        ("2026-04-01T03:00+00:00", "America/New_York"),
    ],
)
def test_a_step_out_of_order(second: str, zone: str) -> None:
    with pytest.raises(StepOutOfOrder, match="put the steps in order of time") as caught:
        played(
            step("2026-04-01T09:00", "subscribe", plan="news"),
            step("2026-04-01", "bill"),
            step(second, "bill"),
            account={"timezone": zone},
        )
    assert caught.value.place == 2


def test_the_latest_instant_of_a_day_counts() -> None:
    with pytest.raises(StepOutOfOrder):
        played(
            step("2026-04-01T09:00", "subscribe", plan="news"),
            step("2026-04-01T12:00", "bill"),
            step("2026-04-01T11:00", "bill"),
        )


@pytest.mark.parametrize(
    "far",
    [
        step("2077-01-01", "bill"),
        step("2026-04-01", "bill", to="2077-01-01"),
        step("2026-04-01", "payment_fails", until="2077-01-01"),
    ],
)
def test_a_year_that_must_be_a_slip(far: dict[str, Any]) -> None:
    with pytest.raises(StepTooFar, match="is the year right") as caught:
        played(SUBSCRIBED[0], far)
    assert caught.value.place == 1


def test_fifty_years_are_no_slip() -> None:
    found = told(
        SUBSCRIBED[0],
        step("2026-04-01", "cancel"),
        step("2076-12-31", "pay", amount="1"),
    )
    assert found["through"] == "2076-12-31"


@pytest.mark.parametrize(
    ("steps", "more", "place", "message"),
    [
        (
            [step("2026-04-01", "subscribe", plan="newz")],
            {},
            ("steps", 0, "plan"),
            "the catalog has no plan 'newz'; did you mean 'news'?",
        ),
        (
            [step("2026-04-01", "subscribe", plan="news", add_ons=["add-on", "xx"])],
            {},
            ("steps", 0, "add_ons", 1),
            "the catalog has no plan 'xx'; it has: news, plus",
        ),
        ([step("2026-04-01", "gift", plan="xx")], {}, ("steps", 0, "plan"), "has no plan 'xx'"),
        ([step("2026-04-01", "change_plan", to="xx")], {}, ("steps", 0, "to"), "has no plan 'xx'"),
        (
            [step("2026-04-01", "usage", meter="article", quantity=1)],
            {},
            ("steps", 0, "meter"),
            "the catalog has no meter 'article'; did you mean 'articles'?",
        ),
        (
            [step("2026-04-01", "subscribe", plan="news", coupons=["A", "B"])],
            {"coupons": [{"code": "A", "percent": 5}]},
            ("steps", 0, "coupons", 1),
            "the scenario has no coupon 'B'; it has: A",
        ),
        (
            [step("2026-04-01", "apply_coupon", coupon="B")],
            {},
            ("steps", 0, "coupon"),
            "the scenario has no coupon 'B'; it has: none",
        ),
        (
            [*SUBSCRIBED],
            {"account": {"currency": "EUR"}},
            ("account", "currency"),
            "the catalog has no prices in EUR; it has them in: USD, JPY",
        ),
    ],
)
def test_what_a_scenario_refers_to(
    steps: list[dict[str, Any]], more: dict[str, Any], place: tuple[str | int, ...], message: str
) -> None:
    (problem,) = unknown_references(scenario(*steps, **more), CATALOG)
    assert problem.path == place
    assert message in problem.message


def test_a_scenario_that_refers_to_nothing_unknown() -> None:
    steps = (
        *SUBSCRIBED,
        step("2026-04-01", "gift", plan="year"),
        step("2026-04-02", "change_plan", to="plus"),
        step("2026-04-02", "usage", meter="articles", quantity=1),
    )
    assert unknown_references(scenario(*steps, region="NOWHERE"), CATALOG) == []


@pytest.mark.parametrize(
    "bad",
    [
        step("1.4.2026", "bill"),
        step("2026-04-31", "bill"),
        step("2026-04-01", "nothing"),
        step("2026-04-01", "bill", until="2026-05-01"),
        step("2026-04-01", "subscribe"),
        step("2026-04-01", "change_quantity", quantity=0),
        step("2026-04-01", "pay", amount="1,00"),
        step("2026-04-01", "cancel", when="tomorrow"),
        step("2026-04-01", "void", invoice=0),
        step("2026-04-01", "set_bill_cycle_day", day=32),
        step("2026-04-01", "move_time_zone", timezone="Mars"),
    ],
)
def test_steps_that_cannot_be_read(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        scenario(bad)


def test_a_day_and_an_instant_may_come_as_such() -> None:
    found = scenario(*SUBSCRIBED)
    assert scenario(*(each.model_dump() for each in found.steps)).steps == found.steps


@pytest.mark.parametrize(
    "more", [{"account": {"timezone": "Mars/Base"}}, {"steps": []}, {"account": {"bill_cycle_day": 32}}]
)
def test_accounts_that_cannot_be(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        scenario(*([] if "steps" in more else SUBSCRIBED), account=more.get("account", {}))


def test_the_story_is_told_in_order() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "cancel", to="refund"),
        step("2026-04-12", "cancel"),
    )
    told_of = [(each["date"], each["kind"]) for each in found["timeline"]]
    assert told_of == [
        ("2026-04-01", "step"),
        ("2026-04-01", "step"),
        ("2026-04-01", "invoice"),
        ("2026-04-01", "payment"),
        ("2026-04-11", "step"),
        ("2026-04-11", "credit_note"),
        ("2026-04-11", "note"),
        ("2026-04-12", "step"),
    ]
    assert found["timeline"][4] == {
        "date": "2026-04-11",
        "kind": "step",
        "step": 3,
        "do": "cancel",
        "fields": {"to": "refund"},
    }
    assert found["timeline"][2]["number"] == 1
    assert [each["step"] for each in found["refused"]] == [4]


def test_the_report_is_plain_json() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11T12:00", "change_plan", to="plus"),
        step("2026-04-11", "gift", plan="year"),
        step("2026-05-01", "bill"),
        region="XX",
        policy={"proration": "second"},
    )
    assert json.loads(json.dumps(found)) == found
    assert found["currency"] == "USD"


def test_a_report_of_lines_quantities_and_what_they_correct() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="seats", quantity="2.5"),
        step("2026-04-01", "bill"),
        step("2026-04-02", "credit_note", invoice=1, amount="2.50"),
        region="XX",
    )
    (line,) = found["invoices"][0]["lines"]
    assert line == {
        "kind": "recurring",
        "plan": "seats",
        "price": "access",
        "product": "news",
        "start": "2026-04-01",
        "end": "2026-05-01",
        "quantity": "2.5",
        "amount": 750,
        "tax": 75,
        "corrects": None,
        "coupon": None,
    }
    # 2.50 with its tax: 250 * 750/825 is 227.27, 250 * 75/825 is 22.73
    (credit,) = found["credit_notes"][0]["lines"]
    assert credit == {
        "kind": "adjustment",
        "plan": "seats",
        "price": "access",
        "product": "news",
        "start": None,
        "end": None,
        "amount": -227,
        "tax": -23,
        "corrects": {"invoice": 1, "line": 1},
    }


@pytest.mark.parametrize(
    ("more", "revenue"),
    [
        # One day of 30.00 for April, recognised today; the credit note of today counts, too.
        ((), (100, 0, 2900)),
        ((step("2026-04-02", "credit_note", invoice=1, amount="15.00"),), (50, 1500, 1450)),
    ],
)
def test_revenue_is_recognised_deferred_or_credited(
    more: tuple[dict[str, Any], ...], revenue: tuple[int, int, int]
) -> None:
    found = told(*SUBSCRIBED, step("2026-04-02", "bill"), *more)["revenue"][0]
    assert (found["recognised"], found["credited"], found["deferred"]) == revenue
    assert found["billed"] == 3000


def test_what_is_earned_with_its_document() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="metered"),
        step("2026-04-01", "bill"),
        step("2026-04-05", "usage", meter="articles", quantity=20),
        step("2026-05-01", "bill"),
    )
    usage = next(each for each in found["revenue"] if each["by"] == "document")
    assert usage["billed"] == 100
