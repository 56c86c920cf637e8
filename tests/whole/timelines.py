"""Timelines as hypothesis draws them: a scenario of random commands and bills over a year or two."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from domain.simulation.scenario import Scenario
from tests.domain.publisher import PLANS
from tests.domain.test_two_years import COUPONS, DELIVERY, accounts, policies

FIRST = date(2026, 1, 15)
names = st.sampled_from(["main", "main", "main", "second"])
plans = st.sampled_from(PLANS)


def _step(do: str, **fields: Any) -> Any:
    return st.fixed_dictionaries({"do": st.just(do), **fields})


def _invoice() -> Any:
    return st.integers(1, 6)


commands = st.one_of(
    _step("bill"),
    _step("bill"),
    _step("bill"),
    _step("subscribe", plan=plans, name=st.just("second"), quantity=st.integers(1, 3)),
    _step("change_plan", subscription=names, to=plans),
    _step("change_plan", subscription=names, to=plans),
    _step("change_quantity", subscription=names, quantity=st.integers(1, 5)),
    _step("pause", subscription=names),
    _step("pause", subscription=names, days=st.sampled_from([1, 10, 45])),
    _step("resume", subscription=names),
    _step("cancel", subscription=names, when=st.sampled_from(["now", "end_of_period"])),
    _step("reactivate", subscription=names),
    _step("usage", subscription=names, meter=st.just("articles"), quantity=st.integers(1, 20)),
    _step("payment_fails", code=st.sampled_from(["insufficient_funds", "expired_card"])),
    _step("pay", amount=st.sampled_from([None, "1", "20", "500"])),
    _step("refund", amount=st.sampled_from([None, "3"])),
    _step("grant_credit", amount=st.sampled_from(["1", "30"])),
    _step(
        "credit_note",
        invoice=_invoice(),
        amount=st.sampled_from([None, "2"]),
        to=st.sampled_from(["account_credit", "refund"]),
    ),
    _step("adjust_line", invoice=_invoice(), line=st.just(1), amount=st.sampled_from(["-1", "2"])),
    _step("void", invoice=_invoice()),
    _step("write_off"),
    _step("set_bill_cycle_day", day=st.sampled_from([1, 15, 28, 31])),
    _step("move_time_zone", timezone=st.sampled_from(["UTC", "Pacific/Auckland", "Pacific/Honolulu"])),
    _step("apply_coupon", subscription=names, coupon=st.sampled_from(["TEN", "TWO"])),
    _step("holiday_stop", subscription=names, days=st.integers(1, 20)),
    _step("gift", plan=st.sampled_from(["basic", "yearly"])),
    _step("claim"),
    _step("refund_gift"),
)


@st.composite
def timelines(draw: st.DrawFn, *, steps: int = 25, plain: bool = False) -> Scenario:
    """A scenario. With `plain` it is one for the rules as they are without a rule book, and nothing in it is left to
    others than commands and bill runs: no automatic payment, and nothing that falls due and is dunned."""
    account = draw(accounts)
    policy = {**draw(policies), "proration": "day"}
    if plain:
        account = {**account, "auto_pay": False, "payment_terms_days": 365}
        policy = {}
    day = FIRST
    found: list[dict[str, Any]] = [
        {"at": str(day), "do": "subscribe", "plan": draw(plans), "quantity": draw(st.integers(1, 4))}
    ]
    for step in draw(st.lists(commands, min_size=5, max_size=steps)):
        day += timedelta(days=draw(st.sampled_from([0, 0, 1, 3, 7, 13, 20, 31])))
        found.append(_dated(step, day))
    return Scenario.model_validate(
        {
            "account": account,
            "catalog": "-",
            "policy": policy,
            "coupons": [] if plain else COUPONS,
            "delivery": None if plain else DELIVERY,
            "steps": found,
        }
    )


def _dated(step: dict[str, Any], day: date) -> dict[str, Any]:
    given = {**step, "at": str(day)}
    days = given.pop("days", None)
    if step["do"] == "pause" and days is not None:
        given["until"] = str(day + timedelta(days=days))
    elif step["do"] == "holiday_stop":
        start = day + timedelta(days=1)
        given |= {"from": str(start), "until": str(start + timedelta(days=days))}
    return given
