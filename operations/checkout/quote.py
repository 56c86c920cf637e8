"""The quote of a checkout, written down with how its money will be taken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from pydantic import TypeAdapter

from contracts.checkout import Problem, Quoted, Way
from domain.invoices import Draft
from domain.tax_documents import EngineTax, address_for_tax
from operations.checkout.offer import CART, account_of, draft_of, offer
from operations.tariffs import Tariff
from storage.checkouts import CheckoutRow, change_checkout, keep_tax, read_checkout, read_person
from storage.database import PgConnection


class Gateway(NamedTuple):
    """A payment gateway's connection; `sets_up`: whether it keeps methods for later."""

    name: str
    sets_up: bool


ENGINE_TAX: TypeAdapter[EngineTax] = TypeAdapter(EngineTax)

# The gateway for a mode; None where none is configured.
GatewayFor = Callable[[str], Gateway | None]


class ToTax(NamedTuple):
    """An invoice to be, untaxed. place: where it is taxed, for an account that is not there yet; None: its rows say."""

    draft: Draft
    place: dict[str, str] | None


def to_tax(connection: PgConnection, tariff: Tariff, checkout_id: str, now: datetime) -> ToTax | None:
    """The invoice that the checkout would bring; None where nothing is charged or a quote is there already. Raises
    ValueError, of some kind, for what cannot be sold."""
    row = read_checkout(connection, checkout_id)
    if row.as_of is not None:
        return None
    draft = draft_of(account_of(connection, tariff, row, now), CART.validate_python(row.cart), row.id)
    if draft is None:
        return None
    if not row.opens_account:
        return ToTax(draft, None)
    person = read_person(connection, checkout_id)
    return ToTax(draft, address_for_tax(person and person.address, row.terms["tax_region"]))


def write_quote(
    connection: PgConnection,
    tariff: Tariff,
    checkout_id: str,
    now: datetime,
    gateway_for: GatewayFor,
    given: EngineTax | None = None,
) -> Quoted:
    """Write the quote down as of `now`, once; a repetition answers the first. Raises ValueError, of some kind, for
    what cannot be sold."""
    row = read_checkout(connection, checkout_id, lock=True)
    if row.as_of is not None:
        return quoted(row, gateway_for)
    account = account_of(connection, tariff, row, now)
    made = offer(account, CART.validate_python(row.cart), row.id, given)
    gateway = gateway_for(row.mode)
    changes = {
        "as_of": now,
        "quote": made.model_dump(mode="json"),
        "currency": made.currency,
        "total": made.total,
        "due": made.due,
        "connection": gateway and gateway.name,
    }
    change_checkout(connection, checkout_id, changes)
    if given is not None:
        keep_tax(connection, checkout_id, ENGINE_TAX.dump_python(given, mode="json"))
    return quoted(read_checkout(connection, checkout_id), gateway_for)


def quoted(row: CheckoutRow, gateway_for: GatewayFor) -> Quoted:
    """The quote of `row`, and what follows from it."""
    due = row.due or 0
    found = Quoted(
        connection=row.connection or "", total=row.total or 0, due=due, currency=row.currency or ""
    )

    def problem(kind: str) -> Quoted:
        return found.model_copy(update={"problem": Problem(kind=kind)})

    if row.expected_due is not None and row.expected_due != due:
        return problem("price_changed")
    if row.payment is None:
        return problem("payment_missing") if due else found
    if not row.connection:
        return problem("gateway_missing")
    if due:
        last = row.payment["charge"] == "last"
        return found.model_copy(update={"way": Way.CHARGE_LAST if last else Way.AUTHORISE})
    gateway = gateway_for(row.mode)
    if gateway is None or not gateway.sets_up:
        return found
    return found.model_copy(update={"way": Way.SET_UP})
