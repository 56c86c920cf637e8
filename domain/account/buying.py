"""Buying: new subscriptions and one-time purchases of one checkout, together on one invoice of their own.

A quote and the sale go through the same function: the quote on a copy of the account that nobody keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from pydantic import BaseModel, ConfigDict, Field

from domain.account import billing, lifecycle, media
from domain.account.commands import Subscribe
from domain.account.state import AccountState, Invoice, Subscription, plan_version
from domain.amendments import Refused
from domain.catalog import Code, PlanVersion, PriceType
from domain.charge_key import charge_key
from domain.credit_placement import Destination
from domain.dunning import blocked
from domain.dunning_policy import Blocked
from domain.invoices import Draft
from domain.lines import Line
from domain.pricing import amount_for
from domain.rating import rate_subscription

Tax = Callable[[Draft], None]


class GiftFor(BaseModel):
    """A plan bought for somebody else. `recipient`: a key of the reader it is for, nothing personal; who claims it may
    name another one as long as none is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipient: str | None = Field(
        None, min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_.:-]+$", description="the reader's key"
    )
    starts_on: date | None = Field(None, description="the first day of reading; default: that of the claim")


class CartItem(BaseModel):
    """Something in the cart. A plan with one-time prices only is bought once; any other is subscribed to, with add-ons
    and coupons. `name` is what the subscription shall be called, unique among all; default: made of the checkout."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: Code = Field(description="a plan of the catalog, sold today")
    quantity: Decimal = Field(
        Decimal(1), ge=1, le=1_000_000, multiple_of=1, description="seats or copies, whole ones"
    )
    add_ons: tuple[Code, ...] = Field((), max_length=20, description="plans billed together with it")
    coupons: tuple[str, ...] = Field((), max_length=10, description="codes of the rule book, in this order")
    name: str | None = Field(None, min_length=1, max_length=200)
    gift: GiftFor | None = Field(
        None, description="one period of the plan for somebody else, alone in its cart"
    )


@dataclass(frozen=True, slots=True)
class Purchase:
    """A plan bought once."""

    id: str
    plan: str
    version: int
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Bought:
    """What a checkout brought: names of subscriptions, purchases, and the invoice; None where nothing is charged yet,
    as in a trial."""

    subscriptions: tuple[str, ...]
    purchases: tuple[Purchase, ...]
    invoice: Invoice | None

    @property
    def due(self) -> int:
        """What is to be paid now, minor units; account credit is taken off already."""
        return self.invoice.balance.open if self.invoice else 0


def buy(account: AccountState, cart: Sequence[CartItem], name: str, tax: Tax | None = None) -> Bought:
    """Everything in `cart`, from today on; `name` begins the names of subscriptions that have none. `tax` puts tax on
    the draft, by default that of the built-in table. Raises ValueError, of some kind, for what cannot be sold."""
    if not cart:
        raise Refused("there is nothing in the cart")
    state = account.dunning[-1][1]
    if blocked(account.policy.dunning, state, Blocked.BILLING):
        raise Refused("the account owes money, and nothing is billed to it until that is paid")
    if any(item.gift is not None for item in cart):
        return _give(account, cart, name, tax)
    day = account.today
    names: list[str] = []
    purchases: list[Purchase] = []
    lines: list[Line] = []
    for place, item in enumerate(cart, 1):
        version = plan_version(account, item.plan, None, day)
        if once_only(version):
            purchases.append(_purchase(account, item, version, lines))
        else:
            names.append(_subscribe(account, item, item.name or f"{name}-{place}", day, lines))
    if not lines:
        return Bought(tuple(names), tuple(purchases), None)
    draft = Draft("", billing.payer(account), day, lines)
    if tax is None:
        account.put_tax(draft)
    else:
        tax(draft)
    return Bought(tuple(names), tuple(purchases), billing.finalise(account, draft))


def _give(account: AccountState, cart: Sequence[CartItem], name: str, tax: Tax | None) -> Bought:
    """A gift, called `name`: nobody reads by it until it is claimed."""
    item = cart[0]
    if len(cart) > 1 or item.gift is None:
        raise Refused("a gift has an invoice of its own: buy it alone, and the rest in another cart")
    if item.quantity != 1 or item.add_ons or item.coupons or item.name:
        raise Refused("a gift is one period of one plan: it takes no quantity, add-ons, coupons or name")
    return Bought((), (), media.buy(account, name, item.plan, None, item.gift.starts_on, tax))


def once_only(version: PlanVersion) -> bool:
    """Whether a plan is bought once: it has one-time prices and no others."""
    kinds = {price.type for phase in version.phases for price in phase.prices}
    return kinds == {PriceType.ONE_TIME}


def _subscribe(account: AccountState, item: CartItem, name: str, day: date, lines: list[Line]) -> str:
    step = Subscribe(
        at=day,
        do="subscribe",
        plan=item.plan,
        name=name,
        quantity=item.quantity,
        add_ons=item.add_ons,
        coupons=item.coupons,
    )
    lifecycle.subscribe(account, step, day)
    subscription = account.subscriptions[name]
    rated = rate_subscription(account.book, account.currency, subscription.terms, day)
    if rated is None:
        return name
    base = len(lines)
    lines += [
        line if line.parent is None else replace(line, parent=line.parent + base) for line in rated.lines
    ]
    subscription.terms = replace(
        subscription.terms,
        charged_through=rated.charged_through,
        arrears_through=rated.arrears_through,
        next_bill_on=rated.next_bill_on,
    )
    return name


def _purchase(account: AccountState, item: CartItem, version: PlanVersion, lines: list[Line]) -> Purchase:
    if item.add_ons or item.coupons or item.name:
        raise Refused(f"plan {item.plan!r} is bought once: it takes no add-ons, coupons or name")
    ready = account.book.version(item.plan, version.version, account.currency)
    purchase = Purchase(account.new_id(), item.plan, version.version, item.quantity)
    for price in ready.phases[-1].one_time:
        part = price.parts[0]
        charge = f"{purchase.id}|{price.id}"
        lines.append(
            Line(
                "one_time",
                None,  # no subscription's item stands behind it
                price.id,
                part.product,
                None,
                None,
                item.quantity,
                amount_for(price.terms, Fraction(item.quantity), 1, 1),
                None,
                None,
                None,
                charge_key(purchase.id, price.id),
                charge,
                part.category,
            )
        )
    return purchase


def never_started(account: AccountState, subscription: Subscription) -> None:
    """End a subscription whose first invoice was taken back, on the day on which it starts: nobody had it."""
    if lifecycle.runs(account, subscription):
        day = max(account.today, subscription.terms.starts_on)
        lifecycle.cancel(account, subscription, day, "none", Destination.ACCOUNT_CREDIT)
