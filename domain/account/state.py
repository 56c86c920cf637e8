"""One account as a whole, in memory: what it subscribes to, its documents and its books.

It keeps what the database keeps, and nothing of it is a rule: the rules are in the modules that act on it. The database
loads it and writes back what changed (`operations.accounts`); a simulation begins with an empty one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from itertools import count
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from domain.account.terms import AccountTerms
from domain.account_credit import AccountCredit
from domain.amendments import Account, History, Moved, Refused
from domain.catalog import Catalog, PlanVersion
from domain.credit_notes import CreditNote
from domain.credits import BilledLine, CreditLine
from domain.declines import Decline
from domain.dunning import Hold
from domain.invoices import Draft, add_tax
from domain.ledger_events import Entry, Event, entry
from domain.lines import Line
from domain.media.gifts import Gift
from domain.media.holiday_stops import HolidayStop
from domain.money import format_minor, parse_minor
from domain.pending import Waiting, as_billed
from domain.plan_changes import Swap
from domain.policy import Policy
from domain.price_book import PriceBook
from domain.rating import UsageAnswers
from domain.receivables import Balance, InvoiceStatus
from domain.received_payments import Application, Payment
from domain.revenue import Schedule
from domain.rule_book import RuleBook
from domain.subscription_terms import SubscriptionTerms
from domain.tax import TaxTable

T = TypeVar("T")

# What price an id stands for: (plan, price) by their codes.
PriceNames = Mapping[str, tuple[str, str]]


@dataclass(slots=True)
class Invoice:
    """A finalised invoice. `lines` never change; `balance` does. `taken_back` are its lines' keys that a void
    reversed, so that they count no more."""

    number: int
    issued_on: date
    lines: list[Line]
    billed: list[BilledLine]
    subtotal: int
    tax: int
    balance: Balance
    gift: str | None = None

    @property
    def total(self) -> int:
        """Lines and tax together."""
        return self.subtotal + self.tax

    @property
    def id(self) -> str:
        """The text that documents refer to it by."""
        return str(self.number)


@dataclass(slots=True)
class Receipt:
    """A payment, when it was made, and what it settled."""

    number: int
    on: date
    payment: Payment
    applied: tuple[Application, ...] = ()
    code: str | None = None


class Promise(NamedTuple):
    """A refund that a credit note promised: minor units of the payment `receipt`, and of which invoices. It is paid
    later, by a gateway or by hand, or was `paid` at once by the rules."""

    receipt: int
    amount: int
    parts: tuple[Application, ...]
    reason: str
    paid: bool = False


@dataclass(slots=True)
class UsageRecord:
    """One record of usage; `billed` by the number of an invoice, 0 while its charge waits for one, or not yet. `id` is
    that of its row, where it has one."""

    subscription: str
    item_id: str
    meter: str
    at: datetime
    quantity: Decimal
    billed: int | None = None
    id: str | None = None


@dataclass(slots=True)
class Subscription:
    """A subscription with its history. `moved` are pauses that kept paid time, `pauses` all of them (end exclusive,
    None while it lasts), `later` a change of interval that waits for a day, `entitled` which plan is read from when.
    Days before `opening_on` were never ours to bill: another system did."""

    name: str
    terms: SubscriptionTerms
    term_end: date | None
    moved: list[Moved] = field(default_factory=list)
    pauses: list[tuple[date, date | None]] = field(default_factory=list)
    resumes_on: date | None = None
    later: tuple[date, Swap] | None = None
    entitled: list[tuple[date, str]] = field(default_factory=list)
    canceled_on: date | None = None
    stops: list[HolidayStop] = field(default_factory=list)
    issue_credits: set[str] = field(default_factory=set)
    opening_on: date | None = None


@dataclass(slots=True)
class Books:
    """Recognition of one billed line: its schedule, and what of it the journal has recognised."""

    schedule: Schedule
    recognised: int = 0


@dataclass(slots=True)
class Collecting:
    """Automatic payment that failed: since when, on which days, why; what comes next follows from them."""

    since: date
    failed: list[date]
    decline: Decline
    given_up: bool = False


class Happened(NamedTuple):
    """Something of the account's story: `kind` is step, invoice, credit_note, payment, dunning or note. `what` is the
    place of the step (from 0), the number of the document, the state, or the words of the note."""

    day: date
    kind: str
    what: str


@dataclass(slots=True)
class AccountState:
    """Everything of one account. `collected`: what is owed is dunned, and what is given back is paid back, as the days
    pass, by these rules alone: in memory and on a test clock. For a live account that is for runs over all accounts and
    for gateways; `dunned` says that it has a dunning case, so that its debts are judged at each change all the same.

    `holds` keep it from being dunned further, by why they do (promise, pause, dispute); `in_doubt` are the numbers of
    invoices with a charge whose end is not known, each with the local day since when. `promised` are the refunds that
    credit notes promised since it was read."""

    terms: AccountTerms
    catalog: Catalog
    rules: RuleBook
    book: PriceBook
    tax: TaxTable
    prices: PriceNames
    today: date
    zone: ZoneInfo
    bill_cycle_day: int | None
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    invoices: list[Invoice] = field(default_factory=list)
    credit_notes: list[CreditNote] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    credit: AccountCredit = field(default_factory=lambda: AccountCredit("XXX"))
    credits: list[CreditLine] = field(default_factory=list)
    voided: set[str] = field(default_factory=set)
    pending: list[Waiting] = field(default_factory=list)
    usage: list[UsageRecord] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)
    revenue: dict[str, Books] = field(default_factory=dict)
    gifts: dict[str, Gift] = field(default_factory=dict)
    failing: dict[date, str] = field(default_factory=dict)
    collecting: Collecting | None = None
    dunning: list[tuple[date, str]] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)
    in_doubt: dict[int, date] = field(default_factory=dict)
    happened: list[Happened] = field(default_factory=list)
    promised: list[Promise] = field(default_factory=list)
    latest: datetime | None = None
    recognised_through: date | None = None
    bills_on: date | None = None
    taxing: Callable[[Draft], None] | None = None
    collected: bool = True
    dunned: bool = False
    id: str = "account"
    mode: str = "live"
    ids: Callable[[], str] = field(default_factory=lambda: counted_ids().__next__)

    @property
    def currency(self) -> str:
        """Of the account."""
        return self.terms.currency

    @property
    def billing_day(self) -> date:
        """The day of the invoices that are made: today, or `bills_on` in a bill run that is dated ahead."""
        return self.bills_on or self.today

    @property
    def policy(self) -> Policy:
        """The publisher's choices that hold for it."""
        return self.rules.policy

    def put_tax(self, draft: Draft) -> None:
        """Tax a draft: by the built-in table, unless `taxing` has another way."""
        if self.taxing is not None:
            self.taxing(draft)
        else:
            add_tax(draft, self.tax)

    def new_id(self) -> str:
        """A new id, a UUID in its text form."""
        return self.ids()

    def subscription(self, name: str) -> Subscription:
        """The subscription called `name`. Raises Refused when there is none."""
        try:
            return self.subscriptions[name]
        except KeyError:
            known = ", ".join(self.subscriptions) or "none"
            raise Refused(f"there is no subscription {name!r} at this point; there is: {known}") from None

    def invoice(self, number: int) -> Invoice:
        """The invoice with that number. Raises Refused when there is none."""
        if not 0 < number <= len(self.invoices):
            raise Refused(
                f"there is no invoice {number} at this point; {len(self.invoices)} invoices were made so far"
            )
        return self.invoices[number - 1]

    def open_invoices(self) -> list[Invoice]:
        """Those with something open on them."""
        return [invoice for invoice in self.invoices if invoice.balance.status is InvoiceStatus.OPEN]

    def history(self, subscription: Subscription) -> History:
        """What was billed, waits to be billed, and was credited for `subscription`."""
        ids = {item.id for item in subscription.terms.items}
        billed = [
            line
            for invoice in self.invoices
            for line in invoice.billed
            if line.item_id in ids and line.key not in self.voided
        ]
        waiting = [line for line in as_billed(self.pending) if line.item_id in ids]
        return History([*billed, *waiting], self.credits, subscription.moved)

    def rating(self, usage: UsageAnswers | None = None) -> Account:
        """What amendments rate with."""
        return Account(self.book, self.currency, usage)

    def billed_line(self, key: str) -> tuple[Invoice, BilledLine] | None:
        """The finalised line with that key, and its invoice."""
        for invoice in self.invoices:
            for line in invoice.billed:
                if line.key == key:
                    return invoice, line
        return None

    def post(self, event: Event, amounts: dict[str, int], document: str, on: date | None = None) -> None:
        """Write the journal entry of `event`, unless it comes to nothing."""
        made = entry(
            event, amounts, document=document, document_date=on or self.today, currency=self.currency
        )
        if made.postings:
            self.journal.append(made)

    def tell(self, what: str, kind: str = "note") -> None:
        """Write down what happened, in its order, for the report. See Happened for the kinds."""
        self.happened.append(Happened(self.today, kind, what))

    def money(self, amount: int) -> str:
        """Minor units of the account's currency for people: `1,234.00 USD`."""
        return format_minor(amount, self.currency)


