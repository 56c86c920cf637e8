"""What a row of a publisher's file means, ready to be written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from domain.subscriptions import Opening


@dataclass(frozen=True, slots=True)
class ImportedItem:
    """A plan of the subscription; `price_override` is in minor units of the account's currency."""

    plan: str
    version: int
    quantity: str
    price_override: int | None


@dataclass(frozen=True, slots=True)
class ImportedDiscount:
    """A percent (text) or an amount in minor units; `ends_on` is the first day without it."""

    code: str
    percent: str | None
    amount: int | None
    starts_on: date
    ends_on: date | None


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """A row that can be written: everything about the account, its subscription, items and discounts."""

    account_key: str
    subscription_key: str
    name: str | None
    email: str | None
    address: dict[str, str]
    currency: str
    time_zone: str
    locale: str
    bill_cycle_day: int | None
    tax_region: str | None
    tax_exempt: bool
    payment_method: str | None
    payment_terms_days: int
    opening: Opening
    items: tuple[ImportedItem, ...]
    discounts: tuple[ImportedDiscount, ...]
