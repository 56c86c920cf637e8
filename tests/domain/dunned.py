"""Dunning policies and invoices for the tests."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from domain.declines import Decline, read_decline
from domain.dunning import UnpaidInvoice
from domain.dunning_policy import BadPolicy, DunningPolicy, read_policy

DUE = date(2025, 1, 1)


def on(days: int) -> date:
    """So many days after the due day."""
    return DUE + timedelta(days=days)


def owed(amount: int = 1000, due: date = DUE, currency: str = "EUR", **more: Any) -> UnpaidInvoice:
    return UnpaidInvoice(due, amount, currency, **more)


def declined(code: str) -> Decline:
    decline = read_decline(code)
    assert decline is not None
    return decline


def policy(*states: dict[str, Any], **parts: Any) -> DunningPolicy:
    """A policy with a clear state and `states` after it; `soft`, `hard`, `action` and `preferred_hour` are retry's."""
    return read_policy(document(*states, **parts))


def document(*states: dict[str, Any], **parts: Any) -> dict[str, Any]:
    retry = {
        key: parts.pop(key)
        for key in ("soft", "hard", "action", "preferred_hour", "decline_classes")
        if key in parts
    }
    return {
        "states": [{"name": "current"}, *states],
        "retry": {"soft": {"days": [1, 3]}, **retry},
        **parts,
    }


def state(
    name: str, *, blocks: tuple[str, ...] = (), do: tuple[str, ...] = (), **when: Any
) -> dict[str, Any]:
    return {"name": name, "when": when, "blocks": list(blocks), "on_entry": [{"do": what} for what in do]}


@st.composite
def policies(draw: st.DrawFn) -> DunningPolicy:
    """Any sound policy with some states by age, number or amount."""
    states = []
    for no in range(draw(st.integers(0, 4))):
        when = draw(
            st.fixed_dictionaries(
                {"match": st.sampled_from(["any", "all"])},
                optional={
                    "age_days": st.integers(1, 60),
                    "unpaid_invoices": st.integers(1, 4),
                    "unpaid_amount": st.dictionaries(
                        st.sampled_from(["EUR", "USD"]), st.integers(1, 5000), min_size=1
                    ),
                },
            )
        )
        if len(when) > 1:
            states.append({"name": f"state_{no}", "when": when})
    tolerance = draw(st.dictionaries(st.sampled_from(["EUR", "USD"]), st.integers(0, 300)))
    while True:
        try:
            return policy(*states, clearing={"tolerance": tolerance})
        except BadPolicy as error:  # out of order: what is never seen goes
            del states[int(error.problems[0].path[1]) - 1]


INVOICES = st.lists(
    st.builds(
        UnpaidInvoice,
        st.integers(-70, 70).map(on),
        st.integers(-100, 3000),
        st.sampled_from(["EUR", "USD", "GBP"]),
        st.one_of(st.none(), st.integers(-70, 90).map(on)),
    ),
    max_size=5,
)