def snapshot(account: AccountState) -> AccountState:
    """A copy that later steps do not reach: what is replaced as a whole, never altered, is shared."""
    copied = _alike(account)
    copied.subscriptions = {name: _copied(each) for name, each in account.subscriptions.items()}
    copied.invoices = [_alike(each) for each in account.invoices]
    copied.credit_notes = [*account.credit_notes]
    copied.receipts = [_alike(each) for each in account.receipts]
    copied.credits = [*account.credits]
    copied.voided = {*account.voided}
    copied.pending = [*account.pending]
    copied.usage = [_alike(each) for each in account.usage]
    copied.journal = [*account.journal]
    copied.revenue = {key: _alike(each) for key, each in account.revenue.items()}
    copied.gifts = {**account.gifts}
    copied.failing = {**account.failing}
    copied.collecting = account.collecting and replace(
        account.collecting, failed=[*account.collecting.failed]
    )
    copied.dunning = [*account.dunning]
    copied.holds = {**account.holds}
    copied.happened = [*account.happened]
    copied.promised = [*account.promised]
    return copied


def _copied(subscription: Subscription) -> Subscription:
    copied = _alike(subscription)
    copied.moved = [*subscription.moved]
    copied.pauses = [*subscription.pauses]
    copied.entitled = [*subscription.entitled]
    copied.stops = [*subscription.stops]
    copied.issue_credits = {*subscription.issue_credits}
    return copied


