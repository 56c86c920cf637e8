"""What a mail can tell: the account, and what the mail is about, as they are when it is sent. Amounts are minor units
of the account's currency, days are local."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from domain.publisher import Publisher


@dataclass(frozen=True, slots=True)
class InvoiceFacts:
    """The invoice that a mail is about. number: with its series."""

    id: str
    number: str
    status: str
    total: int
    open: int
    issued_on: date
    due_on: date


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """A payment. code: why it failed, as the gateway said. invoices: the numbers of those that it paid of. asks:
    what the failure asks for, see DeclineClass."""

    status: str
    amount: int
    made_on: date
    code: str | None = None
    invoices: tuple[str, ...] = ()
    asks: str | None = None


@dataclass(frozen=True, slots=True)
class CreditNoteFacts:
    """A credit note. amount: what the customer gets back, above zero."""

    id: str
    number: str
    amount: int
    issued_on: date
    reason: str


@dataclass(frozen=True, slots=True)
class SubscriptionFacts:
    """A subscription. next_bill_on: the day of its next bill; resumes_on: when a pause ends by itself."""

    plan: str
    status: str
    trial_ends_on: date | None = None
    next_bill_on: date | None = None
    ends_on: date | None = None
    resumes_on: date | None = None


@dataclass(frozen=True, slots=True)
class MailFacts:
    """Everything that a template may speak of. open: what all open invoices of the account sum to, and open_since the
    day on which the oldest of them was due. consent: to be written to for other reasons than the contract."""

    account: str
    mode: str
    locale: str
    currency: str
    publisher: Publisher
    name: str | None = None
    email: str | None = None
    consent: bool | None = None
    open: int = 0
    open_since: date | None = None
    invoice: InvoiceFacts | None = None
    payment: PaymentFacts | None = None
    credit_note: CreditNoteFacts | None = None
    subscription: SubscriptionFacts | None = None
