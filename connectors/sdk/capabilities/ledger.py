"""Posting journals to a general ledger."""

from __future__ import annotations

from abc import abstractmethod
from datetime import date

from pydantic import Field, model_validator

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.key import Key
from connectors.sdk.values import Currency, Value


class JournalPosting(Value):
    """One line. debit and credit in minor units, one of them zero. account: the other ledger's account code."""

    account: str
    debit: int = Field(default=0, ge=0)
    credit: int = Field(default=0, ge=0)
    description: str = ""


class Journal(Value):
    """One journal. number: our own, by which it is found again. Refuses lines that do not balance."""

    number: str = Field(min_length=1, max_length=50)
    on: date
    currency: Currency
    narration: str = Field(min_length=1)
    lines: tuple[JournalPosting, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _balanced(self) -> Journal:
        debit, credit = sum(line.debit for line in self.lines), sum(line.credit for line in self.lines)
        if debit != credit:
            raise ValueError(f"journal {self.number} does not balance: debit {debit}, credit {credit}")
        return self


class PostedJournal(Value):
    """A journal as the other ledger has it."""

    id: str
    number: str
    debit: int
    credit: int
    reverses: str | None = None


class JournalReversal(Value):
    """Post the opposite of a posted journal, under a number of its own."""

    number: str = Field(min_length=1, max_length=50)
    of: str
    on: date


class GeneralLedger(Capability):
    """A general ledger."""

    capability = "ledger"

    @abstractmethod
    async def post(self, journal: Journal, key: Key) -> PostedJournal:
        """Post a balanced journal."""

    @abstractmethod
    async def reverse(self, reversal: JournalReversal, key: Key) -> PostedJournal:
        """Post the opposite of a journal; the two net to zero."""

    @abstractmethod
    async def find(self, number: str) -> PostedJournal | None:
        """The journal with our number; None when there is none."""
