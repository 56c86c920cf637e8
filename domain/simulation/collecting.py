"""Payment in a simulation: charges, declines, retries, and what dunning makes of what stays unpaid."""

from __future__ import annotations

from collections.abc import Sequence

from domain.account_credit import Source
from domain.amendments import Refused
from domain.credit_placement import Destination
from domain.declines import read_decline
from domain.dunning import UnpaidInvoice, dunning_state
from domain.dunning_policy import GiveUp, Mail
from domain.ledger_events import Event
from domain.minimum_charge import collect
from domain.received_payments import PaymentStatus, apply_payment
from domain.retries import Next, next_retry, reminders, waits
from domain.simulation import corrections, lifecycle
from domain.simulation.world import Collecting, Invoice, Receipt, World


def pay(world: World, amount: int, invoices: Sequence[Invoice], *, event_part: str = "clearing") -> None:
    """A payment of `amount` minor units that succeeded, applied to `invoices`, oldest due first; what is over becomes
    account credit."""
    payment = corrections.as_payment(world, amount, PaymentStatus.SUCCEEDED)
    applied = apply_payment(payment, [invoice.balance for invoice in invoices])
    for invoice, balance in zip(invoices, applied.balances, strict=True):
        invoice.balance = balance
    receipt = Receipt(len(world.receipts) + 1, world.today, payment, applied.applications)
    world.receipts.append(receipt)
    world.tell(str(receipt.number), "payment")
    world.post(
        Event.PAYMENT_SUCCEEDED,
        {
            event_part: amount,
            "receivable": amount - applied.overpayment,
            "account_credit": applied.overpayment,
        },
        f"payment {receipt.number}",
    )
    if applied.overpayment:
        corrections.grant(world, applied.overpayment, Source.OVERPAYMENT, f"payment {receipt.number}")
    if not world.open_invoices():
        world.collecting = None
    judge(world)


def charge(world: World) -> None:
    """Charge all that is open to the payment method, unless it is less than the gateway takes (law 10)."""
    invoices = world.open_invoices()
    due = collect([each.balance.open for each in invoices], world.currency, world.policy.gateway_minimum)
    if not due.charge:
        if due.carried:
            world.tell(f"{world.money(due.carried)} is less than the gateway charges: carried forward")
        world.collecting = None
        return
    code = world.failing.get(world.today)
    if code is None:
        pay(world, due.charge, invoices)
        return
    fail(world, code)


def fail(world: World, code: str) -> None:
    """A charge of what is open that is declined with `code`. Raises Refused for a code that says the outcome is
    unknown: that is no decline, and the gateway has to be asked."""
    decline = read_decline(code, world.policy.dunning.retry.decline_classes)
    if decline is None:
        raise Refused(
            f"{code!r} says that the outcome is unknown: the gateway is asked, nothing is tried or dunned meanwhile"
        )
    amount = sum(each.balance.open for each in world.open_invoices())
    if not amount:
        raise Refused("nothing is open, so no charge can fail")
    payment = corrections.as_payment(world, amount, PaymentStatus.FAILED)
    world.receipts.append(Receipt(len(world.receipts) + 1, world.today, payment, (), decline.code))
    world.tell(str(len(world.receipts)), "payment")
    if world.collecting is None or world.collecting.given_up:
        world.collecting = Collecting(world.today, [], decline)
    world.collecting.failed.append(world.today)
    world.collecting.decline = decline
    judge(world)


def retry(world: World) -> None:
    """What the retry schedule has for today: another try, or giving up."""
    run = world.collecting
    if run is None or run.given_up or not world.terms.auto_pay or run.failed[-1] == world.today:
        return
    if world.today in reminders(world.policy.dunning.retry, run.decline, run.failed[-1]):
        world.tell(f"mail {waits(world.policy.dunning.retry, run.decline.decline_class).template}")
    following = next_retry(world.policy.dunning.retry, run.decline, run.failed, run.since)
    if following.what is Next.RETRY and following.day is not None and following.day <= world.today:
        charge(world)
        run = world.collecting
        if run is None:
            return
        following = next_retry(world.policy.dunning.retry, run.decline, run.failed, run.since)
    due = following.day is not None and following.day <= world.today
    if due and following.what is not Next.RETRY:
        run.given_up = True
        _give_up(world, world.policy.dunning.give_up)


def _give_up(world: World, how: GiveUp) -> None:
    world.tell(f"payment given up: {how.value.replace('_', ' ')}")
    if how is GiveUp.CANCEL:
        cancel_all(world)
    elif how is GiveUp.WRITE_OFF:
        for invoice in world.open_invoices():
            corrections.give_up(world, invoice)
    judge(world)


def cancel_all(world: World) -> None:
    """Cancel every subscription that runs, as the policy credits a cancel; credit goes to what is open first."""
    for subscription in world.subscriptions.values():
        if lifecycle.runs(world, subscription):
            lifecycle.cancel(world, subscription, world.today, None, Destination.ACCOUNT_CREDIT)


def judge(world: World) -> None:
    """The dunning state of today; entering one does what the policy says, once."""
    open_invoices = world.open_invoices()
    unpaid = [
        UnpaidInvoice(each.balance.due_on, each.balance.open, world.currency)
        for each in ([] if _carried(world, open_invoices) else open_invoices)
    ]
    now = dunning_state(world.policy.dunning, unpaid, world.today)
    before = world.dunning[-1][1]
    if now == before:
        return
    world.dunning.append((world.today, now))
    world.tell(now, "dunning")
    names = [state.name for state in world.policy.dunning.states]
    for name in names[names.index(before) + 1 : names.index(now) + 1] or [now]:
        for action in world.policy.dunning.state(name).on_entry:
            if isinstance(action, Mail):
                world.tell(f"mail {action.template}")
            elif action.do == "cancel":
                cancel_all(world)
            elif action.do == "write_off":
                for invoice in world.open_invoices():
                    corrections.give_up(world, invoice)
            else:
                world.tell(f"account: {action.do}")
    if names.index(now) > names.index(before):
        judge(world)


def _carried(world: World, open_invoices: Sequence[Invoice]) -> bool:
    """Whether what is open is less than the gateway charges: that is no reason for dunning (law 10)."""
    due = [each.balance.open for each in open_invoices]
    return world.terms.auto_pay and not collect(due, world.currency, world.policy.gateway_minimum).charge


def sent(world: World, amount: int | None, number: int | None) -> None:
    """Money that the customer sent: `amount` (default: all that is open) for the invoice `number` or the open ones."""
    invoices = world.open_invoices() if number is None else [world.invoice(number)]
    due = sum(max(0, each.balance.open) for each in invoices)
    if amount is None:
        amount = due
    if amount <= 0:
        raise Refused("nothing is open, so there is nothing to pay; name an amount to pay in advance")
    pay(world, amount, invoices, event_part="cash")
