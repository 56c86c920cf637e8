"""Gateway routing: which payment gateway charges what, and which other one may try when the first could not.

A second gateway is asked only when the first is known not to have charged. A timeout is not that: nobody knows whether
money moved (law I6). Nor is a decline: the bank said no, and says no to the other gateway as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from domain.catalog import Currency, Problem
from domain.declines import DECLINES, UNRESOLVED, code_name
from domain.received_payments import PaymentStatus

# Gateways call one brand by several names.
_BRANDS: Mapping[str, str] = MappingProxyType(
    {
        "mc": "mastercard",
        "american_express": "amex",
        "cartebancaire": "cartes_bancaires",
        "diners_club": "diners",
    }
)

# The gateway or its acquirer failed before the customer's bank was asked, and says so: it has not charged.
TECHNICAL_DECLINES: frozenset[str] = frozenset({"acquirer_error", "not_submitted", "processing_error"})


def brand_name(brand: str) -> str:
    """A card's brand in the rules' spelling: `mc` and `MasterCard` are `mastercard`."""
    name = code_name(brand)
    return _BRANDS.get(name, name)


def _is_brand(text: str) -> str:
    if not text or brand_name(text) != text:
        raise ValueError(f"{text!r} is no card brand: write it as {brand_name(text)!r}")
    return text


class GatewayRule(BaseModel):
    """Charges that it is for, and where they go. What is left empty holds for all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currencies: tuple[Currency, ...] = Field((), description="the currencies that it is for; empty: all")
    brands: tuple[Annotated[str, AfterValidator(_is_brand)], ...] = Field(
        (), description="the card brands that it is for, as in visa, mastercard, amex; empty: all"
    )
    to: tuple[str, ...] = Field(
        min_length=1,
        description="connections of payment gateways: the first charges, the next ones stand by for its technical "
        "failures",
    )

    def applies(self, currency: str, brand: str) -> bool:
        """Whether a charge is this rule's. brand: in any spelling, empty where it is not known."""
        return (not self.currencies or currency in self.currencies) and (
            not self.brands or brand_name(brand) in self.brands
        )

    def covers(self, other: GatewayRule) -> bool:
        """Whether every charge of `other` is this rule's as well."""
        return (
            not self.currencies or (bool(other.currencies) and {*other.currencies} <= {*self.currencies})
        ) and (not self.brands or (bool(other.brands) and {*other.brands} <= {*self.brands}))


class Gateways(BaseModel):
    """The rules in order: the first that applies counts. Without rules a charge goes to the gateway of the account's
    first payment method, and nowhere else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[GatewayRule, ...] = Field((), description="which gateway charges what, first match first")

    @model_validator(mode="after")
    def _each_is_of_use(self) -> Gateways:
        found = list(rule_problems(self.rules))
        if found:
            raise ValueError("; ".join(f"{'.'.join(map(str, each.path))}: {each.message}" for each in found))
        return self


def rule_problems(rules: Sequence[GatewayRule]) -> Iterator[Problem]:
    """What is wrong with rules beyond their single fields: one that no charge reaches, a gateway named twice."""
    for no, rule in enumerate(rules):
        for place, name in enumerate(rule.to):
            if name in rule.to[:place]:
                yield Problem(
                    path=("rules", no, "to", place),
                    message=f"{name!r} stands here twice: name each gateway once",
                )
        before = next((n for n, other in enumerate(rules[:no]) if other.covers(rule)), None)
        if before is not None:
            yield Problem(
                path=("rules", no),
                message=f"no charge comes here: rules[{before}] takes them all; put the narrower rule first",
            )


def unknown_gateways(gateways: Gateways, connections: Sequence[str]) -> Iterator[Problem]:
    """Names in the rules that are no connection of a payment gateway; `connections` are those there are."""
    for no, rule in enumerate(gateways.rules):
        for place, name in enumerate(rule.to):
            if name not in connections:
                there = ", ".join(sorted(connections)) or "none"
                yield Problem(
                    path=("rules", no, "to", place),
                    message=f"no payment gateway is connected as {name!r}; there are: {there}",
                )


@dataclass(frozen=True, slots=True)
class Route:
    """Where a charge may go, the first choice first; empty where it can go nowhere, and `reason` says why."""

    gateways: tuple[str, ...]
    reason: str = ""


def route(gateways: Gateways, *, currency: str, brand: str, held: Sequence[str]) -> Route:
    """Where a charge of `currency` to a card of `brand` may go.

    held: the connections at which the account has a payment method, its default first: a stored card is of use at
    its own gateway only.
    """
    if not held:
        return Route((), "the account has no payment method: ask for one")
    rule = next((each for each in gateways.rules if each.applies(currency, brand)), None)
    if rule is None:
        return Route((held[0],))
    usable = tuple(name for name in rule.to if name in held)
    if usable:
        return Route(usable)
    return Route(
        (),
        f"{currency} by {brand_name(brand) or 'a card of unknown brand'} goes to {' or '.join(rule.to)}, and the "
        f"account has payment methods at {', '.join(held)} only: ask for a new one, or add a gateway to the rule",
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to charge. code: the decline's, where it failed. technical: it failed and the gateway is known not to
    have charged: it was never reached, or refused the call itself (its own trouble, our credentials). A bank's decline
    is never that."""

    gateway: str
    status: PaymentStatus
    code: str = ""
    technical: bool = False

    @property
    def not_charged(self) -> bool:
        """Whether the gateway is known not to have charged, for reasons that another gateway does not share."""
        name = code_name(self.code)
        if self.status is not PaymentStatus.FAILED or name in UNRESOLVED:
            return False
        return name in TECHNICAL_DECLINES or (self.technical and name not in DECLINES)


@dataclass(frozen=True, slots=True)
class ChargeAt:
    """Charge at this gateway, under a key of its own."""

    gateway: str


@dataclass(frozen=True, slots=True)
class Stay:
    """No (other) gateway is asked; `reason` says why."""

    reason: str


def next_gateway(choice: Route, attempts: Sequence[Attempt]) -> ChargeAt | Stay:
    """What follows the `attempts` of one collection of one payment, in their order; a retry on another day is a
    collection of its own and begins with none.

    One that is not known not to have charged ends it, whatever came before or after.
    """
    for attempt in attempts:
        if not attempt.not_charged:
            return Stay(_why(attempt))
    tried = {attempt.gateway for attempt in attempts}
    left = next((name for name in choice.gateways if name not in tried), None)
    if left is not None:
        return ChargeAt(left)
    if not choice.gateways:
        return Stay(choice.reason or "there is no gateway for it")
    return Stay(f"every gateway of its route failed: {', '.join(choice.gateways)}")


def _why(attempt: Attempt) -> str:
    at = attempt.gateway
    if attempt.status is PaymentStatus.FAILED and code_name(attempt.code) not in UNRESOLVED:
        return f"{at} was declined ({attempt.code or 'no code'}): another gateway asks the same bank"
    if attempt.status in (PaymentStatus.UNKNOWN, PaymentStatus.FAILED):
        return f"nobody knows whether {at} has charged: it is asked first"
    return f"at {at} it {_STANDS[attempt.status]}"


_STANDS: Mapping[PaymentStatus, str] = MappingProxyType(
    {
        PaymentStatus.SUCCEEDED: "succeeded",
        PaymentStatus.PROCESSING: "is in flight",
        PaymentStatus.REQUIRES_ACTION: "waits for the customer",
        PaymentStatus.REFUNDED: "succeeded and was refunded",
        PaymentStatus.DISPUTED: "succeeded and is disputed",
    }
)
