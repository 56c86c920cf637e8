"""What a flow reads: the current state of accounts, subscriptions, invoices and plans, as maps see it.

Amounts are minor units, days and instants ISO 8601 text, quantities decimal text. `version` only ever grows. The
models say which fields there are; the rows are read by one statement a batch, in exactly their shape.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel

from operations.sync.state_queries import EXPAND, LOAD
from storage.database import PgConnection
from storage.events import Event


class AddressState(BaseModel):
    """A postal address."""

    line1: str | None
    line2: str | None
    city: str | None
    region: str | None
    postal_code: str | None
    country: str | None


class PersonState(BaseModel):
    """Who the account is; all of it may be missing or erased."""

    name: str | None
    email: str | None
    consent: bool | None
    address: AddressState


class ItemState(BaseModel):
    """What is subscribed to."""

    plan: str
    plan_name: str
    product: str
    version: int
    quantity: str
    starts_on: str
    ends_on: str | None


class SubscriptionPart(BaseModel):
    """A subscription of an account. plan: that of the item that began last."""

    id: str
    key: str
    status: str
    plan: str | None
    starts_on: str
    trial_ends_on: str | None
    ends_on: str | None
    charged_through: str
    next_bill_on: str | None
    items: tuple[ItemState, ...]
    version: int


class AccountState(BaseModel):
    """An account with its subscriptions. status: the best of theirs, `none` without any. plans, products: what those
    have that are not over. balance: what is open of its invoices."""

    id: str
    key: str
    mode: str
    currency: str
    time_zone: str
    locale: str
    created_at: str
    person: PersonState
    status: str
    plans: tuple[str, ...]
    products: tuple[str, ...]
    balance: int
    subscriptions: tuple[SubscriptionPart, ...]
    version: int


class AccountPart(BaseModel):
    """Whose it is."""

    id: str
    key: str
    locale: str
    time_zone: str
    person: PersonState


class SubscriptionState(SubscriptionPart):
    """A subscription with its account."""

    mode: str
    currency: str
    products: tuple[str, ...]
    account: AccountPart


class LineState(BaseModel):
    """A line of an invoice, minor units."""

    no: int
    kind: str
    amount: int
    quantity: str
    plan: str | None
    product: str | None
    period_start: str | None
    period_end: str | None


class InvoiceState(BaseModel):
    """A posted invoice. reference: series and number, as in INV-17."""

    id: str
    reference: str
    mode: str
    currency: str
    issued_on: str
    due_on: str
    status: str
    subtotal: int
    tax: int
    total: int
    balance: int
    lines: tuple[LineState, ...]
    account: AccountPart
    version: int


class PlanPrice(BaseModel):
    """An evergreen price. amount: major units as decimal text, in one currency."""

    code: str
    type: str
    currency: str
    amount: str


class ProductState(BaseModel):
    """A plan as it is sold: what other systems call a product. key: the plan's code; prices: of its newest version."""

    key: str
    name: str
    product: str
    product_name: str
    tax_category: str
    mode: None
    effective_on: str
    interval_unit: str
    interval_count: int
    prices: tuple[PlanPrice, ...]
    version: int


class StateKind(NamedTuple):
    """A kind of state. events: the first words of the kinds of events that tell of it."""

    model: type[BaseModel]
    events: tuple[str, ...]


STATES: dict[str, StateKind] = {
    "account": StateKind(AccountState, ("account", "subscription", "invoice")),
    "subscription": StateKind(SubscriptionState, ("account", "subscription")),
    "invoice": StateKind(InvoiceState, ("invoice",)),
    "product": StateKind(ProductState, ("catalog",)),
}


class Loaded(NamedTuple):
    """A subject's state. account_id: whose it is, None for what is nobody's."""

    subject: str
    account_id: str | None
    state: dict[str, Any]


def subjects_of(connection: PgConnection, state: str, events: Sequence[Event]) -> list[str]:
    """Whom the events tell of, each once, in the order of their first event."""
    found: dict[str, None] = {}
    wider: dict[str, None] = {}
    for event in events:
        if state == "account":
            if event.account_id is not None:
                found[event.account_id] = None
        elif event.kind.partition(".")[0] == state:
            found[event.subject_id] = None
        else:
            wider[event.subject_id] = None
    if wider and state in EXPAND:
        for (subject,) in connection.execute(EXPAND[state].encode(), {"ids": list(wider)}):
            found[subject] = None
    return list(found)


def load_states(connection: PgConnection, state: str, subjects: Collection[str]) -> dict[str, Loaded]:
    """The current state of each subject, by one statement; those that do not exist are missing."""
    ids = [subject for subject in subjects if state == "product" or _is_uuid(subject)]
    rows = connection.execute(LOAD[state].encode(), {"ids": ids})
    return {subject: Loaded(subject, account, found) for subject, account, found in rows}


def _is_uuid(subject: str) -> bool:
    try:
        return str(UUID(subject)) == subject.lower()
    except ValueError:
        return False
