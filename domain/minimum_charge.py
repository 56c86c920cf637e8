"""The least that a gateway charges: smaller amounts are carried forward to the next charge (law 10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from domain.money import exponent

# Policy, not law: what card gateways publish as their least charge, minor units. They change it, and it depends on
# the currency that is paid out in, so a publisher's policy may say otherwise for any currency.
LEAST_CHARGE: dict[str, int] = {
    "AED": 200,
    "AUD": 50,
    "BGN": 100,
    "BRL": 50,
    "CAD": 50,
    "CHF": 50,
    "CZK": 1500,
    "DKK": 250,
    "EUR": 50,
    "GBP": 30,
    "HKD": 400,
    "HUF": 17500,
    "INR": 50,
    "JPY": 50,
    "MXN": 1000,
    "MYR": 200,
    "NOK": 300,
    "NZD": 50,
    "PLN": 200,
    "RON": 200,
    "SEK": 300,
    "SGD": 50,
    "THB": 1000,
    "USD": 50,
}
# Half a major unit, by decimal places; where the minor unit is the major one, 50 as of the yen.
_LEAST_ELSEWHERE = {0: 50, 2: 50, 3: 500}


class Collection(NamedTuple):
    """What to charge now and what to carry forward, minor units; one of them is zero."""

    charge: int
    carried: int


def least_charge(currency: str, policy: Mapping[str, int] | None = None) -> int:
    """The least that is charged in `currency`, minor units: as `policy` says (its `gateway_minimum`), otherwise by
    the table, otherwise half a major unit. Raises MoneyError for a code that ISO 4217 lacks."""
    if policy is not None and currency in policy:
        return policy[currency]
    return LEAST_CHARGE.get(currency, _LEAST_ELSEWHERE[exponent(currency)])


def collect(
    open_amounts: Iterable[int], currency: str, policy: Mapping[str, int] | None = None
) -> Collection:
    """What to charge for `open_amounts` together: what is due now and what was carried forward before. All of it, or
    nothing when it is less than the least charge (law 10). What is carried stays open on its invoices, and is no
    reason for dunning. Raises ValueError for an amount below zero: a credit is used, not collected."""
    amounts = list(open_amounts)
    if any(amount < 0 for amount in amounts):
        raise ValueError(
            "an amount below zero is not collected: grant it as account credit and use that first"
        )
    due = sum(amounts)
    return Collection(due, 0) if due >= least_charge(currency, policy) else Collection(0, due)
