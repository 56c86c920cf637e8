"""What a support desk sees of a customer."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.key import Key
from connectors.sdk.values import RecordStatus, Value


class CustomerView(Value):
    """The current state of a customer for support. key: our external key."""

    key: str = Field(min_length=1, max_length=100)
    name: str = Field(default="", repr=False)
    email: str | None = Field(default=None, repr=False)
    fields: dict[str, str | None] = Field(default_factory=dict, repr=False)


class SupportCustomer(Value):
    """A customer as the desk has them."""

    id: str
    key: str
    status: RecordStatus = RecordStatus.WRITTEN


class TicketOrder(Value):
    """A ticket to open. reference: our own id, by which it is found again."""

    reference: str = Field(min_length=1, max_length=100)
    customer: str
    subject: str = Field(repr=False)
    text: str = Field(repr=False)


class Ticket(Value):
    """A ticket as the desk has it."""

    id: str
    reference: str
    open: bool = True


class TicketComment(Value):
    """Something to add to a ticket. reference: our own id of the comment."""

    ticket: str
    reference: str
    text: str = Field(repr=False)


class SupportDesk(Capability):
    """A support desk."""

    capability = "support"

    @abstractmethod
    async def upsert_view(self, view: CustomerView, key: Key) -> SupportCustomer:
        """Bring the customer's view to its current state."""

    @abstractmethod
    async def open(self, order: TicketOrder, key: Key) -> Ticket:
        """Open a ticket."""

    @abstractmethod
    async def comment(self, comment: TicketComment, key: Key) -> Ticket:
        """Add to a ticket."""
