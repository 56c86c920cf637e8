"""Computing, recording, refunding and voiding sales tax at a tax engine."""

from __future__ import annotations

from abc import abstractmethod
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.key import Key
from connectors.sdk.values import Address, Currency, Value


class TaxOrderLine(Value):
    """A line to tax. amount: minor units, after discount; with `inclusive` the tax is contained in it.

    charged: the tax that stands on the invoice already (minor units), to be recorded instead of what the engine
    computes; only an engine that `records_charged` heeds it.
    """

    number: str = Field(min_length=1, max_length=50)
    amount: int
    quantity: Decimal = Decimal(1)
    tax_code: str | None = None
    item: str | None = None
    description: str = ""
    inclusive: bool = False
    charged: int | None = None


class TaxOrder(Value):
    """A document to tax. code: the document's own number, by which the engine knows it for ever.

    tax_date: the day whose rates count, where it is not `on`. customer: our id, no name.
    """

    code: str = Field(min_length=1, max_length=50)
    on: date
    tax_date: date | None = None
    currency: Currency
    customer: str
    ship_from: Address
    ship_to: Address
    lines: tuple[TaxOrderLine, ...] = Field(min_length=1)
    exemption: str | None = None


class TaxPart(Value):
    """The tax of one jurisdiction on one line. rate: a fraction, 0.08875; amount: minor units."""

    jurisdiction: str
    rate: Decimal
    amount: int


class TaxedLine(Value):
    """The tax of a line; amount is the sum of its parts."""

    number: str
    amount: int
    parts: tuple[TaxPart, ...] = ()


class TaxQuote(Value):
    """An estimate that is recorded nowhere. total: the sum of the lines' tax, minor units."""

    currency: Currency
    total: int
    tax_date: date
    lines: tuple[TaxedLine, ...]


class TaxStatus(StrEnum):
    """How the engine holds a document."""

    SAVED = "saved"
    COMMITTED = "committed"
    VOIDED = "voided"


class TaxDocument(Value):
    """A document that the engine has recorded. total: its tax, minor units; negative for a refund."""

    code: str
    status: TaxStatus
    currency: Currency
    total: int
    tax_date: date
    lines: tuple[TaxedLine, ...] = ()


class TaxRefund(Value):
    """Give back the tax of a committed document: all of it, or the lines named. code: the refund's own number."""

    code: str = Field(min_length=1, max_length=50)
    of: str
    on: date
    lines: tuple[str, ...] = ()


class TaxVoid(Value):
    """Take a document back."""

    code: str
    reason: str = ""


class TaxEngine(Capability):
    """Sales tax. The sum of the lines' tax is the total, always."""

    capability = "tax"
    #: Whether it records the tax that a line says was `charged`, in place of its own.
    records_charged: ClassVar[bool] = False

    @abstractmethod
    async def quote(self, order: TaxOrder) -> TaxQuote:
        """What the tax would be; nothing is recorded."""

    @abstractmethod
    async def commit(self, order: TaxOrder, key: Key) -> TaxDocument:
        """Record the document under its code, reportable; the same code again answers the same document."""

    @abstractmethod
    async def refund(self, order: TaxRefund, key: Key) -> TaxDocument:
        """Record the refund of a committed document."""

    @abstractmethod
    async def void(self, order: TaxVoid, key: Key) -> TaxDocument:
        """Take a document back; one that is voided already is answered as it is."""

    @abstractmethod
    async def find(self, code: str) -> TaxDocument | None:
        """The document with our code; None when there is none."""
