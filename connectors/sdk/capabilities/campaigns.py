"""Profiles, events and suppressions in campaign management."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.key import Key
from connectors.sdk.values import RecordOutcome, Value


class Profile(Value):
    """A reader as campaigns know them. key: our external key."""

    key: str = Field(min_length=1)
    email: str | None = Field(default=None, repr=False)
    fields: dict[str, str | None] = Field(default_factory=dict, repr=False)
    consent: bool | None = None


class CampaignEvent(Value):
    """Something that happened. key: the event's own, by which a repetition is known."""

    key: str = Field(min_length=1)
    profile: str
    name: str
    at: datetime
    fields: dict[str, str] = Field(default_factory=dict, repr=False)


class Campaigns(Capability):
    """Campaign management. Batches answer per record."""

    capability = "campaigns"

    @abstractmethod
    async def upsert_profiles(self, profiles: Sequence[Profile], key: Key) -> list[RecordOutcome]:
        """Bring profiles to their current state."""

    @abstractmethod
    async def track(self, events: Sequence[CampaignEvent], key: Key) -> list[RecordOutcome]:
        """Tell events; one with a known key is told once."""

    @abstractmethod
    async def suppress(self, profiles: Sequence[Profile], key: Key) -> list[RecordOutcome]:
        """Stop all campaigns for these profiles."""
