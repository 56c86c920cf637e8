"""Media in a simulation: holiday stops with their credits, and gifts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from domain.amendments import Refused
from domain.charge_key import charge_key
from domain.credit_placement import Destination
from domain.credits import BilledLine, left_of
from domain.invoice_lines import billed_lines
from domain.invoices import Draft, add_tax
from domain.ledger_events import Event
from domain.lines import ONE, Line
from domain.media.delivery_credits import Way, settle
from domain.media.gifts import Gift, GiftState, buy_gift, claim_gift, gift_state, refund_gift
from domain.media.holiday_stops import Delivery, request_stop
from domain.plan_changes import recurring_amount
from domain.receivables import Balance
from domain.revenue import schedule_of
from domain.simulation import billing, corrections
from domain.simulation.world import Books, Invoice, Subscription, World, plan_version


def request_holiday_stop(world: World, name: str, start: date, until: date, at: datetime) -> None:
    """A stop of delivery, as far as the print cut-off of each issue and the allowance let it."""
    subscription = world.subscription(name)
    done = request_stop(_delivery(world, subscription), subscription.stops, world.new_id(), start, until, at)
    subscription.stops.append(done.stop)
    for issue in done.stopped:
        world.tell(f"the issue of {issue.day} is stopped")
    for issue in done.too_late:
        world.tell(f"the issue of {issue.day} comes all the same: its print cut-off has passed")


def _delivery(world: World, subscription: Subscription) -> Delivery:
    if world.scenario.delivery is None:
        raise Refused("the scenario has no delivery calendar, so there is nothing to stop; add `delivery`")
    terms = subscription.terms
    return Delivery(world.scenario.delivery, world.policy.holiday_stops, terms.starts_on, terms.ends_on)


def credit_missed_issues(world: World, day: date) -> None:
    """Credits for issues missed before `day`: on the bill of that day, or refunded where no bill will come."""
    for subscription in world.subscriptions.values():
        if not subscription.stops:
            continue
        delivery = _delivery(world, subscription)
        lines = [
            line
            for line in world.history(subscription).recurring(subscription.terms.items)
            if line.document and line.product == delivery.calendar.edition
        ]
        due = settle(delivery, subscription.stops, lines, world.credits, subscription.issue_credits, day)
        subscription.issue_credits |= {each.key for each in due.credits}
        for each in due.credits:
            world.tell(f"the issue of {each.issue.day} was not delivered: credit")
        credits = [each.credit for each in due.credits]
        if due.way is Way.REFUND or subscription.terms.next_bill_on is None:
            corrections.give_back(world, credits, Destination.REFUND, "issues not delivered")
        else:
            for each in due.credits:
                billing.credit_next(world, [each.credit], each.key)


def buy(world: World, name: str, plan: str, price: int | None, starts_on: date | None) -> Invoice:
    """A gift of one period of `plan`, invoiced at once: owed to whoever redeems it until then."""
    if name in world.gifts:
        raise Refused(f"there is a gift {name!r} already; give the new one another name")
    version = plan_version(world, plan, None, world.today)
    ready = world.book.version(plan, version.version, world.currency)
    product = next(each.product for each in world.catalog.plans if each.code == plan)
    gift_id = world.new_id()
    policy = world.policy.gifts
    if "gifts" not in world.policy.model_fields_set:
        policy = policy.model_copy(update={"access": version.interval})
    world.gifts[name] = buy_gift(policy, gift_id, product, "account", world.today, starts_on=starts_on)
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
    draft = Draft("", billing.payer(world), world.today, [line])
    add_tax(draft, world.tax)
    tax = sum(each.amount for each in draft.lines if each.kind == "tax")
    net = sum(each.amount for each in draft.lines) - tax
    number = len(world.invoices) + 1
    invoice = Invoice(
        number,
        world.today,
        draft.lines,
        billed_lines(str(number), draft.lines),
        net,
        tax,
        Balance(str(number), world.currency, net + tax, draft.due_on),
        gift=name,
    )
    world.invoices.append(invoice)
    world.tell(invoice.id, "invoice")
    world.post(Event.GIFT_SOLD, {"receivable": net + tax, "gift": net, "tax": tax}, f"invoice {number}")
    billing.apply_credit(world, invoice)
    return invoice


def claim(world: World, name: str, starts_on: date | None) -> None:
    """A gift claimed: from now on it is a subscription paid in advance, earned over the time of its access."""
    gift = _gift(world, name)
    invoice = _invoice_of(world, name)
    claimed = claim_gift(world.policy.gifts, gift, "reader", world.today, starts_on)
    line = _left(world, invoice)
    if claimed is gift or claimed.access is None:
        return
    world.gifts[name] = claimed
    if not line.net:
        return
    world.post(Event.GIFT_REDEEMED, {"gift": line.net, "deferred": line.net}, f"gift {name}")
    schedule = schedule_of(
        replace(line, start=claimed.access.start, end=claimed.access.end),
        currency=world.currency,
        billed_on=world.today,
    )
    world.revenue[line.key] = Books(schedule)
    invoice.gift = None


def _left(world: World, invoice: Invoice) -> BilledLine:
    return left_of(invoice.billed[0], world.credits)


def refund(world: World, name: str) -> None:
    """A gift refunded: the giver gets back what the policy says, the reader's access ends."""
    gift = _gift(world, name)
    invoice = _invoice_of(world, name)
    done, credit = refund_gift(world.policy.gifts, gift, invoice.billed[0], world.credits, world.today)
    world.gifts[name] = done
    if credit is not None:
        corrections.give_back(world, [credit], Destination.REFUND, "gift refunded")


def expire_gifts(world: World) -> None:
    """Gifts that nobody claimed in time: what is left of them is breakage."""
    for name, gift in world.gifts.items():
        if gift.claim_until == world.today and gift_state(gift, world.today) is GiftState.EXPIRED:
            left = _left(world, _invoice_of(world, name)).net
            world.tell(f"gift {name} was not claimed in time")
            world.post(Event.GIFT_EXPIRED, {"amount": left}, f"gift {name}")


def _gift(world: World, name: str) -> Gift:
    try:
        return world.gifts[name]
    except KeyError:
        raise Refused(f"there is no gift {name!r} at this point") from None


def _invoice_of(world: World, name: str) -> Invoice:
    gift = world.gifts[name]
    return next(each for each in world.invoices if any(line.item_id == gift.id for line in each.billed))
