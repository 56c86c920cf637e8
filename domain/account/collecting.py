"""Payment by an account: charges, declines, retries, and what dunning makes of what stays unpaid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from domain.account import corrections, lifecycle
from domain.account.state import AccountState, Collecting, Invoice, Receipt
from domain.account_credit import Source
from domain.amendments import Refused
from domain.credit_placement import Destination
from domain.declines import read_decline
from domain.dunning import Hold, UnpaidInvoice, dunning_state, next_state_change, rank
from domain.dunning_policy import GiveUp, Mail
from domain.ledger_events import Event
from domain.minimum_charge import collect
from domain.received_payments import PaymentStatus, apply_payment
from domain.retries import Next, NextTry, next_retry, reminders, waits

_DAY = timedelta(days=1)


def pay(
    account: AccountState, amount: int, invoices: Sequence[Invoice], *, event_part: str = "clearing"
) -> None:
    """A payment of `amount` minor units that succeeded, applied to `invoices`, oldest due first; what is over becomes
    account credit."""
    payment = corrections.as_payment(account, amount, PaymentStatus.SUCCEEDED)
    applied = apply_payment(payment, [invoice.balance for invoice in invoices])
    for invoice, balance in zip(invoices, applied.balances, strict=True):
        invoice.balance = balance
    receipt = Receipt(len(account.receipts) + 1, account.today, payment, applied.applications)
    account.receipts.append(receipt)
    account.tell(str(receipt.number), "payment")
    account.post(
        Event.PAYMENT_SUCCEEDED,
        {
            event_part: amount,
            "receivable": amount - applied.overpayment,
            "account_credit": applied.overpayment,
        },
        f"payment {receipt.number}",
    )
    if applied.overpayment:
        corrections.grant(account, applied.overpayment, Source.OVERPAYMENT, f"payment {receipt.number}")
    if not account.open_invoices():
        account.collecting = None
    judge(account)


def charge(account: AccountState) -> None:
    """Charge all that is open to the payment method, unless it is less than the gateway takes (law 10)."""
    invoices = account.open_invoices()
    due = collect([each.balance.open for each in invoices], account.currency, account.policy.gateway_minimum)
    if not due.charge:
        if due.carried:
            account.tell(f"{account.money(due.carried)} is less than the gateway charges: carried forward")
        account.collecting = None
        return
    code = account.failing.get(account.today)
    if code is None:
        pay(account, due.charge, invoices)
        return
    fail(account, code)


def fail(account: AccountState, code: str, amount: int | None = None) -> None:
    """A charge of `amount` minor units (default: all that is open) that is declined with `code`. One for what was paid
    another way meanwhile leaves nothing to be collected. Raises Refused for a code that says the outcome is
    unknown: that is no decline, and the gateway has to be asked."""
    decline = read_decline(code, account.policy.dunning.retry.decline_classes)
    if decline is None:
        raise Refused(
            f"{code!r} says that the outcome is unknown: the gateway is asked, nothing is tried or dunned meanwhile"
        )
    owed = sum(each.balance.open for each in account.open_invoices())
    if not owed and amount is None:
        raise Refused("nothing is open, so no charge can fail")
    payment = corrections.as_payment(account, owed if amount is None else amount, PaymentStatus.FAILED)
    account.receipts.append(Receipt(len(account.receipts) + 1, account.today, payment, (), decline.code))
    account.tell(str(len(account.receipts)), "payment")
    if not owed:
        return
    if account.collecting is None or account.collecting.given_up:
        account.collecting = Collecting(account.today, [], decline)
    account.collecting.failed.append(account.today)
    account.collecting.decline = decline
    judge(account)


def retry(account: AccountState) -> None:
    """What the retry schedule has for today: a reminder, another try, or giving up."""
    run = account.collecting
    if run is None or _rests(account, run) or run.failed[-1] == account.today:
        return
    remind(account, account.today - _DAY)
    following = _following(account, run)
    if following.what is Next.RETRY and following.day is not None and following.day <= account.today:
        charge(account)
        if account.collecting is None:
            return
    give_up_when_due(account)


def dun(account: AccountState, since: date) -> None:
    """What today has for an account that others charge: its dunning state, the reminder of the days after `since`, and
    giving up once its tries are used up."""
    judge(account)
    run = account.collecting
    if run is None or _rests(account, run):
        return
    remind(account, since)
    if len(run.failed) > 1 or run.failed[-1] < account.today:
        give_up_when_due(account)


def _rests(account: AccountState, run: Collecting) -> bool:
    return run.given_up or not account.terms.auto_pay or held(account)


def held(account: AccountState) -> bool:
    """Whether a promise, a dispute or a pause keeps the account from being dunned, and tried again, today."""
    return any(each.on(account.today) for each in account.holds.values())


def _following(account: AccountState, run: Collecting) -> NextTry:
    return next_retry(account.policy.dunning.retry, run.decline, run.failed, run.since)


def remind(account: AccountState, since: date) -> None:
    """One mail where a reminder is due on a local day after `since` and until today."""
    run, policy = account.collecting, account.policy.dunning.retry
    if run is not None and any(
        since < day <= account.today for day in reminders(policy, run.decline, run.failed[-1])
    ):
        account.tell(f"mail {waits(policy, run.decline.decline_class).template}")


def give_up_when_due(account: AccountState) -> None:
    """Give the payment up, as the policy says, where its tries are used up or its wait is over."""
    run = account.collecting
    if run is None or run.given_up:
        return
    following = _following(account, run)
    if following.day is not None and following.day <= account.today and following.what is not Next.RETRY:
        run.given_up = True
        _give_up(account, account.policy.dunning.give_up)


def retry_on(account: AccountState) -> date | None:
    """The local day, perhaps passed, on which the payment method is to be tried again; None when it is not."""
    run = account.collecting
    if run is None or run.given_up or not account.terms.auto_pay or not account.open_invoices():
        return None
    following = _following(account, run)
    if following.retry_on is None:
        return None
    ends = [each.until for each in account.holds.values() if each.on(account.today)]
    held = [day + _DAY for day in ends if day is not None]
    return None if None in ends else max([following.retry_on, *held])


def next_look(account: AccountState) -> date | None:
    """The first local day after today on which dunning has something to do if nothing is paid until then: another
    state, a reminder, giving up. For the timer of a dunning case."""
    days = [next_state_change(account.policy.dunning, unpaid(account), account.today, _holds(account))]
    run = account.collecting
    if run is not None and not run.given_up and account.terms.auto_pay:
        days += reminders(account.policy.dunning.retry, run.decline, run.failed[-1])
        following = _following(account, run)
        if following.what is not Next.RETRY and following.day is not None:
            days.append(max(following.day, account.today + _DAY))
    return min((day for day in days if day is not None and day > account.today), default=None)


def _holds(account: AccountState) -> list[Hold]:
    return list(account.holds.values())


def _give_up(account: AccountState, how: GiveUp) -> None:
    account.tell(f"payment given up: {how.value.replace('_', ' ')}")
    if how is GiveUp.CANCEL:
        cancel_all(account)
    elif how is GiveUp.WRITE_OFF:
        for invoice in account.open_invoices():
            corrections.give_up(account, invoice)
    judge(account)


def cancel_all(account: AccountState) -> None:
    """Cancel every subscription that runs, as the policy credits a cancel; credit goes to what is open first."""
    for subscription in account.subscriptions.values():
        if lifecycle.runs(account, subscription):
            lifecycle.cancel(account, subscription, account.today, None, Destination.ACCOUNT_CREDIT)


def unpaid(account: AccountState) -> list[UnpaidInvoice]:
    """The open invoices, as dunning looks at them."""
    open_invoices = account.open_invoices()
    return [
        UnpaidInvoice(
            each.balance.due_on, each.balance.open, account.currency, account.in_doubt.get(each.number)
        )
        for each in ([] if _carried(account, open_invoices) else open_invoices)
    ]


def judge(account: AccountState) -> None:
    """The dunning state of today; entering one does what the policy says, once. Looking at an account that nobody
    collects from does not dun it."""
    if not account.open_invoices():
        account.holds.clear()
        account.collecting = None
    if not account.collected and not account.dunned:
        return
    now = dunning_state(account.policy.dunning, unpaid(account), account.today, _holds(account))
    before = account.dunning[-1][1]
    if now == before:
        return
    account.dunning.append((account.today, now))
    account.tell(now, "dunning")
    names = [state.name for state in account.policy.dunning.states]
    was, reached = (rank(account.policy.dunning, name) for name in (before, now))
    for name in names[was + 1 : reached + 1] or [now]:
        for action in account.policy.dunning.state(name).on_entry:
            if isinstance(action, Mail):
                account.tell(f"mail {action.template}")
            elif action.do == "cancel":
                cancel_all(account)
            elif action.do == "write_off":
                for invoice in account.open_invoices():
                    corrections.give_up(account, invoice)
            else:
                account.tell(f"account: {action.do}")
    if reached > was:
        judge(account)


def _carried(account: AccountState, open_invoices: Sequence[Invoice]) -> bool:
    """Whether what is open is less than the gateway charges: that is no reason for dunning (law 10)."""
    due = [each.balance.open for each in open_invoices]
    return (
        account.terms.auto_pay and not collect(due, account.currency, account.policy.gateway_minimum).charge
    )


def sent(account: AccountState, amount: int | None, numbers: Sequence[int] | None = None) -> None:
    """Money that the customer sent: `amount` (default: all that is open) for the invoices `numbers`, oldest due first,
    or, where none is named, for the open ones."""
    invoices = [account.invoice(each) for each in dict.fromkeys(numbers or ())] or account.open_invoices()
    due = sum(max(0, each.balance.open) for each in invoices)
    if amount is None:
        amount = due
    if amount <= 0:
        raise Refused("nothing is open, so there is nothing to pay; name an amount to pay in advance")
    pay(account, amount, invoices, event_part="cash")
