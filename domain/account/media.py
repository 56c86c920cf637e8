"""Media of an account: holiday stops with their credits, and gifts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from domain.account import billing, corrections
from domain.account.state import AccountState, Books, Invoice, Subscription, plan_version
from domain.amendments import Refused
from domain.charge_key import charge_key
from domain.credit_placement import Destination
from domain.credits import BilledLine, left_of
from domain.invoice_lines import billed_lines
from domain.invoices import Draft
from domain.ledger_events import Event
from domain.lines import ONE, Line
from domain.media.delivery_credits import Settlement, Way, settle
from domain.media.gifts import Gift, GiftState, buy_gift, claim_gift, gift_state, refund_gift
from domain.media.holiday_stops import Delivery, request_stop
from domain.plan_changes import recurring_amount
from domain.receivables import Balance
from domain.revenue import schedule_of

SOMEBODY = "reader"  # who claims a gift, where nobody is named


def request_holiday_stop(account: AccountState, name: str, start: date, until: date, at: datetime) -> None:
    """A stop of delivery, as far as the print cut-off of each issue and the allowance let it."""
    subscription = account.subscription(name)
    done = request_stop(
        _delivery(account, subscription), subscription.stops, account.new_id(), start, until, at
    )
    subscription.stops.append(done.stop)
    for issue in done.stopped:
        account.tell(f"the issue of {issue.day} is stopped")
    for issue in done.too_late:
        account.tell(f"the issue of {issue.day} comes all the same: its print cut-off has passed")


def _delivery(account: AccountState, subscription: Subscription) -> Delivery:
    if account.rules.delivery is None:
        raise Refused("the scenario has no delivery calendar, so there is nothing to stop; add `delivery`")
    terms = subscription.terms
    return Delivery(account.rules.delivery, account.policy.holiday_stops, terms.starts_on, terms.ends_on)


def issues_to_credit(account: AccountState, subscription: Subscription, day: date) -> bool:
    """Whether issues missed before `day` are not credited yet."""
    return account.rules.delivery is not None and bool(_missed(account, subscription, day).credits)


def _missed(account: AccountState, subscription: Subscription, day: date) -> Settlement:
    delivery = _delivery(account, subscription)
    lines = [
        line
        for line in account.history(subscription).recurring(subscription.terms.items)
        if line.document and line.product == delivery.calendar.edition
    ]
    return settle(delivery, subscription.stops, lines, account.credits, subscription.issue_credits, day)


def credit_missed_issues(account: AccountState, day: date) -> None:
    """Credits for issues missed before `day`: on the subscription's next bill once that is due, or refunded where no
    bill will come."""
    for subscription in account.subscriptions.values():
        due_on = subscription.terms.next_bill_on
        if not subscription.stops or (due_on is not None and due_on > day):
            continue
        due = _missed(account, subscription, day)
        subscription.issue_credits |= {each.key for each in due.credits}
        for each in due.credits:
            account.tell(f"the issue of {each.issue.day} was not delivered: credit")
        credits = [each.credit for each in due.credits]
        if due.way is Way.REFUND or subscription.terms.next_bill_on is None:
            corrections.give_back(account, credits, Destination.REFUND, "issues not delivered")
        else:
            for each in due.credits:
                billing.credit_next(account, [each.credit], each.key)


def buy(
    account: AccountState,
    name: str,
    plan: str,
    price: int | None,
    starts_on: date | None,
    tax: Callable[[Draft], None] | None = None,
) -> Invoice:
    """A gift of one period of `plan`, invoiced at once: owed to whoever redeems it until then. `tax` puts tax on the
    draft, by default that of the built-in table."""
    if name in account.gifts:
        raise Refused(f"there is a gift {name!r} already; give the new one another name")
    version = plan_version(account, plan, None, account.today)
    ready = account.book.version(plan, version.version, account.currency)
    product = next(each.product for each in account.catalog.plans if each.code == plan)
    gift_id = account.new_id()
    policy = account.policy.gifts
    if "gifts" not in account.policy.model_fields_set:
        policy = policy.model_copy(update={"access": version.interval})
    account.gifts[name] = buy_gift(policy, gift_id, product, "account", account.today, starts_on=starts_on)
    if not ready.phases[-1].advance:
        raise Refused(f"plan {plan!r} has no price that is paid in advance, so it cannot be given")
    amount = recurring_amount(ready, Decimal(1), None) if price is None else price
    part = ready.phases[-1].advance[0].parts[0]
    line = Line(
        "gift",
        gift_id,
        ready.phases[-1].advance[0].id,
        product,
        None,
        None,
        ONE,
        amount,
        None,
        None,
        None,
        charge_key(gift_id, "gift"),
        "gift",
        part.category,
    )
    draft = Draft("", billing.payer(account), account.today, [line])
    (tax or account.put_tax)(draft)
    taxed = sum(each.amount for each in draft.lines if each.kind == "tax")
    net = sum(each.amount for each in draft.lines) - taxed
    number = len(account.invoices) + 1
    invoice = Invoice(
        number,
        account.today,
        draft.lines,
        billed_lines(str(number), draft.lines),
        net,
        taxed,
        Balance(str(number), account.currency, net + taxed, draft.due_on),
        gift=name,
    )
    account.invoices.append(invoice)
    account.tell(invoice.id, "invoice")
    account.post(Event.GIFT_SOLD, {"receivable": net + taxed, "gift": net, "tax": taxed}, f"invoice {number}")
    billing.apply_credit(account, invoice)
    return invoice


def claim(account: AccountState, name: str, starts_on: date | None, reader: str | None = None) -> None:
    """A gift claimed by `reader` (the account's own, where nobody is named): from now on it is a subscription paid in
    advance, earned over the time of its access."""
    gift = _gift(account, name)
    invoice = _invoice_of(account, name)
    claimed = claim_gift(account.policy.gifts, gift, reader or SOMEBODY, account.today, starts_on)
    line = _left(account, invoice)
    if claimed is gift or claimed.access is None:
        return
    account.gifts[name] = claimed
    if not line.net:
        return
    account.post(Event.GIFT_REDEEMED, {"gift": line.net, "deferred": line.net}, f"gift {name}")
    schedule = schedule_of(
        replace(line, start=claimed.access.start, end=claimed.access.end),
        currency=account.currency,
        billed_on=account.today,
    )
    account.revenue[line.key] = Books(schedule)
    invoice.gift = None


def _left(account: AccountState, invoice: Invoice) -> BilledLine:
    return left_of(invoice.billed[0], account.credits)


def refund(account: AccountState, name: str) -> None:
    """A gift refunded: the giver gets back what the policy says, the reader's access ends."""
    gift = _gift(account, name)
    invoice = _invoice_of(account, name)
    done, credit = refund_gift(account.policy.gifts, gift, invoice.billed[0], account.credits, account.today)
    account.gifts[name] = done
    if credit is not None:
        corrections.give_back(account, [credit], Destination.REFUND, "gift refunded")


def expire_gifts(account: AccountState) -> None:
    """Gifts that nobody claimed in time: what is left of them is breakage."""
    for name, gift in account.gifts.items():
        if gift.claim_until == account.today and gift_state(gift, account.today) is GiftState.EXPIRED:
            left = _left(account, _invoice_of(account, name)).net
            account.tell(f"gift {name} was not claimed in time")
            account.post(Event.GIFT_EXPIRED, {"amount": left}, f"gift {name}")


def _gift(account: AccountState, name: str) -> Gift:
    try:
        return account.gifts[name]
    except KeyError:
        raise Refused(f"there is no gift {name!r} at this point") from None


def _invoice_of(account: AccountState, name: str) -> Invoice:
    gift = account.gifts[name]
    return next(each for each in account.invoices if any(line.item_id == gift.id for line in each.billed))
