"""What a cart comes to: the sale carried out on a copy of the account that nobody keeps."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, TypeAdapter

from domain.account.buying import Bought, CartItem, Tax, buy
from domain.account.days import advance
from domain.account.state import AccountState, open_account
from domain.account.terms import AccountTerms, TaxTerms
from domain.invoices import Draft, add_tax
from domain.minimum_charge import collect
from domain.periods import local_date
from domain.tax_documents import EngineTax, put_tax_on
from operations.accounts.unit import build
from operations.checkout.begin import OpenedAccount
from operations.tariffs import Tariff
from storage.checkouts import CheckoutRow
from storage.database import PgConnection
from storage.whole.reading import read_whole

CART: TypeAdapter[tuple[CartItem, ...]] = TypeAdapter(tuple[CartItem, ...])


class OfferedLine(BaseModel):
    """A line of the invoice to be. Amounts in minor units; `parent` is the place, from 1, of the line that a discount
    or tax belongs to."""

    kind: str
    product: str | None
    period_start: date | None
    period_end: date | None
    quantity: Decimal
    amount: int
    parent: int | None
    reference: str | None
    rate: Decimal | None


class OfferedSubscription(BaseModel):
    """A subscription to be: when its trial ends, and when it is billed next."""

    plan: str
    trial_ends_on: date | None
    next_bill_on: date | None
    ends_on: date | None


class Offer(BaseModel):
    """What a cart comes to, in minor units: `due` of the `total` is to be paid now; `credit` of the account is used,
    and less than the gateway charges is carried forward."""

    currency: str
    on: date
    lines: list[OfferedLine]
    subscriptions: list[OfferedSubscription]
    subtotal: int
    tax: int
    total: int
    credit: int
    due: int


def account_for(
    connection: PgConnection,
    tariff: Tariff,
    account_id: str | None,
    opens: OpenedAccount | None,
    now: datetime,
    mode: str = "live",
) -> AccountState:
    """A copy of the account on its local day of `now`: as it is, or as `opens` would open it. Raises LookupError."""
    if account_id is not None and opens is None:
        account, _ = build(read_whole(connection, account_id, tariff.book, lock=False), tariff, now)
        advance(account, local_date(now, account.zone), fleet=account.mode == "test")
        return account
    if opens is None:
        raise LookupError("neither an account nor the terms of a new one are given")
    tax = TaxTerms(region=opens.tax_region, inclusive=opens.tax_inclusive, treatment=opens.tax_treatment)
    terms = AccountTerms(currency=opens.currency, timezone=opens.time_zone, tax=tax)
    today = local_date(now, ZoneInfo(opens.time_zone))
    account = open_account(terms, tariff.catalog, tariff.rules(), tariff.book, tariff.names, today)
    account.id = account_id or account.id
    account.mode = mode
    return account


def account_of(
    connection: PgConnection, tariff: Tariff, checkout: CheckoutRow, now: datetime
) -> AccountState:
    """`account_for` a checkout."""
    opens = OpenedAccount.model_validate(checkout.terms) if checkout.opens_account else None
    return account_for(connection, tariff, checkout.account_id, opens, now, checkout.mode)


def draft_of(account: AccountState, cart: Sequence[CartItem], name: str) -> Draft | None:
    """The invoice to be, not taxed, for whoever is asked what tax is on it; None where nothing is charged."""
    found: list[Draft] = []

    def keep(draft: Draft) -> None:
        found.append(deepcopy(draft))
        add_tax(draft, account.tax)

    buy(account, cart, name, keep)
    return found[0] if found else None


def offer(
    account: AccountState, cart: Sequence[CartItem], name: str, given: EngineTax | None = None
) -> Offer:
    """What `cart` comes to for `account`, which is changed by it. `given` is an engine's tax; None: the built-in
    table's. Raises ValueError, of some kind, for what cannot be sold."""
    bought = buy(account, cart, name, taxing(account, given))
    invoice = bought.invoice
    terms = [account.subscriptions[each].terms for each in bought.subscriptions]
    return Offer(
        currency=account.currency,
        on=account.today,
        lines=[
            OfferedLine(
                kind=line.kind,
                product=line.part,
                period_start=_day(line.period_start),
                period_end=_day(line.period_end),
                quantity=line.quantity,
                amount=line.amount,
                parent=None if line.parent is None else line.parent + 1,
                reference=line.reference,
                rate=line.rate,
            )
            for line in (invoice.lines if invoice else ())
        ],
        subscriptions=[
            OfferedSubscription(
                plan=each.items[0].plan,
                trial_ends_on=each.trial_ends_on,
                next_bill_on=each.next_bill_on,
                ends_on=each.ends_on,
            )
            for each in terms
        ],
        subtotal=invoice.subtotal if invoice else 0,
        tax=invoice.tax if invoice else 0,
        total=invoice.total if invoice else 0,
        credit=invoice.balance.used if invoice else 0,
        due=payable(account, bought),
    )


def payable(account: AccountState, bought: Bought) -> int:
    """What is charged now, minor units: nothing where it is less than the gateway charges (law 10)."""
    return collect([bought.due], account.currency, account.policy.gateway_minimum).charge


def taxing(account: AccountState, given: EngineTax | None) -> Tax | None:
    """What puts an engine's tax on the draft; None for the built-in table."""
    if given is None:
        return None

    def tax(draft: Draft) -> None:
        put_tax_on(draft, given)

    return tax


def _day(moment: Any) -> date | None:
    return moment.date() if isinstance(moment, datetime) else moment
