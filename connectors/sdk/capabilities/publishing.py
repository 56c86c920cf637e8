"""Publishing offers to a content management system or digital media app."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.key import Key
from connectors.sdk.values import Value


class Offering(Value):
    """What is offered. code: the plan's. features: what it opens."""

    code: str = Field(min_length=1, max_length=100)
    title: str
    text: str = ""
    features: tuple[str, ...] = ()
    fields: dict[str, str] = Field(default_factory=dict)


class PublishedOffering(Value):
    """An offering as the other system has it."""

    id: str
    code: str
    published: bool
    url: str | None = None


class OfferingWithdrawal(Value):
    """Take an offering off the site."""

    code: str


class Cms(Capability):
    """A content management system."""

    capability = "cms"

    @abstractmethod
    async def publish(self, offering: Offering, key: Key) -> PublishedOffering:
        """Bring the offering to its current state, published."""

    @abstractmethod
    async def withdraw(self, withdrawal: OfferingWithdrawal, key: Key) -> PublishedOffering:
        """Take it off the site; one that is off already is answered as it is."""
