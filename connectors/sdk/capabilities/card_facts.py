"""What a gateway's webhooks tell of cards on file: a card network tells it of new ones behind the same token."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from connectors.sdk.capabilities.payment import CardDetails
from connectors.sdk.config import Config
from connectors.sdk.values import Value

C = TypeVar("C", bound=Config)


class CardChange(StrEnum):
    """What a gateway tells of a card on file."""

    TOLD = "told"  # how it is; it may be as it was
    RENEWED = "renewed"  # another one took its place behind the same token
    CLOSED = "closed"  # it can be charged no more


class CardFact(Value):
    """One thing told of a card. method, customer: the gateway's tokens; customer None where it is not told."""

    change: CardChange
    method: str
    customer: str | None = None
    card: CardDetails = CardDetails()
    occurred_at: datetime | None = None


class TellsOfCards(ABC, Generic[C]):
    """A gateway whose webhooks tell of cards on file: a further base of its connector."""

    @classmethod
    @abstractmethod
    def card_facts(cls, config: C, payload: Mapping[str, Any]) -> tuple[CardFact, ...]:
        """What one verified delivery tells of cards; nothing where it tells of something else.

        Raises OtherAccount and ValueError as `TellsOfPayments.facts`.
        """
