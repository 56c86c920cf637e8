"""A customer who comes by the link of a mail: what is due, what to do about it, and doing it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from contracts.connector_call import CallRef, CallStatus
from domain.declines import DeclineClass, read_decline
from domain.pay_page import CardOnFile, OwedInvoice, PayPage, PayStep
from domain.periods import local_date
from domain.rule_book import RuleBook
from operations.calls.prepare import CallOrder, prepare_call
from operations.charges.begin import Ask, Begun, begin
from operations.charges.looks import is_overdue
from operations.charges.outcome import Came, ChargeStatus, call_of, outcome, told_by
from operations.tariffs import Tariff
from storage.calls import read_call
from storage.charges import ChargeRow, change_charge, charge_key, lock_payers, read_charge
from storage.database import PgConnection
from storage.write_holds import check_not_held

COMPLETE = "payment_actions.complete"
BACK_PATH = "/pay/back/"
SOON = timedelta(days=30)
_DAY = timedelta(days=1)


class _Card(NamedTuple):
    brand: str | None
    last4: str | None
    expires_on: date | None
    given_at: datetime


def pay_page(connection: PgConnection, tariff: Tariff, account_id: str, now: datetime) -> PayPage:
    """What the account's page shows at `now`. Raises LookupError for an unknown account."""
    row = connection.execute(
        "select currency, locale, time_zone, auto_pay, rule_book, clock_at from account where id = %s",
        (account_id,),
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no account {account_id}")
    currency, locale, zone, auto_pay, book, clock_at = row
    rules = tariff.rules(book)
    today = local_date(clock_at or now, ZoneInfo(zone))
    card = _card(connection, account_id)
    invoices = _due(connection, account_id, today)
    last = _last_charge(connection, account_id)
    step = _step(rules, invoices, card, last, auto_pay=auto_pay)
    return PayPage(
        step,
        locale,
        currency,
        rules.publisher,
        tuple(invoices),
        None if card is None else _shown(card, today),
        last.next_action_url if last is not None and step is PayStep.CONFIRM else None,
        failed=last is not None and last.status == ChargeStatus.FAILED and bool(invoices),
    )


def _step(
    rules: RuleBook,
    invoices: Sequence[OwedInvoice],
    card: _Card | None,
    last: ChargeRow | None,
    *,
    auto_pay: bool,
) -> PayStep:
    if not invoices:
        return PayStep.NOTHING
    if last is not None and ChargeStatus(last.status).open:
        waits = last.status == ChargeStatus.REQUIRES_ACTION and last.next_action_url is not None
        return PayStep.CONFIRM if waits else PayStep.ON_ITS_WAY
    if not auto_pay and rules.publisher.payment:
        return PayStep.TRANSFER
    if card is None or not auto_pay:
        return PayStep.NEW_METHOD
    if last is None or last.status != ChargeStatus.FAILED or last.ended_at is None:
        return PayStep.PAY
    decline = read_decline(last.code, rules.policy.dunning.retry.decline_classes)
    refused = decline is not None and decline.decline_class is DeclineClass.HARD
    return PayStep.NEW_METHOD if refused and card.given_at <= last.ended_at else PayStep.PAY


def _due(connection: PgConnection, account_id: str, today: date) -> list[OwedInvoice]:
    rows = connection.execute(
        "select series || '-' || number, due_on, balance from invoice"
        " where account_id = %s and status = 'open' and balance > 0 and due_on <= %s order by due_on, number",
        (account_id, today),
    )
    return [OwedInvoice(*row) for row in rows]


def _card(connection: PgConnection, account_id: str) -> _Card | None:
    row = connection.execute(
        """
        select m.brand, m.last4, m.expires_on, greatest(m.added_at, m.renewed_at)
        from payment_method m join account a on a.id = m.account_id
        where m.account_id = %s and m.is_default and m.retired_at is null
        order by (m.method = a.payment_method) is true desc, m.added_at desc, m.id desc limit 1
        """,
        (account_id,),
    ).fetchone()
    return _Card(*row) if row else None


def _shown(card: _Card, today: date) -> CardOnFile:
    ends = card.expires_on
    last_day = None if ends is None else ends - _DAY
    return CardOnFile(card.brand, card.last4, last_day, ends is not None and ends <= today + SOON)


def _last_charge(connection: PgConnection, account_id: str) -> ChargeRow | None:
    row = connection.execute(
        "select id::text from charge where account_id = %s order by (ended_at is null) desc, no desc limit 1",
        (account_id,),
    ).fetchone()
    return read_charge(connection, row[0]) if row else None


def begin_there(
    connection: PgConnection, tariff: Tariff, account_id: str, back: str, now: datetime
) -> Begun | None:
    """Begin a charge of what is due, with the customer there: the bank may ask for a confirmation, after which they
    come back to `back` with the charge's id behind it. None where the page offers no such thing, as while a charge is
    on its way. In the caller's transaction. Raises WritesHeld while external writes are held."""
    check_not_held(connection)
    if not lock_payers(connection, [account_id]):
        return None
    if pay_page(connection, tariff, account_id, now).step is not PayStep.PAY:
        return None
    ask = Ask(now, heed_retries=False, return_to=back)
    begun = begin(connection, tariff, [account_id], ask).begun
    return begun[0] if begun else None


def bring_back(connection: PgConnection, charge_id: str, result: str, now: datetime) -> CallRef | None:
    """Write down the call that hands in what the customer brought back from the bank, once for each `result`; None
    where the charge waits for none, or no longer. Raises NoSuchCharge."""
    charge = read_charge(connection, charge_id)
    lock_payers(connection, [charge.account_id])
    charge = read_charge(connection, charge_id)
    call = call_of(connection, charge)
    if charge.status != ChargeStatus.REQUIRES_ACTION or is_overdue(charge, now):
        return None
    if call is None or not isinstance(call.answer, dict):
        return None
    mark = sha256(result.encode()).hexdigest()[:8]
    key = f"{charge_key(charge.account_id, charge.no)}:{mark}"
    request: dict[str, Any] = {"result": result, "known": call.answer, "capture": True}
    order = CallOrder(charge.connection, COMPLETE, key, request, charge.mode, charge.account_id)
    return prepare_call(connection, order).ref


def brought_back(
    connection: PgConnection, tariff: Tariff, charge_id: str, call_id: str, now: datetime
) -> Came | None:
    """Write down what the handing in came to; None while that is not known."""
    charge = read_charge(connection, charge_id)
    lock_payers(connection, [charge.account_id])
    call = read_call(connection, call_id)
    if call.status != CallStatus.SUCCEEDED or not isinstance(call.answer, dict):
        return None
    return outcome(connection, tariff, charge_id, told_by(call.answer), now)


def ask_soon(connection: PgConnection, charge_id: str, now: datetime) -> ChargeRow:
    """The customer came back from the bank: let the gateway be asked at once how the charge stands. Raises
    NoSuchCharge."""
    charge = read_charge(connection, charge_id)
    if ChargeStatus(charge.status).open and charge.status != ChargeStatus.INTENT:
        change_charge(connection, charge.id, {"next_look_at": now})
    return charge
