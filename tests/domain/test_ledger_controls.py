"""Whatever happens, in whatever order: the control accounts are the sums of what they control (laws I1 and I2)."""

from __future__ import annotations

from datetime import date

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.ledger_events import Entry, Event, entry, trial_balance

AMOUNTS = st.integers(1, 10**6)
PARTS = st.integers(0, 100)


class Books(RuleBasedStateMachine):
    """Invoices, payments and gifts kept as a clerk would, beside the entries that the events make."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self.open: list[int] = []  # by invoice: its open balance
        self.paid: list[int] = []  # by invoice: what payments hold of it
        self.untouched: set[int] = set()
        self.parts: list[dict[str, int]] = []  # by invoice: where its amounts stand
        self.credit = self.to_refund = self.clearing = self.gifts = self.given_up = 0
        self.disputes: list[tuple[int, int]] = []

    def post(self, event: Event, **amounts: int) -> None:
        made = entry(event, amounts, document="x", document_date=date(2026, 1, 1), currency="EUR")
        self.entries.append(made)

    def pick(self, part: int, amounts: list[int]) -> int | None:
        """Some invoice for which there is something in `amounts`."""
        found = [place for place, amount in enumerate(amounts) if amount > 0]
        return found[part % len(found)] if found else None

    @initialize()
    def begin(self) -> None:
        self.invoice(1000, 300, 190)

    @rule(deferred=AMOUNTS, revenue=AMOUNTS, tax=AMOUNTS)
    def invoice(self, deferred: int, revenue: int, tax: int) -> None:
        total = deferred + revenue + tax
        self.post(Event.INVOICE_FINALISED, receivable=total, deferred=deferred, revenue=revenue, tax=tax)
        self.untouched.add(len(self.open))
        self.open.append(total)
        self.paid.append(0)
        self.parts.append({"deferred": deferred, "revenue": revenue, "tax": tax})

    @rule(surplus=AMOUNTS, at_once=st.booleans())
    def negative_invoice(self, surplus: int, at_once: bool) -> None:
        self.post(Event.INVOICE_FINALISED, receivable=-surplus, deferred=-surplus)
        self.open.append(-surplus)
        self.paid.append(0)
        self.parts.append({})
        if at_once:
            self.post(Event.INVOICE_CREDIT_RELEASED, receivable=surplus, account_credit=surplus)
            self.open[-1] = 0
            self.credit += surplus

    @rule(which=PARTS)
    def void(self, which: int) -> None:
        untouched = sorted(self.untouched)
        if untouched:
            place = untouched[which % len(untouched)]
            self.untouched.discard(place)
            self.post(Event.INVOICE_VOIDED, receivable=self.open[place], **self.parts[place])
            self.open[place] = 0

    @rule(which=PARTS, paid=AMOUNTS, fee=st.integers(0, 100))
    def pay(self, which: int, paid: int, fee: int) -> None:
        place = self.pick(which, self.open)
        settled = min(paid, self.open[place]) if place is not None else 0
        self.post(
            Event.PAYMENT_SUCCEEDED, clearing=paid, receivable=settled, account_credit=paid - settled, fee=fee
        )
        if place is not None:
            self.open[place] -= settled
            self.paid[place] += settled
            self.untouched.discard(place)
        self.credit += paid - settled
        self.clearing += paid - fee

    @rule(which=PARTS)
    def payment_returned(self, which: int) -> None:
        place = self.pick(which, self.paid)
        if place is not None:
            amount, self.paid[place] = self.paid[place], 0
            self.post(Event.PAYMENT_RETURNED, receivable=amount, clearing=amount)
            self.open[place] += amount
            self.clearing -= amount

    @rule()
    def payout(self) -> None:
        if self.clearing > 0:
            self.post(Event.PAYOUT_RECEIVED, amount=self.clearing)
            self.clearing = 0

    @rule(which=PARTS, amount=AMOUNTS, to_refund=st.booleans())
    def credit_note(self, which: int, amount: int, to_refund: bool) -> None:
        """First against what is open, the rest to the customer."""
        place = self.pick(which, [self.open[at] + self.paid[at] for at in range(len(self.open))])
        if place is None:
            return
        amount = min(amount, self.open[place] + self.paid[place])
        settled = min(amount, self.open[place])
        rest = "refund" if to_refund else "account_credit"
        self.post(
            Event.CREDIT_NOTE_ISSUED,
            revenue=amount - amount // 10,
            tax=amount // 10,
            receivable=settled,
            **{rest: amount - settled},
        )
        self.untouched.discard(place)
        self.open[place] -= settled
        self.paid[place] -= amount - settled
        if to_refund:
            self.to_refund += amount - settled
        else:
            self.credit += amount - settled

    @precondition(lambda self: self.to_refund > 0)
    @rule(fails=st.booleans())
    def refund(self, fails: bool) -> None:
        amount = self.to_refund
        self.post(Event.REFUND_PAID, refund=amount, clearing=amount)
        if fails:
            self.post(Event.REFUND_FAILED, refund=amount, clearing=amount)
        else:
            self.to_refund = 0
            self.clearing -= amount

    @rule(amount=AMOUNTS, goodwill=st.booleans())
    def grant(self, amount: int, goodwill: bool) -> None:
        if goodwill:
            self.post(Event.ACCOUNT_CREDIT_GRANTED, amount=amount)
        else:
            self.post(Event.DELIVERY_CREDITED, deferred=amount, account_credit=amount)
        self.credit += amount

    @precondition(lambda self: self.credit > 0)
    @rule(which=PARTS)
    def use_credit(self, which: int) -> None:
        place = self.pick(which, self.open)
        if place is not None:
            amount = min(self.credit, self.open[place])
            self.post(Event.ACCOUNT_CREDIT_USED, amount=amount)
            self.credit -= amount
            self.open[place] -= amount
            self.untouched.discard(place)

    @precondition(lambda self: self.credit > 0)
    @rule(paid_out=st.booleans())
    def end_credit(self, paid_out: bool) -> None:
        if paid_out:
            self.post(Event.ACCOUNT_CREDIT_REFUNDED, account_credit=self.credit, clearing=self.credit)
            self.clearing -= self.credit
        else:
            self.post(Event.ACCOUNT_CREDIT_EXPIRED, amount=self.credit)
        self.credit = 0

    @rule(which=PARTS, tax=st.integers(0, 10))
    def write_off(self, which: int, tax: int) -> None:
        place = self.pick(which, self.open)
        if place is not None:
            amount, self.open[place] = self.open[place], 0
            relief = amount * tax // 100
            self.post(Event.INVOICE_WRITTEN_OFF, bad_debt=amount - relief, tax=relief, receivable=amount)
            self.untouched.discard(place)
            self.given_up += amount - relief

    @precondition(lambda self: self.given_up > 0)
    @rule()
    def recover(self) -> None:
        self.post(Event.WRITE_OFF_RECOVERED, clearing=self.given_up, bad_debt=self.given_up)
        self.clearing += self.given_up
        self.given_up = 0

    @rule(which=PARTS, fee=st.integers(0, 2000))
    def dispute(self, which: int, fee: int) -> None:
        place = self.pick(which, self.paid)
        if place is not None:
            amount, self.paid[place] = self.paid[place], 0
            self.post(Event.DISPUTE_OPENED, amount=amount, fee=fee)
            self.clearing -= amount + fee
            self.disputes.append((place, amount))

    @precondition(lambda self: self.disputes)
    @rule(end=st.sampled_from(["won", "reopened", "loss"]))
    def decide(self, end: str) -> None:
        place, amount = self.disputes.pop()
        if end == "won":
            self.post(Event.DISPUTE_WON, amount=amount)
            self.paid[place] += amount
            self.clearing += amount
        elif end == "reopened":
            self.post(Event.DISPUTE_LOST, receivable=amount, disputed=amount)
            self.open[place] += amount
        else:
            self.post(Event.DISPUTE_LOST, loss=amount, disputed=amount)

    @rule(amount=AMOUNTS)
    def sell_gift(self, amount: int) -> None:
        self.post(Event.GIFT_SOLD, receivable=amount, gift=amount)
        self.open.append(amount)
        self.paid.append(0)
        self.parts.append({})
        self.gifts += amount

    @precondition(lambda self: self.gifts > 0)
    @rule(amount=AMOUNTS, redeemed=st.booleans())
    def end_gift(self, amount: int, redeemed: bool) -> None:
        amount = min(amount, self.gifts)
        if redeemed:
            self.post(Event.GIFT_REDEEMED, gift=amount, deferred=amount)
        else:
            self.post(Event.GIFT_EXPIRED, amount=amount)
        self.gifts -= amount

    @rule(amount=AMOUNTS)
    def recognise(self, amount: int) -> None:
        self.post(Event.REVENUE_RECOGNISED, amount=amount)

    @invariant()
    def control_accounts_agree(self) -> None:
        books = trial_balance(self.entries).get("EUR", {})
        assert sum(books.values()) == 0  # law I1
        assert books.get("accounts_receivable", 0) == sum(self.open)  # law I2
        assert -books.get("account_credit", 0) == self.credit
        assert -books.get("refunds_payable", 0) == self.to_refund
        assert books.get("payments_in_clearing", 0) == self.clearing
        assert books.get("payments_in_dispute", 0) == sum(amount for _, amount in self.disputes)
        assert -books.get("gift_liability", 0) == self.gifts
        assert books.get("bad_debt", 0) == self.given_up


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
