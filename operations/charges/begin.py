"""Beginning to charge accounts: what is due of each, through which gateway, written down before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from uuid_utils import uuid7

from contracts.connector_call import CallRef
from domain.account.billing import apply_credit
from domain.account.collecting import held
from domain.account.state import AccountState, Collecting
from domain.dunning_policy import RetryPolicy
from domain.gateway_routing import Route, route
from domain.minimum_charge import collect
from domain.periods import local_date
from domain.retries import Next, next_retry
from domain.rule_book import RuleBook
from operations.accounts.unit import changing
from operations.tariffs import Tariff
from storage.charge_calls import insert_calls
from storage.charges import (
    Method,
    NewCharge,
    OpenInvoice,
    Payer,
    charge_key,
    chargeable_methods,
    insert_charges,
    last_numbers,
    lock_payers,
    open_invoices,
)
from storage.database import PgConnection

CHARGE = "payment.charge"


class Why(StrEnum):
    """Why an account is not charged."""

    NO_AUTO_PAY = "no_auto_pay"
    NOTHING_DUE = "nothing_due"
    IN_FLIGHT = "in_flight"  # all that is due is in a charge whose end is not known
    WAITS_FOR_RETRY = "waits_for_retry"  # a charge failed, and its next try is not due
    PAID_BY_CREDIT = "paid_by_credit"
    BELOW_MINIMUM = "below_minimum"  # carried forward (law 10)
    NO_METHOD = "no_method"
    NO_GATEWAY = "no_gateway"  # the rules send it where the account has no payment method


@dataclass(frozen=True, slots=True)
class Begun:
    """A charge that was written down, and its call, which is an intent. amount: minor units."""

    charge_id: str
    account_id: str
    call: CallRef
    connection: str
    currency: str
    amount: int


@dataclass(frozen=True, slots=True)
class Left:
    """An account that is not charged. words: for operations people, where `why` does not say it all."""

    account_id: str
    why: Why
    words: str = ""


@dataclass(slots=True)
class Beginning:
    """What came of beginning to charge accounts: each of them is in one of the lists, once."""

    begun: list[Begun] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ask:
    """How to charge. day: takes the place of each account's local day of `now`. run_id: the payment run that asks.
    workflow_id: the process that carries the calls on; None leaves them to the keeper of calls.

    heed_retries: an account whose charge failed is charged only when its retry is due; without it at once, as when the
    customer gave a new card. return_to: the customer is there, and may be asked by the bank: where the page is to which
    they come back, the charge's id behind it.
    """

    now: datetime
    day: date | None = None
    run_id: str | None = None
    workflow_id: str | None = None
    heed_retries: bool = True
    return_to: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What of an account is to be charged on its local `day`."""

    payer: Payer
    day: date
    invoices: Sequence[OpenInvoice]

    @property
    def amount(self) -> int:
        """All of it together, minor units."""
        return sum(each.open for each in self.invoices)


def begin(connection: PgConnection, tariff: Tariff, accounts: Sequence[str], ask: Ask) -> Beginning:
    """Write a charge, with the intent of its call, for each of `accounts` that pays by itself, has a payment method,
    and owes something on its day that no open charge is for; account credit is used first.

    In the caller's transaction, which holds the accounts' locks until it ends; send nothing before it is committed. An
    unknown account is left out without a word. Raises what `changing` raises where an account cannot be read.
    """
    payers = lock_payers(connection, accounts)
    ids = [payer.id for payer in payers]
    invoices = open_invoices(connection, ids)
    methods = chargeable_methods(connection, ids)
    beginning, dues = Beginning(), []
    for payer in payers:
        found = _due(connection, tariff, payer, invoices.get(payer.id, ()), methods.get(payer.id, ()), ask)
        if isinstance(found, Left):
            beginning.left.append(found)
        else:
            dues.append(found)
    numbers = last_numbers(connection, [due.payer.id for due in dues])
    charges = []
    for due in dues:
        held = methods[due.payer.id]
        choice = route_of(tariff.rules(due.payer.rule_book), due.payer.currency, held)
        if not choice.gateways:
            beginning.left.append(Left(due.payer.id, Why.NO_GATEWAY, choice.reason))
            continue
        charges.append(_charge(due, _at(held, choice.gateways[0]), numbers.get(due.payer.id, 0) + 1, ask))
    beginning.begun = write(connection, charges, ask.workflow_id)
    return beginning


def route_of(rules: RuleBook, currency: str, held: Sequence[Method]) -> Route:
    """Where a charge of an account with the payment methods `held` may go."""
    brand = held[0].brand or ""
    return route(rules.gateways, currency=currency, brand=brand, held=[each.connection for each in held])


