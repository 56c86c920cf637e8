"""Labels and tracking of physical delivery."""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum

from pydantic import Field

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.key import Key
from connectors.sdk.values import Address, Currency, Value


class AddressCheck(Value):
    """Whether an address can be delivered to. Not verifiable is an outcome, not an error."""

    deliverable: bool
    address: Address | None = Field(default=None, repr=False)
    messages: tuple[str, ...] = ()


class Parcel(Value):
    """What is sent. order: our own id of the shipment, by which its label is found again. weight: grams. sku: what the
    warehouse calls the contents; customs: their tariff code, for a parcel that crosses a border; copies: how many."""

    order: str = Field(min_length=1, max_length=50)
    name: str = Field(repr=False)
    to: Address = Field(repr=False)
    sender: Address
    weight: int = Field(gt=0)
    service: str | None = None
    sku: str = ""
    customs: str | None = None
    copies: int = Field(default=1, gt=0)


class ShippingRate(Value):
    """What a service would cost, in minor units."""

    service: str
    amount: int
    currency: Currency
    days: int | None = None


class Label(Value):
    """A label that was bought."""

    id: str
    order: str
    tracking: str | None = None
    amount: int
    currency: Currency
    voided: bool = False
    url: str | None = None


class LabelVoid(Value):
    """Give a label back."""

    label: str


class TrackingStatus(StrEnum):
    """Where a parcel is."""

    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    RETURNED = "returned"
    FAILED = "failed"


class Shipper(Capability):
    """Physical delivery."""

    capability = "shipping"

    @abstractmethod
    async def validate(self, address: Address) -> AddressCheck:
        """Whether it can be delivered to."""

    @abstractmethod
    async def rate(self, parcel: Parcel) -> list[ShippingRate]:
        """What it would cost."""

    @abstractmethod
    async def buy(self, parcel: Parcel, key: Key) -> Label:
        """Buy one label for the order."""

    @abstractmethod
    async def void(self, void: LabelVoid, key: Key) -> Label:
        """Give a label back; voided False in the answer means that it was refused."""

    @abstractmethod
    async def find(self, order: str) -> Label | None:
        """The label of our order; None when there is none."""

    @abstractmethod
    async def track(self, label: str) -> TrackingStatus:
        """Where the parcel is."""
