"""What a played scenario comes to, as plain values for JSON: money in minor units, days as text."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.account import lifecycle
from domain.account.laws import broken_laws
from domain.account.state import AccountState, Happened, Invoice, Subscription
from domain.account_credit import balance_on
from domain.credits import CreditLine
from domain.dunning import blocked
from domain.dunning_policy import Blocked
from domain.ledger_events import trial_balance
from domain.media.gifts import gift_state
from domain.proration import Moment
from domain.revenue import credited, recognised_through
from domain.simulation.play import Played
from domain.subscriptions import State


def report(played: Played) -> dict[str, Any]:
    """Everything: documents, balances, states, dunning, journal and revenue, and what was refused."""
    account = played.account
    return {
        "currency": account.currency,
        "through": _day(account.today),
        "invoices": [_invoice(account, invoice) for invoice in account.invoices],
        "credit_notes": [
            {
                "number": note.number,
                "date": _day(note.issued_on),
                "invoice": int(note.invoice),
                "reason": note.reason,
                "lines": [_credit(account, line) for line in note.lines],
                "subtotal": note.net,
                "tax": note.tax,
                "total": note.gross,
            }
            for note in account.credit_notes
        ],
        "payments": [
            {
                "number": receipt.number,
                "date": _day(receipt.on),
                "amount": receipt.payment.amount,
                "status": receipt.payment.status.value,
                "refunded": receipt.payment.refunded,
                "code": receipt.code,
                "invoices": {each.invoice: each.amount for each in receipt.applied},
            }
            for receipt in account.receipts
        ],
        "account_credit": balance_on(account.credit, account.today),
        "balance": sum(max(0, invoice.balance.open) for invoice in account.invoices),
        "pending": sum(waiting.amount for waiting in account.pending),
        "subscriptions": [_subscription(account, each) for each in account.subscriptions.values()],
        "gifts": [
            {
                "name": name,
                "state": gift_state(gift, account.today).value,
                "claim_until": _day(gift.claim_until),
                "access": [_day(day) for day in gift.access] if gift.access else None,
                "refunded": gift.refunded,
            }
            for name, gift in account.gifts.items()
        ],
        "dunning": [{"date": _day(day), "state": state} for day, state in account.dunning],
        "journal": [
            {
                "date": _day(each.posted_on),
                "event": each.event.value,
                "document": each.document,
                "postings": [
                    {"account": posting.account, "debit": posting.debit, "credit": posting.credit}
                    for posting in each.postings
                ],
            }
            for each in account.journal
        ],
        "trial_balance": trial_balance(account.journal).get(account.currency, {}),
        "revenue": [_revenue(account, key) for key in account.revenue],
        "timeline": [_happened(played, each) for each in account.happened],
        "refused": [
            {"step": each.place + 1, "date": _day(each.day), "do": each.verb, "reason": each.reason}
            for each in played.refused
        ],
        "broken_laws": broken_laws(account),
    }


def _happened(played: Played, happened: Happened) -> dict[str, Any]:
    told: dict[str, Any] = {"date": _day(happened.day), "kind": happened.kind}
    if happened.kind == "step":
        step = played.scenario.steps[int(happened.what)]
        fields = step.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"at", "do"})
        return {**told, "step": int(happened.what) + 1, "do": step.do, "fields": fields}
    if happened.kind in ("invoice", "credit_note", "payment"):
        return {**told, "number": int(happened.what)}
    return {**told, "what": happened.what}


def _invoice(account: AccountState, invoice: Invoice) -> dict[str, Any]:
    taxes: dict[int, int] = {}
    for line in invoice.lines:
        if line.kind == "tax" and line.parent is not None:
            taxes[line.parent] = taxes.get(line.parent, 0) + line.amount
    balance = invoice.balance
    return {
        "number": invoice.number,
        "date": _day(invoice.issued_on),
        "due_date": _day(balance.due_on),
        "status": balance.status.value,
        "lines": [
            {
                "kind": line.kind,
                "plan": account.prices[line.price_id][0] if line.price_id else None,
                "price": account.prices[line.price_id][1] if line.price_id else None,
                "product": line.part,
                "start": _moment(line.period_start),
                "end": _moment(line.period_end),
                "quantity": _quantity(line.quantity),
                "amount": line.amount,
                "tax": taxes.get(place, 0),
                "corrects": _place(account, line.reference) if line.kind != "discount" else None,
                "coupon": line.reference if line.kind == "discount" else None,
            }
            for place, line in enumerate(invoice.lines)
            if line.kind != "tax"
        ],
        "subtotal": invoice.subtotal,
        "tax": invoice.tax,
        "taxes": _taxes(invoice),
        "total": invoice.total,
        "credit_used": balance.used,
        "paid": balance.paid,
        "credited": balance.credited,
        "written_off": balance.written_off,
        "amount_due": max(0, balance.open),
    }


def _quantity(quantity: Decimal) -> str:
    return str(quantity.normalize()) if quantity % 1 else str(int(quantity))


def _taxes(invoice: Invoice) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], int] = {}
    for line in invoice.lines:
        if line.kind == "tax":
            key = (line.reference or "", str(line.rate))
            found[key] = found.get(key, 0) + line.amount
    return [
        {"jurisdiction": jurisdiction, "rate": rate, "amount": amount}
        for (jurisdiction, rate), amount in found.items()
    ]


def _place(account: AccountState, key: str | None) -> dict[str, int] | None:
    """Where the line with that key stands: its invoice, and its place on it from 1, as the report counts."""
    for invoice in account.invoices:
        shown = [line for line in invoice.lines if line.kind != "tax"]
        for place, line in enumerate(shown):
            if line.charge_key == key:
                return {"invoice": invoice.number, "line": place + 1}
    return None


def _credit(account: AccountState, line: CreditLine) -> dict[str, Any]:
    found = account.billed_line(line.corrects)
    price_id = found[1].price_id if found else None
    return {
        "kind": line.kind,
        "plan": account.prices[price_id][0] if price_id else None,
        "price": account.prices[price_id][1] if price_id else None,
        "product": found[1].product if found else None,
        "start": _moment(line.start),
        "end": _moment(line.end),
        "amount": line.net,
        "tax": line.tax,
        "corrects": _place(account, line.corrects),
    }


def _subscription(account: AccountState, subscription: Subscription) -> dict[str, Any]:
    terms = subscription.terms
    ended = terms.ends_on is not None and terms.ends_on <= account.today
    served = [item for item in terms.items if item.ends_on is None or item.ends_on > account.today]
    return {
        "name": subscription.name,
        "state": lifecycle.state(subscription, account.today).value,
        "past_due": bool(account.open_invoices())
        and account.dunning[-1][1] != account.policy.dunning.clear.name,
        "starts_on": _day(terms.starts_on),
        "trial_ends_on": _day(terms.trial_ends_on),
        "ends_on": _day(terms.ends_on),
        "charged_through": _day(terms.charged_through),
        "next_bill_on": _day(terms.next_bill_on),
        "entitled_plan": _entitled(account, subscription),
        "items": [
            {
                "plan": item.plan,
                "version": item.plan_version,
                "quantity": _quantity(item.quantity),
                "from": _day(item.starts_on),
                "until": _day(item.ends_on),
            }
            for item in ([] if ended else served)
        ],
    }


def _entitled(account: AccountState, subscription: Subscription) -> str | None:
    """The plan that is read by today: none while it is paused, when it has ended, or where dunning keeps it back."""
    running = lifecycle.state(subscription, account.today) in (State.TRIALING, State.ACTIVE)
    if not running or blocked(account.policy.dunning, account.dunning[-1][1], Blocked.ENTITLEMENT):
        return None
    return [code for since, code in subscription.entitled if since <= account.today][-1]


def _revenue(account: AccountState, key: str) -> dict[str, Any]:
    books = account.revenue[key]
    schedule = books.schedule
    # What was credited today counts, as it does in what is credited.
    earned = recognised_through(schedule, account.today, account.today + timedelta(days=1))
    return {
        "line": _place(account, key),
        "from": _day(schedule.start),
        "until": _day(schedule.end),
        "by": "delivery" if schedule.deliveries else "day" if schedule.deferred else "document",
        "billed": schedule.net,
        "recognised": earned,
        "credited": credited(schedule),
        "deferred": schedule.net - earned - credited(schedule),
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _moment(moment: Moment | None) -> str | None:
    if isinstance(moment, datetime):
        return moment.isoformat(timespec="seconds")
    return _day(moment)
