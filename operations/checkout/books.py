"""A sale in the books: written in one transaction before the money is taken, paid after it, or taken back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from contracts.checkout import CheckoutStatus, Posted, Problem
from domain.account import collecting
from domain.account.buying import buy
from domain.account.unpaid_sales import take_back_sale
from operations.accounts.unit import Changing, changing
from operations.charges.methods import NewMethod, keep_method
from operations.checkout.begin import OpenedAccount
from operations.checkout.card_told import card_told
from operations.checkout.offer import CART, payable, taxing
from operations.checkout.quote import ENGINE_TAX
from operations.follow_ups.carrying import provide
from operations.tariffs import Tariff
from operations.tax.documents import Taxed, record_tax_documents
from storage.checkouts import (
    CheckoutRow,
    await_payment,
    change_checkout,
    forget_person,
    insert_purchase,
    kept_tax,
    payment_came,
    purchases_of,
    read_checkout,
    read_person,
    request_fulfilment,
)
from storage.database import PgConnection
from storage.events import NewEvent, append_events
from storage.posting import SERIES


class CannotPost(ValueError):
    """The books do not take the sale, now or later. `kind` says why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def post(connection: PgConnection, tariff: Tariff, checkout_id: str) -> Posted:
    """The account, subscriptions, purchases and the finalised invoice, as they were quoted, in the caller's
    transaction; nobody reads by them yet where something is due. A repetition changes nothing.

    Raises ValueError, of some kind, when it cannot be: let that roll the transaction back.
    """
    row = read_checkout(connection, checkout_id, lock=True)
    status = CheckoutStatus(row.status)
    if row.invoice_id is not None or row.subscription_ids:
        return Posted(invoice_id=row.invoice_id)
    if status.ended:
        return Posted(problem=Problem(kind=row.problem_kind or status.value))
    if row.as_of is None:
        raise CannotPost("books_refused", f"checkout {row.id} has no quote")
    kept = kept_tax(connection, row.id)
    tax = None if kept is None else ENGINE_TAX.validate_python(kept)
    if row.opens_account:
        _open_account(connection, tariff, row)
    with changing(connection, tariff, row.account_id, row.as_of) as unit:
        account = unit.account
        cart = CART.validate_python(row.cart)
        bought = buy(account, cart, row.id, taxing(account, tax))
        total, due = (bought.invoice.total if bought.invoice else 0), payable(account, bought)
        if (total, due) != (row.total, row.due):
            raise CannotPost(
                "price_changed", f"{row.due} of {row.total} was offered, and it is {due} of {total}"
            )
        ids = [account.subscriptions[name].terms.id for name in bought.subscriptions]
        if due:
            await_payment(connection, row.id, ids)
    invoice_id = unit.written.invoices[0] if bought.invoice else None
    if invoice_id is not None and tax is not None:
        code = f"{SERIES[row.mode]}-{unit.written.numbers[0]}"
        record_tax_documents(connection, [Taxed(invoice_id, row.account_id, row.mode, code, tax)])
    for each in bought.purchases:
        insert_purchase(
            connection,
            purchase_id=each.id,
            mode=row.mode,
            account_id=row.account_id,
            checkout_id=row.id,
            plan=each.plan,
            version=each.version,
            quantity=each.quantity,
            bought_on=account.today,
            invoice_id=str(invoice_id),
        )
    changes = {
        "status": CheckoutStatus.CAPTURING.value,
        "invoice_id": invoice_id,
        "subscription_ids": ids,
    }
    change_checkout(connection, row.id, changes)
    return Posted(invoice_id=invoice_id)


def _open_account(connection: PgConnection, tariff: Tariff, row: CheckoutRow) -> None:
    terms = OpenedAccount.model_validate(row.terms)
    try:
        connection.execute(
            "insert into account (id, mode, external_key, currency, time_zone, locale, tax_region, tax_inclusive,"
            " tax_treatment, auto_pay, payment_terms_days) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                row.account_id,
                row.mode,
                terms.external_key or row.account_id,
                terms.currency,
                terms.time_zone,
                terms.locale,
                terms.tax_region,
                terms.tax_inclusive,
                terms.tax_treatment.value,
                row.payment is not None,
                tariff.rules().policy.payment_terms_days,
            ),
        )
    except psycopg.errors.UniqueViolation:
        raise CannotPost("account_exists", f"there is an account {terms.external_key!r}") from None
    append_events(connection, [NewEvent("account.created", row.account_id, row.account_id, 1)])
    person = read_person(connection, row.id)
    if person is not None:
        connection.execute(
            "insert into person (account_id, name, email, address) values (%s, %s, %s, %s)",
            (
                row.account_id,
                person.name,
                person.email,
                None if person.address is None else Jsonb(person.address),
            ),
        )


