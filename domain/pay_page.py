"""The page on which a customer pays what is due: what it shows, and the one thing to do next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from domain.publisher import Publisher


class PayStep(StrEnum):
    """What is next for the customer."""

    NOTHING = "nothing"  # nothing is due
    ON_ITS_WAY = "on_its_way"  # a charge is on its way: paying again could pay twice
    CONFIRM = "confirm"  # the bank waits for a confirmation at `action_url`
    PAY = "pay"  # the card on file can be charged, with the customer there for what the bank asks
    TRANSFER = "transfer"  # the account does not pay by itself
    NEW_METHOD = "new_method"  # there is no card on file, or it will not be taken again


@dataclass(frozen=True, slots=True)
class OwedInvoice:
    """An invoice that is due. number: with its series. open: minor units."""

    number: str
    due_on: date
    open: int


@dataclass(frozen=True, slots=True)
class CardOnFile:
    """The card that is charged, as far as the gateway has told of it. last_day: the last one on which it can be used.
    ends_soon: within 30 days, or over."""

    brand: str | None = None
    last4: str | None = None
    last_day: date | None = None
    ends_soon: bool = False


@dataclass(frozen=True, slots=True)
class PayPage:
    """What the page shows. failed: the last charge was declined."""

    step: PayStep
    locale: str
    currency: str
    publisher: Publisher
    invoices: tuple[OwedInvoice, ...] = ()
    card: CardOnFile | None = None
    action_url: str | None = None
    failed: bool = False

    @property
    def amount(self) -> int:
        """All that is due, minor units."""
        return sum(each.open for each in self.invoices)