def _alike(value: T) -> T:
    """A copy whose fields are shared: `replace` of nothing, in a third of its time."""
    kind: Any = type(value)
    copied: T = kind(*_fields_of(kind)(value))
    return copied


@cache
def _fields_of(kind: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter(*(each.name for each in fields(kind)))


def counted_ids() -> Iterator[str]:
    """Ids in the form of UUIDs that are the same in every play of a scenario."""
    for number in count(1):
        yield f"00000000-0000-7000-8000-{number:012d}"


def open_account(
    terms: AccountTerms, catalog: Catalog, rules: RuleBook, book: PriceBook, names: PriceNames, today: date
) -> AccountState:
    """An account that has nothing so far, on its local day `today`."""
    account = AccountState(
        terms,
        catalog,
        rules,
        book,
        TaxTable(catalog.tax_rates),
        names,
        today,
        ZoneInfo(terms.timezone),
        terms.bill_cycle_day,
    )
    account.credit = AccountCredit(terms.currency)
    account.dunning.append((today, rules.policy.dunning.clear.name))
    return account


def plan_version(account: AccountState, plan: str, version: int | None, day: date) -> PlanVersion:
    """The version of `plan` that is sold on `day`, or `version` of it. Raises Refused when there is none."""
    for each in account.catalog.plans:
        if each.code == plan:
            found = each.version_on(day) if version is None else None
            if version is not None:
                found = next((one for one in each.versions if one.version == version), None)
            if found is None:
                raise Refused(f"plan {plan!r} has no version {version or f'sold on {day}'}")
            return found
    known = ", ".join(each.code for each in account.catalog.plans)
    raise Refused(f"there is no plan {plan!r} in the catalog; it has: {known}")


def minor(account: AccountState, amount: str) -> int:
    """An amount of a step, major units as text, in minor units of the account's currency. Raises MoneyError."""
    return parse_minor(amount, account.currency)
