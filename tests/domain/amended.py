"""A reader whose subscription is billed and amended, for the tests of amendments: commands in few words, what they
came to in minor units, and which days are covered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from domain.amendments import Account, Amendment, History, Moved, closing, running_items
from domain.billing_days import move_bill_cycle_day
from domain.catalog import PlanVersion, TaxRate
from domain.coverage import Days, cover
from domain.credits import BilledLine, CreditLine
from domain.endings import CancelCredit, cancel_at_period_end, cancel_now, items_at_end, reactivate
from domain.invoice_lines import billed_lines
from domain.invoices import Draft, Payer, add_tax
from domain.lines import Line
from domain.pauses import pause, resume
from domain.pending import Waiting, as_billed, laid_out, shortened, waiting
from domain.periods import Anchor, Interval
from domain.phase_prices import prices_of
from domain.plan_changes import Swap, change
from domain.policy import Behaviour
from domain.price_book import PriceBook
from domain.proration import Moment, day_of
from domain.rating import UsageAnswers, rate_subscription, usage_windows
from domain.subscription_terms import Item, SubscriptionTerms
from domain.tax import TaxTable
from domain.undone_changes import charged_from
from tests.domain.books import PRODUCTS, item, terms, uid, version

PRORATED, UNPRORATED = Behaviour.PRORATED, Behaviour.UNPRORATED
PERIOD_END, RESTART = Behaviour.PERIOD_END, Behaviour.RESTART
CURRENCIES = ("USD", "JPY", "KWD")

TAXES = TaxTable(
    TaxRate(
        region="NY", category="digital", jurisdiction=name, rate=Decimal(rate), effective=date(2015, 1, 1)
    )
    for name, rate in (("City", "0.04875"), ("State", "0.04"))
)


def jan(day: int) -> date:
    """A day of January 2026; beyond 31, of the months after it."""
    return date(2026, 1, 1) + timedelta(days=day - 1)


FEB, MAR = date(2026, 2, 1), date(2026, 3, 1)


def access(usd: str = "31.00", code: str = "access", kind: str = "recurring", **more: Any) -> dict[str, Any]:
    """A price in dollars; in yen as many as it has cents, in Kuwaiti dinar seven fils more."""
    yen = str(int(Decimal(usd) * 100))
    return {"code": code, "type": kind, "amounts": {"USD": usd, "JPY": yen, "KWD": f"{usd}7"}, **more}


def intro(periods: int, usd: str = "3.10", then: str = "31.00") -> PlanVersion:
    """So many periods at one price, and then another."""
    first = {"kind": "intro", "periods": periods, "prices": [access(usd)]}
    return version(phases=[first, {"kind": "evergreen", "prices": [access(then)]}])


def _reading(**more: Any) -> dict[str, Any]:
    return access("0.10", "reading", "usage", model="per_unit", meter="articles", **more)


# In January a day of `basic` is a dollar, of `plus` two.
PLANS: dict[str, PlanVersion] = {
    "basic": version(access("31.00")),
    "twin": version(access("31.00")),
    "plus": version(access("62.00")),
    "odd": version(access("10.01")),
    "odder": version(access("17.99")),
    "seats": version(access("31.00", model="per_unit")),
    "intro": intro(1),
    "intros": intro(3),
    "welcome": intro(1, "6.20"),
    "setup": version(access("31.00"), access("5.00", "setup", "one_time")),
    "pass": version(_reading(), access("5.00", "setup", "one_time")),
    "bundle": version(
        access("10.01", parts=[{"product": "digital", "weight": 1}, {"product": "print", "weight": 2}])
    ),
    "yearly": version(access("365.00"), interval={"unit": "year"}),
    "weekly": version(access("7.00"), interval={"unit": "week"}),
    "arrears": version(access("31.00", billed="arrears")),
    "metered": version(access("31.00"), _reading()),
    "usage": version(_reading()),
}


def shop() -> PriceBook:
    """PLANS in CURRENCIES; price ids are uid("plan/phase/code/USD")."""
    ids = {}
    for plan, each in PLANS.items():
        for phase in each.phases:
            for price in prices_of(each, phase):
                for currency in CURRENCIES:
                    key = (plan, 1, phase.kind.value, price.code, currency)
                    ids[key] = uid(f"{plan}/{phase.kind.value}/{price.code}/{currency}")
    versions = {plan: (each,) for plan, each in PLANS.items()}
    return PriceBook(versions, dict.fromkeys(PLANS, "digital"), PRODUCTS, ids)


SHOP = shop()


@dataclass
class Reader:
    """A subscription with its books. Charges of amendments are invoiced at once, or, if `later`, wait for the next
    bill; `used` are articles read since usage was last billed."""

    terms: SubscriptionTerms
    currency: str = "USD"
    region: str | None = None
    later: bool = False
    used: int = 0
    book: PriceBook = field(default_factory=lambda: SHOP)
    billed: list[BilledLine] = field(default_factory=list)
    credits: list[CreditLine] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    pauses: list[Days] = field(default_factory=list)
    pending: list[Waiting] = field(default_factory=list)
    paused_on: date | None = None
    invoices: int = 0
    swaps: int = 0

    @property
    def items(self) -> list[Item]:
        return self.terms.items

    @property
    def last(self) -> Item:
        return self.terms.items[-1]

    @property
    def history(self) -> History:
        return History([*self.billed, *as_billed(self.pending)], self.credits, self.moved)

    @property
    def net(self) -> int:
        """What was charged and not given back, with discounts and without tax."""
        waits = sum(line.amount for each in self.pending for line in each.lines if line.kind != "tax")
        return waits + sum(line.net for line in self.billed) + sum(credit.net for credit in self.credits)

    @property
    def gross(self) -> int:
        """The same with tax, as far as it is billed."""
        return sum(line.gross for line in self.billed) + sum(credit.gross for credit in self.credits)

    def account(self, closes: date | None = None) -> Account:
        usage = {} if closes is None else self.usage(closing(self.terms, closes), closes)
        return Account(self.book, self.currency, usage)

    def usage(self, subscription: SubscriptionTerms, day: date) -> UsageAnswers:
        windows = usage_windows(self.book, self.currency, subscription, day)
        return {(window.item_id, window.meter, window.until): Decimal(self.used) for window in windows[:1]}

    def bill(self, day: date) -> list[tuple[str, str, int]]:
        """A bill run on `day`: what it charged, see `told`."""
        usage = self.usage(self.terms, day)
        rated = rate_subscription(self.book, self.currency, self.terms, day, usage)
        lines = laid_out(self.pending)
        self.pending = []
        if rated is not None:
            first = len(lines)
            lines += [
                line if line.parent is None else replace(line, parent=line.parent + first)
                for line in rated.lines
            ]
            self.terms = replace(
                self.terms,
                charged_through=rated.charged_through,
                arrears_through=rated.arrears_through,
                next_bill_on=rated.next_bill_on,
            )
        self.invoice(lines)
        return told(lines)

    def invoice(self, lines: Sequence[Line]) -> None:
        if not lines:
            return
        self.invoices += 1
        payer = Payer("account", "live", self.currency, self.region, False, 0)
        draft = Draft("", payer, date(2026, 1, 1), list(lines))
        add_tax(draft, TAXES)
        self.billed += billed_lines(f"invoice {self.invoices}", draft.lines)

    def take(self, amendment: Amendment) -> Amendment:
        """The books after `amendment`."""
        waits = {each.head.charge_key for each in self.pending}
        self.pending = shortened(self.pending, [each for each in amendment.credits if each.corrects in waits])
        self.credits += [each for each in amendment.credits if each.corrects not in waits]
        self.terms = amendment.terms
        if self.later:
            self.pending += waiting(amendment.charges)
        else:
            self.invoice(amendment.charges)
        return amendment

    def change(
        self,
        at: Moment,
        plan: str | None = None,
        behaviour: Behaviour = PRORATED,
        *,
        quantity: int | None = None,
        old: Item | None = None,
        interval: Interval | None = None,
        intro_again: bool = False,
        price: int | None = None,
    ) -> Amendment:
        """`old` (the item served now) replaced by `plan` (its own) in `quantity` (its own)."""
        if old is None:
            day = day_of(at)
            old = next(i for i in self.items if i.starts_on <= day and (i.ends_on is None or i.ends_on > day))
        self.swaps += 1
        amount = old.quantity if quantity is None else Decimal(quantity)
        swap = Swap(old.id, uid(f"item {self.swaps}"), plan or old.plan, 1, amount, price, interval)
        account = self.account(day_of(at))
        return self.take(
            change(account, self.terms, self.history, swap, at, behaviour, intro_again=intro_again)
        )

    def pause(self, day: date, *, keep: bool = False) -> Amendment:
        made = pause(self.account(day), self.terms, self.history, day, keep_time=keep)
        self.paused_on = day
        return self.take(made)

    def resume(self, day: date, *, arrears_only: bool = False, extends_term: bool = True) -> Amendment:
        assert self.paused_on is not None
        kept = self.terms.charged_through > self.paused_on
        self.swaps += 1
        running = running_items(self.terms, self.paused_on)
        ids = [uid(f"resumed {self.swaps} {no}") for no in range(len(running))]
        made = resume(
            self.terms,
            day,
            self.paused_on,
            ids,
            arrears_only=arrears_only,
            extends_term=extends_term,
            charged={each.id for each in running if charged_from(self.history, each, self.paused_on)},
        )
        if kept and day > self.paused_on:
            self.moved.append(Moved(self.paused_on, day))
        self.pauses.append((self.paused_on, day))
        self.paused_on = None
        return self.take(made)

    def cancel(self, at: Moment, credit: CancelCredit = "prorated") -> Amendment:
        account = self.account(None if self.paused_on else max(day_of(at), self.terms.starts_on))
        return self.take(
            cancel_now(account, self.terms, self.history, at, credit=credit, paused_on=self.paused_on)
        )

    def cancel_later(self, day: date) -> Amendment:
        return self.take(cancel_at_period_end(self.terms, day))

    def reactivate(
        self, day: date, *, bill_cycle_day: int | None = None, term_end: date | None = None
    ) -> Amendment:
        self.swaps += 1
        ids = [uid(f"again {self.swaps} {no}") for no in range(len(items_at_end(self.terms)))]
        account = self.account(self.terms.ends_on)
        return self.take(
            reactivate(account, self.terms, day, ids, bill_cycle_day=bill_cycle_day, term_end=term_end)
        )

    def bill_cycle_day(self, day: date, wanted: int) -> Amendment:
        return self.take(move_bill_cycle_day(self.terms, day, wanted))

    def uncovered(self) -> list[tuple[str, Days]]:
        """I13: days from an item's start to charged-through that nothing covers, or more than one charge does. Pauses
        that kept time are not reckoned with."""
        wrong = []
        for each in self.items:
            ends = [self.terms.charged_through, each.ends_on, self.terms.ends_on]
            until = min(end for end in ends if end is not None)
            idle = [*self.pauses]
            if self.terms.trial_ends_on is not None:
                idle.append((self.terms.starts_on, self.terms.trial_ends_on))
            inside = [(max(a, each.starts_on), min(b, until)) for a, b in idle]
            spans = {*self._live(each), *(days for days in inside if days[0] < days[1])}
            found = cover(each.starts_on, until, spans)
            wrong += [(each.plan, days) for days in (*found.missing, *found.double)]
        return wrong

    def _live(self, each: Item) -> list[Days]:
        """The days that `each` was charged for and not given back."""
        found = []
        for line in self.history.recurring([each]):
            if line.start is None or line.end is None:
                continue
            start, end = day_of(line.start), day_of(line.end)
            for credit in self.credits:
                if credit.corrects == line.key and credit.start is not None:
                    end = min(end, day_of(credit.start))
            if start < end:
                found.append((start, end))
        return found


def reader(plan: str = "basic", *more: Item, start: date = date(2026, 1, 1), **fields: Any) -> Reader:
    """A reader of `plan` from `start` on, billed monthly from then; `more` items; fields of Reader, or of the terms."""
    of_reader = {name: fields.pop(name) for name in [*fields] if name in Reader.__dataclass_fields__}
    quantity = Decimal(fields.pop("quantity", 1))
    override = fields.pop("price_override", None)
    first = item(plan, starts_on=start, quantity=quantity, price_override=override)
    return Reader(terms(start, first, *more, **fields), **of_reader)


def add_on(plan: str, start: date = date(2026, 1, 1)) -> Item:
    """Another item from `start` on."""
    return item(plan, name=f"add-on {plan}", starts_on=start)


def told(lines: Iterable[Line]) -> list[tuple[str, str, int]]:
    """Kind, period as text, amount of each line."""
    return [
        (line.kind, f"{line.period_start}..{line.period_end}" if line.period_start else "", line.amount)
        for line in lines
    ]


def credited(credits: Iterable[CreditLine]) -> list[tuple[str, int]]:
    """Period as text, net amount of each credit."""
    return [(f"{each.start}..{each.end}", each.net) for each in credits]


def in_trial(plan: str, **fields: Any) -> Reader:
    """A reader in a trial until 15 January; fields as in `reader`."""
    until = jan(15)
    dates = {"charged_through": until, "arrears_through": until, "next_bill_on": until}
    return reader(plan, trial_ends_on=until, anchor=Anchor.at(until), **(dates | fields))


def money(made: Amendment) -> tuple[list[tuple[str, int]], list[tuple[str, str, int]]]:
    """The credits and the charges of an amendment, as `credited` and `told` tell them."""
    return credited(made.credits), told(made.charges)


def there_and_back(who: Reader, at: Moment, *by: str, back: str) -> None:
    """Prorated changes to `by`, one after the other, and `back`, all at one moment."""
    for plan in (*by, back):
        who.change(at, plan)