def settle(
    connection: PgConnection,
    tariff: Tariff,
    checkout_id: str,
    now: datetime,
    fulfilled_by: Mapping[str, str | None],
) -> None:
    """The sale is complete: what was due is recorded as paid, access begins, and what follows is asked for, by
    capability of `fulfilled_by`. A repetition changes nothing."""
    row = read_checkout(connection, checkout_id, lock=True)
    if CheckoutStatus(row.status).ended:
        return
    purchases = purchases_of(connection, row.id)
    with changing(connection, tariff, row.account_id, now) as unit:
        payment_came(connection, row.id)
        if row.due:
            collecting.pay(unit.account, row.due, [_invoice(unit, row)])
    if row.due:
        connection.execute(
            "update payment set gateway_id = %s where account_id = %s and no = %s",
            (row.gateway_id, row.account_id, len(unit.account.receipts)),
        )
    if row.payment is not None and row.connection is not None:
        kind = "direct_debit" if row.payment["charge"] == "last" else "card"
        brand, last4, ends = card_told(connection, row) or (None, None, None)
        method = NewMethod(
            row.connection, row.payment["method"], row.payment["customer"], kind, brand, ends, last4
        )
        keep_method(connection, row.account_id, row.mode, method, pays_by_itself=False)
    request_fulfilment(connection, row, [*row.subscription_ids, *purchases], fulfilled_by)
    provisioner = fulfilled_by.get("provisioning")
    if purchases and provisioner is not None:
        # What a subscription gives is brought there by what follows from its own changes.
        provide(connection, row.account_id, row.mode, provisioning_key(row.id), unit.now, provisioner)
    finish(connection, row, CheckoutStatus.COMPLETED, now)


def provisioning_key(checkout_id: str) -> str:
    """The key of the call that brings the access of a checkout's purchases to the identity system."""
    return f"checkout:{checkout_id}:provisioning"


def take_back(connection: PgConnection, tariff: Tariff, checkout_id: str, now: datetime) -> None:
    """The money could not be taken: the invoice is void, and the subscriptions end as if they had never started; what
    was billed for them since, where a debit came back after weeks, is taken back as well. What somebody has paid by
    another way in the meantime stays, and is given. A repetition changes nothing."""
    row = read_checkout(connection, checkout_id, lock=True)
    if CheckoutStatus(row.status) is not CheckoutStatus.CAPTURING:
        return
    with changing(connection, tariff, row.account_id, now) as unit:
        first = None if row.invoice_id is None else _invoice(unit, row)
        if first is not None and first.balance.paid:
            payment_came(connection, row.id)
        else:
            # What was never paid goes on awaiting its payment: whoever takes it up again reads nothing by it.
            take_back_sale(unit.account, row.subscription_ids, first, "the payment could not be taken")
    change_checkout(connection, row.id, {"status": CheckoutStatus.POSTING.value})


def _invoice(unit: Changing, row: CheckoutRow) -> Any:
    return unit.account.invoices[unit.rows.invoice_ids.index(str(row.invoice_id))]


def finish(
    connection: PgConnection,
    row: CheckoutRow,
    status: CheckoutStatus,
    now: datetime,
    *,
    kind: str | None = None,
    words: str | None = None,
) -> None:
    """The checkout has ended: its row says so, who it was is forgotten, and others are told."""
    changes = {
        "status": status.value,
        "ended_at": now,
        "next_action_url": None,
        "problem_kind": kind,
        "problem": words,
    }
    change_checkout(connection, row.id, changes)
    forget_person(connection, row.id)
    account = (
        None if row.opens_account and row.invoice_id is None and not row.subscription_ids else row.account_id
    )
    append_events(connection, [NewEvent(f"checkout.{status.value}", account, row.id, row.version + 1)])