def write(connection: PgConnection, charges: Sequence[NewCharge], workflow_id: str | None) -> list[Begun]:
    """Write charges and the intents of their calls."""
    if not charges:
        return []
    insert_charges(connection, charges)
    keys = [charge_key(each.account_id, each.no) for each in charges]
    refs = [
        CallRef(
            call_id=str(uuid7()),
            connection=each.connection,
            method=CHARGE,
            key=key,
            trace_key=f"{each.connection}/{CHARGE}/{key}",
        )
        for key, each in zip(keys, charges, strict=True)
    ]
    calls = [
        (ref.call_id, ref.connection, ref.key, each.mode, each.account_id, request_of(each))
        for ref, each in zip(refs, charges, strict=True)
    ]
    insert_calls(connection, calls, method=CHARGE, workflow_id=workflow_id)
    return [
        Begun(each.id, each.account_id, ref, each.connection, each.currency, each.amount)
        for ref, each in zip(refs, charges, strict=True)
    ]


def request_of(charge: NewCharge) -> dict[str, object]:
    """What the gateway is asked, as `connectors.sdk` has it in ChargeOrder."""
    made: dict[str, object] = {
        "reference": charge_key(charge.account_id, charge.no),
        "amount": charge.amount,
        "currency": charge.currency,
        "method": charge.method,
        "customer": charge.customer,
    }
    return made | {"off_session": False, "return_url": charge.return_url} if charge.present else made


def _due(
    connection: PgConnection,
    tariff: Tariff,
    payer: Payer,
    invoices: Sequence[OpenInvoice],
    methods: Sequence[Method],
    ask: Ask,
) -> Due | Left:
    if not payer.auto_pay:
        return Left(payer.id, Why.NO_AUTO_PAY)
    day = ask.day or local_date(payer.clock_at or ask.now, ZoneInfo(payer.time_zone))
    owed = [each for each in invoices if each.due_on <= day]
    if not owed:
        return Left(payer.id, Why.NOTHING_DUE)
    free = [each for each in owed if not each.charging]
    if not free:
        return Left(payer.id, Why.IN_FLIGHT)
    if not methods:
        return Left(payer.id, Why.NO_METHOD, "ask the customer for a payment method")
    if payer.whole:
        found = _after_credit(connection, tariff, payer, free, day, ask)
        if isinstance(found, Left):
            return found
        free = found
    rules = tariff.rules(payer.rule_book)
    due = collect([each.open for each in free], payer.currency, rules.policy.gateway_minimum)
    if not due.charge:
        return Left(payer.id, Why.BELOW_MINIMUM)
    return Due(payer, day, free)


def _after_credit(
    connection: PgConnection,
    tariff: Tariff,
    payer: Payer,
    invoices: list[OpenInvoice],
    day: date,
    ask: Ask,
) -> list[OpenInvoice] | Left:
    """What is left of `invoices` once the account's credit is used on them, unless a failed charge has to wait."""
    with changing(connection, tariff, payer.id, ask.now, through=ask.day) as unit:
        account = unit.account
        retry = account.policy.dunning.retry
        run = account.collecting
        rests = run is not None and not run.given_up and held(account)
        if ask.heed_retries and (rests or waits(retry, run, invoices, day)):
            return Left(payer.id, Why.WAITS_FOR_RETRY)
        places = {own: place for place, own in enumerate(unit.rows.invoice_ids)}
        left = []
        for each in invoices:
            invoice = account.invoices[places[each.id]]
            apply_credit(account, invoice)
            if invoice.balance.open > 0:
                left.append(each._replace(open=invoice.balance.open))
        stop_if_paid(account)
    return left or Left(payer.id, Why.PAID_BY_CREDIT)


def stop_if_paid(account: AccountState) -> None:
    """Once nothing that is due is open, no failed charge is tried again."""
    if not any(each.balance.due_on <= account.today for each in account.open_invoices()):
        account.collecting = None


def waits(
    retry: RetryPolicy, collecting: Collecting | None, invoices: Sequence[OpenInvoice], day: date
) -> bool:
    """Whether an account whose charges failed is not charged on `day`: its next try is not due, or it was given up and
    nothing new was billed since."""
    if collecting is None:
        return False
    last = collecting.failed[-1]
    following = next_retry(retry, collecting.decline, collecting.failed, collecting.since)
    if collecting.given_up:
        ended = following.day or last
        return all(each.issued_on <= last or each.issued_on < ended for each in invoices)
    return following.what is not Next.RETRY or following.day is None or following.day > day


def _at(held: Sequence[Method], gateway: str) -> Method:
    return next(each for each in held if each.connection == gateway)


def _charge(due: Due, method: Method, no: int, ask: Ask) -> NewCharge:
    own = str(uuid7())
    return NewCharge(
        own,
        due.payer.mode,
        due.payer.id,
        no,
        own,
        ask.run_id,
        due.day,
        due.payer.currency,
        due.amount,
        method.connection,
        method.method,
        method.customer,
        [(each.id, each.open) for each in due.invoices],
        None if ask.return_to is None else f"{ask.return_to}{own}",
    )
